"""Looking at a line: a chip that the test plays, and a clock turned by hand."""

from __future__ import annotations

import os
import tty as standard
from typing import TYPE_CHECKING, cast

import pytest

from portline.line import LineFault, LineSettings, ModemChange, ModemLines, Parity, Report
from portline.port.tty import device
from portline.port.tty import watch as module
from portline.port.tty.device import Tty
from portline.port.tty.marks import Marks
from portline.port.tty.termios2 import INPCK, PARMRK, read_attributes
from portline.port.tty.watch import FOLLOW_UP, MODEM_POLL, RELIEF, SAFETY_POLL, SLOW, Watch
from tests.ports import SlowLoop, Uart

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator


class Bench:
    """A watch on a pseudo terminal; ``reports`` and ``data`` are what it said."""

    def __init__(self) -> None:
        self.master, self.slave = os.openpty()
        standard.setraw(self.slave)
        self.loop = SlowLoop()
        self.reports: list[Report] = []
        self.data: list[bytes] = []
        self.late: list[float] = []

    def start(self) -> Watch:
        self.tty = Tty(self.slave)
        self.tty.drains = True  # marks are for what has a line, which this pty plays
        self.watch = Watch(
            self.tty,
            cast("asyncio.AbstractEventLoop", self.loop),
            report=self.reports.append,
            data=self.data.append,
            slow=self.late.append,
        )
        return self.watch

    def marked(self) -> bool:
        return read_attributes(self.slave).iflag & (PARMRK | INPCK) == PARMRK | INPCK


class Waiter:
    """A thread that waits, played by the test."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.changed = changed
        self.waits = True
        self.stopped = False

    def stop(self) -> None:
        self.stopped = True


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Return a bench where no thread can wait; ``threads`` is for those where one can."""
    monkeypatch.setattr(module, "waiter", lambda fd, loop, changed: None)
    made = Bench()
    yield made
    os.close(made.master)
    os.close(made.slave)


@pytest.fixture
def uart(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Uart:
    return Uart(bench.slave, monkeypatch)


@pytest.fixture
def threads(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> list[Waiter]:
    made: list[Waiter] = []

    def waiter(fd: int, loop: object, changed: Callable[[], None]) -> Waiter:
        assert fd == bench.slave
        made.append(Waiter(changed))
        return made[-1]

    monkeypatch.setattr(module, "waiter", waiter)
    return made


def test_a_thread_that_waits_is_believed_and_not_quite(
    bench: Bench, uart: Uart, threads: list[Waiter]
) -> None:
    watch = bench.start()
    watch.set(modem_lines=True, faults=False)
    assert watch.waits
    assert bench.loop.waiting == pytest.approx([SAFETY_POLL])
    uart.lines |= 0x20
    threads[0].changed()
    assert bench.reports == [ModemChange(ModemLines(cts=True))]
    uart.lines |= 0x40  # between two waits, so that nothing tells
    bench.loop.pass_time(FOLLOW_UP)
    assert bench.reports[1:] == [ModemChange(ModemLines(cts=True, dcd=True))]
    uart.lines = 0  # and with a driver that does not wake it
    bench.loop.pass_time(SAFETY_POLL)
    assert bench.reports[2:] == [ModemChange(ModemLines())]
    threads[0].changed()
    watch.set(modem_lines=False, faults=False)
    assert (threads[0].stopped, watch.waits, bench.loop.waiting) == (True, False, [])


def test_a_driver_that_does_not_let_wait_is_polled(
    bench: Bench, uart: Uart, threads: list[Waiter]
) -> None:
    watch = bench.start()
    watch.set(modem_lines=True, faults=False)
    threads[0].waits = False
    threads[0].changed()
    assert bench.loop.waiting == pytest.approx([FOLLOW_UP, MODEM_POLL])
    uart.lines |= 0x20
    bench.loop.pass_time(MODEM_POLL)
    assert bench.reports == [ModemChange(ModemLines(cts=True))]
    watch.stop()
    assert threads[0].stopped


def test_counters_are_looked_at_as_often_as_ever(
    bench: Bench, uart: Uart, threads: list[Waiter]
) -> None:
    watch = bench.start()
    watch.set(modem_lines=True, faults=False)
    watch.set(modem_lines=True, faults=True)
    assert bench.loop.waiting == pytest.approx([MODEM_POLL])
    assert len(threads) == 1
    watch.set(modem_lines=True, faults=False)
    assert bench.loop.waiting == pytest.approx([SAFETY_POLL])
    watch.stop()


def test_nobody_wants_to_know(bench: Bench, uart: Uart) -> None:
    watch = bench.start()
    watch.set(modem_lines=False, faults=False)
    assert bench.loop.waiting == []
    assert watch.decode(b"\xff\xff") == (b"\xff\xff",)


def test_changes_of_the_lines_are_told_until_nobody_wants_them(bench: Bench, uart: Uart) -> None:
    watch = bench.start()
    uart.lines |= 0x20
    watch.set(modem_lines=True, faults=False)
    bench.loop.pass_time(5 * MODEM_POLL)
    assert bench.reports == []
    uart.lines |= 0x40
    bench.loop.pass_time(2 * MODEM_POLL)
    uart.lines &= ~0x20
    bench.loop.pass_time(2 * MODEM_POLL)
    assert bench.reports == [
        ModemChange(ModemLines(cts=True, dcd=True)),
        ModemChange(ModemLines(dcd=True)),
    ]
    watch.set(modem_lines=False, faults=False)
    uart.lines = 0
    bench.loop.pass_time(1)
    assert len(bench.reports) == 2
    assert bench.loop.waiting == []


def test_a_change_that_a_query_saw_first_is_told_all_the_same(bench: Bench, uart: Uart) -> None:
    bench.start().set(modem_lines=True, faults=False)
    uart.lines |= 0x20
    bench.tty.read_modem_lines()
    bench.loop.pass_time(MODEM_POLL)
    assert bench.reports == [ModemChange(ModemLines(cts=True))]


def test_counted_faults(bench: Bench, uart: Uart) -> None:
    bench.start().set(modem_lines=False, faults=True)
    uart.counters[6] += 3
    uart.counters[9] += 1
    bench.loop.pass_time(3 * MODEM_POLL)
    assert bench.reports == [LineFault(framing=True, break_received=True)]
    assert not bench.marked()
    uart.broken = {"TIOCGICOUNT"}
    bench.loop.pass_time(3 * MODEM_POLL)
    assert len(bench.reports) == 1


def test_nothing_is_told_after_a_report_that_led_to_the_end(bench: Bench, uart: Uart) -> None:
    watch = bench.start()
    watch.set(modem_lines=True, faults=True)
    watch._report = lambda report: (bench.reports.append(report), watch.stop())
    uart.lines |= 0x20
    uart.counters[6] += 1
    bench.loop.pass_time(1)
    assert bench.reports == [ModemChange(ModemLines(cts=True))]
    assert bench.loop.waiting == []


def test_a_port_without_lines_is_not_looked_at(bench: Bench) -> None:
    bench.start().set(modem_lines=True, faults=False)
    assert bench.loop.waiting == []


def test_marks_where_nothing_is_counted(bench: Bench) -> None:
    watch = bench.start()
    watch.set(modem_lines=False, faults=True)
    assert bench.marked()
    assert bench.loop.waiting == []
    assert list(watch.decode(b"\xff\x00A")) == [LineFault(framing=True), b"A"]
    bench.tty.settings = LineSettings(parity=Parity.EVEN)
    assert list(watch.decode(b"\xff\x00A")) == [LineFault(parity=True), b"A"]
    watch.set(modem_lines=False, faults=False)
    assert not bench.marked()
    assert watch.marks is None


def test_marks_are_switched_while_nothing_waits(bench: Bench) -> None:
    watch = bench.start()
    os.write(bench.master, b"\xff")
    while not bench.tty.received():
        pass
    watch.set(modem_lines=False, faults=True)
    bench.loop.pass_time(3 * MODEM_POLL)
    assert not bench.marked()
    assert os.read(bench.slave, 10) == b"\xff"
    bench.loop.pass_time(MODEM_POLL)
    assert bench.marked()
    assert bench.loop.waiting == []


def test_half_a_mark_is_data_when_marking_ends(bench: Bench) -> None:
    watch = bench.start()
    watch.set(modem_lines=False, faults=True)
    assert list(watch.decode(b"a\xff")) == [b"a"]
    watch.set(modem_lines=False, faults=False)
    assert bench.data == []
    bench.loop.turn()
    assert bench.data == [b"\xff"]
    watch.marks = Marks()
    list(watch.decode(b"\xff"))
    watch.set(modem_lines=False, faults=False)
    watch.stop()
    bench.loop.turn()
    assert bench.data == [b"\xff"]


def test_a_driver_that_refuses_marks_is_asked_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    watch = bench.start()
    with monkeypatch.context() as patched:
        patched.setattr(module, "write_attributes", fail)
        watch.set(modem_lines=False, faults=True)
        bench.loop.pass_time(MODEM_POLL)
    assert watch.marks is None
    bench.loop.pass_time(MODEM_POLL)
    assert bench.marked()


def test_a_device_that_does_not_answer_is_asked_less_often(
    bench: Bench, uart: Uart, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    took = 5.0

    def read_lines(fd: int) -> int:
        clock[0] += took
        return 0x006

    watch = bench.start()
    monkeypatch.setattr(module, "monotonic", lambda: clock[0])
    watch.set(modem_lines=True, faults=False)
    monkeypatch.setattr(device, "read_lines", read_lines)
    bench.loop.pass_time(MODEM_POLL)
    assert bench.late == [5.0]
    assert bench.loop.waiting == pytest.approx([RELIEF * 5.0])
    watch.set(modem_lines=True, faults=True)  # whatever else is wanted meanwhile
    assert bench.loop.waiting == pytest.approx([RELIEF * 5.0])
    took = 0.9 * SLOW
    bench.loop.pass_time(RELIEF * 5.0)
    assert bench.late == [5.0]
    assert bench.loop.waiting == pytest.approx([MODEM_POLL])
    watch.stop()


def test_a_pty_is_not_marked(bench: Bench) -> None:
    watch = bench.start()
    bench.tty.drains = False
    watch.set(modem_lines=False, faults=True)
    assert not bench.marked()
    assert bench.loop.waiting == []
