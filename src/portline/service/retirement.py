"""The end of connections: goodbye to the peers, then what the ports still have to send.

Theory of operation
-------------------
::

    goodbye --all have gone, or GOODBYE_LIMIT--> sending --ports empty, or GOODBYE_LIMIT--> over

"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from portline.line import Purge

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping

    from portline.service.connection import Connection

__all__ = ["GOODBYE_LIMIT", "POLL", "Leaving", "Retirement"]

GOODBYE_LIMIT: Final = 0.5
"""Seconds that peers and, after them, ports get for what is still on its way: together well below
the two seconds that service managers and people are promised."""

POLL: Final = 0.01
"""Seconds between two looks whether everything is said."""


class Leaving(Protocol):
    """One who has been sent away: the link of a peer, or an operator's program."""

    @property
    def closed(self) -> bool:
        """Tell whether it has gone."""


class Retirement:
    """Ends ``connections``, each for its reason; calls ``over(self)`` when they are closed."""

    def __init__(
        self,
        connections: Mapping[Connection, str],
        loop: asyncio.AbstractEventLoop,
        over: Callable[[Retirement], None],
    ) -> None:
        self._connections = tuple(connections)
        self._loop = loop
        self._over = over
        self._saying = [
            who for each, why in connections.items() for who in each.stop(GOODBYE_LIMIT, why)
        ]
        self._end = loop.time() + GOODBYE_LIMIT
        self._timer = loop.call_soon(self._look)

    def finish(self) -> None:
        """Close everything at once."""
        self._timer.cancel()
        for connection in self._connections:
            if connection.port.queued:
                connection.port.submit(Purge(unsent=True), lambda state: None)
            connection.close()
        self._over(self)

    def _look(self) -> None:
        late = self._loop.time() >= self._end
        if self._saying and (late or all(who.closed for who in self._saying)):
            self._saying = []
            self._end = self._loop.time() + GOODBYE_LIMIT
            late = False
        if not self._saying and (late or not any(each.port.queued for each in self._connections)):
            self.finish()
            return
        self._timer = self._loop.call_later(POLL, self._look)
