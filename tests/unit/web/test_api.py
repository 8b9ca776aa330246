from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from portline.control.http import Client
from portline.control.operations.parameters import ITEMS_MAX
from portline.control.operations.table import OPERATIONS
from portline.errors import ChangedMeanwhile, ConfigError, PortlineError, UsageError
from portline.web import api, live, terminal
from portline.web.download import RECORD
from tests.conftest import Run
from tests.unit.web.conftest import Browser, Host, hosting
from tests.unit.web.test_live import text_with, virtual
from tests.unit.web.test_page import free_port
from tests.unit.web.test_terminal import device, text_of
from tests.waiting import until


async def aside(call: Callable[[], Any]) -> Any:
    return await asyncio.get_running_loop().run_in_executor(None, call)


def client(host: Host) -> Client:
    return Client(host.page.addresses[0], host.credentials.add_token("client"))


def test_every_operation_but_those_of_this_machine_is_described(folder: Path, run: Run) -> None:
    async def scenario() -> None:
        async with hosting(folder) as host:
            answer = await host.ask("GET", "/api/openapi.json", host.basic)
            paths = answer.json["paths"]
            session = answer.json["components"]["securitySchemes"]["session"]
            assert (await host.browser()).cookie.startswith(f"{session['name']}=")
            offered = {each.name: each for each in OPERATIONS.values() if not each.local}
            offered["record"] = RECORD
            assert paths.keys() == {f"/api/{name}" for name in offered}
            for name, operation in offered.items():
                (method,) = paths[f"/api/{name}"]
                assert method == "post" or not operation.changes
            assert (await host.ask("GET", "/api/terminal?name=a", host.basic)).status == 404

    run(scenario())


def test_the_other_method_is_told_of(folder: Path, run: Run) -> None:
    async def scenario() -> None:
        async with hosting(folder) as host:
            answer = await host.ask("POST", "/api/status", host.basic, {})
            assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
            for method in ("GET", "PUT", "DELETE", "OPTIONS"):
                answer = await host.ask(method, "/api/reload", host.basic)
                assert (answer.status, answer.headers["allow"]) == (405, "POST")
            answer = await host.ask("PUT", "/login")
            assert answer.status == 405
            assert {*answer.headers["allow"].split(", ")} == {"GET", "HEAD", "POST"}
            assert answer.headers["content-type"] == "application/problem+json"

    run(scenario())


def test_parameters_stand_in_the_address(folder: Path, run: Run) -> None:
    async def scenario() -> None:
        async with hosting(folder, text_with("a", "b", "c")) as host:
            answer = await host.ask("GET", "/api/status?names=a&names=c", host.basic)
            assert [each["name"] for each in answer.json["connections"]] == ["a", "c"]
            answer = await host.ask("GET", "/api/status?name=a", host.basic)
            assert (answer.status, "no parameter 'name'" in answer.json["detail"]) == (400, True)
            answer = await host.ask("GET", "/api/events?since=x", host.basic)
            assert answer.status == 400
            answer = await host.ask("GET", "/api/events?since=1&since=2", host.basic)
            assert answer.status == 400

    run(scenario())


def test_mistakes_come_by_option(folder: Path, run: Run) -> None:
    async def scenario() -> None:
        async with hosting(folder) as host:
            body = {"name": "a", "options": {"virtual": "x", "parity": "odd?", "lisen": 1}}
            answer = await host.ask("POST", "/api/add", host.basic, body)
            assert answer.status == 422
            mistakes = {each["option"]: each["text"] for each in answer.json["mistakes"]}
            assert mistakes.keys() == {"parity", "lisen"}
            assert len(answer.json["errors"]) == len(answer.json["mistakes"])

    run(scenario())


def test_a_connection_that_is_not_there_is_404(folder: Path, run: Run) -> None:
    async def scenario() -> None:
        async with hosting(folder, text_with("a")) as host:
            answer = await host.ask("POST", "/api/remove", host.basic, {"name": "b"})
            assert (answer.status, "no connection 'b'" in answer.json["detail"]) == (404, True)
            options = {"port": "/dev/ttyNONE", "listen": "127.0.0.1:0"}
            body = {"name": "a", "options": options}
            answer = await host.ask("POST", "/api/add", host.basic, body)
            assert (answer.status, answer.json["mistakes"][0]["option"]) == (422, "name")

    run(scenario())


def test_the_client_asks_and_is_told_of_mistakes(folder: Path, run: Run) -> None:
    async def scenario() -> None:
        async with hosting(folder, text_with("a", "b")) as host:
            gateway = client(host)

            def script() -> None:
                names = [each["name"] for each in gateway.ask("status")["connections"]]
                assert names == ["a", "b"]
                found = gateway.ask("status", {"names": ["b"]})["connections"]
                assert [each["name"] for each in found] == ["b"]
                assert gateway.ask("remove", {"name": "b"})["changes"] == ["b: removed"]
                with pytest.raises(UsageError, match="no connection 'b'"):
                    gateway.ask("remove", {"name": "b"})
                with pytest.raises(ConfigError) as caught:
                    gateway.ask("update", {"name": "a", "options": {"parity": "x"}})
                assert caught.value.faults[0][0] == "parity"
                late = {"name": "a", "options": {"baudrate": 1200}, "was": {"baudrate": 300}}
                with pytest.raises(ChangedMeanwhile, match="to 9600 meanwhile; it was 300") as told:
                    gateway.ask("update", late)
                assert told.value.faults[0][0] == "baudrate"
                with pytest.raises(UsageError, match="no operation 'terminal' over HTTP"):
                    gateway.ask("terminal", {"name": "a"})
                with pytest.raises(PortlineError, match="no such token"):
                    Client(gateway.url, "wrong").ask("status")

            await aside(script)
        with pytest.raises(PortlineError, match="refused"):
            await aside(lambda: gateway.ask("status"))

    run(scenario())


def test_the_client_follows_a_stream(folder: Path, run: Run) -> None:
    async def scenario() -> None:
        async with hosting(folder, virtual(folder)) as host:
            gateway = client(host)

            def script() -> list[dict[str, Any]]:
                with gateway.stream("monitor", {"name": "a"}) as stream:
                    assert stream.result["name"] == "a"
                    with open(folder / "ttyA", "wb", buffering=0) as port:
                        port.write(b"hello")
                        found = []
                        for record in stream:
                            found.append(record)
                            if record["kind"] == "data":
                                return found
                    raise AssertionError(found)

            assert (await aside(script))[-1]["data"] == "aGVsbG8="
            connection = host.served.gateway.connections["a"]
            await until(lambda: not connection.tap.watchers, 30)

    run(scenario())


def test_streams_are_bounded_and_end_with_the_session(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "CHECK", 0.05)
    monkeypatch.setattr(api, "STREAMS_MAX", 1)

    async def scenario() -> None:
        async with hosting(folder, text_with("a")) as host:
            browser = await host.browser()
            stranger = await host.connect()
            headers = {"Host": "localhost", "Cookie": browser.cookie}
            stranger.asks("GET", "/api/monitor?name=a", headers)
            head = await stranger.reader.readuntil(b"\r\n\r\n")
            assert b"text/event-stream" in head
            await stranger.reader.readuntil(b"event: result")
            assert (await browser.get("/api/events")).status == 429
            assert host.page.counts["streams_refused"] == 1
            await browser.post("/logout", {})
            assert b"0\r\n\r\n" in await stranger.reader.readuntil(b"0\r\n\r\n")
            await stranger.goes()

    run(scenario())


@pytest.mark.parametrize("proof", ["token", "password", "session"])
def test_what_goes_on_ends_with_what_has_let_it_in(
    folder: Path, run: Run, proof: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (api, live, terminal):
        monkeypatch.setattr(module, "CHECK", 0.05)

    async def scenario() -> None:
        with device() as (_, path):
            async with hosting(folder, text_of(path)) as host:
                token = host.credentials.add_token("x")
                other = host.credentials.add_token("other")
                match proof:
                    case "token":
                        header = {"Authorization": f"Bearer {token}"}
                    case "password":
                        header = host.basic
                    case _:
                        header = {"Cookie": (await host.browser()).cookie}
                program = Browser(host, header.pop("Cookie", ""))
                if program.cookie:
                    header = {"Cookie": program.cookie}
                more = {} if program.cookie else header
                stranger = await host.connect()
                stranger.asks("GET", "/api/monitor?name=a", {"Host": "localhost", **header})
                await stranger.reader.readuntil(b"event: result")
                async with (
                    program.socket("/live", **more) as page,
                    program.socket("/terminal/a/socket", **more) as typing,
                    Browser(host, "").socket(
                        "/live", origin=None, Authorization=f"Bearer {other}"
                    ) as stays,
                ):
                    await typing.hears(lambda m: "state" in m)
                    if proof == "token":
                        host.credentials.remove_token("x")
                    else:
                        host.credentials.store("battery staple")
                    assert await page.hears_end() == live.LOGGED_OUT
                    assert await typing.hears_end() == live.LOGGED_OUT
                    await stranger.reader.readuntil(b"0\r\n\r\n")
                    await stays.says({"subscribe": "status"})
                    await stays.hears(lambda m: "status" in m)
                await stranger.goes()

    run(scenario())


def test_a_stream_that_has_no_body_holds_nothing(folder: Path, run: Run) -> None:
    async def scenario() -> None:
        async with hosting(folder, text_with("a")) as host:
            for path in ("/api/monitor?name=a", "/api/events"):
                answer = await host.ask("HEAD", path, host.basic)
                assert (answer.status, answer.body) == (200, b"")
                assert answer.headers["content-type"].startswith("text/event-stream")
            assert not host.served.gateway.connections["a"].tap.watchers

    run(scenario())


def test_many_names_in_an_address_do_not_hold_the_data_up(folder: Path, run: Run) -> None:
    """The time must not grow with their square: four times as many take four times as long.

    Of the processor: other processes that are busy meanwhile do not count.
    """

    async def scenario() -> None:
        async with hosting(folder) as host:

            async def took(names: int) -> float:
                query = "&".join(f"{number:x}" for number in range(names))
                begun = time.process_time()
                answer = await host.ask("GET", f"/api/status?{query}", host.basic)
                assert answer.status == 400
                return time.process_time() - begun

            few = min([await took(750) for _ in range(5)])
            assert min([await took(3000) for _ in range(5)]) < 10 * few

    run(scenario())


def test_more_options_than_there_can_be_are_refused_before_they_are_written(
    folder: Path, run: Run
) -> None:
    async def scenario() -> None:
        async with hosting(folder, text_with("a")) as host:
            browser = await host.browser()
            before = host.served.path.read_text()
            many = ["a"] * (ITEMS_MAX + 1)
            for options in ({"listen": many}, {"x": [[many]]}, {f"k{n}": 1 for n in range(2000)}):
                for name in ("update", "add"):
                    answer = await browser.post(f"/api/{name}", {"name": "a", "options": options})
                    assert answer.status == 400
                    assert f"there may be {ITEMS_MAX}" in answer.json["detail"]
            assert host.served.path.read_text() == before

    run(scenario())


def test_a_stream_shows_that_it_lives(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "CHECK", 0.01)
    monkeypatch.setattr(api, "SIGN_OF_LIFE", 0.05)

    async def scenario() -> None:
        async with hosting(folder, text_with("a")) as host:
            stranger = await host.connect()
            stranger.asks("GET", "/api/monitor?name=a", {"Host": "localhost", **host.basic})
            await stranger.reader.readuntil(b": still here\n\n")
            await stranger.goes()

    run(scenario())


@pytest.mark.parametrize(
    ("url", "more", "fault"),
    [
        ("ftp://x", {}, "no address of a page"),
        ("gateway", {}, "no address of a page"),
        ("http://x", {"fingerprint": "sha256:" + "0" * 64}, "about TLS"),
        ("https://x", {"fingerprint": "sha256:0"}, "64 hexadecimal digits"),
        ("https://x", {"ca": "/nowhere"}, "No such file"),
    ],
)
def test_what_a_client_cannot_use(url: str, more: dict[str, str], fault: str) -> None:
    with pytest.raises(UsageError, match=fault):
        Client(url, "token", **more)  # type: ignore[arg-type]


def test_a_client_says_what_to_do_where_nobody_listens() -> None:
    with pytest.raises(PortlineError, match="nothing listens there; start `portline serve --web`"):
        Client(f"http://127.0.0.1:{free_port()}", "token").ask("status")


def test_the_client_says_nothing_secret_to_another_certificate(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(folder))

    async def scenario() -> None:
        text = '[web]\nlisten = "127.0.0.1:0"\ntls = true\n'
        async with hosting(folder, text) as host:
            await until(lambda: len(host.told) == 2)
            shown = host.told[1].split()[-1]
            token = host.credentials.add_token("x")
            url = host.page.addresses[0]
            right = Client(url, token, fingerprint=shown)
            assert (await aside(lambda: right.ask("status")))["connections"] == []
            wrong = Client(url, token, fingerprint="sha256:" + "0" * 64)
            with pytest.raises(PortlineError, match="somebody may be in the middle"):
                await aside(lambda: wrong.ask("status"))
            unknown = Client(url, token)
            with pytest.raises(
                PortlineError, match=r"certificate is refused: .*give the fingerprint"
            ):
                await aside(lambda: unknown.ask("status"))
            plain = Client(url.replace("https:", "http:"), token)
            with pytest.raises(PortlineError, match="does it want https"):
                await aside(lambda: plain.ask("status"))
            assert host.page.counts["logins_failed"] == 0

    run(scenario())


def test_a_stream_whose_asker_has_gone_before_it_began_is_closed(folder: Path, run: Run) -> None:
    async def scenario() -> None:
        async with hosting(folder, text_with("a")) as host:
            tap = host.served.gateway.connections["a"].tap
            begun: list[bool] = []
            tap.changed = lambda: begun.append(bool(tap.watchers))
            stranger = await host.connect()
            # The password is judged first, which takes longer than going away.
            stranger.asks("GET", "/api/monitor?name=a", {"Host": "localhost", **host.basic})
            await stranger.goes()
            await until(lambda: begun)
            await until(lambda: not tap.watchers)

    run(scenario())
