"""Both ways of a port at the speed of its line, with a loop and a clock that are turned by hand."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from portline.frame.throttle import TICK
from portline.line import (
    Item,
    LineChange,
    LineSettings,
    PortState,
    Purge,
    Query,
    Request,
    SetLine,
    StopBits,
)
from portline.port import outlet as outlet_module
from portline.port.base import QUEUE_HIGH, QUEUE_LOW
from portline.port.pty import strict as module
from portline.port.pty.strict import StrictInlet, StrictOutlet
from portline.port.tty.termios2 import encode, read_attributes, write_attributes
from tests.ports import SlowLoop, StrictBench, turns, until

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Run

SLOW = LineSettings(300).character_time
FAST = LineSettings(115200).character_time
DATA, FLUSH = 0x00, 0x01


# --- from the application -------------------------------------------------------------------------


class Terminal:
    """What an application writes, read packet by packet; and what is made of it."""

    def __init__(self) -> None:
        self.loop = SlowLoop()
        self.written = bytearray()
        self.flushes = 0
        self.open = True
        self.happened: list[object] = []
        self.inlet = StrictInlet(self, 7, cast("asyncio.AbstractEventLoop", self.loop), SLOW)

    def read(self, _fd: int, size: int) -> bytes:
        if self.flushes:
            self.flushes -= 1
            return bytes([FLUSH])
        if self.written:
            data = self.written[: size - 1]
            del self.written[: size - 1]
            return bytes([DATA]) + data
        raise BlockingIOError if self.open else OSError(5, "Input/output error")

    def received(self, data: bytes) -> None:
        self.happened.append(data)

    def flushed(self) -> None:
        self.happened.append("flushed")

    def gone(self) -> None:
        self.happened.append("gone")
        self.inlet.close()

    def turn(self) -> None:
        """Call the reader if there is one and something to read, as a loop would."""
        if self.written or self.flushes or not self.open:
            for callback in list(self.loop.readers.values()):
                callback()

    def passes(self, characters: float) -> list[object]:
        """Let so many character times pass; return what happened."""
        self.turn()
        self.loop.pass_time(characters * SLOW)
        self.turn()
        happened, self.happened = self.happened, []
        return happened


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    made = Terminal()
    monkeypatch.setattr(module, "monotonic", made.loop.time)
    monkeypatch.setattr(module, "os", SimpleNamespace(read=made.read))
    made.inlet.switch(True)
    return made


def test_a_character_is_received_one_character_time_after_it_was_written(
    terminal: Terminal,
) -> None:
    terminal.written += b"a"
    assert terminal.passes(0.9) == []
    assert terminal.passes(0.2) == [b"a"]
    assert terminal.passes(5) == []


def test_a_block_is_received_character_by_character(terminal: Terminal) -> None:
    terminal.written += b"abc"
    assert terminal.passes(2.1) == [b"a", b"b"]
    assert terminal.written == b"c"
    assert terminal.passes(1) == [b"c"]


def test_an_idle_terminal_is_left_to_the_loop(terminal: Terminal) -> None:
    terminal.written += b"ab"
    terminal.turn()
    assert terminal.loop.readers == {}
    assert terminal.passes(3) == [b"a", b"b"]
    assert list(terminal.loop.readers) == [7]
    assert terminal.loop.waiting == []


def test_a_fast_line_is_received_in_portions(terminal: Terminal) -> None:
    terminal.inlet.set_character_time(FAST)
    terminal.written += bytes(20_000)
    terminal.turn()
    terminal.loop.pass_time(1.0)
    portions = [len(data) for data in terminal.happened if isinstance(data, bytes)]
    assert sum(portions) == pytest.approx(1 / FAST, rel=0.01)
    assert max(portions) <= TICK / FAST + 1
    assert len(portions) < 250


def test_another_speed_does_not_wait_for_the_next_character(terminal: Terminal) -> None:
    terminal.inlet.set_character_time(60.0)
    terminal.written += b"abc"
    assert terminal.passes(1) == []
    terminal.inlet.set_character_time(SLOW)
    assert terminal.passes(2.1) == [b"a", b"b"]


def test_an_application_is_gone_when_its_last_words_have_passed(terminal: Terminal) -> None:
    terminal.written += b"bye"
    terminal.open = False
    assert terminal.passes(3.5) == [b"b", b"y", b"e"]
    assert terminal.passes(1) == ["gone"]
    assert (terminal.loop.readers, terminal.loop.waiting) == ({}, [])


def test_a_flush_is_passed_on_with_the_next_character(terminal: Terminal) -> None:
    terminal.written += b"a"
    terminal.flushes = 1
    assert terminal.passes(1.1) == ["flushed", b"a"]


def test_what_is_switched_off_reads_nothing(terminal: Terminal) -> None:
    terminal.written += b"ab"
    assert terminal.passes(1.1) == [b"a"]
    terminal.inlet.switch(False)
    assert terminal.passes(100) == []
    terminal.inlet.switch(True)
    assert terminal.passes(1.1) == [b"b"]
    terminal.inlet.close()
    assert (terminal.loop.readers, terminal.loop.waiting) == ({}, [])


def test_a_receiver_may_switch_it_off_within_its_call(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "received", lambda data: terminal.inlet.close())
    terminal.written += b"ab"
    terminal.passes(1.1)
    assert (terminal.loop.readers, terminal.loop.waiting) == ({}, [])
    assert terminal.written == b"b"


# --- to the application ---------------------------------------------------------------------------


class Screen:
    """An outlet into a pipe that holds 4096 bytes; the test reads what has arrived."""

    drains = False

    def __init__(self) -> None:
        self.loop = SlowLoop()
        self.discarded = 0
        self.state = PortState()
        self.levels: list[bool] = []
        self.happened: list[object] = []
        self.reader, self.writer = os.pipe2(os.O_NONBLOCK)
        self.outlet = StrictOutlet(
            self, self.writer, cast("asyncio.AbstractEventLoop", self.loop), SLOW
        )

    def carry_out(self, request: Request) -> float:
        self.happened.append((request, self.read()))
        return 0.0

    def unsent(self) -> int:
        return 0

    def empty(self) -> bool | None:
        return True

    def drop_unsent(self) -> None:
        self.happened.append("drop")

    def full(self, full: bool) -> None:
        self.levels.append(full)

    def failed(self, error: OSError) -> None:
        self.happened.append(error)

    def read(self) -> bytes:
        try:
            return os.read(self.reader, 1 << 20)
        except BlockingIOError:
            return b""

    def after(self, characters: float) -> bytes:
        """Let so many character times pass; return what has arrived."""
        self.loop.pass_time(characters * SLOW)
        return self.read()


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    made = Screen()
    monkeypatch.setattr(module, "monotonic", made.loop.time)
    monkeypatch.setattr(outlet_module, "monotonic", made.loop.time)
    yield made
    os.close(made.reader)
    os.close(made.writer)


def test_a_block_arrives_character_by_character(screen: Screen) -> None:
    screen.outlet.write(b"ab")
    screen.outlet.write(b"")
    screen.outlet.write(b"c")
    assert screen.read() == b""
    assert screen.after(1.1) == b"a"
    assert screen.after(1) == b"b"
    assert screen.after(1) == b"c"
    assert (screen.outlet.queued, screen.loop.waiting, screen.loop.writers) == (0, [], {})


def test_idle_time_is_not_made_up_for(screen: Screen) -> None:
    screen.outlet.write(b"a")
    assert screen.after(100) == b"a"
    screen.outlet.write(b"bc")
    assert screen.after(0.9) == b""
    assert screen.after(0.2) == b"b"


def test_requests_keep_their_place(screen: Screen) -> None:
    screen.outlet.write(b"ab")
    screen.outlet.submit(SetLine(baudrate=1200), lambda state: screen.happened.append(state))
    screen.outlet.write(b"cd")
    assert screen.happened == []
    assert screen.after(3.1) == b"c"
    assert screen.happened == [(SetLine(baudrate=1200), b"ab"), screen.state]
    assert screen.after(1) == b"d"


def test_queries_need_not_wait(screen: Screen) -> None:
    screen.outlet.write(b"ab")
    screen.outlet.submit(Query(Item.BAUDRATE), lambda state: screen.happened.append("answer"))
    assert screen.happened == [(Query(Item.BAUDRATE), b""), "answer"]
    assert screen.after(2.1) == b"ab"


def test_writers_are_held_back(screen: Screen) -> None:
    screen.outlet.set_character_time(FAST)
    screen.outlet.write(bytes(QUEUE_HIGH + 1))
    assert screen.levels == [True]
    while screen.outlet.queued > QUEUE_LOW:
        screen.after(1)
        screen.loop.turn()
    screen.loop.turn()
    assert screen.levels == [True, False]


def test_a_purge_drops_what_waits(screen: Screen) -> None:
    screen.outlet.write(b"abc")
    assert screen.after(1.1) == b"a"
    screen.outlet.submit(Purge(unsent=True), lambda state: None)
    assert (screen.outlet.queued, screen.discarded, screen.loop.waiting) == (0, 2, [])
    screen.outlet.write(b"d")
    assert screen.after(2) == b"d"


def test_an_application_that_does_not_read_gains_no_speed(screen: Screen) -> None:
    screen.outlet.set_character_time(FAST)
    os.set_blocking(screen.writer, False)
    filled = 0
    try:
        while True:
            filled += os.write(screen.writer, bytes(4096))
    except BlockingIOError:
        pass
    screen.outlet.write(bytes(50_000))
    screen.loop.pass_time(5.0)
    assert list(screen.loop.writers) == [screen.writer]
    assert screen.loop.waiting == []
    while filled:
        filled -= len(screen.read())
    screen.loop.turn()
    assert screen.read() == b""
    screen.loop.pass_time(0.1)
    assert len(screen.read()) == pytest.approx(0.1 / FAST, rel=0.1)


def test_another_speed_does_not_wait_for_the_next_character_either(screen: Screen) -> None:
    screen.outlet.set_character_time(60.0)
    screen.outlet.write(b"abc")
    assert screen.after(1) == b""
    screen.outlet.set_character_time(SLOW)
    assert screen.after(2.1) == b"ab"


def test_a_descriptor_that_fails_is_told_once(
    screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen.outlet.write(b"abc")
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda fd, data: os.lseek(fd, 0, 0))
        screen.loop.pass_time(2 * SLOW)
    assert [type(each) for each in screen.happened] == [OSError]
    assert screen.loop.waiting == []


# --- a whole port ---------------------------------------------------------------------------------


def set_line(bench: StrictBench, settings: LineSettings) -> None:
    write_attributes(bench.far.fd, encode(settings, read_attributes(bench.far.fd)))


def test_the_applications_settings_are_the_speed(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = StrictBench(tmp_path)
        await bench.open()
        slow = LineSettings(50, stop_bits=StopBits.TWO)
        set_line(bench, slow)
        await until(lambda: bench.owner.reports == [LineChange(slow)])
        await bench.far.write(b"x" * 100)
        bench.port.write(b"y" * 100)
        await turns(2)
        assert len(bench.owner.received) + len(bench.far.read()) < 200
        set_line(bench, LineSettings(115200))
        await until(lambda: bench.owner.received == b"x" * 100)
        await bench.far.expect(b"y" * 100)
        bench.close()

    run(scenario())


def test_last_words_take_their_time_and_a_new_application_may_come(
    run: Run, tmp_path: Path
) -> None:
    async def scenario() -> None:
        bench = StrictBench(tmp_path)
        far = await bench.open()
        set_line(bench, LineSettings(1200))
        await until(lambda: bench.owner.reports == [LineChange(LineSettings(1200))])
        bench.port.write(b"unread" * 5000)
        await far.write(b"x" * 20)
        far.close()
        await until(lambda: bench.port.queued == 0)
        assert bench.owner.used == [True]
        discarded = bench.port.discarded
        bench.port.write(b"nobody")
        assert bench.port.discarded == discarded + len(b"nobody")
        far.fd = os.open(str(bench.port.path), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        await until(lambda: bench.virtual._heard)
        await far.write(b"next")
        await until(lambda: bench.owner.received == b"x" * 20 + b"next")
        bench.port.write(b"welcome")
        await far.expect(b"welcome")
        far.close()
        await until(lambda: bench.owner.used == [True, False])
        bench.close()

    run(scenario())
