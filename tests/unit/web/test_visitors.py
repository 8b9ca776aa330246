"""Who may ask, by what he shows; what strangers try over a socket is in test_attackers.py."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from starlette.requests import HTTPConnection
from starlette.responses import Response

from portline.web import visitors as module
from portline.web.credentials import Credentials
from portline.web.problem import Problem
from portline.web.visitors import CSRF_HEADER, QUEUE, Visitors
from tests.unit.web.conftest import PASSWORD, basic

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Run

HOST = "127.0.0.1:8217"
ORIGIN = f"http://{HOST}"


def asking(
    cookie: str = "",
    *,
    address: str = "192.0.2.1",
    scheme: str = "http",
    kind: str = "http",
    **headers: str,
) -> HTTPConnection:
    pairs = {"host": HOST, **{name.lower().replace("_", "-"): v for name, v in headers.items()}}
    if cookie:
        pairs["cookie"] = cookie
    return HTTPConnection(
        {
            "type": kind,
            "scheme": scheme,
            "path": "/",
            "client": (address, 50000),
            "headers": [(name.encode(), value.encode()) for name, value in pairs.items()],
        }
    )


@pytest.fixture
def visitors(folder: Path) -> Visitors:
    credentials = Credentials(folder)
    credentials.store(PASSWORD)
    return Visitors(credentials, "here")


async def refusal(visitors: Visitors, asked: HTTPConnection, *, changes: bool = False) -> Problem:
    with pytest.raises(Problem) as caught:
        await visitors.identify(asked, changes=changes)
    return caught.value


def test_a_session_needs_more_for_what_changes_something(run: Run, visitors: Visitors) -> None:
    async def scenario() -> None:
        secret = await visitors.login(asking(origin=ORIGIN), PASSWORD)
        cookie = f"other=x; {visitors.cookie}={secret}"
        visitor = await visitors.identify(asking(cookie), changes=False)
        assert visitor.session is not None
        csrf = {CSRF_HEADER: visitor.session.csrf}
        assert await visitors.identify(asking(cookie, origin=ORIGIN, **csrf), changes=True)
        for asked, status in (
            (asking(cookie, **csrf), 403),
            (asking(cookie, origin=ORIGIN), 403),
            (asking(cookie, origin=ORIGIN, **{CSRF_HEADER: "guess"}), 403),
            (asking(cookie, origin="http://evil.example", **csrf), 403),
            (asking(f"{visitors.cookie}=guess", origin=ORIGIN, **csrf), 401),
            (asking(origin=ORIGIN, **csrf), 401),
        ):
            assert (await refusal(visitors, asked, changes=True)).status == status
        assert (await refusal(visitors, asking(cookie, kind="websocket"))).status == 403
        assert await visitors.identify(
            asking(cookie, kind="websocket", origin=ORIGIN), changes=False
        )

    run(scenario())


def test_a_cookie_of_tls_is_not_that_of_a_page_without(run: Run, visitors: Visitors) -> None:
    async def scenario() -> None:
        secret = visitors.enter(asking(), visitors.key())
        plain, encrypted = asking(), asking(scheme="https")
        assert visitors.cookie_of(encrypted) == f"__Host-{visitors.cookie_of(plain)}"
        cookie = f"{visitors.cookie}={secret}"
        assert (await refusal(visitors, asking(cookie, scheme="https"))).status == 401
        for asked, secure in (
            (plain, False),
            (encrypted, True),
            (asking(origin=f"https://{HOST}"), True),  # a proxy encrypts
        ):
            response = Response()
            visitors.set_cookie(asked, response, secret)
            header = response.headers["set-cookie"].lower()
            assert ("secure" in header.replace(" ", "").split(";")) is secure
            assert "httponly" in header
            assert "samesite=strict" in header

    run(scenario())


def test_who_has_come_may_stay_until_what_let_him_in_is_gone(
    run: Run, visitors: Visitors, folder: Path
) -> None:
    async def scenario() -> None:
        credentials = Credentials(folder)
        token = credentials.add_token("logger")
        program = await visitors.identify(asking(authorization=f"Bearer {token}"), changes=True)
        password = await visitors.identify(asking(**basic(PASSWORD)), changes=True)
        key = visitors.enter(asking(), visitors.key())
        page = await visitors.identify(asking(f"{visitors.cookie}={key}"), changes=False)
        assert program.name == "logger"
        assert [visitors.good(each) for each in (program, password, page)] == [True] * 3
        credentials.remove_token("logger")
        assert [visitors.good(each) for each in (program, password, page)] == [False, True, True]
        credentials.store("another one")
        assert [visitors.good(each) for each in (program, password, page)] == [False] * 3

    run(scenario())


@pytest.mark.parametrize(
    "authorization", ["", "Basic", "Basic !", "Basic /w==", "Bearer", "Digest x", "Bearer guess"]
)
def test_what_proves_nothing_is_401(run: Run, visitors: Visitors, authorization: str) -> None:
    async def scenario() -> None:
        problem = await refusal(visitors, asking(authorization=authorization))
        assert problem.status == 401
        assert problem.headers["WWW-Authenticate"].startswith("Bearer ")

    run(scenario())


def test_a_foreign_page_of_a_browser_without_an_origin_is_refused(
    run: Run, visitors: Visitors
) -> None:
    async def scenario() -> None:
        for site in ("cross-site", "same-site"):
            problem = await refusal(visitors, asking(sec_fetch_site=site, **basic(PASSWORD)))
            assert problem.status == 403
        for site in ("none", "same-origin"):
            assert await visitors.identify(
                asking(sec_fetch_site=site, **basic(PASSWORD)), changes=False
            )

    run(scenario())


def test_where_no_password_is_set_nobody_logs_in(run: Run, folder: Path) -> None:
    async def scenario() -> None:
        with pytest.raises(Problem, match="no password has been set") as caught:
            await Visitors(Credentials(folder)).login(asking(origin=ORIGIN), "")
        assert caught.value.status == 401

    run(scenario())


def test_only_some_passwords_wait_to_be_judged(
    run: Run, visitors: Visitors, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        judged: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        monkeypatch.setattr(module, "aside", lambda work: judged)
        async with asyncio.TaskGroup() as tasks:
            waiting = [
                tasks.create_task(
                    visitors.login(asking(origin=ORIGIN, address=f"192.0.2.{number}"), "x")
                )
                for number in range(QUEUE)
            ]
            await asyncio.sleep(0)
            with pytest.raises(Problem) as caught:
                await visitors.login(asking(origin=ORIGIN, address="192.0.2.99"), PASSWORD)
            assert (caught.value.status, visitors.counts["logins_slowed"]) == (429, 1)
            judged.set_result(True)
        assert all(task.result() for task in waiting)

    run(scenario())


def test_logging_out_ends_the_session_and_needs_its_token(run: Run, visitors: Visitors) -> None:
    async def scenario() -> None:
        cookie = f"{visitors.cookie}={visitors.enter(asking(), visitors.key())}"
        visitor = await visitors.identify(asking(cookie), changes=False)
        assert visitor.session is not None
        with pytest.raises(Problem):
            visitors.logout(asking(cookie, origin=ORIGIN))
        assert visitors.good(visitor)
        visitors.logout(asking(cookie, origin=ORIGIN, **{CSRF_HEADER: visitor.session.csrf}))
        assert not visitors.good(visitor)
        visitors.logout(asking(cookie))  # nobody is there any more, and no matter

    run(scenario())
