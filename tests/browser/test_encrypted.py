"""The page over TLS: everything that it does, and what a browser keeps of it."""

from __future__ import annotations

import http.client
import os
import ssl
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.authority import Authority, Issued
from tests.browser.home import PATIENCE, Home, eventually
from tests.interop.server import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.conftest import Window
    from tests.interop.device import Device


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder)


def put(folder: Path, issued: Issued) -> None:
    """Have the service find a certificate the next time that it looks, as a renewal does."""
    for path, name in ((issued.key, "page.key"), (issued.certificate, "page.pem")):
        new = folder / f"{name}.new"
        new.write_bytes(Path(path).read_bytes())
        new.chmod(0o600)
        os.replace(new, folder / name)


@pytest.fixture(scope="module")
def configuration(folder: Path, authority: Authority) -> str:
    put(folder, authority.issue("old", "127.0.0.1"))
    return f"""\
[web]
tls = true
certificate = "{folder}/page.pem"
key = "{folder}/page.key"

[connections.meter]
port = "{folder}/ttyDEVICE"
listen = "127.0.0.1:{free_port()}"
"""


def shown_to_strangers(home: Home, authority: Authority) -> str:
    """The name in the certificate that somebody is shown who trusts the authority."""
    context = ssl.create_default_context(cafile=authority.file)
    host = home.url.removeprefix("https://")
    with closing(http.client.HTTPSConnection(host, timeout=PATIENCE, context=context)) as c:
        c.connect()
        subject = c.sock.getpeercert()["subject"]
    return str(next(value for ((key, value),) in subject if key == "commonName"))


def test_all_that_the_page_does_is_encrypted(
    windows: Callable[..., Window],
    home: Home,
    folder: Path,
    device: Device,
    authority: Authority,
) -> None:
    assert home.url.startswith("https://")
    window = windows("/login", log_in=False, ignore_https_errors=True)
    page = window.page
    sockets: list[str] = []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    page.locator("#password").fill(home.password)
    page.locator("button[type=submit]").click()
    page.get_by_text("meter", exact=True).first.wait_for()
    (cookie,) = window.context.cookies()
    assert cookie["name"].startswith("__Host-portline")
    assert (cookie["secure"], cookie["httpOnly"]) == (True, True)
    assert (cookie["sameSite"], cookie["path"]) == ("Strict", "/")
    # The pages of whatever else this host serves would have to be encrypted, too.
    answer = window.context.request.get(f"{home.url}/")
    assert "strict-transport-security" not in answer.headers

    page.goto(f"{home.url}/monitor/meter")
    page.get_by_text("listening").wait_for()
    other = windows("/terminal/meter", ignore_https_errors=True)
    other.page.locator("h1 .soft:not(:empty)").wait_for()
    other.page.locator(".xterm-helper-textarea").focus()
    other.page.keyboard.type("*IDN?")
    assert device.read(5) == b"*IDN?"
    device.write(b"Meter 42")
    other.page.locator(".xterm-rows").get_by_text("Meter 42").wait_for()
    page.locator(".heard").get_by_text("Meter 42").wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save pcapng").click()
    assert Path(download.value.path()).read_bytes()[:4] == b"\x0a\x0d\x0d\x0a"
    assert sockets
    assert {url.partition("://")[0] for url in sockets} == {"wss"}

    assert shown_to_strangers(home, authority) == "old"
    put(folder, authority.issue("new", "127.0.0.1"))
    told = len(sockets)
    csrf = window.context.request.get(f"{home.url}/session").json()["csrf"]
    answer = window.context.request.post(
        f"{home.url}/api/reload", data={}, headers={"Origin": home.url, "X-CSRF-Token": csrf}
    )
    assert answer.ok, answer.text()
    eventually(lambda: shown_to_strangers(home, authority) == "new")
    device.write(b"with the new one")
    page.locator(".heard").get_by_text("with the new one").wait_for()
    assert len(sockets) == told


def test_who_forgets_the_s_is_told(home: Home) -> None:
    host = home.url.removeprefix("https://")
    with closing(http.client.HTTPConnection(host, timeout=PATIENCE)) as connection:
        connection.request("GET", "/")
        answer = connection.getresponse()
        assert answer.status == 400
        assert b"write https:// before its address" in answer.read()
