"""A thread that blocks in a system call, as TIOCMIWAIT does, and is ended by a signal."""

from __future__ import annotations

import asyncio
import ctypes
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
        monkeypatch.setattr(module, "_wait_for_change", self.wait)

    def wait(self, fd: int) -> None:
        assert fd == self.reading
        self.waits += 1
        if LIBC.read(fd, ctypes.create_string_buffer(1), 1) < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

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
