"""A thread with a filter of its own, whose calls a test answers: the kernel's real machinery."""

from __future__ import annotations

import asyncio
import fcntl
import os
import platform
import threading
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from queue import Queue
from typing import TYPE_CHECKING, Any

import pytest

from portline.line import LineSettings, ModemLines, PortState, SetBreak, SetLine, SetModem
from portline.port.programs.calls import REQUESTS, LineCounts
from portline.port.programs.seccomp import MACHINES, Listener, assemble, install, machine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from portline.port.programs.terminal import Action

__all__ = ["FilteredThread", "StandIn", "StandIns", "filtered_thread", "unavailable"]

PATIENCE = 15.0
"""Seconds after which something that has to happen counts as hanging."""


def unavailable() -> str:
    """Return why calls cannot be filtered here, empty if they can."""
    if platform.machine() not in MACHINES:
        return f"no filters on {platform.machine()}"
    reasons: list[str] = []

    def try_it() -> None:
        try:
            os.close(install(assemble([0x5415], machine()), machine()))
        except OSError as error:
            reasons.append(f"the kernel refuses: {error}")

    thread = threading.Thread(target=try_it)
    thread.start()
    thread.join(PATIENCE)
    return "".join(reasons)


class FilteredThread:
    """Does what it is told to, one after the other, in a thread whose ``ioctl`` calls are asked."""

    def __init__(self, requests: tuple[int, ...] = REQUESTS) -> None:
        self._work: Queue[tuple[Future[Any], Callable[[], Any]] | None] = Queue()
        self._listener: Queue[int | OSError] = Queue()
        self._requests = requests
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        found = self._listener.get(timeout=PATIENCE)
        assert isinstance(found, int), found
        self.listener = Listener(found, machine())

    def _run(self) -> None:
        try:
            self._listener.put(install(assemble(self._requests, machine()), machine()))
        except OSError as error:
            self._listener.put(error)
            return
        while (item := self._work.get()) is not None:
            future, work = item
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)

    def does(self, work: Callable[[], Any]) -> Future[Any]:
        """Have the thread do something; the result comes when the loop is free to answer."""
        future: Future[Any] = Future()
        self._work.put((future, work))
        return future

    def ioctl(self, fd: int, request: int, argument: Any = 0) -> Future[Any]:
        return self.does(lambda: fcntl.ioctl(fd, request, argument))

    @property
    def ident(self) -> int:
        assert self._thread.ident is not None
        return self._thread.ident

    def close(self) -> None:
        """End the thread; closing the listener first sets free whatever it waits for."""
        self.listener.close()
        self.end()

    def end(self) -> None:
        """End the thread, which must not wait for an answer."""
        self._work.put(None)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()


@contextmanager
def filtered_thread(requests: tuple[int, ...] = REQUESTS) -> Iterator[FilteredThread]:
    """Give a thread with a filter, or skip the test with the reason."""
    if reason := unavailable():
        pytest.skip(reason)
    thread = FilteredThread(requests)
    try:
        yield thread
    finally:
        thread.close()


class StandIn:
    """The serving side of one terminal, in the same process."""

    def __init__(self, settings: LineSettings | None = None) -> None:
        self.state = PortState(settings or LineSettings(), dtr=True, rts=True)
        self.counts = LineCounts()
        self.told: list[Action] = []
        self.confirms = self.drains = 0
        self.on_drain: Callable[[], None] = lambda: None
        self.stuck = False
        self._waiting: list[asyncio.Future[None]] = []

    def tell(self, what: Action) -> None:
        self.told.append(what)
        match what:
            case SetLine():
                settings = what.applied_to(self.state.settings)
                self.state = replace(self.state, settings=settings)
            case SetModem():
                self.state = what.applied_to(self.state)
            case SetBreak(on):
                self.state = replace(self.state, break_on=on)

    async def confirmed(self) -> None:
        self.confirms += 1

    async def drained(self) -> None:
        self.drains += 1
        self.on_drain()
        if self.stuck:
            await asyncio.Event().wait()

    async def moved(self) -> None:
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        await waiting

    def read(self, lines: ModemLines) -> None:
        """Let the application read other lines from now on."""
        self.counts = self.counts.counting(self.state.lines, lines)
        self.state = replace(self.state, lines=lines)
        self._wake(None)

    @property
    def awaited(self) -> int:
        """How many wait for a line to move."""
        return len(self._waiting)

    def go(self, error: Exception) -> None:
        self._wake(error)

    def _wake(self, error: Exception | None) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if future.done():
                continue
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)


class StandIns:
    """Knows one terminal, by its device number."""

    def __init__(self, terminal: StandIn, device: int) -> None:
        self._terminal = terminal
        self._device = device

    async def find(self, found: os.stat_result) -> StandIn | None:
        return self._terminal if found.st_rdev == self._device else None

    def close(self) -> None:
        return
