from __future__ import annotations

import asyncio
import os
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from portline.port.tty.orders import BREAK_LIMIT
from portline.web import live, terminal
from tests.conftest import Run
from tests.unit.web.conftest import hosting
from tests.waiting import until


@contextmanager
def device() -> Iterator[tuple[int, str]]:
    """A port as a device: the other side of a pseudo terminal, and its path."""
    master, slave = os.openpty()
    try:
        yield master, os.ttyname(slave)
    finally:
        os.close(master)
        os.close(slave)


def text_of(path: str) -> str:
    return (
        f'[web]\nlisten = "127.0.0.1:0"\n[connections.a]\nport = "{path}"\nlisten = "127.0.0.1:0"\n'
    )


def test_bytes_go_both_ways_and_the_state_is_told(folder: Path, run: Run) -> None:
    async def scenario() -> None:
        with device() as (master, path):
            async with hosting(folder, text_of(path)) as host:
                browser = await host.browser()
                async with browser.socket("/terminal/a/socket") as page:
                    state = (await page.hears(lambda m: "state" in m))["state"]
                    assert state["settings"] == "9600-8N1"
                    assert state["lines"] is None  # a pseudo terminal has none
                    assert state["can"] == {"lines": False, "settings": True}
                    os.write(master, b"hello\r\n")
                    await page.hears_data(b"hello\r\n")
                    await page.says(b"\xffworld")
                    loop = asyncio.get_running_loop()
                    heard = await loop.run_in_executor(None, os.read, master, 100)
                    assert heard == b"\xffworld"
                    await page.says({"settings": {"baudrate": 19200}})
                    state = await page.hears(
                        lambda m: m.get("state", {}).get("settings") == "19200-8N1"
                    )
                    assert termios.tcgetattr(master)[4] == termios.B19200
                    await page.says({"lines": {"dtr": False}})
                    await page.says({"break": 0.01})
                    await page.hears(lambda m: "state" in m)
                connection = host.served.gateway.connections["a"]
                await until(lambda: not len(connection.operators))

    run(scenario())


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ({"settings": {"speed": 1}}, "settings are"),
        ({"settings": {}}, "settings are"),
        ({"settings": {"baudrate": "fast"}}, "baudrate"),
        ({"lines": {"cts": True}}, "say"),
        ({"lines": {"dtr": 1}}, "true or false"),
        ({"lines": {"dtr": None}}, "true or false"),
        ({"break": 100}, "up to 5 s"),
        ({"break": True}, "say"),
        ({"break": -1}, "up to 5 s"),
        ({"x": 1}, "say"),
        ([], "say"),
    ],
)
def test_what_cannot_be_done_is_told_and_does_not_end_it(
    folder: Path, run: Run, message: object, told: str
) -> None:
    async def scenario() -> None:
        with device() as (master, path):
            async with hosting(folder, text_of(path)) as host:
                browser = await host.browser()
                async with browser.socket("/terminal/a/socket") as page:
                    await page.says(message)
                    assert told in (await page.hears(lambda m: "error" in m))["error"]
                    os.write(master, b"still")
                    await page.hears_data(b"still")

    run(scenario())


def test_where_there_is_no_terminal_that_is_told(folder: Path, run: Run) -> None:
    async def scenario() -> None:
        async with hosting(folder, text_of("/dev/ttyNONE")) as host:
            browser = await host.browser()
            for name in ("a", "nothing"):
                async with browser.socket(f"/terminal/{name}/socket") as page:
                    assert (await page.hears(lambda m: "error" in m))["error"]
                    assert await page.hears_end() == terminal.REFUSED

    run(scenario())


def test_it_ends_with_the_connection_and_with_the_session(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "CHECK", 0.05)

    async def scenario() -> None:
        with device() as (_, path):
            async with hosting(folder, text_of(path)) as host:
                browser = await host.browser()
                async with browser.socket("/terminal/a/socket") as page:
                    await page.hears(lambda m: "state" in m)
                    await browser.post("/api/update", {"name": "a", "options": {"enabled": False}})
                    assert await page.hears_end() == terminal.REFUSED
                await browser.post("/api/update", {"name": "a", "options": {"enabled": True}})
                async with browser.socket("/terminal/a/socket") as page:
                    await page.hears(lambda m: "state" in m)
                    await browser.post("/logout", {})
                    assert await page.hears_end() == live.LOGGED_OUT

    run(scenario())


def test_breaks_are_bounded_and_go_with_the_page(folder: Path, run: Run) -> None:
    async def scenario() -> None:
        with device() as (_, path):
            async with hosting(folder, text_of(path)) as host:
                browser = await host.browser()
                connection = host.served.gateway.connections["a"]
                async with browser.socket("/terminal/a/socket") as page:
                    for _ in range(terminal.BREAKS_MAX + 1):
                        await page.says({"break": BREAK_LIMIT})
                    told = await page.hears(lambda m: "error" in m)
                    assert f"{terminal.BREAKS_MAX} breaks" in told["error"]
                    assert len(connection.operators) == 1
                begun = asyncio.get_running_loop().time()
                await until(lambda: not len(connection.operators))
                # Less than all of the breaks would have taken.
                assert asyncio.get_running_loop().time() - begun < terminal.BREAKS_MAX * BREAK_LIMIT
                await until(lambda: not connection.port.state.break_on)

    run(scenario())


def test_a_page_goes_although_the_port_takes_nothing(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "CHECK", 0.05)
    monkeypatch.setattr(live, "SOCKETS_OF_SESSION", 1)

    async def scenario() -> None:
        with device() as (_, path):
            async with hosting(folder, text_of(path)) as host:
                browser = await host.browser()
                connection = host.served.gateway.connections["a"]
                with suppress(ConnectionClosed):
                    async with browser.socket("/terminal/a/socket") as page:
                        # Nobody reads the other side, so this waits in the port, and then before.
                        while not connection.full:
                            await page.says(b"x" * 4096)
                        for _ in range(100):
                            await page.says(b"x" * 4096)
                        page.opened.transport.abort()

                async def may_come() -> bool:
                    try:
                        async with browser.socket("/live"):
                            return True
                    except InvalidStatus:
                        return False

                while not await may_come():
                    await asyncio.sleep(0.05)

    run(scenario())


@pytest.mark.slow
def test_a_page_that_does_not_read_does_not_hold_the_port(folder: Path, run: Run) -> None:
    async def scenario() -> None:
        with device() as (master, path):
            async with hosting(folder, text_of(path)) as host:
                browser = await host.browser()
                os.set_blocking(master, False)
                async with browser.socket("/terminal/a/socket") as page:
                    await page.hears(lambda m: "state" in m)
                    page.opened.transport.pause_reading()
                    written = 0

                    def write() -> bool:
                        nonlocal written
                        with suppress(BlockingIOError):
                            while written <= 24 * 1024**2:
                                written += os.write(master, b"x" * 4096)
                        return written > 24 * 1024**2

                    await until(write, 60)
                    connection = host.served.gateway.connections["a"]
                    await until(lambda: connection.hub.heard == written)
                    assert connection.operators.lost > 0
                    page.opened.transport.resume_reading()

    run(scenario())


def test_a_page_is_told_why_its_terminal_ends(folder: Path, run: Run) -> None:
    async def scenario() -> None:
        with device() as (_, path):
            async with hosting(folder, text_of(path)) as host:
                browser = await host.browser()
                gateway = host.served.gateway
                async with browser.socket("/terminal/a/socket") as page:
                    await page.hears(lambda m: "state" in m)
                    await gateway.stop_one("a")
                    told = await page.hears(lambda m: "error" in m)
                    assert told["error"] == "a: the connection was stopped"
                await gateway.start_one("a")
                async with browser.socket("/terminal/a/socket") as page:
                    await page.hears(lambda m: "state" in m)
                    gateway.apply(gateway.config.model_copy(update={"connections": {}}))
                    told = await page.hears(lambda m: "error" in m)
                    assert told["error"] == "a: the connection was removed"

    run(scenario())
