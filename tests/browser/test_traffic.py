"""Monitor and Terminal, with a real device at the port."""

from __future__ import annotations

import socket
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.home import PATIENCE, Home, eventually
from tests.interop.server import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.conftest import Window
    from tests.interop.device import Device

PORT = free_port()


@pytest.fixture(scope="module")
def configuration(folder: Path) -> str:
    return f"""\
[connections.meter]
port = "{folder}/ttyDEVICE"
listen = "127.0.0.1:{PORT}"

[connections.made]
virtual = "{folder}/ttyMADE"
listen = "127.0.0.1:{free_port()}"
"""


def packets(data: bytes) -> list[tuple[int, bytes]]:
    """Return event and payload of each packet of a pcapng file of RTAC Serial (link type 250)."""
    found = []
    while data:
        kind, length = struct.unpack_from("<II", data)
        assert struct.unpack_from("<I", data, length - 4) == (length,)
        if kind == 1:
            assert struct.unpack_from("<H", data, 8) == (250,)
        if kind == 6:
            (size,) = struct.unpack_from("<I", data, 20)
            packet = data[28 : 28 + size]
            found.append((packet[8], packet[12:]))
        data = data[length:]
    return found


def test_both_directions_are_shown_sifted_and_saved(
    windows: Callable[..., Window], device: Device, tmp_path: Path, require: Callable[[str], str]
) -> None:
    window = windows("/monitor/meter")
    page = window.page
    records = page.get_by_role("log", name="Traffic of meter")
    page.get_by_text("listening").wait_for()
    with socket.create_connection(("127.0.0.1", PORT), PATIENCE) as peer:
        address = "{}:{}".format(*peer.getsockname())
        records.locator(".event", has_text=address).first.wait_for()
        peer.sendall(b"*IDN?\r\n")
        assert device.read(7) == b"*IDN?\r\n"
        device.write(b"Meter 42\x00\xff")
        spoken, heard = records.locator(".spoken"), records.locator(".heard")
        spoken.get_by_text("2a 49 44 4e 3f 0d 0a").wait_for()
        assert address in spoken.first.inner_text()
        heard.get_by_text("4d 65 74 65 72 20 34 32  00 ff").wait_for()
        assert "Meter 42··" in heard.first.inner_text()
        window.picture("monitor")

        page.get_by_role("radio", name="To port").check()
        eventually(lambda: heard.count() == 0 and spoken.count() == 1)
        page.get_by_role("radio", name="Both ways").check()
        search = page.get_by_role("searchbox")
        search.fill("meter 4")
        eventually(lambda: spoken.count() == 0 and heard.count() == 1)
        search.fill("00 ff")
        eventually(lambda: spoken.count() == 0 and heard.count() == 1)
        search.fill("")
        page.get_by_role("radio", name="Text", exact=True).check()
        eventually(
            lambda: spoken.locator("pre").all_inner_texts() == [r"*IDN?\r\n"], "for one line"
        )

        page.get_by_role("button", name="Pause").click()
        device.write(b"unseen")
        assert peer.recv(100)
        page.get_by_text("Paused; 1 more").wait_for()
        assert "unseen" not in records.inner_text()
        page.get_by_role("button", name="Resume").click()
        heard.get_by_text("unseen").wait_for()

        with page.expect_download() as download:
            page.get_by_role("button", name="Save pcapng").click()
        path = tmp_path / download.value.suggested_filename
        assert path.name.startswith("meter-")
        assert path.suffix == ".pcapng"
        download.value.save_as(path)
        saved = packets(path.read_bytes())
        assert b"".join(data for event, data in saved if event == 1) == b"*IDN?\r\n"
        heard_bytes = b"".join(data for event, data in saved if event == 2)
        assert b"Meter 42\x00\xff" in heard_bytes
        assert b"unseen" in heard_bytes

        page.get_by_role("button", name="Clear").click()
        page.get_by_text("Waiting for something to pass").wait_for()
    dissect(require("tshark"), path)


def dissect(tshark: str, path: Path) -> None:
    """Wireshark's dissectors understand the file."""
    shown = subprocess.run(
        [tshark, "-r", str(path), "-V"], capture_output=True, text=True, timeout=PATIENCE
    )
    assert shown.returncode == 0, shown.stderr
    assert "DATA_TX_START" in shown.stdout
    assert "DATA_RX_START" in shown.stdout
    assert "Malformed" not in shown.stdout


def test_the_monitor_keeps_a_bounded_page(windows: Callable[..., Window], device: Device) -> None:
    window = windows("/monitor/meter")
    window.page.get_by_text("listening").wait_for()
    # As many records as come at once, without waiting for a device to send them.
    counted = window.page.evaluate(
        """async () => {
          const { Records } = await import("/static/script/records.js");
          const records = new Records();
          const data = btoa("x".repeat(1000));
          for (let at = 0; at < 300; at += 1) {
            const record = { at, source: "port", kind: "data", data };
            records.take(Array.from({ length: 100 }, () => record));
          }
          return [records.length, records.all.length, records.forgotten, records.totals.port];
        }"""
    )
    kept, listed, forgotten, total = counted
    assert kept == listed
    assert kept + forgotten == 30000
    assert kept * 1000 <= 8 * 1024**2
    assert total == 30_000_000


def test_the_monitor_fits_the_window_and_follows(
    windows: Callable[..., Window], device: Device
) -> None:
    window = windows("/monitor/meter")
    page = window.page
    page.get_by_text("listening").wait_for()
    for number in range(60):
        device.write(b"record %d\r\n" % number)
        page.get_by_text(f"record {number}··", exact=True).wait_for()
    eventually(
        lambda: page.evaluate(
            """() => {
              const list = document.querySelector(".records");
              const below = list.scrollHeight - list.scrollTop - list.clientHeight;
              return list.scrollHeight > list.clientHeight && Math.abs(below) < 3;
            }"""
        )
    )
    assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")


def test_a_terminal_talks_with_the_device(
    windows: Callable[..., Window], device: Device, home: Home
) -> None:
    window = windows("/terminal/meter")
    page = window.page
    page.get_by_role("heading", name="Terminal meter 9600-8N1").wait_for()
    device.drain()
    device.write(b"ready\r\n")
    page.locator(".xterm-rows").get_by_text("ready").wait_for()
    with device.echoing():
        page.keyboard.type("echo 123")
        page.locator(".xterm-rows").get_by_text("echo 123").wait_for()
    page.keyboard.press("Enter")
    assert device.read(1) == b"\r"
    page.get_by_text("Typing", exact=True).click()
    page.get_by_label("Enter sends").select_option("crlf")
    page.locator(".xterm-helper-textarea").focus()
    page.keyboard.press("Enter")
    assert device.read(2) == b"\r\n"
    page.get_by_label("Local echo").check()
    page.locator(".xterm-helper-textarea").focus()
    page.keyboard.type("abc")
    page.locator(".xterm-rows").get_by_text("abc").wait_for()
    assert device.read(3) == b"abc"
    window.picture("terminal")
    for width in (1280, 360):  # what is chosen lies on the panel, and the panel in the window
        page.set_viewport_size({"width": width, "height": 860})
        panel = page.locator(".more > div").bounding_box()
        choice = page.get_by_label("Enter sends").bounding_box()
        assert panel is not None
        assert choice is not None
        assert panel["x"] >= 0
        assert choice["x"] + choice["width"] <= panel["x"] + panel["width"] <= width
    window.picture("terminal-typing-phone")

    page.get_by_label("Baudrate").fill("19200")
    page.keyboard.press("Tab")
    page.get_by_role("heading", name="Terminal meter 19200-8N1").wait_for()
    eventually(lambda: device.in_force().baudrate == 19200)
    page.get_by_role("button", name="Break").click()
    assert page.locator(".terminal-state").inner_text() == ""


def test_colours_of_a_terminal_need_no_inline_styles(
    windows: Callable[..., Window], device: Device
) -> None:
    page = windows("/terminal/meter").page
    page.get_by_role("heading", name="Terminal meter").get_by_text("8N1").wait_for()
    device.write(b"\x1b[2J\x1b[H\x1b[38;2;255;120;0morange\x1b[0m\r\n")
    word = page.locator(".xterm-rows span", has_text="orange")
    word.wait_for()
    assert word.evaluate("node => getComputedStyle(node).color") == "rgb(255, 120, 0)"


def test_a_device_cannot_have_the_browser_busy_for_minutes(
    windows: Callable[..., Window], device: Device
) -> None:
    page = windows("/terminal/meter").page
    page.get_by_role("heading", name="Terminal meter").get_by_text("8N1").wait_for()
    device.write(b"x" + b"".join(b"\x1b[2000000000%c" % final for final in b"ILMSTZb"))
    device.write(b"\x1b[2J\x1b[H\x1b[2Lstill here\x1b[3b\r\n")
    page.locator(".xterm-rows").get_by_text("still hereeee").wait_for()


def test_a_terminal_is_left_by_a_key_and_says_when_it_has_ended(
    windows: Callable[..., Window], home: Home
) -> None:
    window = windows("/terminal/meter")
    page = window.page
    page.get_by_role("heading", name="Terminal meter").get_by_text("8N1").wait_for()
    assert page.evaluate("document.activeElement.className") == "xterm-helper-textarea"
    page.keyboard.press("F6")
    assert page.evaluate("document.activeElement.closest('.console') !== null")
    other = windows("/")
    other.page.get_by_role("button", name="Stop meter").click()
    dialog = other.page.get_by_role("dialog")
    if dialog.count():
        dialog.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Connect again").wait_for()
    other.page.get_by_role("button", name="Start meter").click()
    other.page.get_by_role("button", name="Stop meter").wait_for()
    page.get_by_role("button", name="Connect again").click()
    page.get_by_role("button", name="Connect again").wait_for(state="detached")
