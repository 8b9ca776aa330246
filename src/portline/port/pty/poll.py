"""Looking at what cannot tell by itself: one timer for all virtual ports of an event loop.

Theory of operation
-------------------
Everybody who wants to be called is called once in a round, and a round takes as many ticks of the
timer as it needs with at most :data:`LOOKS` calls each.  So a few ports are looked at every
:data:`TICK`, and a thousand cost no more than two hundred, and are looked at less often.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["LOOKS", "TICK", "Poll"]

TICK: Final = 0.02
"""Seconds between two looks.  An application that sets its line and then waits for the device's
answer is served before it notices."""

LOOKS: Final = 200
"""Looks within one tick at most: two microseconds each, 2 % of a core in all.  A thousand ports
that are in use are looked at every tenth of a second, and besides before data is passed on."""


class Poll:
    """Calls ``look`` from the loop again and again until it is closed."""

    def __init__(self, look: Callable[[], None], loop: asyncio.AbstractEventLoop) -> None:
        self.look = look
        found = _ROUNDS.get(loop)
        if found is None:
            found = _ROUNDS[loop] = _Round(loop)
        self._round = found
        found.add(self)

    def close(self) -> None:
        """Stop; no call follows."""
        self._round.remove(self)


class _Round:
    """The timer of one loop; it runs while somebody wants to be called."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._all: dict[Poll, None] = {}  # in the order of their coming
        self._due: list[Poll] = []
        self._timer: asyncio.TimerHandle | None = None

    def add(self, poll: Poll) -> None:
        self._all[poll] = None
        if self._timer is None:
            self._timer = self._loop.call_later(TICK, self._tick)

    def remove(self, poll: Poll) -> None:
        self._all.pop(poll, None)
        if not self._all and self._timer is not None:
            self._timer.cancel()
            self._timer = None
            del _ROUNDS[self._loop]

    def _tick(self) -> None:
        self._timer = self._loop.call_later(TICK, self._tick)
        if not self._due:
            self._due = list(self._all)
        batch, self._due = self._due[:LOOKS], self._due[LOOKS:]
        for poll in batch:
            if poll in self._all:
                poll.look()


_ROUNDS: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, _Round]] = WeakKeyDictionary()
