"""A program's calls, made by a thread under a real filter, and what the serving side hears."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import logging
import os
import select
import signal
import struct
import termios
import tty
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import pytest

from portline.errors import PortAbsent
from portline.line import LineSettings, ModemLines, Parity, SetBreak, SetLine, SetModem, StopBits
from portline.port.programs import seccomp, supervisor
from portline.port.programs.supervisor import Supervisor
from portline.port.tty.modem import CTS, DTR, RTS, TIOCGICOUNT, TIOCMBIC, TIOCMGET, TIOCMSET
from portline.port.tty.termios2 import CSIZE, PARENB, encode, read_attributes, write_attributes
from tests.filtered import FilteredThread, StandIn, StandIns, filtered_thread
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from tests.conftest import Run

TIOCMIWAIT, TCSBRK, TCSBRKP = 0x545C, 0x5409, 0x5425

Scenario = "Callable[[Bench], Awaitable[None]]"


class Bench:
    """A pseudo terminal, a thread that uses it, and a supervisor that knows it."""

    def __init__(self, thread: FilteredThread, slave: int) -> None:
        self.thread = thread
        self.slave = slave
        self.terminal = StandIn()
        device = os.fstat(slave).st_rdev
        self.supervisor = Supervisor(thread.listener, StandIns(self.terminal, device))

    async def does(self, work: Callable[[], Any]) -> Any:
        return await asyncio.wait_for(asyncio.wrap_future(self.thread.does(work)), 10)

    async def ioctl(self, request: int, argument: Any = 0) -> Any:
        return await self.does(lambda: fcntl.ioctl(self.slave, request, argument))

    def begins(self, request: int, argument: Any = 0) -> Future[Any]:
        """Begin a call that will take a while."""
        return self.thread.ioctl(self.slave, request, argument)

    @property
    def held(self) -> int:
        return len(self.supervisor._held)


@pytest.fixture
def terminal() -> Iterator[int]:
    """The application's end of a pseudo terminal."""
    master, slave = os.openpty()
    tty.setraw(slave)
    yield slave
    os.close(slave)
    os.close(master)


@pytest.fixture
def supervised(run: Run, terminal: int) -> Callable[[Any], None]:
    """Return what runs a scenario on a bench while its supervisor answers."""

    def run_it(scenario: Callable[[Bench], Awaitable[None]]) -> None:
        async def whole() -> None:
            with filtered_thread() as thread:
                bench = Bench(thread, terminal)
                async with asyncio.TaskGroup() as group:
                    group.create_task(bench.supervisor.run())
                    await scenario(bench)
                    bench.supervisor.stop()

        run(whole())

    return run_it


# --- lines ----------------------------------------------------------------------------------------


def test_lines_are_read_and_driven(supervised: Callable[[Any], None]) -> None:
    async def scenario(bench: Bench) -> None:
        assert struct.unpack("i", await bench.ioctl(TIOCMGET, bytes(4))) == (DTR | RTS,)
        bench.terminal.read(ModemLines(cts=True))
        assert struct.unpack("i", await bench.ioctl(TIOCMGET, bytes(4))) == (DTR | RTS | CTS,)
        await bench.ioctl(TIOCMBIC, struct.pack("i", RTS))
        assert struct.unpack("i", await bench.ioctl(TIOCMGET, bytes(4))) == (DTR | CTS,)
        await bench.ioctl(TIOCMSET, struct.pack("i", RTS))
        assert bench.terminal.told == [SetModem(rts=False), SetModem(dtr=False, rts=True)]
        assert bench.terminal.confirms == 2

    supervised(scenario)


def test_a_port_without_outputs_may_have_been_opened_just_now(
    supervised: Callable[[Any], None],
) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.ioctl(TIOCMSET, struct.pack("i", 0))
        assert struct.unpack("i", await bench.ioctl(TIOCMGET, bytes(4))) == (0,)
        assert bench.terminal.told == [SetModem(dtr=False, rts=False), SetModem()]
        assert bench.terminal.confirms == 2

    supervised(scenario)


def test_a_program_waits_for_its_line(supervised: Callable[[Any], None]) -> None:
    async def scenario(bench: Bench) -> None:
        waits = bench.begins(TIOCMIWAIT, CTS)
        await until(lambda: bench.terminal.awaited)
        bench.terminal.read(ModemLines(dsr=True))
        await until(lambda: bench.terminal.awaited)
        assert not waits.done()
        bench.terminal.read(ModemLines(dsr=True, cts=True))
        assert await asyncio.wrap_future(waits) == 0
        counts = struct.unpack("20i", await bench.ioctl(TIOCGICOUNT, bytes(80)))
        assert counts == (1, 1, *[0] * 18)

    supervised(scenario)


def test_who_waits_learns_that_the_port_is_gone(supervised: Callable[[Any], None]) -> None:
    async def scenario(bench: Bench) -> None:
        waits = bench.begins(TIOCMIWAIT, CTS)
        await until(lambda: bench.terminal.awaited)
        bench.terminal.go(PortAbsent("port", "is gone"))
        with pytest.raises(OSError, match="Input/output"):
            await asyncio.wrap_future(waits)

    supervised(scenario)


def test_a_signal_ends_the_wait(supervised: Callable[[Any], None]) -> None:
    async def scenario(bench: Bench) -> None:
        before = signal.signal(signal.SIGUSR1, lambda *_: None)
        try:
            for _ in range(2):
                waits = bench.begins(TIOCMIWAIT, CTS)
                await until(lambda: bench.terminal.awaited)
                signal.pthread_kill(bench.thread.ident, signal.SIGUSR1)
                with pytest.raises(InterruptedError):
                    await asyncio.wrap_future(waits)
                await until(lambda: not bench.held)
                bench.terminal.go(PortAbsent("port", "nobody waits"))
        finally:
            signal.signal(signal.SIGUSR1, before)

    supervised(scenario)


def test_waits_are_bounded(
    supervised: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "HELD_LIMIT", 0)

    async def scenario(bench: Bench) -> None:
        with pytest.raises(OSError, match="Cannot allocate"):
            await bench.ioctl(TIOCMIWAIT, CTS)

    supervised(scenario)


def test_whoever_waits_at_the_end_goes_on(supervised: Callable[[Any], None]) -> None:
    waits: list[Future[Any]] = []

    async def scenario(bench: Bench) -> None:
        waits.append(bench.begins(TIOCMIWAIT, CTS))
        await until(lambda: bench.terminal.awaited)

    supervised(scenario)
    assert isinstance(waits[0].exception(), InterruptedError)


def test_a_call_that_comes_with_the_end_is_answered(supervised: Callable[[Any], None]) -> None:
    calls: list[Future[Any]] = []

    async def scenario(bench: Bench) -> None:
        calls.append(bench.begins(TIOCMGET, bytes(4)))
        poll = select.poll()
        poll.register(bench.thread.listener.fileno(), select.POLLIN)
        assert poll.poll(10_000)
        # The task is there, and is cancelled before it has begun.
        async with asyncio.TaskGroup() as group:
            bench.supervisor._readable(group)
            for task in bench.supervisor._held.values():
                task.cancel()

    supervised(scenario)
    assert isinstance(calls[0].exception(), InterruptedError)


# --- breaks ---------------------------------------------------------------------------------------


def test_breaks(supervised: Callable[[Any], None]) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.ioctl(termios.TIOCSBRK if hasattr(termios, "TIOCSBRK") else 0x5427)
        await bench.ioctl(0x5428)
        await bench.ioctl(TCSBRKP, 1)
        assert bench.terminal.told == [SetBreak(True), SetBreak(False)] * 2
        await bench.does(lambda: termios.tcsendbreak(bench.slave, 0))
        assert bench.terminal.told == [SetBreak(True), SetBreak(False)] * 3

    supervised(scenario)


def test_a_signal_ends_a_break(supervised: Callable[[Any], None]) -> None:
    async def scenario(bench: Bench) -> None:
        before = signal.signal(signal.SIGUSR1, lambda *_: None)
        try:
            breaks = bench.begins(TCSBRKP, 600)
            await until(lambda: bench.terminal.told)
            signal.pthread_kill(bench.thread.ident, signal.SIGUSR1)
            with pytest.raises(InterruptedError):
                await asyncio.wrap_future(breaks)
            await until(lambda: not bench.held)
            assert bench.terminal.told == [SetBreak(True), SetBreak(False)]
        finally:
            signal.signal(signal.SIGUSR1, before)

    supervised(scenario)


def test_draining_waits_for_the_serving_side(supervised: Callable[[Any], None]) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.does(lambda: termios.tcdrain(bench.slave))
        assert bench.terminal.drains == 1

    supervised(scenario)


@pytest.mark.parametrize(
    ("when", "drains"), [(termios.TCSANOW, 0), (termios.TCSADRAIN, 1), (termios.TCSAFLUSH, 1)]
)
def test_settings_that_wait_for_the_data_before(
    supervised: Callable[[Any], None], when: int, drains: int
) -> None:
    async def scenario(bench: Bench) -> None:
        def faster() -> None:
            found = termios.tcgetattr(bench.slave)
            found[4] = found[5] = termios.B230400
            termios.tcsetattr(bench.slave, when, found)

        said: list[object] = []
        bench.terminal.on_drain = lambda: said.extend(bench.terminal.told)
        await bench.does(faster)
        assert bench.terminal.drains == drains
        assert said == []  # the settings come after it
        assert bench.terminal.state.settings.baudrate == 230400

    supervised(scenario)


def test_a_signal_interrupts_draining(supervised: Callable[[Any], None]) -> None:
    async def scenario(bench: Bench) -> None:
        before = signal.signal(signal.SIGUSR1, lambda *_: None)
        try:
            bench.terminal.stuck = True
            drain = bench.begins(TCSBRK, 1)
            await until(lambda: bench.terminal.drains)
            signal.pthread_kill(bench.thread.ident, signal.SIGUSR1)
            with pytest.raises(InterruptedError):
                await asyncio.wrap_future(drain)
            await until(lambda: not bench.held)
        finally:
            signal.signal(signal.SIGUSR1, before)

    supervised(scenario)


# --- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wanted",
    [
        LineSettings(250000, 7, Parity.EVEN, StopBits.TWO),
        LineSettings(9600, 5, Parity.MARK, StopBits.ONE_AND_A_HALF),
        LineSettings(115200, 6, Parity.ODD),
        LineSettings(115200),
    ],
    ids=str,
)
def test_settings_that_a_pty_forgets(
    supervised: Callable[[Any], None], wanted: LineSettings
) -> None:
    async def scenario(bench: Bench) -> None:
        slave = bench.slave
        asked = encode(wanted, read_attributes(slave))
        await bench.does(lambda: write_attributes(slave, asked))
        found = await bench.does(lambda: read_attributes(slave))
        assert found.cflag & (CSIZE | PARENB) == asked.cflag & (CSIZE | PARENB)
        assert bench.terminal.state.settings == wanted
        assert bench.terminal.told == [SetLine.everything(wanted)]
        # The same again is no news.
        await bench.does(lambda: write_attributes(slave, asked))
        assert len(bench.terminal.told) == 1

    supervised(scenario)


def test_the_c_library_is_content(supervised: Callable[[Any], None]) -> None:
    async def scenario(bench: Bench) -> None:
        def seven_even() -> int:
            found = termios.tcgetattr(bench.slave)
            found[2] = found[2] & ~termios.CSIZE | termios.CS7 | termios.PARENB
            termios.tcsetattr(bench.slave, termios.TCSADRAIN, found)
            return int(termios.tcgetattr(bench.slave)[2])

        cflag = await bench.does(seven_even)
        assert cflag & (termios.CSIZE | termios.PARENB) == termios.CS7 | termios.PARENB
        assert termios.tcgetattr(bench.slave)[2] & termios.CSIZE == termios.CS8

    supervised(scenario)


def test_a_rate_of_zero_drops_the_outputs_until_there_is_another(
    supervised: Callable[[Any], None],
) -> None:
    async def scenario(bench: Bench) -> None:
        def at(code: int) -> None:
            found = termios.tcgetattr(bench.slave)
            found[4] = found[5] = code
            termios.tcsetattr(bench.slave, termios.TCSANOW, found)

        off, on = SetModem(dtr=False, rts=False), SetModem(dtr=True, rts=True)
        for code, outputs in ((termios.B0, [off]), (termios.B0, [off]), (termios.B50, [off, on])):
            await bench.does(lambda code=code: at(code))
            assert [word for word in bench.terminal.told if isinstance(word, SetModem)] == outputs
        assert bench.terminal.state.settings.baudrate == 50

    supervised(scenario)


# --- what is none of our business, and what goes wrong --------------------------------------------


def test_other_files_are_the_kernels(supervised: Callable[[Any], None]) -> None:
    async def scenario(bench: Bench) -> None:
        other, far = os.openpty()
        reading, writing = os.pipe()
        try:
            assert await bench.does(lambda: os.isatty(far)) is True
            assert await bench.does(lambda: os.isatty(reading)) is False
            for fd in (far, other, reading, 10_000):
                with pytest.raises(OSError, match=r"Inappropriate|Bad file"):
                    await bench.does(lambda fd=fd: fcntl.ioctl(fd, TIOCMGET, bytes(4)))
        finally:
            for fd in (other, far, reading, writing):
                os.close(fd)
        assert bench.terminal.told == []

    supervised(scenario)


def test_a_bad_address_is_the_programs_fault(supervised: Callable[[Any], None]) -> None:
    async def scenario(bench: Bench) -> None:
        with pytest.raises(OSError, match="Bad address"):
            await bench.ioctl(TIOCMGET, 1)

    supervised(scenario)


@pytest.mark.parametrize(
    "error", [PermissionError(errno.EPERM, "no"), RuntimeError("a mistake")], ids=repr
)
def test_what_fails_here_is_the_kernels(
    supervised: Callable[[Any], None],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object) -> bytes:
        raise error

    async def scenario(bench: Bench) -> None:
        monkeypatch.setattr(supervisor, "write_memory", fail)
        with pytest.raises(OSError, match="Inappropriate"):
            await bench.ioctl(TIOCMGET, bytes(4))

    with caplog.at_level(logging.DEBUG, "portline.launcher"):
        supervised(scenario)
    assert "call=0x5415" in caplog.text


def test_an_answer_that_is_refused_is_no_end(
    supervised: Callable[[Any], None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario(bench: Bench) -> None:
        real = seccomp.Listener.answer

        def refuse(*arguments: Any, **words: Any) -> bool:
            real(*arguments, **words)
            raise OSError(errno.EINVAL, "no")

        with monkeypatch.context() as patch:
            patch.setattr(seccomp.Listener, "answer", refuse)
            await bench.ioctl(TIOCMGET, bytes(4))
        assert len(await bench.ioctl(TIOCMGET, bytes(4))) == 4

    supervised(scenario)
    assert "cannot be answered" in caplog.text


def test_the_end_of_the_last_program_is_seen(supervised: Callable[[Any], None]) -> None:
    async def scenario(bench: Bench) -> None:
        assert not bench.supervisor.look_for_end()
        bench.thread.end()
        await asyncio.wait_for(bench.supervisor.ended.wait(), 10)
        assert bench.supervisor.look_for_end()

    supervised(scenario)
