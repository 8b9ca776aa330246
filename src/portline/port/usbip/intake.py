"""What applications write to a USB port, and when the kernel is told that it has left.

Theory of operation
-------------------
A write arrives as transfers.  Its data is passed on at once, or with strict baudrate emulation
character by character at the speed of the line.  A transfer that is under way is, to the driver,
data that the transmitter still has: tcdrain waits for it, and so does close.  So the *last*
transfer is held until everything before it is known to have left on the other side; each one with
another behind it is over at once, which keeps the driver sending.

A driver that asks for its transmitter (``Chip.asks_transmitter``) has all of them back at once,
and is told "not empty" from the first question on until a drain is over.

==========  ===========================  =========================================================
state       of the last transfer         leaves it by
==========  ===========================  =========================================================
waiting     not all is passed on: the    its time comes; ``block(False)``
            line is held, or busy
held        a drain is under way         the drain is over: completed, or another drain where more
                                         has come since
==========  ===========================  =========================================================

While the line is held - the owner pauses, CTS is off where the application asked for it - nothing
is passed on and nothing completed, and the application blocks when the kernel's buffer is full.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol

from portline.frame.throttle import Throttle
from portline.port.base import READ_LIMIT

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["Intake", "IntakeOwner"]

TIMER_GRAIN: Final = 0.001
"""Seconds to which event loops keep timers (uvloop)."""


class IntakeOwner(Protocol):
    """The port that an intake belongs to."""

    def received(self, data: bytes) -> None:
        """Take what the application wrote; never empty."""

    def drain(self, done: Callable[[], None]) -> None:
        """Call ``done`` when everything received so far has left; maybe at once."""

    def complete(self, number: int) -> None:
        """Tell the kernel that a transfer is over."""


class Intake:
    """The transfers towards the line of one port.

    ``character_time`` holds the data to the speed of a line; None passes it on at once.
    ``waiting`` and ``held`` are those of a process before this one.  ``note(number, offset)`` is
    called when everything up to the transfer ``number`` is passed on or dropped, and ``offset``
    bytes of the next one.
    """

    def __init__(
        self,
        owner: IntakeOwner,
        loop: asyncio.AbstractEventLoop,
        *,
        character_time: float | None,
        asked: bool,
        waiting: tuple[tuple[int, bytes], ...] = (),
        held: int | None = None,
        note: Callable[[int, int], None] = lambda number, offset: None,
    ) -> None:
        self.empty = True
        """Whether everything is known to have left, as far as anybody has asked."""
        self._owner = owner
        self._loop = loop
        self._asked = asked
        self._waiting: deque[tuple[int, bytes]] = deque(waiting)
        self._held = held
        self._passed = 0  # counts what was passed on, to know what a drain was for
        self._note = note
        self._over = 0  # the last transfer that was passed on or dropped
        self._begun = 0  # bytes of the next one that were
        self._draining = False
        self._blocked = False
        self._closed = False
        self._throttle = None if character_time is None else Throttle(character_time)
        self._timer: asyncio.TimerHandle | None = None
        if held is not None or waiting:
            self.empty = False
        if held is not None:
            loop.call_soon(self._drain)

    @property
    def waiting(self) -> tuple[tuple[int, bytes], ...]:
        """What has not been passed on, by transfer."""
        return tuple(self._waiting)

    @property
    def held(self) -> int | None:
        """The transfer that is held until a drain is over."""
        return self._held

    def add(self, number: int, data: bytes) -> None:
        """Take a transfer; ``run`` passes it on."""
        if self._throttle is not None and not self._waiting:
            self._throttle.begin(monotonic())
        self._waiting.append((number, data))
        self.empty = False
        self._end_held()

    def cancel(self, number: int) -> None:
        """Forget a transfer, which the kernel has ended."""
        if self._waiting and self._waiting[0][0] == number:
            self._begun = 0
            self._note(self._over, 0)
        self._waiting = deque(each for each in self._waiting if each[0] != number)
        if number == self._held:
            self._held = None

    def block(self, blocked: bool) -> None:
        """Hold the line, or let it go on."""
        if blocked is not self._blocked:
            self._blocked = blocked
            if not blocked and self._throttle is not None and self._waiting:
                self._throttle.begin(monotonic())
            self.run()

    def set_character_time(self, seconds: float) -> None:
        """Go on at another speed, where that matters."""
        if self._throttle is not None:
            self._throttle.change(seconds, monotonic())
            self._stop_timer()
            self.run()

    def run(self) -> None:
        """Pass on what may pass now."""
        if self._blocked or self._closed or not self._waiting:
            self._stop_timer()
        elif self._throttle is None:
            self._pass(READ_LIMIT)
        elif self._timer is None:
            wait = self._throttle.deadline(sum(len(data) for _, data in self._waiting))
            self._timer = self._loop.call_later(max(TIMER_GRAIN, wait - monotonic()), self._due)

    def drop(self) -> int:
        """Throw away what was not passed on, as if it had been; return how many bytes."""
        dropped = sum(len(data) for _, data in self._waiting)
        while self._waiting:
            self._over = self._waiting.popleft()[0]
            self._hold(self._over)
        self._begun = 0
        self._note(self._over, 0)
        self._drain()
        return dropped

    def ask(self) -> None:
        """Begin to find out whether everything has left; ``empty`` tells."""
        if not self.empty and not self._waiting:
            self._drain()

    def begin_notes(self) -> None:
        """Count from what is waiting now."""
        self._begun = 0

    def close(self) -> None:
        """Stop for good."""
        self._closed = True
        self._stop_timer()

    # --- passing on -----------------------------------------------------------------------------

    def _due(self) -> None:
        self._timer = None
        throttle = self._throttle
        assert throttle is not None
        now = monotonic()
        allowed = throttle.allowance(now)
        throttle.took(self._pass(min(allowed, READ_LIMIT)) if allowed else 0, now)
        self.run()

    def _pass(self, limit: int) -> int:
        """Pass on so many characters at most; return how many."""
        pieces = []
        room = limit
        while self._waiting and room > 0:
            number, data = self._waiting.popleft()
            pieces.append(data[:room])
            if len(data) > room:
                self._waiting.appendleft((number, data[room:]))
                self._begun += room
            else:
                self._over, self._begun = number, 0
                self._hold(number)
            room -= len(pieces[-1])
        self._passed += 1
        self._owner.received(b"".join(pieces))
        self._note(self._over, self._begun)
        if not self._closed:
            if not self._asked:
                self._drain()
            if self._throttle is None:
                self.run()
        return limit - room

    def _hold(self, number: int) -> None:
        """Hold the last transfer; one with another behind it is over."""
        self._end_held()
        if self._asked or self._waiting:
            self._owner.complete(number)
        else:
            self._held = number

    def _end_held(self) -> None:
        if self._held is not None:
            number, self._held = self._held, None
            self._owner.complete(number)

    def _drain(self) -> None:
        if self._draining or self._closed or (self._held is None and not self._asked):
            return
        self._draining = True
        self._owner.drain(partial(self._drained, self._passed))

    def _drained(self, passed: int) -> None:
        self._draining = False
        if self._closed:
            return
        if passed != self._passed:
            if not self._asked:
                self._drain()
            return
        if self._waiting:
            return  # the next one to be passed on brings the next drain
        self.empty = True
        self._end_held()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
