"""Streams over a control socket, as the client reads them and by hand."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.control import server as module
from portline.control.client import NobodyThere, Stream
from portline.control.message import encode_items, items_of
from portline.control.operations.table import OPERATIONS
from portline.control.place import Places
from portline.errors import PortlineError, UsageError
from portline.recording.record import Kind, Record
from portline.service.monitor.watcher import RING
from portline.service.process.events import EVENTS
from portline.service.process.events import RING as EVENTS_RING
from tests.conftest import Run
from tests.unit.control.conftest import Caller, Host, gateway, host
from tests.unit.control.obeying import disobeys
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("folder", "events")


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> None:
    log = logging.getLogger("portline")
    monkeypatch.setattr(log, "handlers", [EVENTS])
    monkeypatch.setattr(log, "level", logging.INFO)
    log.manager._clear_cache()  # type: ignore[attr-defined]


def asking(operation: str, **parameters: object) -> bytes:
    words = {"portline": 1, "operation": operation, "parameters": parameters}
    return json.dumps(words).encode() + b"\n"


def told(lines: list[bytes]) -> list[Any]:
    return [item for line in lines[1:] for item in items_of(line)]


async def tells(caller: Caller, count: int) -> list[Any]:
    """Wait until so many things have been told; return all."""
    await until(lambda: caller.look() and (caller.ended or len(whole(caller)) >= count))
    return whole(caller)


def whole(caller: Caller) -> list[Any]:
    return told(caller.heard.splitlines()[: caller.heard.count(b"\n")])


def test_a_monitor_tells_what_passes(run: Run) -> None:
    async def scenario() -> None:
        with host() as made, made.caller() as caller:
            caller.says(asking("monitor", name="meter"))
            (line,) = await caller.hears()
            result = json.loads(line)["result"]
            schema = OPERATIONS["monitor"]
            obeys_result(schema, result)
            assert result["process"]["pid"] == os.getpid()
            assert (result["name"], result["open"], result["virtual"]) == ("meter", False, False)
            assert result["settings"] == "9600-8N1"
            meter = made.gateway.connections["meter"]
            await until(lambda: meter.tap.watchers)
            meter.port_data(b"\x00\xff")
            meter.port_data(b"more")
            first, second = await tells(caller, 2)
            assert Record.of(first).data == b"\x00\xff"
            assert Record.of(second).data == b"more"
            caller.says(b"nobody listens\n" * 10000)
            caller.socket.close()
            await until(lambda: not made.server._callers)
            assert meter.tap.watchers == ()

    run(scenario())


def obeys_result(operation: Any, result: Any) -> None:
    from portline.control.schema import result_schema

    assert list(disobeys(result, result_schema(operation.result))) == []


def test_what_is_told_obeys_its_schema(run: Run) -> None:
    async def scenario() -> None:
        with host() as made, made.caller() as caller, made.caller() as other:
            caller.says(asking("monitor", name="meter"))
            other.says(asking("events", since=EVENTS.last))
            await caller.hears()
            await other.hears()
            obeys_result(OPERATIONS["events"], json.loads(other.heard.splitlines()[0])["result"])
            meter = made.gateway.connections["meter"]
            await until(lambda: meter.tap.watchers)
            meter.log.info("an event")
            meter.port_data(b"data")
            meter.tap.happened(Kind.BREAK, "break received")
            for operation, items in (
                ("monitor", await tells(caller, 2)),
                ("events", await tells(other, 1)),
            ):
                item = OPERATIONS[operation].item
                assert item is not None
                assert [list(disobeys(each, dict(item()))) for each in items] == [[]] * len(items)

    run(scenario())


def test_unknown_connections_and_nonsense_are_told(run: Run) -> None:
    async def scenario() -> None:
        with host() as made, made.caller() as caller:
            caller.says(asking("monitor", name="x") + asking("events", since=-1))
            first, second = await caller.hears(2)
            assert "no connection 'x'; there are: meter" in json.loads(first)["errors"][0]
            assert "since must be the number" in json.loads(second)["errors"][0]
            caller.says(asking("monitor", name="meter"))
            assert b"result" in (await caller.hears(3))[2]

    run(scenario())


def test_one_who_does_not_read_is_told_what_it_missed(run: Run) -> None:
    async def scenario() -> None:
        with host() as made, made.caller() as caller:
            caller.says(asking("monitor", name="meter"))
            await caller.hears()
            meter = made.gateway.connections["meter"]
            await until(lambda: meter.tap.watchers)
            (watcher,) = meter.tap.watchers
            sent = 0
            while not watcher.skipped_bytes:
                meter.port_data(bytes(32768))
                sent += 32768
                await asyncio.sleep(0)
            assert watcher._size <= RING
            await until(lambda: caller.look() and b'"skipped"' in caller.heard)
            meter.port_data(b"the end")
            sent += 7
            await until(lambda: caller.look() and b"dGhlIGVuZA" in caller.heard)
            records = [Record.of(item) for item in whole(caller)]
            skipped = [r.value["bytes"] for r in records if r.kind is Kind.SKIPPED]
            assert sum(len(r.data) for r in records) + sum(map(int, map(str, skipped))) == sent
            assert made.gateway.connections["meter"].tap.skipped == watcher.skipped_bytes

    run(scenario())


def test_the_end_of_the_connection_ends_the_stream(run: Run) -> None:
    async def scenario() -> None:
        with host() as made, made.caller() as caller:
            caller.says(asking("monitor", name="meter"))
            await caller.hears()
            await until(lambda: made.gateway.connections["meter"].tap.watchers)
            made.gateway.apply(gateway(other={}).config)
            await caller.hears_end()
            last = whole(caller)[-1]
            assert (last["kind"], last["text"]) == ("closed", "the connection was removed")
            await until(lambda: not made.server._callers)

    run(scenario())


def streams(made: Host) -> int:
    return sum(caller.streams for caller in made.server._callers)


def test_streams_do_not_take_the_place_of_callers(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        monkeypatch.setattr(module, "STREAMS_MAX", 2)
        monkeypatch.setattr(module, "CALLERS_MAX", 1)
        monkeypatch.setattr(module, "TIME_LIMIT", 5)
        with host() as made, ExitStack() as stack:
            for count in (1, 2):
                caller = stack.enter_context(made.caller())
                caller.says(asking("events"))
                await until(partial(lambda wanted: streams(made) == wanted, count))
            with made.caller() as third:
                third.says(asking("monitor", name="meter"))
                (line,) = await third.hears()
                assert json.loads(line)["errors"] == ["2 programs watch already; end one of them"]
                third.says(asking("status"))
                told = json.loads((await third.hears(2))[1])["result"]["control"]
                assert told == {"callers_refused": 0, "streams_refused": 1}

    run(scenario())


def test_events_since_a_number_and_gaps(run: Run) -> None:
    async def scenario() -> None:
        log = logging.getLogger("portline")
        with host() as made, made.caller() as caller, made.caller() as late:
            log.info("the first")
            number = EVENTS.last
            caller.says(asking("events", since=number - 1))
            (event,) = await tells(caller, 1)
            assert (event["number"], event["text"]) == (number, "the first")
            log.info("the second")
            assert [each["text"] for each in (await tells(caller, 2))] == [
                "the first",
                "the second",
            ]
            for turn in range(EVENTS_RING + 2):
                log.info("%d", turn)
            late.says(asking("events", since=number))
            gap, *_ = await tells(late, 1)
            assert gap["text"] == "3 events skipped: not read while kept"
            assert gap["number"] == number + 3
            everything = await tells(late, EVENTS_RING + 1)
            assert [each["number"] for each in everything] == list(
                range(number + 3, number + 4 + EVENTS_RING)
            )

    run(scenario())


def in_thread(call: Callable[[], Any]) -> asyncio.Future[Any]:
    return asyncio.get_running_loop().run_in_executor(None, call)


def test_the_client_iterates_and_waits(run: Run) -> None:
    async def scenario() -> None:
        with host() as made:
            path = made.path
            stream = await in_thread(lambda: Stream(path, "monitor", {"name": "meter"}))
            assert stream.result["name"] == "meter"
            assert await in_thread(lambda: stream.wait(0.0)) == []
            assert await in_thread(lambda: stream.wait(0.01)) == []
            meter = made.gateway.connections["meter"]
            await until(lambda: meter.tap.watchers)
            meter.port_data(b"a")
            iterator = iter(stream)
            item = await in_thread(lambda: next(iterator))
            assert Record.of(item).data == b"a"
            made.gateway.apply(gateway(other={}).config)
            rest = await in_thread(lambda: list(iterator))
            assert rest[-1]["kind"] == "closed"
            assert stream.wait(None) is None
            stream.close()
            with pytest.raises(PortlineError, match="no connection 'x'"):
                await in_thread(lambda: Stream(path, "monitor", {"name": "x"}))
        with pytest.raises(NobodyThere):
            Stream(path, "events")

    run(scenario())


def test_a_stream_fails_with_what_went_wrong(run: Run) -> None:
    async def scenario() -> None:
        with host() as made:

            def gone(*_: object) -> None:
                raise UsageError("gone meanwhile")

            made.gateway.watch = gone  # type: ignore[method-assign, assignment]
            stream = await in_thread(lambda: Stream(made.path, "monitor", {"name": "meter"}))
            with stream, pytest.raises(PortlineError, match="gone meanwhile"):
                await in_thread(lambda: stream.wait(5))

    run(scenario())


@given(st.lists(st.dictionaries(st.text(), st.text() | st.integers() | st.booleans())))
def test_items_are_read_as_they_are_written(items: list[dict[str, object]]) -> None:
    assert items_of(encode_items(items)) == items


@pytest.mark.parametrize("line", [b"", b"{}", b'{"portline":1,"events":[1]}', b'{"events":[]}'])
def test_other_lines_are_no_items(line: bytes) -> None:
    with pytest.raises(PortlineError, match="not one that"):
        items_of(line)


def test_places_are_left_as_they_were(folder: object) -> None:
    assert Places().sockets() == []
