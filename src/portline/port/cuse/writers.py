"""The programs that wait to write to one device, and those that wait until all has been sent.

Theory of operation
-------------------
What is written goes into the pseudo terminal, as much as a UART's driver would take
(:data:`BUFFER`); the pseudo terminal itself would take five times that.  How much of it is still
there is the difference of two counts: what was written, and what the port has taken out.  They
differ by themselves where the line discipline adds or leaves out characters (OPOST), and then the
terminal is looked at, too: what is not seen twice in a row is not there.

*Drained* is what was taken out and has left on the other side, as far as that can be known
(:meth:`portline.port.base.PortOwner.port_drain`).
"""

from __future__ import annotations

import errno
import os
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from portline.port.cuse.wire import failure, written

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from portline.port.cuse.discipline import Discipline
    from portline.port.cuse.ledger import Ledger
    from portline.port.cuse.wire import Write

__all__ = ["BUFFER", "LOOK_PERIOD", "ROOM_FOR_POLL", "Sink", "Writers"]

BUFFER: Final = 4096
"""Bytes that wait to be taken out at most (UART_XMIT_SIZE: a page)."""

ROOM_FOR_POLL: Final = 256
"""Bytes that wait at which the device counts as writable again (tty.h, WAKEUP_CHARS)."""

LOOK_PERIOD: Final = 0.005
"""Seconds between two looks whether the terminal is empty, where counting does not tell."""


class Sink(Protocol):
    """Who takes out what is written."""

    @property
    def taken(self) -> int:
        """Bytes that were taken out, since the start."""

    def all_read(self) -> bool:
        """Return whether there is nothing that can be taken out now."""

    def drain(self, done: Callable[[], None]) -> None:
        """Call ``done`` when what was taken out has left on the other side; maybe at once."""


class _Writing:
    def __init__(self, asked: Write) -> None:
        self.unique = asked.unique
        self.rest = memoryview(asked.data)
        self.count = 0


class Writers:
    """The writes to one device, in order, and the drains."""

    def __init__(
        self, ledger: Ledger, discipline: Discipline, sink: Sink, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.refused = False
        """Whether the terminal would not take what there was room for: its output is stopped."""
        self._ledger = ledger
        self._discipline = discipline
        self._sink = sink
        self._loop = loop
        self._queue: deque[_Writing] = deque()
        self._written = 0
        self._drains: list[Callable[[], None]] = []
        self._draining: list[Callable[[], None]] = []
        self._looked: tuple[int, int] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def unsent(self) -> int:
        """Bytes that were written and not yet taken out."""
        taken = self._sink.taken
        self._written = max(self._written, taken)
        return self._written - taken

    @property
    def busy(self) -> bool:
        """Whether anything is still to be written, taken out or drained, as far as is known."""
        return bool(self._queue or self._drains or self._draining or self.unsent)

    @property
    def writable(self) -> bool:
        """Whether there is so much room that a poll tells it."""
        return self.unsent < ROOM_FOR_POLL

    def ask(self, asked: Write) -> None:
        """Answer a write, now or later."""
        if asked.flags & os.O_NONBLOCK:
            count = 0 if self._queue else self._put(asked.data)
            none = asked.data and not count
            message = failure(asked.unique, errno.EAGAIN) if none else written(asked.unique, count)
            self._ledger.answer(asked.unique, message)
            return
        writing = _Writing(asked)
        if self._ledger.hold(asked.unique, partial(self._give_up, writing)):
            self._queue.append(writing)
            self.run()

    def run(self) -> None:
        """Write on, as far as there is room, and see who has waited for that."""
        while self._queue:
            writing = self._queue[0]
            count = self._put(writing.rest)
            writing.count += count
            writing.rest = writing.rest[count:]
            if writing.rest:
                break
            self._queue.popleft()
            self._ledger.answer(writing.unique, written(writing.unique, writing.count))
        if not self._queue:
            self.refused = False
            if not self.unsent:
                self._drain()
        self._look_later()

    def when_drained(self, then: Callable[[], None]) -> None:
        """Call ``then`` when all that was written until now has left; maybe at once."""
        self._drains.append(then)
        self.run()

    def emptied(self) -> None:
        """Note that what was written and not taken out has been thrown away."""
        self._written = self._sink.taken
        self.run()

    def hang_up(self) -> None:
        """Let nobody wait any longer."""
        while self._queue:
            writing = self._queue[0]
            self._ledger.answer(writing.unique, self._give_up(writing, errno.EIO))
        self.close()

    def close(self) -> None:
        """Forget the drains: who waited for them has been told something else."""
        self._drains.clear()
        self._draining.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _put(self, data: bytes | memoryview) -> int:
        room = BUFFER - self.unsent
        self.refused = False
        if room <= 0 or not data:
            return 0
        some = memoryview(data)[:room]
        count = self._discipline.write(some)
        self._written += count
        self.refused = count < len(some)
        return count

    def _give_up(self, writing: _Writing, error: int) -> bytes:
        self._queue.remove(writing)
        if writing.count:
            return written(writing.unique, writing.count)
        return failure(writing.unique, error)

    # --- drains ---------------------------------------------------------------------------------

    def _drain(self) -> None:
        if self._drains and not self._draining:
            self._draining, self._drains = self._drains, []
            self._sink.drain(partial(self._drained, self._draining))

    def _drained(self, drains: list[Callable[[], None]]) -> None:
        if drains is not self._draining:
            return
        self._draining = []
        for then in drains:
            then()
        self.run()

    def _look_later(self) -> None:
        """Look after a while, where something waits and the counts may be wrong."""
        waits = self.unsent and not self._discipline.counts
        if waits and self._timer is None:
            self._looked = None
            self._timer = self._loop.call_later(LOOK_PERIOD, self._look)

    def _look(self) -> None:
        self._timer = None
        if not self._sink.all_read() or self._discipline.counts:
            self._look_later()
            return
        seen = self._written, self._sink.taken
        if seen == self._looked:
            self.emptied()
            return
        self._looked = seen
        self._timer = self._loop.call_later(LOOK_PERIOD, self._look)
