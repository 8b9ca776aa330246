"""A client's handshake over real sockets of the loopback, with a server of Python's own."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from portline.errors import NetworkError
from portline.net.backoff import Backoff
from portline.net.dial import Dialer
from portline.net.lookup import Lookups
from portline.net.mistrust import Failure
from portline.net.proxy import Proxy, ProxyKind
from portline.net.reach import reach
from portline.net.securing import secure
from portline.net.stream import StreamLink
from portline.net.tls import TlsLink
from tests.unit.net.test_stream import Owner
from tests.unit.net.tls_ends import Place, place
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from portline.net.contexts import ClientSecurity
    from portline.net.mistrust import TlsFault
    from tests.conftest import Run

__all__ = ["place"]


@asynccontextmanager
async def serving(context: ssl.SSLContext | None, words: bytes = b"") -> AsyncIterator[int]:
    """Serve TLS, or plain text; say ``words`` to each client and end."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(words)
        if words:
            writer.close()
        else:
            await reader.read()
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await asyncio.sleep(0)


async def secured(
    security: ClientSecurity, port: int, faults: list[TlsFault], limit: float = 10
) -> TlsLink:
    loop = asyncio.get_running_loop()
    sock, name = await reach(loop, Lookups(loop), "localhost", port, proxy=None, limit=10)
    stream = StreamLink(loop, sock, name)
    try:
        return await secure(
            loop, stream, security, "localhost", port, limit=limit, told=faults.append
        )
    except BaseException:
        await until(lambda: stream.closed)
        raise


def test_a_server_is_known_and_then_no_other(run: Run, place: Place) -> None:
    async def scenario() -> None:
        faults: list[TlsFault] = []
        context = place.server().load().context
        security = place.client(ca="")
        async with serving(context, b"hello") as port:
            for _ in range(2):
                link = await secured(security, port, faults)
                owner = Owner()
                link.start(owner)
                await until(lambda owner=owner: owner.data == b"hello")  # type: ignore[misc]
                link.abort()
            other = place.authority.issue("impostor", "localhost")
            context.load_cert_chain(other.certificate, other.key)
            with pytest.raises(NetworkError, match="has changed") as caught:
                await secured(security, port, faults)
        text = str(caught.value)
        assert text.startswith(f"localhost:{port}: ")
        assert str(place.pins.path) in text
        assert [fault.failure for fault in faults] == [Failure.CERTIFICATE]
        place.pins.path.unlink()

    run(scenario())


def test_a_server_that_is_no_good_is_refused_with_the_reason(run: Run, place: Place) -> None:
    async def scenario() -> None:
        faults: list[TlsFault] = []
        over = place.authority.issue("over", "localhost", days=-1)
        async with serving(place.server(over).load().context, b"hello") as port:
            with pytest.raises(NetworkError, match="expired"):
                await secured(place.client(), port, faults)
        async with serving(None, b"*IDN?") as port:
            with pytest.raises(NetworkError, match="answers in plain text"):
                await secured(place.client(), port, faults)
        async with serving(None) as port:
            with pytest.raises(NetworkError, match=r"has not answered in TLS within 0\.\d+ s"):
                await secured(place.client(), port, faults, limit=0.3)
        assert [fault.failure for fault in faults] == [
            Failure.CERTIFICATE,
            Failure.PLAIN,
            Failure.TIMEOUT,
        ]

    run(scenario())


def test_files_are_read_each_time(run: Run, place: Place, tmp_path: Path) -> None:
    async def scenario() -> None:
        faults: list[TlsFault] = []
        security = place.client(ca=str(tmp_path / "later.pem"))
        async with serving(place.server().load().context, b"hello") as port:
            with pytest.raises(NetworkError, match=r"ca .*later.pem: cannot be read"):
                await secured(security, port, faults)
            shutil.copy(place.authority.file, tmp_path / "later.pem")
            (await secured(security, port, faults)).abort()
        assert faults == []

    run(scenario())


def test_who_gives_up_leaves_nothing_open(run: Run, place: Place) -> None:
    async def scenario() -> None:
        faults: list[TlsFault] = []
        async with serving(None) as port:
            task = asyncio.get_running_loop().create_task(secured(place.client(), port, faults))
            await asyncio.sleep(0.2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert faults == []

    run(scenario())


def test_a_dialer_goes_on_to_the_host_that_can_be_trusted(run: Run, place: Place) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        found: list[tuple[StreamLink | TlsLink, int]] = []
        errors: list[str] = []

        async def made(link: StreamLink, host: str, port: int, limit: float) -> TlsLink:
            return await secure(loop, link, place.client(), host, port, limit=limit)

        context = place.server().load().context
        over = place.authority.issue("over", "localhost", days=-1)
        async with (
            serving(place.server(over).load().context) as bad,
            serving(None, b"plain") as plain,
            serving(context, b"hello") as good,
        ):
            places = [("localhost", port) for port in (bad, plain)]
            dialer = Dialer(
                loop,
                places,
                secure=made,
                timeout=5,
                backoff=Backoff(0.05, 0.1),
                connected=lambda link, index: found.append((link, index)),
                changed=lambda dialer: errors.append(str(dialer.error)),
            )
            dialer.open()
            await until(lambda: errors != [])
            assert "expired" in errors[0]
            assert "plain text" in errors[0]
            dialer.close()
            dialer.places = (*places, ("localhost", good))
            dialer.open()
            await until(lambda: found != [])
            ((link, index),) = found
            assert index == 2
            assert isinstance(link, TlsLink)
            link.abort()
            dialer.close()

    run(scenario())


def test_a_proxy_is_on_the_way_and_reads_nothing(run: Run, place: Place) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        seen = bytearray()

        async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(65536):
                seen.extend(data)
                writer.write(data)
            writer.close()

        async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            port = int(head.split()[1].rpartition(b":")[2])
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            with suppress(OSError):
                await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))
            far_writer.close()

        front = await asyncio.start_server(connect, "127.0.0.1", 0)
        proxy = Proxy(ProxyKind.HTTP, "127.0.0.1", front.sockets[0].getsockname()[1])
        async with serving(place.server().load().context, b"a secret") as port:
            sock, name = await reach(loop, Lookups(loop), "localhost", port, proxy=proxy, limit=10)
            stream = StreamLink(loop, sock, name)
            link = await secure(loop, stream, place.client(), "localhost", port, limit=10)
            owner = Owner()
            link.start(owner)
            await until(lambda: owner.data == b"a secret")
            link.abort()
        assert len(seen) > 500
        assert b"secret" not in seen
        front.close()
        await asyncio.sleep(0.05)

    run(scenario())
