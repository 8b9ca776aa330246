from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from portline.net.proxy import Proxy, ProxyKind
from portline.net.through import HEAD_LIMIT, ProxyFault, through
from tests.proxies import HttpProxy, SocksProxy

if TYPE_CHECKING:
    from tests.conftest import Run

SOCKS5, HTTP = ProxyKind.SOCKS5, ProxyKind.HTTP
PLAYED = {SOCKS5: SocksProxy, HTTP: HttpProxy}
EVERY_KIND = pytest.mark.parametrize("kind", ProxyKind)


async def go(kind: ProxyKind, port: int, to: int, *login: str, host: str = "far.test") -> bytes:
    """Go through the proxy on ``port``, say hello, and return all that comes."""
    loop = asyncio.get_running_loop()
    proxy = Proxy(kind, "127.0.0.1", port, *login)
    sock = await through(loop, proxy, ("127.0.0.1", port), host, to)
    with sock:
        assert sock.getblocking() is False
        await loop.sock_sendall(sock, b"hello")
        sock.shutdown(socket.SHUT_WR)
        heard = b""
        while data := await loop.sock_recv(sock, 65536):
            heard += data
        return heard


async def server() -> asyncio.Server:
    """A server that speaks first and then says what it heard."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"first words, ")
        writer.write(await reader.read())
        writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0)


def port_of(server: asyncio.Server) -> int:
    return int(server.sockets[0].getsockname()[1])


@EVERY_KIND
@pytest.mark.parametrize("login", [(), ("me", "secret")])
@pytest.mark.parametrize("host", ["far.test", "192.0.2.1", "2001:db8::1"])
def test_it_leads_to_the_server_and_no_byte_is_missing(
    run: Run, kind: ProxyKind, login: tuple[str, ...], host: str
) -> None:
    async def scenario() -> None:
        far = await server()
        played = PLAYED[kind](user="".join(login[:1]), password="".join(login[1:]))
        async with played.running():
            heard = await go(kind, played.port, port_of(far), *login, host=host)
            assert heard == b"first words, hello"
            written = f"[{host}]" if kind is HTTP and ":" in host else host
            assert played.asked == [(written, port_of(far))]
        far.close()

    run(scenario())


@EVERY_KIND
@pytest.mark.parametrize(
    ("login", "words"), [((), "it wants a login"), (("me", "wrong"), "it refuses the login")]
)
def test_a_login_is_asked_for_and_checked(
    run: Run, kind: ProxyKind, login: tuple[str, ...], words: str
) -> None:
    async def scenario() -> None:
        played = PLAYED[kind](user="me", password="secret")
        async with played.running():
            with pytest.raises(ProxyFault, match=words):
                await go(kind, played.port, 1, *login)

    run(scenario())


@pytest.mark.parametrize(
    ("kind", "refusal", "words"),
    [
        (SOCKS5, 1, "it refuses"),
        (SOCKS5, 2, "does not allow"),
        (SOCKS5, 4, "cannot reach the server"),
        (SOCKS5, 5, "cannot reach the server"),
        (SOCKS5, 77, "does not answer as SOCKS5 proxies do"),
        (HTTP, 403, "does not allow"),
        (HTTP, 500, "it refuses"),
        (HTTP, 502, "cannot reach the server"),
    ],
)
def test_each_refusal_says_what_to_do(run: Run, kind: ProxyKind, refusal: int, words: str) -> None:
    async def scenario() -> None:
        played = PLAYED[kind](refusal=refusal)
        async with played.running():
            with pytest.raises(ProxyFault, match=words):
                await go(kind, played.port, 1)

    run(scenario())


@EVERY_KIND
@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH\r\n\r\n", b"x" * (HEAD_LIMIT + 1)])
def test_what_is_no_proxy_is_seen(run: Run, kind: ProxyKind, answer: bytes) -> None:
    async def scenario() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(3)
            writer.write(answer)
            writer.write_eof()
            await reader.read()
            writer.close()

        other = await asyncio.start_server(serve, "127.0.0.1", 0)
        with pytest.raises(ProxyFault, match="check its kind and port"):
            await go(kind, port_of(other), 1)
        other.close()
        await asyncio.sleep(0.01)

    run(scenario())


@EVERY_KIND
def test_a_proxy_that_is_not_there_is_an_error_of_the_system(run: Run, kind: ProxyKind) -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        with pytest.raises(ConnectionRefusedError):
            await go(kind, port, 1)

    run(scenario())
