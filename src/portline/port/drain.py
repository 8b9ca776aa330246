"""The wait of a request for the transmitter: until the data before it has left the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from portline.port.base import DRAIN_LIMIT

if TYPE_CHECKING:
    from portline.port.outlet import Line, Outlet

__all__ = ["Drain"]

POLL_MIN: Final = 0.001
"""Seconds between two looks at a draining transmitter at least; the loop has other work."""

POLL_MAX: Final = 0.02
"""Seconds between two looks at most; within them the look is timed by what is left to send."""


class Drain:
    """The wait of one request for the data before it."""

    def __init__(self, line: Line, outlet: Outlet) -> None:
        self._line = line
        self._outlet = outlet
        self._unsent: int | None = None
        self._moved = 0.0
        self._over: float | None = None

    def wait(self, now: float) -> float:
        """Return the seconds after which to look again; 0 when the wait is over."""
        unsent = self._line.unsent()
        empty = False if unsent else self._line.empty()
        if empty:
            return 0.0
        if empty is None:
            if self._over is None:
                seen_busy = self._unsent is not None
                self._over = now + self._outlet.fifo_time(now, seen_busy=seen_busy)
            return max(0.0, self._over - now)
        if self._unsent is None or unsent < self._unsent:
            self._unsent = unsent
            self._moved = now
        elif now - self._moved >= DRAIN_LIMIT:
            return 0.0
        return min(max(unsent * self._outlet.character_time, POLL_MIN), POLL_MAX)
