from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator

import pytest

from portline.service.process.events import EVENTS, RING, TEXT_MAX, Events
from portline.service.process.log import start_logging
from portline.service.process.shares import LINES
from tests.conftest import Run
from tests.unit.service.process.test_log import logging_as_it_was
from tests.waiting import until

__all__ = ["logging_as_it_was"]


@pytest.fixture
def events() -> Iterator[Events]:
    made = Events()
    log = logging.getLogger("portline")
    before = log.level
    log.addHandler(made)
    log.setLevel(logging.INFO)
    yield made
    log.removeHandler(made)
    log.setLevel(before)


def connection(name: str) -> logging.LoggerAdapter[logging.Logger]:
    return logging.LoggerAdapter(logging.getLogger("portline.connection"), {"connection": name})


def test_events_are_kept_with_their_connection(events: Events) -> None:
    connection("meter").info("peer connected peer=%s", "192.0.2.1:4")
    logging.getLogger("portline.control").debug("of no interest")
    logging.getLogger("portline").critical("the end\x1b[2J")
    first, second = events.since(0)
    assert (first.number, first.level, first.connection) == (1, "info", "meter")
    assert first.text == "peer connected peer=192.0.2.1:4"
    assert (second.number, second.level, second.connection) == (2, "error", "")
    assert second.text == "the end\\x1b[2J"
    assert first.at <= second.at
    assert events.since(1) == [second]
    assert events.since(2) == []
    assert events.since(0, limit=1) == [first]
    assert events.last == 2


def test_an_error_is_told_in_a_line_that_ends_somewhere(events: Events) -> None:
    try:
        raise OSError(5, "Input/output error")
    except OSError:
        logging.getLogger("portline").exception("it failed")
    logging.getLogger("portline").warning("x" * 2 * TEXT_MAX)
    error, long = events.since(0)
    assert error.text == "it failed (OSError: [Errno 5] Input/output error)"
    assert len(long.text) == TEXT_MAX
    assert long.text.endswith("x...")


def test_only_the_last_are_kept(events: Events) -> None:
    for number in range(RING + 5):
        logging.getLogger("portline").info("%d", number)
    kept = events.since(0)
    assert len(kept) == RING
    assert (kept[0].number, kept[-1].number) == (6, RING + 5)


def test_a_flood_of_one_connection_leaves_the_others_their_place(
    events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("portline.service.process.shares.time.monotonic", lambda: now)
    connection("other").info("quiet")
    for number in range(50 * RING):
        connection("meter").info("flood %d", number)
    connection("meter").warning("always told")
    assert len(events.since(0)) == 1 + LINES + 1
    assert events.since(0)[0].text == "quiet"
    now += 1.0
    connection("meter").info("later")
    assert [event.text for event in events.since(0)[-2:]] == [
        f"{50 * RING - LINES} events left out",
        "later",
    ]


def test_a_reader_gets_each_event_once_and_is_told_of_gaps(events: Events, run: Run) -> None:
    async def scenario() -> None:
        log = logging.getLogger("portline")
        log.info("before")
        called: list[int] = []
        reader = events.read(0, lambda: called.append(1))
        assert reader.waiting
        assert [event.text for event in reader.take()[0]] == ["before"]
        assert reader.take() == ([], 0)
        threads = [threading.Thread(target=log.info, args=("thread",)) for _ in range(3)]
        for thread in threads:
            thread.start()
            thread.join()
        await until(lambda: called)
        await asyncio.sleep(0)
        assert called == [1]
        found, missed = reader.take(limit=2)
        assert ([event.text for event in found], missed) == (["thread"] * 2, 0)
        assert reader.waiting
        for number in range(RING + 10):
            log.info("%d", number)
        assert called == [1]  # one was left behind: who takes knows
        found, missed = reader.take()
        assert len(found) == RING
        assert missed == 11
        reader.close()
        log.info("to nobody")
        await asyncio.sleep(0)
        assert called == [1]

    run(scenario())


def test_a_number_of_an_earlier_process_begins_at_the_end(events: Events, run: Run) -> None:
    async def scenario() -> None:
        logging.getLogger("portline").info("one")
        reader = events.read(4711, lambda: None)
        assert not reader.waiting
        logging.getLogger("portline").info("two")
        assert [event.text for event in reader.take()[0]] == ["two"]
        reader.close()

    run(scenario())


@pytest.mark.parametrize("verbose", [0, 1, 2])
@pytest.mark.usefixtures("logging_as_it_was")
def test_the_ring_hears_events_whatever_v_says(
    verbose: int, capsys: pytest.CaptureFixture[str]
) -> None:
    start_logging(verbose)
    start_logging(verbose)
    before = EVENTS.last
    log = connection(f"told at {verbose}")  # the share of a name is that of all tests
    log.info("told")
    log.debug("not kept")
    assert [event.text for event in EVENTS.since(before)] == ["told"]
    assert ("told" in capsys.readouterr().err) is (verbose > 0)
