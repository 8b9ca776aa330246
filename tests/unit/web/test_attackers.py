"""What somebody without the password gets, or a foreign page in the browser of somebody with it."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

import pytest

from portline.auth import throttle
from portline.web import application, engine, sessions
from portline.web.application import BODY_MAX
from portline.web.engine import HEADER_MAX
from tests.conftest import Run
from tests.unit.web.conftest import PASSWORD, basic, hosting
from tests.waiting import until

FREE = ("/", "/login", "/new", "/log", "/edit/a", "/monitor/a", "/terminal/a")
"""What everybody gets: the empty page."""


def test_without_a_login_there_is_only_the_empty_page(folder: Path, run: Run) -> None:
    async def scenario() -> None:
        async with hosting(folder) as host:
            for path in FREE:
                answer = await host.ask("GET", path)
                assert (answer.status, answer.headers["content-type"]) == (
                    200,
                    "text/html; charset=utf-8",
                )
                assert answer.headers["content-security-policy"].startswith("default-src 'none'")
                assert answer.headers["x-content-type-options"] == "nosniff"
                assert not answer.cookies
            for path in ("/api/status", "/api/nothing", "/api/openapi.json", "/session"):
                answer = await host.ask("GET", path)
                assert answer.status == 401, path
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.headers["cache-control"] == "no-store"
                assert "Basic" not in answer.headers["www-authenticate"]
            assert (await host.ask("POST", "/api/remove", {}, {"name": "a"})).status == 401

    run(scenario())


def test_a_name_of_somebody_else_is_refused_before_anything(folder: Path, run: Run) -> None:
    async def scenario() -> None:
        async with hosting(folder) as host:
            browser = await host.browser()
            for path in ("/", "/static/index.html", "/api/status", "/session"):
                answer = await browser.get(path, Host="evil.example")
                assert answer.status == 421, path
                assert "[web]" in answer.json["detail"]
            rebound = {"Host": "evil.example", "Origin": "http://evil.example"}
            assert (await browser.post("/api/reload", {}, **rebound)).status == 421

    run(scenario())


def test_a_foreign_page_may_not_ask_whatever_it_knows(folder: Path, run: Run) -> None:
    async def scenario() -> None:
        async with hosting(folder) as host:
            browser = await host.browser()
            foreign = {"Origin": "http://evil.example"}
            assert (await browser.post("/api/reload", {}, **foreign)).status == 403
            assert (await browser.get("/api/status", **foreign)).status == 403
            assert (await browser.post("/logout", {}, **foreign)).status == 403
            assert (
                await host.ask("POST", "/api/reload", basic(PASSWORD) | foreign, {})
            ).status == 403
            answer = await host.ask("POST", "/login", foreign, {"password": PASSWORD})
            assert (answer.status, answer.cookies) == (403, [])
            fetched = {"Sec-Fetch-Site": "cross-site"}
            assert (await browser.get("/api/status", **fetched)).status == 403
            assert (await browser.post("/api/reload", {})).status == 200

    run(scenario())


def test_a_request_with_the_cookie_needs_the_token_of_its_session(folder: Path, run: Run) -> None:
    async def scenario() -> None:
        async with hosting(folder) as host:
            browser, other = await host.browser(), await host.browser()
            for token in ("", "x", other.csrf, browser.csrf[:-1]):
                answer = await browser.post("/api/reload", {}, **{"X-CSRF-Token": token})
                assert answer.status == 403
            answer = await host.ask(
                "POST",
                "/api/reload",
                {"Cookie": browser.cookie, "X-CSRF-Token": browser.csrf},
                {},
            )
            assert answer.status == 403  # no Origin
            assert (await browser.post("/api/reload", {})).status == 200

    run(scenario())


def test_a_form_of_a_foreign_page_cannot_be_json(folder: Path, run: Run) -> None:
    async def scenario() -> None:
        async with hosting(folder) as host:
            browser = await host.browser()
            for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
                answer = await browser.post("/api/reload", {}, **{"Content-Type": kind})
                assert answer.status == 415

    run(scenario())


def test_a_session_cannot_be_chosen_by_who_gives_the_cookie(folder: Path, run: Run) -> None:
    async def scenario() -> None:
        async with hosting(folder) as host:
            chosen = {"Cookie": "portline=chosen", **host.same_origin}
            answer = await host.ask("POST", "/login", chosen, {"password": PASSWORD})
            assert answer.status == 204
            assert "chosen" not in answer.cookies[0]
            assert (await host.ask("GET", "/session", {"Cookie": "portline=chosen"})).status == 401
            before = await host.browser()
            again = await host.ask(
                "POST",
                "/login",
                {"Cookie": before.cookie, **host.same_origin},
                {"password": PASSWORD},
            )
            assert again.cookies[0].partition(";")[0] != before.cookie

    run(scenario())


def test_the_cookie_is_for_the_browser_alone(folder: Path, run: Run) -> None:
    async def scenario() -> None:
        async with hosting(folder) as host:
            answer = await host.ask("POST", "/login", host.same_origin, {"password": PASSWORD})
            parts = {part.strip().lower() for part in answer.cookies[0].split(";")}
            assert {"httponly", "samesite=strict", "path=/"} <= parts
            assert "secure" not in parts
            proxied = {"Host": "localhost", "Origin": "https://localhost"}
            answer = await host.ask("POST", "/login", proxied, {"password": PASSWORD})
            assert "Secure" in answer.cookies[0]

    run(scenario())


def test_logging_out_ends_the_session_for_everybody_who_has_its_cookie(
    folder: Path, run: Run
) -> None:
    async def scenario() -> None:
        async with hosting(folder) as host:
            browser = await host.browser()
            assert (await browser.get("/api/status")).status == 200
            assert (await browser.post("/logout", {})).status == 204
            assert (await browser.get("/api/status")).status == 401

    run(scenario())


def test_another_password_ends_all_sessions(folder: Path, run: Run) -> None:
    async def scenario() -> None:
        async with hosting(folder) as host:
            browser = await host.browser()
            host.credentials.store("battery staple")
            assert (await browser.get("/api/status")).status == 401
            assert (await host.ask("GET", "/api/status", basic(PASSWORD))).status == 401
            assert (await host.ask("GET", "/api/status", basic("battery staple"))).status == 200

    run(scenario())


@pytest.mark.parametrize("proof", ["password", "basic"])
def test_guessing_is_slowed_down(folder: Path, run: Run, proof: str) -> None:
    async def scenario() -> None:
        async with hosting(folder) as host:

            async def guess() -> int:
                match proof:
                    case "password":
                        body = {"password": "wrong"}
                        answer = await host.ask("POST", "/login", host.same_origin, body)
                    case _:
                        answer = await host.ask("GET", "/api/status", basic("wrong"))
                assert not answer.cookies
                return answer.status

            token = host.credentials.add_token("x")
            browser = await host.browser()
            assert [await guess() for _ in range(throttle.TRIES)] == [401] * throttle.TRIES
            assert await guess() == 429
            # Now the right one has to wait, too: nobody learns from the answer which one that is.
            answer = await host.ask("POST", "/login", host.same_origin, {"password": PASSWORD})
            assert answer.status == 429
            assert int(answer.headers["retry-after"]) >= 1
            # Who is in, or has what nobody guesses, does not suffer from it.
            assert (await browser.get("/session")).status == 200
            bearer = {"Authorization": f"Bearer {token}"}
            assert (await host.ask("GET", "/api/status", bearer)).status == 200

    run(scenario())


def test_a_wrong_token_is_nobody(folder: Path, run: Run) -> None:
    async def scenario() -> None:
        async with hosting(folder) as host:
            host.credentials.add_token("x")
            for proof in ("", "x", "portline_" + "x" * 43, PASSWORD):
                header = {"Authorization": f"Bearer {proof}"}
                assert (await host.ask("GET", "/api/status", header)).status == 401
            for header in ("Digest x", "Basic", "Basic !", "Basic 4pyT"):
                answer = await host.ask("GET", "/api/status", {"Authorization": header})
                assert answer.status == 401
            assert host.page.counts["logins_failed"] >= 4

    run(scenario())


def test_many_guesses_at_once_are_no_way_around_it(folder: Path, run: Run) -> None:
    async def scenario() -> None:
        async with hosting(folder) as host:
            body = {"password": "wrong"}
            answers = await asyncio.gather(
                *(host.ask("POST", "/login", host.same_origin, body) for _ in range(40))
            )
            statuses = [answer.status for answer in answers]
            assert set(statuses) == {401, 429}
            assert statuses.count(401) <= throttle.TRIES

    run(scenario())


def test_a_key_logs_in_once(folder: Path, run: Run) -> None:
    async def scenario() -> None:
        async with hosting(folder, key=True) as host:
            await until(lambda: host.told)
            key = host.told[0].partition("key=")[2].partition(" ")[0]
            answer = await host.ask("GET", f"/enter?key={key}")
            assert (answer.status, answer.headers["location"]) == (303, "/")
            cookie = {"Cookie": answer.cookies[0].partition(";")[0]}
            assert (await host.ask("GET", "/session", cookie)).status == 200
            again = await host.ask("GET", f"/enter?key={key}")
            assert (again.status, again.cookies) == (403, [])
            assert (await host.ask("GET", "/enter")).status == 403

    run(scenario())


@pytest.mark.parametrize(
    "path",
    [
        *("/static/../page.py", "/static/..%2fpage.py", "/static/%2e%2e/page.py"),
        *("/static//etc/passwd", "/static/%2fetc/passwd", "/static/", "/static/index.html%00.js"),
        *("/static/..%5cpage.py", "/static/./index.html", "/../portline.toml", "/static/.hidden"),
    ],
)
def test_no_file_but_those_of_the_page_is_given_out(folder: Path, run: Run, path: str) -> None:
    async def scenario() -> None:
        async with hosting(folder) as host:
            assert (await host.ask("GET", path)).status == 404
            assert (await host.ask("GET", "/static/index.html")).status == 200

    run(scenario())


def test_huge_bodies_are_not_read(folder: Path, run: Run) -> None:
    async def scenario() -> None:
        async with hosting(folder) as host:
            length = {"Content-Length": str(10**12)}
            assert (await host.ask("POST", "/login", length, b"{")).status == 413
            stranger = await host.connect()
            head = (
                f"POST /login HTTP/1.1\r\nHost: 127.0.0.1:{host.port}\r\n"
                "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            stranger.says(head.encode())
            chunk = b"%x\r\n%b\r\n" % (65536, b" " * 65536)
            for _ in range(BODY_MAX // 65536 + 1):
                stranger.says(chunk)
            assert (await stranger.hears()).status == 413
            await stranger.goes()

    run(scenario())


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"3", b'{"password": 3}', b"\xff", b"[" * 9999])
def test_a_login_that_is_none_is_refused(folder: Path, run: Run, body: bytes) -> None:
    async def scenario() -> None:
        async with hosting(folder) as host:
            answer = await host.ask("POST", "/login", host.same_origin, body)
            assert answer.status == 400

    run(scenario())


def test_a_header_without_end_is_cut(folder: Path, run: Run) -> None:
    async def scenario() -> None:
        async with hosting(folder) as host:
            stranger = await host.connect()
            stranger.says(b"GET / HTTP/1.1\r\n" + b"X: " + b"a" * (HEADER_MAX + 1))
            assert (await stranger.hears()).status == 400
            assert await stranger.hears_end() == b"Invalid HTTP request received."
            await stranger.goes()

    run(scenario())


@pytest.mark.parametrize("what", ["nothing", "header", "body", "second"])
def test_who_takes_his_time_is_cut_off(
    folder: Path, run: Run, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "HEADER_LIMIT", 0.3)
    monkeypatch.setattr(engine, "BODY_LIMIT", 0.3)

    async def scenario() -> None:
        async with hosting(folder) as host:
            stranger = await host.connect()
            head = f"POST /login HTTP/1.1\r\nHost: 127.0.0.1:{host.port}\r\n".encode()
            match what:
                case "header":
                    stranger.says(head)
                case "body":
                    kind = b"Content-Type: application/json\r\nContent-Length: 20\r\n\r\n{"
                    stranger.says(head + kind)
                case "second":
                    stranger.asks("GET", "/", {"Host": "localhost"})
                    assert (await stranger.hears()).status == 200
                    stranger.says(b"GET")
            ended = asyncio.get_running_loop().create_task(stranger.hears_end())
            while not ended.done():  # one byte now and then is no progress
                if what != "nothing":
                    stranger.says(b"x")
                await asyncio.sleep(0.05)
            assert await ended == b""
            counts = host.page.counts
            assert counts["slow_bodies" if what == "body" else "slow_headers"] == 1
            await stranger.goes()

    run(scenario())


def test_who_never_reads_an_answer_does_not_keep_his_place(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "UNREAD_LIMIT", 1.0)

    async def scenario() -> None:
        async with hosting(folder) as host:
            with socket.socket() as stranger:
                stranger.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                stranger.setblocking(False)
                loop = asyncio.get_running_loop()
                await loop.sock_connect(stranger, ("127.0.0.1", host.port))
                asked = b"GET /static/vendor/uplot/uPlot.esm.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
                await loop.sock_sendall(stranger, asked * 40)
                await until(lambda: host.page.counts["connections"] == 1)
                await until(lambda: host.page.counts["connections"] == 0, 60)

    run(scenario())


def test_a_cookie_costs_nothing_whatever_is_in_it(folder: Path, run: Run) -> None:
    """Python's own way to take quotes off needs a time that grows with the square."""

    async def scenario() -> None:
        async with hosting(folder) as host:
            browser = await host.browser()

            async def took(cookie: str, status: int) -> float:
                begun = time.perf_counter()
                answer = await host.ask("GET", "/session", {"Cookie": cookie})
                assert answer.status == status
                return time.perf_counter() - begun

            for other in ("", "a=b; ", 'x="\\012"; ', "portline; =; "):
                await took(f"{other}{browser.cookie}", 200)
            name = browser.cookie.partition("=")[0]
            plain, hostile = "a" * 15_000, '"' + "\\\\" * 7_500 + '"'
            for named in (name, "x"):
                usual = min([await took(f"{named}={plain}", 401) for _ in range(5)])
                assert min([await took(f"{named}={hostile}", 401) for _ in range(5)]) < 20 * usual

    run(scenario())


def test_connections_are_bounded_and_of_one_address_too(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "CONNECTIONS_OF_ONE", 4)

    async def scenario() -> None:
        async with hosting(folder) as host:
            inside = [await host.connect() for _ in range(4)]
            for stranger in inside:
                stranger.asks("GET", "/", {"Host": "localhost"})
                assert (await stranger.hears()).status == 200
            outside = await host.connect()
            assert await outside.hears_end() == b""
            assert host.page.counts["crowded"] == 1
            for stranger in (*inside, outside):
                await stranger.goes()
            await until(lambda: host.page.counts["connections"] == 0)
            assert (await host.ask("GET", "/")).status == 200

    run(scenario())


def test_many_sessions_push_out_old_ones_and_never_grow(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "SESSIONS_MAX", 3)

    async def scenario() -> None:
        async with hosting(folder) as host:
            browsers = [await host.browser() for _ in range(5)]
            found = [(await each.get("/session")).status for each in browsers]
            assert found == [401, 401, 200, 200, 200]
            assert host.page.counts["sessions"] == 3

    run(scenario())


def test_what_is_not_foreseen_tells_nothing(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(self: object, request: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(application.Application, "_page", fails)

    async def scenario() -> None:
        async with hosting(folder) as host:
            answer = await host.ask("GET", "/")
            assert answer.status == 500
            assert b"secret" not in answer.body
            assert "ZeroDivisionError" in caplog.text

    run(scenario())


def test_a_body_of_many_small_chunks_is_taken_in_sips(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []
    take = engine.H11Protocol.data_received

    def noted(protocol: engine.H11Protocol, data: bytes) -> None:
        taken.append(len(data))
        take(protocol, data)

    monkeypatch.setattr(engine.H11Protocol, "data_received", noted)
    body = b'{"password": ' + b" " * 20000 + b'"correct horse"}'

    async def scenario() -> None:
        async with hosting(folder) as host:
            stranger = await host.connect()
            head = f"POST /login HTTP/1.1\r\nHost: 127.0.0.1:{host.port}\r\n"
            head += "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
            chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
            stranger.says(head.encode() + chunks + b"0\r\n\r\n")
            assert (await stranger.hears()).status == 204
            # Another request on the same connection.
            stranger.asks("GET", "/login", {"Host": f"127.0.0.1:{host.port}"})
            assert (await stranger.hears()).status == 200
            await stranger.goes()
            assert sum(taken) > len(chunks)
            assert max(taken) == engine.SIP

    run(scenario())


def test_fragments_that_hold_nothing_come_to_an_end(folder: Path, run: Run) -> None:
    async def scenario() -> None:
        async with hosting(folder) as host:
            stranger = await host.connect()
            upgrade = {
                "Host": f"127.0.0.1:{host.port}",
                "Connection": "Upgrade",
                "Upgrade": "websocket",
                "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
            }
            padding = {"X-Padding": "x" * (3 * engine.SIP + 5)}  # it is asked for in sips, too
            stranger.asks("GET", "/live", {**padding, **upgrade, **host.basic})
            assert b" 101 " in await stranger.reader.readline()
            begun, more = b"\x01\x80" + bytes(4), b"\x00\x80" + bytes(4)
            stranger.says(begun + more * (engine.FRAGMENTS_MAX - 1))
            stranger.says(b"\x80\x80" + bytes(4))
            async with asyncio.timeout(20):
                await stranger.reader.readuntil(b'{"error":')  # that is no message of a page
            stranger.says(begun + more * engine.FRAGMENTS_MAX)
            await stranger.hears_end()
            await stranger.goes()

    run(scenario())
