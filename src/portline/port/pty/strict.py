"""Strict baudrate emulation: both ways of a virtual port, held to the speed of its line.

Theory of operation
-------------------
Each direction has a clock of its own (:class:`portline.frame.throttle.Throttle`) and a timer.

=========  ==============================  =====================================================
inlet      watched                         leaves it by
=========  ==============================  =====================================================
empty      the descriptor                  the application writes: the clock starts
waiting    the timer                       it is time for the next characters: they are read;
                                           fewer than there was time for means empty
=========  ==============================  =====================================================

What the application writes too fast stays in the kernel, whose buffer fills and holds it back.
When it closes the terminal, the rest is still read at that speed, and then the application counts
as gone, as with a UART's driver, which sends what it has before the port closes.

What comes for the application waits in the outlet's queue, with the requests in their places, and
when that is long the peers are held back as with any slow line.
"""

from __future__ import annotations

import os
from time import monotonic
from typing import TYPE_CHECKING, Final

from portline.frame.throttle import Throttle
from portline.port.base import READ_LIMIT
from portline.port.outlet import Outlet
from portline.port.pty.inlet import READ_SIZE, Inlet, InletOwner
from portline.port.pty.master import FLUSHED_INPUT

if TYPE_CHECKING:
    import asyncio

    from portline.port.outlet import Line

__all__ = ["StrictInlet", "StrictOutlet"]

TIMER_GRAIN: Final = 0.001
"""Seconds to which event loops keep timers (uvloop); a shorter wait would turn the loop for
nothing."""


class StrictInlet(Inlet):
    """An inlet that reads no faster than one character in ``character_time`` seconds."""

    def __init__(
        self,
        owner: InletOwner,
        fd: int,
        loop: asyncio.AbstractEventLoop,
        character_time: float,
    ) -> None:
        super().__init__(owner, fd, loop)
        self._throttle = Throttle(character_time)
        self._timer: asyncio.TimerHandle | None = None

    def set_character_time(self, seconds: float) -> None:
        """Go on at another speed, at once."""
        self._throttle.change(seconds, monotonic())
        if self._timer is not None:
            self._timer.cancel()
            self._wait()

    def take(self) -> None:
        """Leave it on the line: it is not its time yet."""

    def _watch(self, wanted: bool) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        else:
            super()._watch(wanted)

    def _readable(self) -> None:
        self._throttle.begin(monotonic())
        self._loop.remove_reader(self._fd)
        self._wait()

    def _wait(self) -> None:
        wait = max(TIMER_GRAIN, self._throttle.deadline() - monotonic())
        self._timer = self._loop.call_later(wait, self._due)

    def _due(self) -> None:
        now = monotonic()
        allowed = self._throttle.allowance(now)
        data, gone = self._gather_some(min(allowed, READ_LIMIT))
        self._throttle.took(len(data), now)
        if gone or (allowed and len(data) < min(allowed, READ_LIMIT)):
            self._timer = None
            self._loop.add_reader(self._fd, self._readable)
        else:
            self._wait()
        if data:
            self._owner.received(data)
        if gone and not self._closed:
            self._owner.gone()

    def _gather_some(self, limit: int) -> tuple[bytes, bool]:
        """Read at most so many characters, as :meth:`_gather` does."""
        data = b""
        while len(data) < limit:
            try:
                packet = os.read(self._fd, min(READ_SIZE, limit - len(data) + 1))
            except BlockingIOError:
                break
            except OSError:
                return data, True
            if packet[0] == 0:
                data += packet[1:]
            elif packet[0] & FLUSHED_INPUT:
                self._owner.flushed()
        return data, False


class StrictOutlet(Outlet):
    """An outlet that sends no faster than one character in ``character_time`` seconds."""

    def __init__(
        self, line: Line, fd: int, loop: asyncio.AbstractEventLoop, character_time: float
    ) -> None:
        super().__init__(line, fd, loop)
        self.character_time = character_time
        self._throttle = Throttle(character_time)
        self._early = False  # the clock holds the data back, not the descriptor
        self._clock: asyncio.TimerHandle | None = None

    def set_character_time(self, seconds: float) -> None:
        """Go on at another speed, at once."""
        self.character_time = seconds
        self._throttle.change(seconds, monotonic())
        if self._clock is not None:
            self._clock.cancel()
            self._wait()

    def write(self, data: bytes) -> None:
        """Send data after everything before it, when it is time."""
        if not data:
            return
        if not self._queue:
            self._throttle.begin(monotonic())
        self._enqueue(data, len(data))
        if self._clock is None and not self._writing:
            self._run()

    def _send(self, data: bytes | memoryview) -> int:
        now = monotonic()
        if self._writing:
            self._throttle.begin(now)
        allowed = min(len(data), self._throttle.allowance(now))
        self._early = allowed < len(data)
        if not allowed:
            return 0
        taken = super()._send(data[:allowed])
        self._throttle.took(taken, now)
        self._early = self._early and taken == allowed
        return taken

    def _await_descriptor(self, wanted: bool) -> None:
        if wanted and self._early:
            super()._await_descriptor(False)
            if self._clock is None:
                self._wait()
            return
        if not wanted and self._clock is not None:
            self._clock.cancel()
            self._clock = None
        super()._await_descriptor(wanted)

    def _wait(self) -> None:
        wait = max(TIMER_GRAIN, self._throttle.deadline(self.queued) - monotonic())
        self._clock = self._loop.call_later(wait, self._tick)

    def _tick(self) -> None:
        self._clock = None
        self._run()
