"""The way towards a line: data and requests in one order, through a descriptor that may be full.

Theory of operation
-------------------
Data goes straight to ``os.write`` while nothing waits.  What the kernel does not take is kept in a
queue, and the loop tells when the kernel takes more.  A request that is submitted while data waits
lines up behind it.  At the head of the queue an entry is in one of these steps:

=========  =========================================  ===================================
step       waits for                                  then
=========  =========================================  ===================================
write      the descriptor (``loop.add_writer``)       the next entry
drain      the transmitter (``loop.call_later``)      the request is carried out
hold       the end of a break or of a pause            a break is ended; it is answered
=========  =========================================  ===================================

*Draining.*  Before a request that changes how bits look, the line's ``unsent`` must be 0 and its
``empty`` True.  Where the hardware cannot tell ``empty``, the time that what is in its FIFO takes
is waited for, as far as the clock says that it can still be busy: a line that was quiet is changed
at once, a hundred requests in a row are carried out without returning to the loop.

*A line that stands still.*  Queries and purges need not wait for data, only for the requests
before them: data changes nothing that they tell.  And when the line has taken nothing for
:data:`DRAIN_LIMIT` - XOFF, CTS low, nobody at the other end - the requests overtake the data,
because one of them may be what sets the line free.

*The clock.*  Each write moves a clock, "busy until", on by the time of its characters: an estimate
from below, since flow control may hold the line.
"""

from __future__ import annotations

import os
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from portline.line import Item, Purge, Query, SendBreak, SetBreak, SetLine, SetModem
from portline.port.base import DRAIN_LIMIT, QUEUE_HIGH, QUEUE_LOW, REQUEST_COST
from portline.port.drain import Drain

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from portline.line import PortState, Request

__all__ = ["FIFO_CHARACTERS", "FIFO_LIMIT", "Done", "Line", "Outlet"]

FIFO_CHARACTERS: Final = 64
"""Characters that a transmitter may hold out of the kernel's sight (16C750; a 16550 holds 16)."""

FIFO_LIMIT: Final = 0.02
"""Seconds at most that are waited for an invisible FIFO: 64 characters at 38400 baud.

Slower lines mostly belong to old UARTs, whose FIFO is small, or to drivers that tell when it is
empty."""

WRITE_LIMIT: Final = 64 * 1024
"""Bytes written in one callback, so that other ports get their turn."""

Done: TypeAlias = "Callable[[PortState], None]"
Entry: TypeAlias = "bytes | memoryview | tuple[Request, Done]"


class Line(Protocol):
    """What an outlet needs from the port that it belongs to."""

    drains: bool
    """Whether there is a transmitter to wait for at all."""

    discarded: int
    """Counts the bytes that were accepted and will never be sent."""

    @property
    def state(self) -> PortState:
        """What is in force."""

    def carry_out(self, request: Request) -> float:
        """Do what is asked as far as possible; never raises for what a driver refuses.

        Returns the seconds for which everything behind it has to wait: those of a break or a Hold,
        or 0.
        ``SetBreak(on=False)`` is asked for after a break's.
        """

    def unsent(self) -> int:
        """Return the bytes that the kernel has not yet given to the transmitter."""

    def empty(self) -> bool | None:
        """Return whether the transmitter is empty, None when the hardware does not tell."""

    def drop_unsent(self) -> None:
        """Throw away what the kernel has not yet given to the transmitter."""

    def full(self, full: bool) -> None:
        """Note that the queue passed QUEUE_HIGH (True), or fell to QUEUE_LOW (False)."""

    def failed(self, error: OSError) -> None:
        """Note that writing is impossible for good; close the outlet, but not within this call."""


class Outlet:
    """The queue of one open non-blocking descriptor, used from the thread of ``loop``.

    ``character_time`` is in seconds and kept current by the owner; ``queued`` counts bytes, and
    REQUEST_COST for each request; ``taken`` counts the bytes that the descriptor has taken.
    """

    def __init__(self, line: Line, fd: int, loop: asyncio.AbstractEventLoop) -> None:
        self.character_time = 0.0
        self.queued = 0
        self._line = line
        self._fd = fd
        self._loop = loop
        self._queue: deque[Entry] = deque()
        self._requests = 0  # how many of the entries are requests
        self.taken = 0
        self._impatient = 0  # requests that no longer wait for the transmitter
        self._stall_timer: asyncio.TimerHandle | None = None
        self._direct = True  # nothing waits: data may go straight to the descriptor
        self._running = False
        self._holding = False
        self._closed = False
        self._writing = False
        self._full = False
        self._relief_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._drain: Drain | None = None
        self._busy_until = 0.0

    def write(self, data: bytes) -> None:
        """Send data after everything before it."""
        if self._direct:
            taken = self._send(data)
            if taken == len(data):
                return
            self._direct = False
            self._enqueue(memoryview(data)[taken:], len(data) - taken)
            self._await_descriptor(not self._closed)
        elif data:
            self._enqueue(data, len(data))

    def submit(self, request: Request, done: Done) -> None:
        """Carry a request out after everything before it, then call ``done``."""
        if isinstance(request, Purge) and request.unsent:
            self._line.drop_unsent()
            self._busy_until = min(self._busy_until, monotonic() + FIFO_LIMIT)
            self.drop()
        if isinstance(request, Query | Purge) and not (self._requests or self._running):
            self._carry_out_now(request, done)
            return
        if isinstance(request, SendBreak) and self._ends_with_break():
            request = Query(Item.BREAK)  # a break right after a break is the same break
        self._direct = False
        self._requests += 1
        self._enqueue((request, done), REQUEST_COST)
        if self._writing:
            self._look_for_stall()
        elif self._timer is None:
            self._run()

    @property
    def idle(self) -> bool:
        """Whether everything has left the transmitter, as far as one can tell."""
        if self._queue:
            return False
        return not self._line.drains or not Drain(self._line, self).wait(monotonic())

    @property
    def holding(self) -> bool:
        """Whether a break or a pause is going on."""
        return self._holding

    def fifo_time(self, now: float, *, seen_busy: bool) -> float:
        """Return the seconds for which an invisible FIFO may still be sending."""
        longest = min(FIFO_LIMIT, FIFO_CHARACTERS * self.character_time)
        return longest if seen_busy else max(0.0, min(longest, self._busy_until - now))

    def drop(self) -> None:
        """Throw away the data that waits here; requests stay."""
        kept = [entry for entry in self._queue if isinstance(entry, tuple)]
        dropped = self.queued - REQUEST_COST * len(kept)
        if not dropped:
            return
        self._queue = deque(kept)
        self.queued -= dropped
        self._line.discarded += dropped
        self._relieve()
        self._run()

    def leftover(self) -> bytes:
        """Return the data that waits here and forget it, uncounted; requests stay."""
        data = [bytes(entry) for entry in self._queue if not isinstance(entry, tuple)]
        self._queue = deque(entry for entry in self._queue if isinstance(entry, tuple))
        self.queued = REQUEST_COST * len(self._queue)
        return b"".join(data)

    def close(self) -> list[Done]:
        """Stop for good; return the ``done`` of each request that waited, in order."""
        waiting = [entry[1] for entry in self._queue if isinstance(entry, tuple)]
        self._line.discarded += self.queued - REQUEST_COST * len(waiting)
        self._queue.clear()
        self.queued = 0
        self._requests = 0
        self._stop()
        return waiting

    # --- a line that stands still ---------------------------------------------------------------

    def _ends_with_break(self) -> bool:
        last = self._queue[-1] if self._queue else None
        return isinstance(last, tuple) and (
            isinstance(last[0], SendBreak) or last[0] == Query(Item.BREAK)
        )

    def _carry_out_now(self, request: Request, done: Done) -> None:
        """Carry out what need not wait for data; what ``done`` submits lines up."""
        self._running = True
        self._line.carry_out(request)
        done(self._line.state)
        self._running = False
        if self._requests and not self._writing:
            self._run()

    def _look_for_stall(self) -> None:
        if self._requests and self._stall_timer is None:
            self._stall_timer = self._loop.call_later(DRAIN_LIMIT, self._overtake, self.taken)

    def _overtake(self, taken_before: int) -> None:
        """Let the requests pass the data if none of it has moved."""
        self._stall_timer = None
        if not self._requests:
            return
        if self.taken == taken_before and not isinstance(self._queue[0], tuple):
            requests = [entry for entry in self._queue if isinstance(entry, tuple)]
            data = [entry for entry in self._queue if not isinstance(entry, tuple)]
            self._queue = deque([*requests, *data])
            self._impatient = len(requests)
            self._run()
        elif not self._closed:
            self._look_for_stall()

    # --- the queue ------------------------------------------------------------------------------

    def _enqueue(self, entry: Entry, cost: int) -> None:
        self._queue.append(entry)
        self.queued += cost
        if self.queued > QUEUE_HIGH and not self._full:
            self._full = True
            self._line.full(True)

    def _dequeue(self, cost: int) -> None:
        self._queue.popleft()
        self.queued -= cost
        self._relieve()

    def _relieve(self) -> None:
        if self._full and self.queued <= QUEUE_LOW and not self._relief_due:
            # From the loop, since the owner must not be told from within its own call.
            self._relief_due = True
            self._loop.call_soon(self._tell_relief)

    def _tell_relief(self) -> None:
        self._relief_due = False
        if self.queued <= QUEUE_LOW and not self._closed:
            self._full = False
            self._line.full(False)

    def _run(self) -> None:
        """Work the queue off as far as it goes now."""
        if self._running or self._holding or self._closed:
            return
        self._running = True
        self._stop_timer()
        room = WRITE_LIMIT
        while self._queue and room > 0:
            head = self._queue[0]
            if isinstance(head, tuple):
                self._await_descriptor(False)
                if not self._request(*head):
                    break
            else:
                taken = self._send(head)
                room -= taken
                if not self._sent(head, taken):
                    break
        if room <= 0 and self._queue:
            self._await_descriptor(True)
        self._running = False
        self._direct = not (self._queue or self._closed)
        if self._direct or self._closed:
            self._await_descriptor(False)

    def _send(self, data: bytes | memoryview) -> int:
        try:
            taken = os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            self._stop()
            self._line.failed(error)
            return 0
        self.taken += taken
        now = monotonic()
        busy = self._busy_until
        self._busy_until = (now if now > busy else busy) + taken * self.character_time
        return taken

    def _sent(self, head: bytes | memoryview, taken: int) -> bool:
        if taken == len(head):
            self._dequeue(taken)
            return True
        self.queued -= taken
        self._queue[0] = memoryview(head)[taken:]
        self._relieve()
        self._await_descriptor(not self._closed)
        return False

    def _request(self, request: Request, done: Done) -> bool:
        """Take the request at the head one step on; return whether it is done with."""
        if self._impatient:
            self._impatient -= 1
        elif self._line.drains and isinstance(request, CHANGES):
            self._drain = self._drain or Drain(self._line, self)
            wait = self._drain.wait(monotonic())
            if wait > 0:
                self._timer = self._loop.call_later(wait, self._run)
                return False
        self._drain = None
        hold = self._line.carry_out(request)
        if hold > 0 and not self._closed:
            self._holding = True
            self._timer = self._loop.call_later(hold, self._end_hold, request, done)
            return False
        return self._answer(done)

    def _answer(self, done: Done) -> bool:
        if self._closed:
            return False  # close() has taken the request over
        self._requests -= 1
        self._dequeue(REQUEST_COST)
        done(self._line.state)
        return not self._closed

    def _end_hold(self, request: Request, done: Done) -> None:
        self._holding = False
        if isinstance(request, SendBreak):  # a Hold leaves alone a break that somebody has begun
            self._line.carry_out(SetBreak(on=False))
        self._answer(done)
        self._run()

    # --- what the loop watches ------------------------------------------------------------------

    def _await_descriptor(self, wanted: bool) -> None:
        if wanted is self._writing:
            return
        self._writing = wanted
        if wanted:
            self._loop.add_writer(self._fd, self._run)
            self._look_for_stall()
        else:
            self._loop.remove_writer(self._fd)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _stop(self) -> None:
        self._closed = True
        self._direct = False
        self._stop_timer()
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
        self._await_descriptor(False)


CHANGES: Final = (SetLine, SetModem, SetBreak, SendBreak)
"""The requests that must not touch the data before them."""
