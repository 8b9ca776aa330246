from __future__ import annotations

import asyncio
import os
import socket
import ssl
import tempfile
from pathlib import Path

import pytest

from portline.web import page as module
from portline.web.page import Page
from tests.conftest import Run
from tests.interop.server import free_port
from tests.unit.web.conftest import PASSWORD, Host, hosting
from tests.waiting import until


async def reload(host: Host, text: str) -> list[str]:
    host.served.path.write_text(text)
    return await host.served.reload()


def test_the_first_time_it_makes_a_password_and_tells_it_once(folder: Path, run: Run) -> None:
    async def scenario() -> None:
        async with hosting(folder, first=True) as host:
            await until(lambda: host.told)
            first, second = host.told
            assert first.startswith(f"Home: http://127.0.0.1:{host.port}/enter?key=")
            password = second.split()[2]
            assert host.credentials.check(password)
        async with hosting(folder) as host:
            await until(lambda: host.told)
            assert host.told == [f"Home: http://127.0.0.1:{host.port}/"]
            status = host.page.status()
            assert status is not None
            assert (status.addresses, status.error) == ([f"http://127.0.0.1:{host.port}/"], "")
            assert status.counters["sessions"] == 0

    run(scenario())


def test_nothing_secret_is_logged(folder: Path, run: Run, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)

    async def scenario() -> None:
        async with hosting(folder, first=True) as host:
            await until(lambda: host.told)
            key = host.told[0].partition("key=")[2].partition(" ")[0]
            password = host.told[1].split()[2]
            await host.ask("GET", f"/enter?key={key}")
            await host.ask("POST", "/login", host.same_origin, {"password": password})
            await host.ask("POST", "/login", host.same_origin, {"password": "mistyped"})
            token = host.credentials.add_token("x")
            await host.ask("GET", "/api/status", {"Authorization": f"Bearer {token}"})
        for secret in (key, password, "mistyped", token):
            assert secret not in caplog.text

    run(scenario())


def test_a_password_does_not_go_into_the_journal(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with tempfile.TemporaryFile("w") as out:
        found = os.fstat(out.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        monkeypatch.setattr(module.sys, "stdout", out)

        async def scenario() -> None:
            async with hosting(folder, first=True) as host:
                await until(lambda: host.told)
                assert len(host.told) == 1
                assert "portline password --web" in caplog.text
                assert not host.credentials.grade().there
                answer = await host.ask("POST", "/login", host.same_origin, {"password": ""})
                assert answer.status == 401
                host.credentials.store(PASSWORD)
                await host.browser()

        run(scenario())


def test_an_address_that_is_taken_is_tried_again_and_the_data_flows(
    folder: Path, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            taken = other.getsockname()[1]
            text = f'[web]\nlisten = ["127.0.0.1:{taken}", "127.0.0.1:0"]\n'
            async with hosting(folder, text) as host:
                await until(lambda: "the page: " in caplog.text)
                assert host.port != taken
                assert (await host.ask("GET", "/")).status == 200
                other.close()
                await until(lambda: len(host.page.addresses) == 2)
                assert host.port == taken

    run(scenario())


def test_it_moves_and_whoever_is_logged_in_stays(folder: Path, run: Run) -> None:
    async def scenario() -> None:
        async with hosting(folder) as host:
            browser = await host.browser()
            kept = await host.connect()
            port = free_port()
            lines = await reload(host, f'[web]\nlisten = "127.0.0.1:{port}"\n')
            assert lines == ["web: the page is changed"]
            await until(lambda: host.page.addresses == [f"http://127.0.0.1:{port}/"])
            assert (await browser.get("/session")).status == 200
            kept.asks("GET", "/", {"Host": "localhost"})
            assert (await kept.hears()).status == 200
            await kept.goes()
            assert await reload(host, f'[web]\nlisten = "127.0.0.1:{port}"\n') == []

    run(scenario())


def test_it_comes_and_goes_with_the_file(folder: Path, run: Run) -> None:
    meter = '[connections.meter]\nport = "/dev/ttyNONE"\nlisten = "127.0.0.1:0"\n'

    async def scenario() -> None:
        async with hosting(folder) as host:
            port = host.port
            stranger = await host.connect()
            stranger.asks("GET", "/", {"Host": "localhost"})
            await stranger.hears()
            assert await reload(host, meter) == ["meter: added", "web: the page is gone"]
            assert host.page.addresses == []
            assert await stranger.hears_end() == b""
            with pytest.raises(OSError, match=r"Connect call failed|refused"):
                await asyncio.open_connection("127.0.0.1", port)
            await stranger.goes()
            lines = await reload(host, f'{meter}[web]\nlisten = "127.0.0.1:0"\n')
            assert lines == ["web: there is a page now"]
            await until(lambda: host.page.addresses)
            assert (await host.ask("GET", "/")).status == 200

    run(scenario())


def test_it_is_encrypted_and_takes_a_renewed_certificate(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(folder))
    text = '[web]\nlisten = "127.0.0.1:0"\ntls = true\n'

    async def scenario() -> None:
        async with hosting(folder, text) as host:
            await until(lambda: len(host.told) == 2)
            assert host.told[1].startswith("Home: certificate sha256:")
            context = ssl.create_default_context(cafile=folder / "self-signed.pem")
            context.check_hostname = False
            origin = {"Origin": f"https://127.0.0.1:{host.port}"}
            body = {"password": PASSWORD}
            answer = await host.ask("POST", "/login", origin, body, context=context)
            assert answer.status == 204
            assert answer.cookies[0].startswith("__Host-portline")
            assert "Secure" in answer.cookies[0]
            # A cookie that a page without TLS could have set is none.
            cookie = answer.cookies[0].partition(";")[0]
            stolen = {"Cookie": cookie.removeprefix("__Host-")}
            assert (await host.ask("GET", "/session", stolen, context=context)).status == 401
            assert (
                await host.ask("GET", "/session", {"Cookie": cookie}, context=context)
            ).status == 200
            plain = {"Origin": f"http://127.0.0.1:{host.port}"}
            assert (await host.ask("POST", "/login", plain, body, context=context)).status == 403
            # Somebody who does not speak TLS at all.
            stranger = await host.connect()
            stranger.asks("GET", "/", {"Host": "localhost"})
            said = await stranger.hears_end()
            assert said.startswith(b"HTTP/1.1 400 ")
            assert said.endswith(b"This page is encrypted: write https:// before its address.\n")
            await stranger.goes()
            stranger = await host.connect()
            stranger.writer.write(b"\x00" * 100)
            assert b"HTTP" not in await stranger.hears_end()
            await stranger.goes()
            await until(lambda: host.page.counts["handshakes_failed"] == 2)

    run(scenario())


def test_who_talked_without_tls_is_sent_away_when_it_is_demanded(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(folder))

    async def scenario() -> None:
        async with hosting(folder) as host:
            stranger = await host.connect()
            stranger.asks("GET", "/", {"Host": "localhost"})
            await stranger.hears()
            await reload(host, '[web]\nlisten = "127.0.0.1:0"\ntls = true\n')
            assert await stranger.hears_end() == b""
            await stranger.goes()
            await until(lambda: host.page.addresses[0].startswith("https"))

    run(scenario())


def test_what_cannot_be_prepared_is_tried_again(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "RETRY", 0.05)
    certificate = folder / "page.pem"
    certificate.write_text("nothing")

    async def scenario() -> None:
        async with hosting(folder) as host:
            page: Page = host.page
            text = f'[web]\nlisten = "127.0.0.1:0"\ntls = true\ncertificate = "{certificate}"\n'
            await reload(host, text)
            await until(lambda: "no PEM certificate in it" in page.error)
            assert page.addresses == [] or not page.addresses[0].startswith("http:")
            await asyncio.sleep(0.15)
            assert caplog.text.count("no PEM certificate in it") == 1
            from portline.net.tls.certificate import make_self_signed

            certificate.write_bytes(make_self_signed("box"))
            await until(lambda: not page.error)
            await until(lambda: page.addresses)

    run(scenario())


def test_a_port_that_is_taken_is_told_with_how_to_have_another(
    folder: Path, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            taken = other.getsockname()[1]
            free = free_port()
            text = f'[web]\nlisten = ["127.0.0.1:{taken}", "127.0.0.1:{free}"]\n'
            async with hosting(folder, text) as host:
                await until(lambda: "`--web=PORT`, or listen in [web]" in caplog.text)
                assert f"127.0.0.1:{taken}" in caplog.text
                status = host.page.status()
                assert status is not None
                assert "--web=PORT" in status.error

    run(scenario())
