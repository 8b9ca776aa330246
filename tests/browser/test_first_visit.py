"""A service that has no connections yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.browser.conftest import Window
    from tests.browser.home import Home


def test_a_home_without_connections_invites_to_make_one(window: Window, home: Home) -> None:
    assert home.connections == {}
    window.page.get_by_role("heading", name="No connections yet").wait_for()
    window.picture("home-empty")
    window.page.get_by_role("link", name="Make the first connection").click()
    window.page.wait_for_url("**/new")
