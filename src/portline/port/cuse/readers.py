"""The programs that wait to read from one device."""

from __future__ import annotations

import errno
import os
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final

from portline.port.cuse.reading import Reading
from portline.port.cuse.wire import failure, given

if TYPE_CHECKING:
    import asyncio

    from portline.port.cuse.discipline import Discipline
    from portline.port.cuse.ledger import Ledger
    from portline.port.cuse.wire import Read

__all__ = ["GIVEN_MAX", "Readers"]

GIVEN_MAX: Final = 4096
"""Bytes given to one read at most: what a terminal has at once (N_TTY_BUF_SIZE)."""


class Readers:
    """The reads of one device, in order: as in the kernel, one reads at a time."""

    def __init__(
        self, ledger: Ledger, discipline: Discipline, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._ledger = ledger
        self._discipline = discipline
        self._loop = loop
        self._queue: deque[Reading] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> bool:
        """Whether anybody waits."""
        return bool(self._queue)

    def ask(self, asked: Read) -> None:
        """Answer a read, now or later."""
        size = min(asked.size, GIVEN_MAX)
        if asked.flags & os.O_NONBLOCK:
            data = None if self._queue else self._discipline.read(size)
            if data is None and self._discipline.manner.never_waits:
                data = b""
            message = failure(asked.unique, errno.EAGAIN)
            self._ledger.answer(
                asked.unique, message if data is None else given(asked.unique, data)
            )
            return
        reading = Reading(asked.unique, size, self._loop.time())
        if self._ledger.hold(asked.unique, partial(self._give_up, reading)):
            self._queue.append(reading)
            self.run()

    def run(self) -> None:
        """Answer those that have waited enough."""
        while self._queue:
            reading = self._queue[0]
            data = self._discipline.read(reading.room) if reading.room else None
            now = self._loop.time()
            if data:
                reading.add(data, now)
            if data == b"" or reading.over(self._discipline.manner, now):
                self._queue.popleft()
                self._ledger.answer(reading.unique, given(reading.unique, reading.data))
            elif data is None:
                break
        self._set_timer()

    def hang_up(self) -> None:
        """Let everybody read what they have got, or the end of the file."""
        while self._queue:
            reading = self._queue.popleft()
            self._ledger.answer(reading.unique, given(reading.unique, reading.data))
        self._set_timer()

    def _give_up(self, reading: Reading, error: int) -> bytes:
        self._queue.remove(reading)
        self._set_timer()
        if reading.data:
            return given(reading.unique, reading.data)
        return failure(reading.unique, error)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._queue:
            deadline = self._queue[0].deadline(self._discipline.manner)
            if deadline is not None:
                self._timer = self._loop.call_at(deadline, self.run)
