"""How fast data moves through each connection, from counters that are kept anyway.

Theory of operation
-------------------
Once in PERIOD seconds the counters of all connections are noted; the data path knows nothing of
it.  A rate is what moved since the oldest note, at most SPAN seconds ago.  One note costs two reads
of an attribute for each connection: a fifth of a millisecond for a thousand of them.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping

    from portline.service.connection import Connection

__all__ = ["PERIOD", "SPAN", "Rates"]

PERIOD: Final = 1.0
"""Seconds between two notes."""

SPAN: Final = 5.0
"""Seconds that a rate covers: long enough to be steady, short enough to show what is going on."""


class Rates:
    """The rates of the connections that ``connections`` returns by their names."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connections: Callable[[], Mapping[str, Connection]],
    ) -> None:
        self._loop = loop
        self._connections = connections
        self._notes: deque[tuple[float, dict[str, tuple[int, int]]]] = deque(
            maxlen=round(SPAN / PERIOD)
        )
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to take notes."""
        self._note()

    def stop(self) -> None:
        """Take no more notes."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def of(self, name: str, heard: int, spoken: int) -> tuple[float, float] | None:
        """Return bytes per second from and to the port of a connection with these counters now.

        None while there is nothing to compare with: it is new, or has a new name.
        """
        now = self._loop.time()
        for at, counters in self._notes:
            if name in counters and now > at:
                before = counters[name]
                span = now - at
                # A connection that began anew counts from 0 again.
                return max(0.0, (heard - before[0]) / span), max(0.0, (spoken - before[1]) / span)
        return None

    def _note(self) -> None:
        hubs = ((name, each.hub) for name, each in self._connections().items())
        counters = {name: (hub.heard, hub.spoken) for name, hub in hubs}
        self._notes.append((self._loop.time(), counters))
        self._timer = self._loop.call_later(PERIOD, self._note)
