"""A thread that blocks in a system call, as TIOCMIWAIT does, and is ended by a signal."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from portline.port.tty import waiter as module
from portline.port.tty.waiter import SIGNAL, WAITERS_MAX, waiter
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Run

LIBC = ctypes.CDLL(None, use_errno=True)


class Line:
    """A line whose changes are bytes in a pipe; waiting for one ends with EINTR after a signal."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reading, self.writing = os.pipe()
        self.waits = 0
        self.fails = False
        monkeypatch.setattr(module, "_wait_for_change", self.wait)

    def wait(self, fd: int) -> None:
        assert fd == self.reading
        self.waits += 1
        if LIBC.read(fd, ctypes.create_string_buffer(1), 1) < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        if self.fails:
            raise OSError(errno.EIO, "gone")

    def change(self) -> None:
        os.write(self.writing, b"x")


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    made = Line(monkeypatch)
    yield made
    os.close(made.reading)
    os.close(made.writing)


def threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "portline-lines"]


def test_changes_are_told_from_the_loop_until_it_stops(run: Run, line: Line) -> None:
    async def scenario() -> None:
        told: list[str] = []
        waits = waiter(
            line.reading,
            asyncio.get_running_loop(),
            lambda: told.append(threading.current_thread().name),
        )
        assert waits is not None
        for _ in range(3):
            before = len(told)
            line.change()
            await until(lambda: len(told) > before)  # noqa: B023
        assert set(told) == {threading.current_thread().name}
        line.change()
        waits.stop()
        waits.stop()
        assert threads() == []
        await asyncio.sleep(0)
        assert len(told) == 3

    run(scenario())


def test_many_changes_are_told_together(run: Run, line: Line) -> None:
    async def scenario() -> None:
        told: list[int] = []
        waits = waiter(line.reading, asyncio.get_running_loop(), lambda: told.append(line.waits))
        assert waits is not None
        for _ in range(5):
            line.change()
        while line.waits < 6:
            pass  # the loop is busy meanwhile
        await until(lambda: told)
        assert len(told) == 1
        waits.stop()

    run(scenario())


def test_it_ends_wherever_the_signal_finds_it(run: Run, line: Line) -> None:
    async def scenario() -> None:
        for _ in range(100):
            waits = waiter(line.reading, asyncio.get_running_loop(), lambda: None)
            assert waits is not None
            waits.stop()
            assert threads() == []
        assert module._running == 0

    run(scenario())


def test_a_thread_does_not_end_while_it_is_sent_a_signal(
    run: Run, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of a thread that has ended is freed memory, or another thread's by then."""
    alive: list[bool] = []

    def kill(_number: int, _signal: int) -> None:
        [thread] = threads()
        line.fails = True
        line.change()  # the device is gone just now, so the thread ends by itself
        thread.join(0.2)
        alive.append(thread.is_alive())

    async def scenario() -> None:
        waits = waiter(line.reading, asyncio.get_running_loop(), lambda: None)
        assert waits is not None
        with monkeypatch.context() as patch:
            patch.setattr(module.signal, "pthread_kill", kill)
            waits.stop()
        assert all(alive)
        assert threads() == []
        assert module._running == 0

    run(scenario())


def test_a_terminal_that_cannot_wait_says_so(run: Run) -> None:
    async def scenario() -> None:
        master, slave = os.openpty()
        told: list[int] = []
        waits = waiter(slave, asyncio.get_running_loop(), lambda: told.append(1))
        assert waits is not None
        await until(lambda: told)
        assert not waits.waits
        waits.stop()
        os.close(master)
        os.close(slave)

    run(scenario())


def test_where_no_thread_can_be_begun_the_lines_are_polled(
    run: Run, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def scenario() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", start)
            waits = waiter(line.reading, asyncio.get_running_loop(), lambda: None)
        assert waits is not None
        assert not waits.waits
        waits.stop()
        assert module._running == 0

    run(scenario())


def test_many_end_soon_and_take_little(run: Run, line: Line) -> None:
    """As many as there may be, in one loop: none takes long, and none is left."""

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        made = [waiter(line.reading, loop, lambda: None) for _ in range(WAITERS_MAX + 36)]
        waiting = [each for each in made if each is not None]
        assert len(waiting) == WAITERS_MAX
        await until(lambda: line.waits >= WAITERS_MAX)
        signals = 0
        real = signal.pthread_kill

        def counted(number: int, which: int) -> None:
            nonlocal signals
            signals += 1
            real(number, which)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module.signal, "pthread_kill", counted)
            for each in waiting:
                each.stop()
        assert threads() == []
        assert module._running == 0
        assert signals < 10 * WAITERS_MAX

    run(scenario())


def test_there_is_a_limit(run: Run, line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        monkeypatch.setattr(module, "_running", WAITERS_MAX)
        assert waiter(line.reading, asyncio.get_running_loop(), lambda: None) is None

    run(scenario())


def test_elsewhere_than_in_the_main_thread_nobody_waits(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.signal(SIGNAL, signal.SIG_DFL)
    loop = asyncio.new_event_loop()
    made: list[object] = []
    other = threading.Thread(target=lambda: made.append(waiter(line.reading, loop, lambda: None)))
    other.start()
    other.join()
    assert made == [None]
    signal.signal(SIGNAL, lambda *_: None)  # somebody else's
    assert waiter(line.reading, loop, lambda: None) is None
    signal.signal(SIGNAL, before)
    loop.close()
