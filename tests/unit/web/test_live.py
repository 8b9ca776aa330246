from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

from portline.web import board, live
from tests.conftest import Run
from tests.unit.web.conftest import Browser, Stranger, hosting
from tests.waiting import until


def text_with(*names: str) -> str:
    tables = "".join(
        f'[connections.{name}]\nport = "/dev/ttyNONE-{name}"\nlisten = "127.0.0.1:0"\n'
        for name in names
    )
    return f'[web]\nlisten = "127.0.0.1:0"\n{tables}'


def test_a_page_is_told_of_everything_at_first_and_then_of_what_changes(
    folder: Path, run: Run
) -> None:
    async def scenario() -> None:
        async with hosting(folder, text_with("a", "b")) as host:
            browser = await host.browser()
            async with browser.socket("/live") as page:
                await page.says({"subscribe": "status"})
                first = await page.hears(lambda message: "status" in message)
                assert first["status"]["order"] == ["a", "b"]
                names = [each["name"] for each in first["status"]["connections"]]
                assert names == ["a", "b"]
                assert first["status"]["connections"][0]["state"] == "port absent"
                assert first["status"]["process"]["command"] == "serve"
                options = {"port": "/dev/ttyNONE-c", "listen": "127.0.0.1:0"}
                await browser.post("/api/add", {"name": "c", "options": options})
                news = await page.hears(lambda message: "c" in message["status"]["order"])
                assert [each["name"] for each in news["status"]["connections"]] == ["c"]
                await browser.post("/api/remove", {"name": "a"})
                news = await page.hears(lambda message: "a" not in message["status"]["order"])
                assert news["status"]["connections"] == []

    run(scenario())


def test_a_status_is_made_once_for_all_who_look_and_not_at_all_for_nobody(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    survey = board.survey

    def counting(connection: object, now: float) -> object:
        made.append("")
        return survey(connection, now)  # type: ignore[arg-type]

    monkeypatch.setattr(board, "survey", counting)
    monkeypatch.setattr(board, "PERIOD", 1000.0)

    async def scenario() -> None:
        async with hosting(folder, text_with("a", "b")) as host:
            browser = await host.browser()
            assert made == []
            async with browser.socket("/live") as one, browser.socket("/live") as other:
                for page in (one, other, one):
                    await page.says({"subscribe": "status"})
                    await page.hears(lambda message: "status" in message)
                assert len(made) == 2

    run(scenario())


def test_what_is_seen_is_seen_soon(folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board, "PERIOD", 1000.0)

    async def scenario() -> None:
        async with hosting(folder, text_with("a")) as host:
            browser = await host.browser()
            async with browser.socket("/live") as page:
                await page.says({"subscribe": "status"})
                await page.hears(lambda message: message["status"]["connections"])
                assert (
                    await browser.post("/api/update", {"name": "a", "options": {"enabled": False}})
                ).status == 200
                news = await page.hears(lambda message: message["status"]["connections"])
                assert news["status"]["connections"][0]["state"] == "stopped"

    run(scenario())


def test_events_come_from_where_a_page_has_left_off(folder: Path, run: Run) -> None:
    from portline.service.process.events import EVENTS

    log = logging.getLogger("portline")
    one, two = f"one of {id(folder)}", f"two of {id(folder)}"  # other tests tell things, too
    log.addHandler(EVENTS)

    async def scenario() -> None:
        async with hosting(folder, text_with("a")) as host:
            browser = await host.browser()
            log.warning(one)
            async with browser.socket("/live") as page:
                await page.says({"subscribe": "events", "since": 0})
                told = await page.hears(lambda m: any(e["text"] == one for e in m["events"]))
                last = told["events"][-1]["number"]
                log.warning(two)
                told = await page.hears(lambda m: True)
                assert told["events"][0]["text"] == two
                await page.says({"unsubscribe": "events"})
                await page.says({"subscribe": "events", "since": last})
                told = await page.hears(lambda m: True)
                assert told["events"][0]["text"] == two

    try:
        run(scenario())
    finally:
        log.removeHandler(EVENTS)


def virtual(folder: Path) -> str:
    return (
        f'[web]\nlisten = "127.0.0.1:0"\n[connections.a]\nvirtual = "{folder}/ttyA"\n'
        'backend = "pty"\nlisten = "127.0.0.1:0"\n'
    )


def test_a_page_watches_what_passes_and_the_connection_notices_nothing(
    folder: Path, run: Run
) -> None:
    async def scenario() -> None:
        async with hosting(folder, virtual(folder)) as host:
            browser = await host.browser()
            connection = host.served.gateway.connections["a"]
            async with browser.socket("/live") as page:
                await page.says({"subscribe": "monitor", "name": "a"})
                await until(lambda: connection.tap.watchers)
                fd = os.open(folder / "ttyA", os.O_RDWR | os.O_NOCTTY)
                try:
                    os.write(fd, b"hello")
                    told = await page.hears(
                        lambda m: any(r["kind"] == "data" for r in m["monitor"]["records"])
                    )
                finally:
                    os.close(fd)
                assert told["monitor"]["name"] == "a"
                data = next(r for r in told["monitor"]["records"] if r["kind"] == "data")
                assert (data["source"], data["data"]) == ("port", "aGVsbG8=")
                await page.says({"unsubscribe": "monitor", "name": "a"})
                await until(lambda: not connection.tap.watchers)
                await page.says({"subscribe": "monitor", "name": "a"})
                await until(lambda: connection.tap.watchers)
            await until(lambda: not connection.tap.watchers)

    run(scenario())


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ({"subscribe": "nothing"}, "say something like"),
        ({"subscribe": "status", "x": 1}, "say something like"),
        ({"subscribe": "monitor"}, "say something like"),
        ({"subscribe": "monitor", "name": "b"}, "no connection 'b'"),
        ({"subscribe": "events", "since": -1}, "since must be"),
        ({"subscribe": "events", "since": True}, "since must be"),
        ([], "say something like"),
        (b"\xff", "EOF"),
    ],
)
def test_what_is_not_understood_is_told_and_does_not_end_it(
    folder: Path, run: Run, message: object, told: str
) -> None:
    async def scenario() -> None:
        async with hosting(folder, text_with("a")) as host:
            browser = await host.browser()
            async with browser.socket("/live") as page:
                await page.says(message)
                assert told in (await page.hears(lambda m: "error" in m))["error"]
                await page.says({"subscribe": "status"})
                await page.hears(lambda m: "status" in m)

    run(scenario())


@pytest.mark.parametrize("path", ["/live", "/terminal/a/socket"])
@pytest.mark.parametrize(
    ("who", "origin", "status"),
    [
        ("nobody", "own", 401),
        ("browser", "http://evil.example", 403),
        ("browser", None, 403),
        ("browser", "null", 403),
        ("forged", "own", 401),
    ],
)
def test_a_websocket_needs_a_session_and_an_origin(
    folder: Path, run: Run, path: str, who: str, origin: str | None, status: int
) -> None:
    async def scenario() -> None:
        async with hosting(folder, text_with("a")) as host:
            browser = await host.browser()
            if who != "browser":
                browser = Browser(host, "" if who == "nobody" else browser.cookie + "x")
            where = host.same_origin["Origin"] if origin == "own" else origin
            with pytest.raises(InvalidStatus) as caught:
                async with browser.socket(path, origin=where):
                    pass
            assert caught.value.response.status_code == status

    run(scenario())


def test_a_program_with_a_token_needs_no_origin(folder: Path, run: Run) -> None:
    async def scenario() -> None:
        async with hosting(folder, text_with("a")) as host:
            token = host.credentials.add_token("x")
            program = Browser(host, "")
            header = {"Authorization": f"Bearer {token}"}
            async with program.socket("/live", origin=None, **header) as page:
                await page.says({"subscribe": "status"})
                await page.hears(lambda m: "status" in m)

    run(scenario())


@pytest.mark.parametrize("how", ["logout", "password"])
def test_it_ends_with_the_session(
    folder: Path, run: Run, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "CHECK", 0.05)

    async def scenario() -> None:
        async with hosting(folder, text_with("a")) as host:
            browser = await host.browser()
            async with browser.socket("/live") as page:
                if how == "logout":
                    await browser.post("/logout", {})
                else:
                    host.credentials.store("battery staple")
                assert await page.hears_end() == live.LOGGED_OUT

    run(scenario())


def test_websockets_of_a_session_are_bounded(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "SOCKETS_OF_SESSION", 2)

    async def scenario() -> None:
        async with hosting(folder, text_with("a")) as host:
            browser = await host.browser()
            async with browser.socket("/live"):
                async with browser.socket("/live"):
                    with pytest.raises(InvalidStatus) as caught:
                        async with browser.socket("/live"):
                            pass
                    assert caught.value.response.status_code == 429
                    assert host.page.counts["sockets_refused"] == 1
                sessions = host.page.counts["sessions"]
                assert sessions == 1
                await until(lambda: host.page.counts["connections"] <= 1)
                async with browser.socket("/live"):
                    pass

    run(scenario())


@pytest.mark.slow
def test_a_page_that_does_not_read_makes_nothing_grow(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board, "LOOK", 0.001)
    monkeypatch.setattr(board, "PERIOD", 0.0)
    monkeypatch.setattr(board, "AGE_MAX", 0.0)

    async def scenario() -> None:
        async with hosting(folder, text_with(*(f"c{n}" for n in range(40)))) as host:
            browser = await host.browser()
            async with browser.socket("/live") as slow, browser.socket("/live") as quick:
                slow.opened.transport.pause_reading()
                await slow.says({"subscribe": "status"})
                await quick.says({"subscribe": "status"})
                for _ in range(60):
                    await quick.hears(lambda m: "status" in m)
                slow.opened.transport.resume_reading()
                await slow.hears(lambda m: "status" in m)

    run(scenario())


def test_a_status_that_could_not_be_made_is_told_in_the_log_and_made_again(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    survey = board.survey
    faults = [ValueError("for a test")]

    def failing(connection: object, now: float) -> object:
        if faults:
            raise faults.pop()
        return survey(connection, now)  # type: ignore[arg-type]

    monkeypatch.setattr(board, "survey", failing)

    async def scenario() -> None:
        async with hosting(folder, text_with("a")) as host:
            browser = await host.browser()
            async with browser.socket("/live") as page:
                await page.says({"subscribe": "status"})
                await until(lambda: "the statuses for the page failed" in caplog.text)
                await page.says({"subscribe": "status"})
                await page.hears(lambda message: "status" in message)

    run(scenario())


def test_pings_of_who_reads_no_answer_end_it(folder: Path, run: Run) -> None:
    async def scenario() -> None:
        async with hosting(folder) as host:
            stranger = await host.connect()
            upgrade = {"Upgrade": "websocket", "Connection": "Upgrade"}
            key = {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version": "13"}
            headers = {"Host": "localhost", **upgrade, **key, **host.basic}
            stranger.asks("GET", "/live", headers)
            assert b" 101 " in await stranger.reader.readuntil(b"\r\n\r\n")
            pings = (b"\x89\xfd\0\0\0\0" + b"p" * 125) * 1000
            # What is answered waits in the kernel, and then in the page.
            with pytest.raises(ConnectionError):
                await _say_for_ever(stranger, pings)
            await until(lambda: host.page.counts["connections"] == 0)

    run(scenario())


async def _say_for_ever(stranger: Stranger, data: bytes) -> None:
    async with asyncio.timeout(60):
        while True:
            stranger.says(data)
            await stranger.writer.drain()
