from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

import portline
from portline.auth.password import Password
from portline.errors import LoginError, NetworkError, SettingRefused, UsageError
from portline.net.backoff import Backoff
from portline.net.login import log_in as log_in_really
from portline.net.proxy import Proxy
from portline.remote import opening as module
from portline.remote.opening import open as open_port
from tests.proxies import SocksProxy
from tests.unit.remote.played import Played
from tests.waiting import until

if TYPE_CHECKING:
    from portline.net.stream import StreamLink
    from portline.remote.port import RemotePort
    from tests.conftest import Run


def test_it_has_a_public_name() -> None:
    assert portline.open is open_port


def test_it_can_be_awaited_and_entered(run: Run) -> None:
    async def scenario() -> None:
        async with Played() as server:
            port = await portline.open(server.url)
            await port.close()
            async with portline.open(server.url) as port:
                assert not port.ended
            assert port.ended

    run(scenario())


def test_it_can_be_had_again_and_again(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "Backoff", lambda: Backoff(0.01, 0.02))
    caplog.set_level(logging.INFO, logger="portline.remote")

    async def scenario() -> None:
        ports: list[RemotePort] = []
        async with Played() as server:
            async for port in portline.open(server.url, baudrate=1200):
                assert all(each.ended for each in ports)
                ports.append(port)
                assert port.settings.baudrate == 1200
                if len(ports) == 1:
                    server.link.abort()
                    with suppress(NetworkError):
                        assert await port.read() == b""
                    server.farewell = b"no place"
                    asyncio.get_running_loop().call_later(0.3, setattr, server, "farewell", None)
                    continue
                server.say(b"hello")
                assert await port.read() == b"hello"
                if len(ports) == 3:
                    break
        await until(lambda: all(each.ended for each in ports))

    run(scenario())
    ours = [record for record in caplog.records if record.name == "portline.remote"]
    assert [record.levelno for record in ours] == [logging.WARNING, logging.INFO]
    refused, again = (record.getMessage() for record in ours)
    assert refused.endswith("the server closed the connection; saying: no place; trying again")
    assert again.endswith(": is open again")


def test_what_another_attempt_does_not_mend_is_raised(run: Run) -> None:
    async def scenario() -> None:
        async with Played(obeys=lambda request: False) as server:
            ports = aiter(portline.open(server.url, baudrate=1200, strict=True))
            with pytest.raises(SettingRefused):
                await anext(ports)

    run(scenario())


def test_an_error_names_host_fault_and_remedy(run: Run) -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        with pytest.raises(NetworkError, match=f"^127.0.0.1:{port}: connection refused, .*; start"):
            async with portline.open(f"raw://127.0.0.1:{port}"):
                pass

    run(scenario())


@pytest.mark.parametrize("written", [False, True])
def test_through_a_proxy(run: Run, written: bool) -> None:
    async def scenario() -> None:
        played = SocksProxy()
        async with Played() as server, played.running():
            url = f"socks5://127.0.0.1:{played.port}"
            proxy = url if written else Proxy.parse(url)
            async with portline.open(server.url, proxy=proxy) as port:
                server.say(b"hello")
                assert await port.read() == b"hello"
            assert len(played.asked) == 1

    run(scenario())


@pytest.mark.parametrize(
    ("url", "options", "words"),
    [
        ("host:4001", {}, "not a remote port"),
        ("raw://host:1", {"baudrate": 300}, "raw:// carries no settings; open it as rfc2217://"),
        ("raw://host:1", {"dtr": True}, "raw:// carries no settings"),
        ("rfc2217://host:1", {"proxy": "ftp://host"}, "a proxy is written as"),
        ("rfc2217://host:1", {"parity": "x"}, "parity"),
    ],
)
def test_what_cannot_be_used_is_refused_at_once(
    url: str, options: dict[str, object], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        open_port(url, **options)  # type: ignore[arg-type]


def test_a_login_has_no_more_time_than_the_program_gives(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[float] = []

    async def log_in(link: StreamLink, password: object, limit: float) -> None:
        limits.append(limit)
        await log_in_really(link, Password("pencil"), limit)

    monkeypatch.setattr(module, "log_in", log_in)

    async def scenario() -> None:
        async with Played(silent=True) as server:
            with pytest.raises(LoginError, match=r"ask for a password within 0\.\d* s, and there"):
                await portline.open(server.url, password="pencil", timeout=0.9)
            assert 0 < limits[0] <= 0.9
        async with Played(farewell=b"portline: login 1 SCRAM-SHA-1\r\n") as server:
            with pytest.raises(LoginError):
                await portline.open(server.url, password="pencil", timeout=60)
            assert 30 < limits[1] <= 60

    run(scenario())


def test_a_password_file_that_is_not_there_is_told_in_a_sentence() -> None:
    with pytest.raises(UsageError) as raised:
        portline.open("rfc2217://127.0.0.1:1", password_file="/no/such/file")
    assert str(raised.value) == (
        "rfc2217://127.0.0.1:1: there is no file /no/such/file; "
        "`portline password --plain /no/such/file` makes it"
    )
