"""Editing where something happens meanwhile: another window, an editor, the end of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.home import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

    from tests.browser.conftest import Window
    from tests.browser.home import Home


@pytest.fixture(scope="module")
def configuration() -> str:
    return (
        '[connections.meter]\nport = "/dev/nothing-there"\nlisten = "127.0.0.1:0"\n'
        '[connections.scale]\nport = "/dev/nothing-else"\nlisten = "127.0.0.1:0"\n'
    )


def save(page: Page) -> None:
    page.get_by_role("button", name="Save").click()


def test_who_is_logged_out_logs_in_over_what_was_filled_in(
    windows: Callable[..., Window], home: Home
) -> None:
    window = windows("/edit/scale")
    page = window.page
    page.locator("#option-packet-size").fill("77")
    window.context.clear_cookies()
    # The form may have asked already whether all is well, and been told: the dialog may be there.
    page.get_by_text("Save", exact=True).dispatch_event("click")
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("What you have filled in is still here").wait_for()
    window.picture("form-log-in-again")
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    page.locator(".summary").get_by_text("You are logged out; log in again").wait_for()

    save(page)
    dialog.locator("input[type=password]").fill(home.password)
    page.keyboard.press("Enter")
    dialog.wait_for(state="detached")
    eventually(lambda: not page.locator(".summary").is_visible())
    assert page.locator("#option-packet-size").input_value() == "77"
    save(page)
    page.wait_for_url(f"{home.url}/")
    assert home.connections["scale"]["packet-size"] == 77


def test_who_is_logged_out_elsewhere_comes_back_to_the_same_place(
    windows: Callable[..., Window], home: Home
) -> None:
    window = windows("/monitor/scale")
    page = window.page
    page.get_by_role("heading", name="Monitor scale").wait_for()
    window.context.clear_cookies()
    page.reload()
    page.locator("input[type=password]").fill(home.password)
    page.keyboard.press("Enter")
    page.wait_for_url("**/monitor/scale")


def test_what_an_editor_has_changed_is_told_when_it_comes_into_force(
    windows: Callable[..., Window], home: Home
) -> None:
    page = windows("/edit/scale").page
    page.locator("#option-stop-bits").select_option("2")
    text = home.file.read_text()
    home.file.write_text(
        text.replace("[connections.meter]\n", '[connections.meter]\nparity = "odd"\n')
    )
    save(page)
    page.get_by_text("Of the file is in force now, too: meter: parity changed").wait_for()


def test_a_mistake_of_an_editor_is_told_with_its_line(
    windows: Callable[..., Window], home: Home
) -> None:
    window = windows("/edit/scale")
    window.page.locator("#option-packet-size").fill("99")
    text = home.file.read_text()
    home.file.write_text(
        text.replace("[connections.meter]\n", "[connections.meter]\nparityy = 1\n")
    )
    try:
        save(window.page)
        told = window.page.locator(".summary")
        told.wait_for()
        assert f"{home.file.name}:2: connections.meter.parityy: unknown option" in told.inner_text()
    finally:
        home.file.write_text(text)
    assert window.faults.pop().startswith("error: Failed to load resource")  # its status is 422
