"""The queue towards a line, with a loop and a clock that are turned by hand."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

import pytest

from portline.line import (
    Hold,
    Item,
    LineSettings,
    PortState,
    Purge,
    Query,
    Request,
    SendBreak,
    SetBreak,
    SetLine,
    SetModem,
)
from portline.port import outlet as module
from portline.port.base import DRAIN_LIMIT, QUEUE_HIGH, QUEUE_LOW, REQUEST_COST
from portline.port.outlet import FIFO_LIMIT, WRITE_LIMIT, Outlet
from tests.ports import SlowLoop

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

CHARACTER = LineSettings(9600).character_time


class FakeLine:
    """A transmitter that a test fills and empties; ``happened`` is the transcript."""

    def __init__(self) -> None:
        self.drains = True
        self.discarded = 0
        self.state = PortState()
        self.in_kernel = 0
        self.transmitter_empty: bool | None = None
        self.happened: list[object] = []
        self.levels: list[bool] = []
        self.errors: list[OSError] = []

    def carry_out(self, request: Request) -> float:
        self.happened.append(request)
        return request.duration if isinstance(request, SendBreak | Hold) else 0.0

    def unsent(self) -> int:
        return self.in_kernel

    def empty(self) -> bool | None:
        return self.transmitter_empty

    def drop_unsent(self) -> None:
        self.happened.append("drop")

    def full(self, full: bool) -> None:
        self.levels.append(full)

    def failed(self, error: OSError) -> None:
        self.errors.append(error)


class Bench:
    """An outlet into a pipe that holds 4096 bytes."""

    def __init__(self) -> None:
        self.line = FakeLine()
        self.loop = SlowLoop()
        self.reader, self.writer = os.pipe2(os.O_NONBLOCK)
        self.outlet = Outlet(self.line, self.writer, cast("asyncio.AbstractEventLoop", self.loop))
        self.outlet.character_time = CHARACTER
        self.answers: list[Request] = []

    def submit(self, *requests: Request) -> None:
        for request in requests:
            self.outlet.submit(
                request, lambda _state, request=request: self.answers.append(request)
            )

    def fill(self, size: int = 4 * 65536) -> None:
        """Write more than the kernel takes."""
        self.outlet.write(b"x" * size)
        assert self.outlet.queued

    def read(self, size: int = 1 << 20) -> bytes:
        try:
            return os.read(self.reader, size)
        except BlockingIOError:
            return b""

    def empty(self) -> bytes:
        """Read until nothing comes any more."""
        found = b""
        while chunk := self.read():
            found += chunk
            self.loop.turn()
        return found


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench()
    monkeypatch.setattr(module, "monotonic", made.loop.time)
    yield made
    os.close(made.reader)
    os.close(made.writer)


def test_a_pause_ends_no_break(bench: Bench) -> None:
    bench.submit(SetBreak(on=True), Hold(0.2), SetModem(dtr=False), SendBreak(0.1))
    bench.loop.pass_time(1)
    assert bench.line.happened == [
        SetBreak(on=True),
        Hold(0.2),
        SetModem(dtr=False),
        SendBreak(0.1),
        SetBreak(on=False),
    ]
    assert len(bench.answers) == 4


def test_data_goes_straight_to_the_descriptor(bench: Bench) -> None:
    bench.outlet.write(b"one")
    bench.outlet.write(b"two")
    assert bench.read() == b"onetwo"
    assert bench.outlet.queued == 0
    assert bench.loop.writers == {}


def test_what_the_kernel_does_not_take_waits_in_order(bench: Bench) -> None:
    bench.fill()
    bench.outlet.write(b"")
    bench.outlet.write(b"end")
    assert bench.empty() == b"x" * (4 * 65536) + b"end"
    assert bench.outlet.queued == 0
    assert bench.loop.writers == {}


def test_one_callback_writes_so_much_and_no_more(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.fill(65536 + 1)
    for _ in range(40):
        bench.outlet.write(b"y" * 4096)
    taken: list[int] = []
    monkeypatch.setattr(os, "write", lambda _fd, data: taken.append(len(data)) or len(data))
    bench.loop.turn()
    assert WRITE_LIMIT <= sum(taken) < WRITE_LIMIT + 4096
    while bench.loop.writers:
        bench.loop.turn()
    assert sum(taken) == 1 + 40 * 4096


def test_requests_behind_data_wait_for_it(bench: Bench) -> None:
    bench.fill()
    bench.submit(SetLine(baudrate=300), Query(Item.DTR))
    bench.outlet.write(b"end")
    assert bench.answers == []
    assert b"end" not in bench.empty()
    bench.loop.pass_time(FIFO_LIMIT)
    assert bench.answers == [SetLine(baudrate=300), Query(Item.DTR)]
    assert bench.empty() == b"end"


def test_a_quiet_line_is_changed_at_once(bench: Bench) -> None:
    bench.outlet.write(b"long ago")
    bench.loop.pass_time(1.0)
    requests = [SetLine(baudrate=300 + n) for n in range(100)]
    bench.submit(*requests)
    assert bench.answers == requests == bench.line.happened
    assert bench.loop.waiting == []


def test_the_characters_in_an_invisible_fifo_are_waited_for(bench: Bench) -> None:
    bench.outlet.write(b"12345")
    assert not bench.outlet.idle
    bench.submit(SetModem(dtr=False))
    assert bench.answers == []
    assert bench.loop.waiting == [pytest.approx(5 * CHARACTER)]
    bench.submit(Query(Item.DTR))
    bench.loop.pass_time(5 * CHARACTER)
    assert bench.answers == [SetModem(dtr=False), Query(Item.DTR)]
    assert bench.outlet.idle


def test_at_most_twenty_milliseconds_are_waited_for_a_fifo(bench: Bench) -> None:
    bench.outlet.write(b"x" * 1000)
    bench.submit(SetModem(dtr=False))
    assert bench.loop.waiting == [pytest.approx(FIFO_LIMIT)]


def test_a_transmitter_that_tells_is_believed(bench: Bench) -> None:
    bench.line.transmitter_empty = False
    bench.outlet.write(b"x")
    bench.submit(SetModem(dtr=False))
    bench.loop.pass_time(0.1)
    assert bench.answers == []
    bench.line.transmitter_empty = True
    bench.loop.pass_time(0.1)
    assert bench.answers == [SetModem(dtr=False)]


def test_what_the_kernel_holds_is_waited_for_as_long_as_it_moves(bench: Bench) -> None:
    bench.outlet.write(b"x" * 1000)
    bench.line.in_kernel = 1000
    bench.submit(SetModem(dtr=False))
    for _ in range(10):
        bench.loop.pass_time(0.9 * DRAIN_LIMIT)
        assert bench.answers == []
        bench.line.in_kernel -= 100
    bench.loop.pass_time(0.1)
    assert bench.answers == [SetModem(dtr=False)]


def test_a_line_that_does_not_move_is_given_up(bench: Bench) -> None:
    bench.outlet.write(b"x" * 1000)
    bench.line.in_kernel = 1000
    bench.submit(SetModem(dtr=False))
    bench.loop.pass_time(0.9 * DRAIN_LIMIT)
    assert bench.answers == []
    bench.loop.pass_time(0.2 * DRAIN_LIMIT)
    assert bench.answers == [SetModem(dtr=False)]
    assert not bench.outlet.idle


def test_a_line_without_a_transmitter_has_nothing_to_wait_for(bench: Bench) -> None:
    bench.line.drains = False
    bench.outlet.write(b"x" * 1000)
    bench.submit(SetModem(dtr=False))
    assert bench.answers == [SetModem(dtr=False)]
    assert bench.outlet.idle


def test_a_break_holds_what_follows(bench: Bench) -> None:
    bench.submit(SendBreak(0.25), Query(Item.BREAK))
    bench.outlet.write(b"after")
    assert bench.line.happened == [SendBreak(0.25)]
    bench.loop.pass_time(0.2)
    assert (bench.read(), bench.answers) == (b"", [])
    bench.loop.pass_time(0.1)
    assert bench.line.happened == [SendBreak(0.25), SetBreak(on=False), Query(Item.BREAK)]
    assert bench.answers == [SendBreak(0.25), Query(Item.BREAK)]
    assert bench.read() == b"after"


def test_purging_drops_data_at_once_and_answers_in_order(bench: Bench) -> None:
    bench.fill()
    bench.submit(SetLine(baudrate=300))
    bench.outlet.write(b"dropped too")
    bench.read(4096)
    before = bench.outlet.queued - REQUEST_COST
    bench.submit(Purge(unsent=True))
    assert bench.line.happened[0] == "drop"
    assert bench.line.discarded == before
    bench.loop.pass_time(FIFO_LIMIT)
    assert bench.answers == [SetLine(baudrate=300), Purge(unsent=True)]
    assert bench.loop.writers == {}
    bench.outlet.write(b"kept")
    assert b"dropped" not in bench.empty()


def test_back_pressure(bench: Bench) -> None:
    bench.fill(65536 + QUEUE_HIGH)
    assert bench.line.levels == []
    bench.outlet.write(b"x")
    bench.outlet.write(b"x")
    assert bench.line.levels == [True]
    while bench.outlet.queued > QUEUE_LOW:
        assert bench.line.levels == [True]
        bench.read(4096)
        bench.loop.turn()
    bench.loop.turn()
    assert bench.line.levels == [True, False]


def test_relief_is_not_told_when_the_queue_has_grown_again(bench: Bench) -> None:
    bench.fill(65536 + QUEUE_HIGH + 1)
    bench.submit(Purge(unsent=True))
    bench.read()
    bench.fill()
    bench.loop.turn()
    assert bench.line.levels == [True]
    bench.empty()
    bench.loop.turn()
    assert bench.line.levels == [True, False]


def test_closing_hands_the_requests_back_and_counts_the_data(bench: Bench) -> None:
    bench.fill(65536 + 100)
    bench.submit(SetLine(), Query(Item.DTR))
    waiting = bench.outlet.close()
    assert len(waiting) == 2
    assert bench.line.discarded == 100
    assert bench.outlet.queued == 0
    assert bench.loop.writers == {}
    bench.loop.pass_time(10)
    assert bench.answers == []


def test_closing_within_an_answer_leaves_the_rest_alone(bench: Bench) -> None:
    waiting: list[object] = []
    bench.outlet.write(b"x")
    bench.outlet.submit(SetLine(), lambda _: waiting.extend(bench.outlet.close()))
    bench.submit(Query(Item.DTR))
    bench.loop.pass_time(1.0)
    assert len(waiting) == 1
    assert bench.answers == []


def test_closing_during_a_break(bench: Bench) -> None:
    bench.submit(SendBreak(0.25))
    assert len(bench.outlet.close()) == 1
    bench.loop.pass_time(1.0)
    assert bench.line.happened == [SendBreak(0.25)]


def test_a_descriptor_that_fails_is_told_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(fd: int, data: bytes) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "write", fail)
    bench.outlet.write(b"1")
    bench.outlet.write(b"2")
    assert len(bench.line.errors) == 1
    assert bench.loop.writers == {}
    bench.outlet.close()
    assert bench.line.discarded == 2


def test_a_descriptor_that_fails_later_is_told_too(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(fd: int, data: bytes) -> int:
        raise OSError(5, "Input/output error")

    bench.fill()
    monkeypatch.setattr(os, "write", fail)
    bench.loop.turn()
    assert len(bench.line.errors) == 1
    assert bench.loop.writers == {}


def test_a_request_from_within_an_answer_lines_up(bench: Bench) -> None:
    def more(_state: PortState) -> None:
        bench.answers.append(Query(Item.DTR))
        bench.submit(Query(Item.RTS))
        assert bench.answers == [Query(Item.DTR)]

    bench.outlet.submit(Query(Item.DTR), more)
    assert bench.answers == [Query(Item.DTR), Query(Item.RTS)]


def test_a_query_does_not_wait_for_data_but_for_the_requests_before_it(bench: Bench) -> None:
    bench.fill()
    bench.submit(Query(Item.DTR))
    assert bench.answers == [Query(Item.DTR)]
    bench.submit(SetModem(dtr=False), Query(Item.RTS))
    assert bench.answers == [Query(Item.DTR)]


def test_requests_overtake_data_that_does_not_move(bench: Bench) -> None:
    bench.fill()
    bench.submit(SetModem(dtr=False), SetModem(rts=False))
    bench.outlet.write(b"end")
    bench.loop.pass_time(0.9 * DRAIN_LIMIT)
    assert bench.answers == []
    bench.loop.pass_time(0.2 * DRAIN_LIMIT)
    assert bench.answers == [SetModem(dtr=False), SetModem(rts=False)]
    assert bench.empty() == b"x" * (4 * 65536) + b"end"
    bench.loop.pass_time(3 * DRAIN_LIMIT)
    assert bench.loop.waiting == []


def test_requests_wait_for_data_that_moves_slowly(bench: Bench) -> None:
    bench.fill()
    bench.submit(SetModem(dtr=False))
    for _ in range(4):
        bench.loop.pass_time(0.7 * DRAIN_LIMIT)
        assert bench.answers == []
        bench.read(8192)
        bench.loop.turn()
    bench.empty()
    bench.loop.pass_time(FIFO_LIMIT)
    assert bench.answers == [SetModem(dtr=False)]


def test_a_break_right_after_a_break_is_the_same_break(bench: Bench) -> None:
    for _ in range(1000):
        bench.submit(SendBreak(0.25))
    assert bench.line.happened == [SendBreak(0.25)]
    bench.loop.pass_time(0.3)
    assert len(bench.answers) == 1000
    assert sum(isinstance(request, SendBreak) for request in bench.line.happened) == 1
    assert bench.outlet.queued == 0


def test_it_counts_what_the_descriptor_has_taken(bench: Bench) -> None:
    bench.outlet.write(b"12345")
    assert bench.outlet.taken == 5
