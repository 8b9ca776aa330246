"""Home: every connection, live, and what can be done to it."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.home import PATIENCE, Home, eventually
from tests.interop.server import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Locator, Route, WebSocketRoute

    from tests.browser.conftest import Window

PORT = free_port()


@pytest.fixture(scope="module")
def configuration(folder: Path) -> str:
    return f"""\
# A comment of somebody.
[connections.meter]
port = "{folder}/ttyDEVICE"
listen = "127.0.0.1:{PORT}"
baudrate = 19200
keepalive = "30s"

[connections.gone]
port = "{folder}/ttyNOWHERE"
listen = "127.0.0.1:{free_port()}"

[connections.third]
virtual = "{folder}/ttyTHIRD"
listen = "127.0.0.1:{free_port()}"

[connections.spare]
port = "{folder}/ttySPARE"
listen = "127.0.0.1:{free_port()}"
"""


def line(window: Window, name: str) -> Locator:
    opener = window.page.get_by_role("button", name=name, exact=True)
    return window.page.locator("li.connection").filter(has=opener)


def opened(window: Window, name: str) -> Locator:
    """Return the line of a connection, with its details."""
    found = line(window, name)
    if found.locator(".opener").get_attribute("aria-expanded") != "true":
        found.locator(".opener").click()
    found.locator(".doings").wait_for()
    return found


def test_the_end_of_a_long_name_of_a_port_is_seen(window: Window) -> None:
    name = line(window, "gone").locator(".port .mono")
    assert name.inner_text().endswith("/ttyNOWHERE")
    assert name.evaluate(
        "(it) => it.scrollWidth <= it.clientWidth && it.scrollHeight <= it.clientHeight + 1"
    )


def test_every_connection_is_shown_and_followed(window: Window, home: Home) -> None:
    meter = line(window, "meter")
    meter.get_by_text("listening").wait_for()
    assert "19200-8N1" in meter.inner_text()
    gone = line(window, "gone").inner_text()
    assert "port absent" in gone
    assert "ttyNOWHERE: is not there; is it plugged in?" in gone
    with socket.create_connection(("127.0.0.1", PORT), PATIENCE) as peer:
        address = "{}:{}".format(*peer.getsockname())
        meter.get_by_text("connected", exact=True).wait_for()
        meter.get_by_text("1 peer").wait_for()
        details = opened(window, "meter")
        details.get_by_text(address).wait_for()
        details.get_by_text("keepalive = 30s").wait_for()
        details.locator("canvas").wait_for()
        assert "everybody on this machine" in details.inner_text()
        window.picture("home-details")
    meter.get_by_text("listening").first.wait_for()
    details.get_by_text("Nobody is connected.").wait_for()


def test_rates_and_bytes_move(window: Window, device: object) -> None:
    with socket.create_connection(("127.0.0.1", PORT), PATIENCE) as peer:
        details = opened(window, "meter")
        details.get_by_text("1 peer").wait_for()
        before = window.status("meter")["counters"]["heard"]
        device.write(b"0123456789")
        peer.settimeout(PATIENCE)
        assert peer.recv(10)
        eventually(lambda: window.status("meter")["counters"]["heard"] == before + 10)
        details.get_by_text(re.compile(f"^{before + 10} B from the port")).wait_for()


def test_a_peer_is_disconnected_when_that_is_confirmed(window: Window) -> None:
    with socket.create_connection(("127.0.0.1", PORT), PATIENCE) as peer:
        address = "{}:{}".format(*peer.getsockname())
        opened(window, "meter").get_by_role("button", name=f"Disconnect {address}").click()
        dialog = window.page.get_by_role("dialog")
        dialog.get_by_role("button", name="Cancel").click()
        dialog.wait_for(state="detached")
        opened(window, "meter").get_by_role("button", name=f"Disconnect {address}").click()
        window.picture("home-confirm")
        dialog.get_by_role("button", name="Disconnect").click()
        peer.settimeout(PATIENCE)
        assert peer.recv(1) == b""
    opened(window, "meter").get_by_text("Nobody is connected.").wait_for()


def test_stopped_and_started(window: Window, home: Home) -> None:
    before = home.file.read_text()
    line(window, "third").get_by_role("button", name="Stop third").click()
    line(window, "third").get_by_text("stopped", exact=True).first.wait_for()
    window.page.get_by_role("button", name=re.compile("^Stopped")).click()
    assert window.page.locator("li.connection:visible").count() == 1
    line(window, "third").get_by_role("button", name="Start third").click()
    window.page.get_by_role("button", name=re.compile("^All")).click()
    line(window, "third").get_by_text("listening").wait_for()
    assert home.file.read_text() == before


def test_disabled_and_enabled_in_the_file(window: Window, home: Home) -> None:
    opened(window, "third").get_by_role("button", name="Disable third").click()
    window.page.get_by_role("dialog").get_by_role("button", name="Disable").click()
    opened(window, "third").get_by_role("button", name="Enable third").wait_for()
    assert home.connections["third"]["enabled"] is False
    opened(window, "third").get_by_role("button", name="Enable third").click()
    opened(window, "third").get_by_role("button", name="Disable third").wait_for()
    assert home.connections["third"].get("enabled", True) is True
    assert "# A comment of somebody." in home.file.read_text()


def test_removed_when_that_is_confirmed(windows: Callable[..., Window], home: Home) -> None:
    window, other = windows(), windows()
    line(other, "spare").wait_for()
    opened(window, "spare").get_by_role("button", name="Remove spare").click()
    window.page.keyboard.press("Escape")
    assert "spare" in home.connections
    opened(window, "spare").get_by_role("button", name="Remove spare").click()
    window.page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    line(window, "spare").wait_for(state="detached")
    line(other, "spare").wait_for(state="detached")
    assert "spare" not in home.connections


def test_connections_are_found_by_what_is_known_of_them(window: Window) -> None:
    shown = window.page.locator("li.connection:visible .name")
    line(window, "third").wait_for()
    line(window, "meter").get_by_text("listening").first.wait_for()
    everyone = shown.all_inner_texts()
    search = window.page.get_by_role("searchbox", name="Find connections")
    search.fill(f"listening {PORT}")
    eventually(lambda: shown.all_inner_texts() == ["meter"])
    search.fill("nobody has this")
    window.page.get_by_text("No connection is like that.").wait_for()
    search.fill("")
    eventually(lambda: shown.all_inner_texts() == everyone)


LISTEN = """() => {
  window.said = [];
  const place = document.getElementById("link-state");
  const observer = new MutationObserver(() => said.push(place.textContent));
  observer.observe(place, { childList: true, subtree: true });
}"""


def test_news_that_stop_are_told_of_and_come_again(
    windows: Callable[..., Window], home: Home
) -> None:
    window = windows()
    sockets: list[WebSocketRoute] = []

    def between(link: WebSocketRoute) -> None:
        sockets.append(link)
        link.connect_to_server()

    window.page.route_web_socket(re.compile("/live$"), between)
    window.page.goto(home.url)
    line(window, "meter").get_by_text("listening").wait_for()
    told = "The service does not answer; what you see may be old."
    assert window.page.get_by_text(told).count() == 0
    window.page.evaluate(LISTEN)  # it is told for half a second, which a busy machine may not look
    before = len(sockets)  # the page that was left for this one may have opened one, too
    sockets[-1].close()
    eventually(lambda: told in window.page.evaluate("said.join()"))
    window.page.get_by_text(told).wait_for(state="detached")
    assert len(sockets) == before + 1
    with socket.create_connection(("127.0.0.1", PORT), PATIENCE):
        line(window, "meter").get_by_text("connected", exact=True).wait_for()


def test_a_board_is_reset_where_there_are_lines(windows: Callable[..., Window], home: Home) -> None:
    window = windows()
    page = window.page
    assert opened(window, "meter").get_by_role("button", name="Pulse meter").count() == 0
    asked: list[str] = []

    def with_lines(link: WebSocketRoute) -> None:
        server = link.connect_to_server()
        none, some = '"has_lines":false', '"has_lines":true'
        server.on_message(lambda text: link.send(str(text).replace(none, some)))

    def pulsed(route: Route) -> None:
        asked.append(route.request.post_data or "")
        route.fulfill(json={"name": "meter", "sequence": "x"})

    # The device of the tests has no signal lines.
    page.route_web_socket(re.compile("/live$"), with_lines)
    page.route("**/api/pulse", pulsed)
    page.goto(home.url)
    opened(window, "meter").get_by_role("button", name="Pulse meter").click()
    dialog = page.get_by_role("dialog", name="Pulse the lines of meter?")
    dialog.get_by_label("Sequence").select_option("arduino")
    dialog.get_by_text("dtr=0,rts=0 wait=0.25 dtr=1,rts=1 wait=0.05").wait_for()
    window.picture("pulse")
    dialog.get_by_role("button", name="Cancel").click()
    assert asked == []
    page.keyboard.press("Enter")  # the focus is back at the button
    dialog.get_by_label("Sequence").select_option("esp32-run")
    dialog.get_by_role("button", name="Pulse").click()
    page.get_by_text("meter: esp32-run is done.").wait_for()
    assert [json.loads(text) for text in asked] == [{"name": "meter", "sequence": "esp32-run"}]


def test_the_log_follows_and_is_sifted(window: Window, home: Home) -> None:
    window.page.get_by_role("link", name="Log", exact=True).click()
    events = window.page.get_by_role("log", name="Events")
    with socket.create_connection(("127.0.0.1", PORT), PATIENCE) as peer:
        address = "{}:{}".format(*peer.getsockname())
        events.get_by_text(address).first.wait_for()
    window.page.get_by_label("Connection", exact=True).select_option("meter")
    eventually(lambda: set(events.locator(".whose").all_inner_texts()) == {"meter"})
    window.page.get_by_label("Level", exact=True).select_option("error")
    window.page.get_by_text("Nothing in the log is like that.").wait_for()
    window.page.get_by_label("Level", exact=True).select_option("info")
    window.page.get_by_role("searchbox", name="Find in the log").fill(address)
    eventually(lambda: all(address in text for text in events.locator(".said").all_inner_texts()))
    window.picture("log")
