"""Who gets in, and that everybody can use what is there: keyboard, axe-core, narrow windows."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.conftest import lacking
from tests.browser.home import Home, eventually
from tests.interop.server import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

    from tests.browser.conftest import Window

LONG = "a connection whose name is as long as a name may be, 64 letters"

PAGES = {
    "home": "/",
    "new": "/new",
    "edit": "/edit/meter",
    "monitor": "/monitor/meter",
    "terminal": "/terminal/meter",
    "log": "/log",
}


@pytest.fixture(scope="module")
def configuration(folder: Path) -> str:
    return f"""\
[connections.meter]
port = "{folder}/ttyDEVICE"
listen = "127.0.0.1:{free_port()}"
protocol = "rfc2217"

[connections."{LONG}"]
port = "{folder}/tty{"N" * 120}"
listen = ["127.0.0.1:{free_port()}", "127.0.0.1:{free_port()}"]

[connections.resting]
virtual = "{folder}/ttyREST"
listen = "127.0.0.1:{free_port()}"
enabled = false
"""


@pytest.fixture(scope="module")
def axe() -> str:
    found = importlib.util.find_spec("axe_playwright_python")
    if found is None or found.origin is None:
        lacking("the Python package axe-playwright-python is not installed")
    return (Path(found.origin).parent / "axe.min.js").read_text()


def ready(page: Page, name: str) -> None:
    """Wait until a page has got what it shows."""
    signs = {
        "home": "li.connection >> nth=2", "new": ".found-port, .ports .soft:not(:empty)",
        "edit": ".field.off >> nth=0", "monitor": "h1 .soft:not(:empty)",
        "terminal": "h1 .soft:not(:empty)", "log": ".happening >> nth=0", "login": "#password",
    }  # fmt: skip
    page.locator(signs[name]).first.wait_for()


def serious(window: Window, axe: str, rules: dict[str, Any]) -> list[str]:
    own = len(window.faults)
    window.page.evaluate(axe)
    found: Any = window.page.evaluate(
        "(rules) => axe.run({ resultTypes: ['violations'], preload: false, ...rules })", rules
    )
    # axe-core looks at things by a style of its own, which the policy does not let it have.
    del window.faults[own:]
    return [
        f"{each['id']} ({each['impact']}): {each['help']}: {node['html'][:200]} "
        f"{node['failureSummary']}"
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_a_serious_fault(
    windows: Callable[..., Window], home: Home, axe: str, scheme: str
) -> None:
    faults = {}
    # What is dark differs from what is light by its colours alone.
    rules = {"runOnly": ["color-contrast"]} if scheme == "dark" else {}
    window = windows("/login", log_in=False, color_scheme=scheme)
    ready(window.page, "login")
    window.picture(f"login-{scheme}")
    faults["login"] = serious(window, axe, rules)
    window = windows("/", color_scheme=scheme)
    page = window.page
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    for name, path in PAGES.items():
        page.goto(home.url + path)
        ready(page, name)
        if name == "home":
            page.locator(".opener >> nth=0").click()
            page.locator(".doings").wait_for()
        if name == "new":
            page.locator("button[type=submit]").click()
            page.locator(".summary").wait_for()
        window.picture(f"{name}-{scheme}")
        faults[name] = serious(window, axe, rules)
        if name == "home":
            page.get_by_role("button", name="Remove meter").click()
            page.get_by_role("dialog").wait_for()
            faults["dialog"] = serious(window, axe, rules)
            page.keyboard.press("Escape")
    assert {name: found for name, found in faults.items() if found} == {}


def test_nothing_is_wider_than_a_phone(windows: Callable[..., Window], home: Home) -> None:
    window = windows(
        "/", viewport={"width": 360, "height": 740}, device_scale_factor=2, has_touch=True
    )
    wide = {}
    for name, path in PAGES.items():
        window.page.goto(home.url + path)
        ready(window.page, name)
        if name == "home":
            window.page.locator(".opener >> nth=1").click()
            window.page.locator(".doings").wait_for()
        window.picture(f"{name}-phone")
        width = window.page.evaluate("document.documentElement.scrollWidth")
        if width > 360:
            wide[name] = width
    assert wide == {}


def test_a_password_lets_in_and_a_button_out(windows: Callable[..., Window], home: Home) -> None:
    window = windows("/monitor/meter", log_in=False)
    page = window.page
    page.wait_for_url("**/login?to=%2Fmonitor%2Fmeter")
    page.get_by_label("Password").fill("wrong")
    page.keyboard.press("Enter")
    page.get_by_text("That is not the password.").wait_for()
    assert page.get_by_label("Password").get_attribute("aria-invalid") == "true"
    page.get_by_label("Password").fill(home.password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/monitor/meter")
    ready(page, "monitor")
    assert page.evaluate("document.cookie") == "", "no script can read the cookie"
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/login")
    assert window.context.request.get(f"{home.url}/api/status").status == 401
    page.goto(f"{home.url}/log")
    page.wait_for_url("**/login?to=%2Flog")


def test_the_address_that_is_printed_logs_in_once(
    windows: Callable[..., Window], home: Home
) -> None:
    window = windows("/login", log_in=False)
    window.page.goto(home.enter)
    ready(window.page, "home")
    assert window.page.url == f"{home.url}/"
    other = windows("/login", log_in=False)
    assert other.context.request.get(home.enter, max_redirects=0).status in (401, 403, 429)


def test_a_login_goes_to_no_other_host(windows: Callable[..., Window], home: Home) -> None:
    window = windows("/login?to=//192.0.2.1/", log_in=False)
    window.page.get_by_label("Password").fill(home.password)
    window.page.keyboard.press("Enter")
    ready(window.page, "home")
    assert window.page.url == f"{home.url}/"


def focused(page: Page) -> str:
    return str(
        page.evaluate(
            "() => (document.activeElement.getAttribute('aria-label') "
            "|| document.activeElement.textContent || document.activeElement.id).trim()"
        )
    )


def outlined(page: Page) -> bool:
    return bool(
        page.evaluate(
            """() => {
              const style = getComputedStyle(document.activeElement);
              return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
            }"""
        )
    )


def test_home_is_walked_by_keyboard_alone(windows: Callable[..., Window], home: Home) -> None:
    page = windows().page
    ready(page, "home")
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to content"
    assert page.locator(".skip").bounding_box()["y"] >= 0
    page.keyboard.press("Enter")
    eventually(lambda: page.evaluate("document.activeElement.id") == "main")
    page.keyboard.press("Tab")
    assert focused(page) == "New connection"
    seen = []
    for _ in range(40):
        page.keyboard.press("Tab")
        assert outlined(page), focused(page)
        seen.append(focused(page))
        if seen[-1] == "meter":
            break
    assert "Find connections" in seen
    page.keyboard.press("Enter")
    page.locator(".doings").wait_for()
    for _ in range(20):
        page.keyboard.press("Tab")
        if focused(page) == "Remove meter":
            break
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    dialog.wait_for()
    assert focused(page) == "Cancel"
    for _ in range(4):  # the browser's own bar is where Tab goes after the last one
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('dialog, body') !== null")
        inside = page.evaluate("!!document.activeElement.closest('dialog')")
        assert inside or page.evaluate("document.activeElement === document.body")
    page.keyboard.press("Escape")
    eventually(lambda: focused(page) == "Remove meter")
    assert "meter" in home.connections


def test_a_connection_is_made_by_keyboard_alone(
    windows: Callable[..., Window], home: Home, folder: Path
) -> None:
    page = windows("/new").page
    page.locator("#option-name").wait_for()
    eventually(lambda: page.evaluate("document.activeElement.id") == "option-name")
    page.keyboard.type("typed")
    page.keyboard.press("Tab")  # the kind
    page.keyboard.press("Tab")  # real or virtual
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "option-virtual"
    page.keyboard.type(str(folder / "ttyTYPED"))
    for _ in range(8):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "option-listen":
            break
    page.keyboard.type(f"127.0.0.1:{free_port()}")
    page.keyboard.press("Enter")
    ready(page, "home")
    eventually(lambda: "typed" in home.connections)
    page.get_by_role("button", name="typed", exact=True).wait_for()


def test_the_colours_are_turned_over_and_stay_so(windows: Callable[..., Window]) -> None:
    page = windows("/", color_scheme="light").page
    shade = "document.documentElement.dataset.theme"
    page.get_by_role("button", name="Dark colours").click()
    assert page.evaluate(shade) == "dark"
    page.reload()
    assert page.evaluate(shade) == "dark"
    page.get_by_role("button", name="Light colours").click()
    page.reload()
    assert page.evaluate(shade) == "light"


def test_nothing_comes_from_another_host(windows: Callable[..., Window], home: Home) -> None:
    window = windows()
    asked: list[str] = []
    window.page.on("request", lambda request: asked.append(request.url))
    for name, path in PAGES.items():
        window.page.goto(home.url + path)
        ready(window.page, name)
    assert len(asked) > 30
    assert [url for url in asked if not url.startswith((home.url, "data:", "blob:"))] == []


def test_home_fits_into_every_width(windows: Callable[..., Window]) -> None:
    window = windows()
    ready(window.page, "home")
    for width in (320, 480, 720, 900, 1180, 1920):
        window.page.set_viewport_size({"width": width, "height": 900})
        window.picture(f"home-{width}")
        assert window.page.evaluate("document.documentElement.scrollWidth") <= width


def test_an_address_where_nothing_is_leads_home(
    windows: Callable[..., Window], home: Home, axe: str
) -> None:
    window = windows()
    page = window.page
    told = "status of 404 (Not Found)"
    page.goto(f"{home.url}/nope")
    assert page.locator("h1").inner_text() == "There is no such page"
    window.picture("no-page")
    assert serious(window, axe, {}) == []
    window.faults[:] = [fault for fault in window.faults if told not in fault]
    page.get_by_role("link", name="Back to the connections").click()
    ready(page, "home")
    for word in ("monitor", "terminal", "edit"):
        page.goto(f"{home.url}/{word}/nope")
        page.get_by_role("heading", name="There is no connection nope").wait_for()
        window.picture(f"no-{word}")
        assert page.locator("main").inner_text().count("nope") == 1
        page.locator("main").get_by_role("link", name="meter").click()
        page.wait_for_url(f"**/{word}/meter")
        ready(page, word)
        page.go_back()
        page.get_by_role("heading", name="There is no connection nope").wait_for()
        page.get_by_role("link", name="Back to the connections").click()
        ready(page, "home")
