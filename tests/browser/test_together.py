"""Two who edit the same connection: nothing is lost without a word."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.home import PATIENCE, Home, eventually
from tests.interop.server import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

    from tests.browser.conftest import Window


@pytest.fixture(scope="module")
def configuration(folder: Path) -> str:
    return "".join(
        f"""\
[connections.{name}]
port = "{folder}/tty{name}"
listen = "127.0.0.1:{free_port()}"
"""
        for name in ("meter", "scale", "lamp", "valve")
    )


def editing(window: Window, home: Home, name: str) -> Page:
    window.page.goto(f"{home.url}/edit/{name}")
    window.page.locator(".field.off").first.wait_for()
    return window.page


def save(page: Page) -> None:
    page.locator("button[type=submit]").click()


def test_the_later_of_two_windows_is_told(windows: Callable[..., Window], home: Home) -> None:
    first, second = windows(), windows()
    one, two = editing(first, home, "meter"), editing(second, home, "meter")
    one.locator("#option-baudrate").fill("19200")
    one.locator("#option-parity").select_option("even")
    save(one)
    one.wait_for_url(f"{home.url}/")
    assert home.connections["meter"]["baudrate"] == 19200

    two.locator("#option-baudrate").fill("4800")
    two.locator("#option-stop-bits").select_option("2")
    save(two)
    summary = two.locator(".summary:not([hidden])")
    summary.get_by_text("somebody has changed this to 19200 meanwhile; it was 9600").wait_for()
    second.picture("changed-meanwhile")
    assert home.connections["meter"]["baudrate"] == 19200
    assert "stop-bits" not in home.connections["meter"]
    second.faults[:] = [each for each in second.faults if "409 (Conflict)" not in each]

    save(two)
    two.wait_for_url(f"{home.url}/")
    two.get_by_text(
        "Somebody else has changed it meanwhile: parity is even, and was none."
    ).wait_for()
    found = home.connections["meter"]
    assert (found["baudrate"], found["parity"], found["stop-bits"]) == (4800, "even", "2")


def test_a_window_is_told_of_a_file_that_was_edited(window: Window, home: Home) -> None:
    page = editing(window, home, "scale")
    text = home.file.read_text()
    before = "[connections.scale]\n"
    home.file.write_text(text.replace(before, f"{before}baudrate = 300 # by hand\n"))
    page.locator("#option-baudrate").fill("4800")
    save(page)
    page.locator(".summary:not([hidden])").get_by_text("changed this to 300 meanwhile").wait_for()
    window.faults[:] = [each for each in window.faults if "409 (Conflict)" not in each]
    assert home.connections["scale"]["baudrate"] == 300
    page.locator("#option-baudrate").fill("9600")
    page.locator("#option-data-bits").fill("7")
    save(page)
    page.wait_for_url(f"{home.url}/")
    # What was written by hand and left alone here is in force now.
    page.get_by_text("baudrate is 300, and was 9600").wait_for()
    assert (home.connections["scale"]["baudrate"], home.connections["scale"]["data-bits"]) == (
        300,
        7,
    )
    assert "# by hand" in home.file.read_text()


def test_a_window_is_told_of_the_command_line(window: Window, home: Home) -> None:
    page = editing(window, home, "lamp")
    command = ["edit", "lamp", "--baudrate", "1200", "--config", str(home.file)]
    subprocess.run(
        [sys.executable, "-m", "portline", *command], check=True, timeout=PATIENCE, env=home.env
    )
    page.locator("#option-baudrate").fill("4800")
    save(page)
    page.locator(".summary:not([hidden])").get_by_text("changed this to 1200 meanwhile").wait_for()
    window.faults[:] = [each for each in window.faults if "409 (Conflict)" not in each]
    assert home.connections["lamp"]["baudrate"] == 1200


def test_a_window_is_told_that_its_connection_has_gone(
    windows: Callable[..., Window], home: Home
) -> None:
    first, second = windows(), windows()
    page = editing(first, home, "valve")
    other = editing(second, home, "valve")
    other.locator("#option-name").fill("tap")
    save(other)
    other.wait_for_url(f"{home.url}/")
    page.locator("#option-baudrate").fill("4800")
    save(page)
    page.locator(".summary:not([hidden])").get_by_text("there is no connection 'valve'").wait_for()
    first.faults[:] = [each for each in first.faults if "404 (Not Found)" not in each]
    eventually(lambda: "tap" in home.connections and "valve" not in home.connections)
    assert "baudrate" not in home.connections["tap"]
