from __future__ import annotations

from pathlib import Path

import pytest

from portline.web.application import POLICY
from tests.conftest import Run
from tests.unit.web.conftest import hosting

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.mark.parametrize("path", ["/nope", "/monitor", "/monitor/a/b", "/static/nope.js", "/apis"])
def test_a_browser_at_an_unknown_address_gets_a_page(folder: Path, run: Run, path: str) -> None:
    async def scenario() -> None:
        async with hosting(folder) as host:
            answer = await host.ask("GET", path, BROWSER)
            assert answer.status == 404
            assert answer.headers["content-type"].startswith("text/html")
            assert answer.headers["content-security-policy"] == POLICY
            text = answer.body.decode()
            assert '<a class="button" href="/">' in text
            assert "There is no" in text
            assert (await host.ask("GET", path)).json["status"] == 404

    run(scenario())


def test_what_programs_ask_is_json_whoever_asks(folder: Path, run: Run) -> None:
    async def scenario() -> None:
        async with hosting(folder) as host:
            for path, status in (("/api/nope", 404), ("/api/stop", 405), ("/api/status?x=1", 400)):
                answer = await host.ask("GET", path, BROWSER | host.basic)
                assert answer.headers["content-type"].startswith("application/problem+json")
                assert answer.json["status"] == status
            assert (await host.ask("POST", "/nope", BROWSER, {})).json["status"] == 404

    run(scenario())


def test_a_used_up_address_and_a_foreign_name_are_told_on_a_page(folder: Path, run: Run) -> None:
    async def scenario() -> None:
        async with hosting(folder) as host:
            used = await host.ask("GET", "/enter?key=used", BROWSER)
            assert used.status == 403
            assert b"The address was used before, or is too old; log in instead." in used.body
            foreign = await host.ask("GET", "/", BROWSER | {"Host": "<b>.example"})
            assert foreign.status == 421
            assert b"&lt;b&gt;.example" in foreign.body
            assert b"<b>" not in foreign.body

    run(scenario())
