"""Opening an encrypted port, against a server of Python's own TLS."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import serial

import portline
from portline.errors import NetworkError, UsageError
from portline.net.tls.certificate import fingerprint, first_certificate
from portline.net.tls.contexts import ServerSecurity
from portline.remote.place import Place
from portline.remote.url import parse
from tests.authority import Authority

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.conftest import Run


@asynccontextmanager
async def echoing(security: ServerSecurity) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    context = security.load().context
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await asyncio.sleep(0.05)


def test_an_encrypted_port_is_opened_from_those_that_are_trusted(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        authority = Authority(tmp_path)
        issued = authority.issue("server", "localhost")
        shown = fingerprint(first_certificate(issued.pem))
        async with echoing(ServerSecurity(issued.certificate, issued.key)) as port:
            url = f"raws://localhost:{port}"
            for trust in ({"ca": authority.file}, {"fingerprint": shown.upper()}, {}, {}):
                async with portline.open(url, **trust) as opened:  # type: ignore[arg-type]
                    opened.write(b"hello")
                    assert await opened.read_exactly(5) == b"hello"
                    assert opened.security is not None
                    assert opened.security.fingerprint == shown
            other = {"fingerprint": f"sha256:{'0' * 64}"}
            with pytest.raises(NetworkError, match="somebody may be in the middle"):
                await portline.open(url, **other)  # type: ignore[arg-type]
            with pytest.raises(NetworkError, match=r"ca /missing\.pem: cannot be read"):
                await portline.open(url, ca="/missing.pem")
            with pytest.raises(NetworkError, match="for another address"):
                await portline.open(f"raws://127.0.0.1:{port}", ca=authority.file)

    run(scenario())


def test_arguments_that_cannot_be_used() -> None:
    for url, given, says in (
        ("raw://h:1", {"ca": "x"}, "open it as raws://"),
        ("rfc2217s://h:1", {"fingerprint": "sha256:12"}, "64 hexadecimal digits"),
        ("rfc2217s://h:1", {"key": "x"}, "give that, too"),
    ):
        with pytest.raises(UsageError, match=says):
            portline.open(url, **given)  # type: ignore[arg-type]


def test_urls() -> None:
    assert Place.parse("rfc2217s://host:1") == Place("rfc2217", "host", 1, True)
    assert str(Place.parse("raws://host:1")) == "raws://host:1"
    place, options = parse("portline://host:1?protocol=rfc2217s&ca=system")
    assert place.tls
    assert options["security"].ca == "system"
    assert parse("portline://host:1")[1]["security"] is None
    with pytest.raises(ValueError, match="open it as rfc2217s://"):
        parse("portline://host:1?ca=x")
    with pytest.raises(serial.SerialException, match="open it as"):
        serial.serial_for_url("portline://host:1?fingerprint=x")
