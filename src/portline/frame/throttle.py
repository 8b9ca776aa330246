"""Strict baudrate emulation: a stream passes no faster than characters fit on a line.

Theory of operation
-------------------
The clock is absolute.  ``start`` is when the character that is due next began to occupy the line;
each character that passes moves it on by exactly one character time, so being woken late once makes
the next portion larger and never the stream slower.

=========  ===================================  ===============================================
state      time                                 leaves it by
=========  ===================================  ===============================================
idle       earns nothing                        ``begin``: something waits, its time starts now
busy       earns a character a character time   nobody calls ``took`` any more
=========  ===================================  ===============================================

A stream that is looked at every few milliseconds often looks empty although its sender has more, so
a gap of at most TICK counts as busy; that is all the credit that idle time can give.

Each character passes at the end of its time on the line, as with a real receiver.  A fast line
passes a portion every TICK instead.  The portions of a burst begin small (FIRST_TICK) and double,
so a short message does not wait for a whole tick.
"""

from __future__ import annotations

from typing import Final

__all__ = ["FIRST_TICK", "LATE_LIMIT", "TICK", "Throttle"]

TICK: Final = 0.005
"""Seconds between two portions of a fast stream.

Measured at 115200 baud: 5 ms cost 2 to 3 % of a core in each direction; 1 ms costs three times as
much, and 20 ms is four times the lag.  The error is at most one tick over any time."""

FIRST_TICK: Final = 0.001
"""Seconds until the first portion of a burst: the finest that event loops keep (uvloop: 1 ms)."""

LATE_LIMIT: Final = 0.1
"""Seconds by which a look may be late and the stream still catches up.

Longer than a busy machine keeps a process waiting; a process that was stopped for a minute does not
pass the data of a minute at once."""

_ROUNDING: Final = 1e-3
"""Characters that binary fractions may cost: the monotonic clock of a machine that runs for months
counts in nanoseconds, four thousandths of a character at 4 000 000 baud."""


class Throttle:
    """The clock of one direction; ``character_time`` and ``now`` are in seconds.

    Call ``begin`` when data appears where none was waiting, and ``took`` after each portion; a
    stream that was looked at and had nothing ``took`` 0 characters.
    """

    def __init__(self, character_time: float) -> None:
        self._character_time = character_time
        self._start = 0.0
        self._looked = float("-inf")
        self._tick = FIRST_TICK

    def begin(self, now: float) -> None:
        """Note that something waits, after nothing did."""
        if now - self._looked > TICK:
            self._start = max(self._start, now)
            self._tick = FIRST_TICK
        else:
            self._start = max(self._start, now - TICK)
        self._looked = now

    def allowance(self, now: float) -> int:
        """Return how many characters may pass now."""
        self._start = max(self._start, now - LATE_LIMIT - self._character_time)
        return int((now - self._start) / self._character_time + _ROUNDING)

    def took(self, characters: int, now: float) -> None:
        """Note that so many have passed, at most what ``allowance`` has just said."""
        self._start += characters * self._character_time
        self._looked = now
        self._tick = min(TICK, 2 * self._tick)

    def deadline(self, waiting: int | None = None) -> float:
        """Return when to look again; ``waiting`` is how many characters there are, if known."""
        portion = int(self._tick / self._character_time)
        if waiting is not None:
            portion = min(portion, waiting)
        return self._start + max(1, portion) * self._character_time

    def change(self, character_time: float, now: float) -> None:
        """Go on at another speed, with the part of a character that the line is in."""
        part = max(0.0, min((now - self._start) / self._character_time, 1.0))
        self._start = now - part * character_time
        self._character_time = character_time
