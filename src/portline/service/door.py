"""Who is let in, and what those who are not are told.

Theory of operation
-------------------
A program that closes its connection and opens a new one at once expects to be let in, but its old
connection may still be on its way out: what it sent last is not read yet, or its end has not been
noticed in this turn of the loop.  So a newcomer who finds the place taken by somebody who has
already left waits for a moment::

    newcomer --room--> in
       |
       +--full, nobody is leaving--> told why, out
       |
       +--full, somebody has left--> waiting --room--> in
                                        +--WAIT_LIMIT over--> told why, out

When the time is over and the device has taken nothing meanwhile, the newcomer is let in, in the
place of who has left, and what that one has still to say is not read any more: the newcomer may be
the one who is to free the device.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Final, TypeAlias

from portline.net import tcp

if TYPE_CHECKING:
    import asyncio
    import logging
    from collections.abc import Callable, Sequence

    from portline.net.stream import StreamLink
    from portline.service.session import Session

    Enter: TypeAlias = Callable[[StreamLink, str], None]

__all__ = ["NEWCOMERS", "WAIT_LIMIT", "Door"]

NEWCOMERS: Final = 64
"""Newcomers that wait or are told why at the same time; more of them are closed without a word, so
that a flood costs nothing."""

WAIT_LIMIT: Final = 1.0
"""Seconds that a newcomer waits for somebody who is leaving: what is on its way to the port then
is written at any usual rate, and a program that is refused has not given up yet."""


class Door:
    """The limit on simultaneous connections of one connection.

    Raw peers are limited to ``limit``; with RFC 2217 there is always one controlling peer.
    ``peers`` returns those who are in, in their order; ``moved`` how many bytes the device has
    taken; ``enter`` is called for who may come in.
    """

    def __init__(
        self,
        name: str,
        limit: int,
        *,
        loop: asyncio.AbstractEventLoop,
        peers: Callable[[], Sequence[Session]],
        moved: Callable[[], int],
        log: logging.LoggerAdapter[logging.Logger],
        enter: Enter,
    ) -> None:
        self.turned_away = 0
        """Connections that were not let in, since the start."""
        self.name = name
        self.limit = limit
        self._loop = loop
        self._peers = peers
        self._moved = moved
        self._log = log
        self._enter = enter
        self._waiting: deque[_Newcomer] = deque()
        self._leaving: list[StreamLink] = []

    def full(self, protocol: str) -> bool:
        """Tell whether another peer of this protocol would be one too many."""
        return len(self._inside(protocol)) >= (self.limit if protocol == "raw" else 1)

    def knock(self, link: StreamLink, protocol: str) -> None:
        """Let a newcomer in, have it wait, or tell it why not."""
        if not self.full(protocol):
            self._enter(link, protocol)
        elif self._crowded or not any(map(has_left, self._inside(protocol))):
            self._turn_away(link, protocol)
        else:
            newcomer = _Newcomer(link, protocol, self._moved())
            newcomer.timer = self._loop.call_later(WAIT_LIMIT, self._give_up, newcomer)
            self._waiting.append(newcomer)

    def somebody_left(self) -> None:
        """Let those in who wait, as far as there is room now."""
        for newcomer in tuple(self._waiting):
            if not self.full(newcomer.protocol):
                self._waiting.remove(newcomer)
                newcomer.stop()
                self._enter(newcomer.link, newcomer.protocol)

    def close(self) -> None:
        """Close those who wait and those who are still being told why."""
        for newcomer in self._waiting:
            newcomer.stop()
            newcomer.link.abort()
        self._waiting.clear()
        for link in self._leaving:
            link.abort()
        self._leaving.clear()

    def _inside(self, protocol: str) -> list[Session]:
        return [peer for peer in self._peers() if peer.protocol == protocol]

    @property
    def _crowded(self) -> bool:
        self._leaving = [link for link in self._leaving if not link.closed]
        return len(self._leaving) + len(self._waiting) >= NEWCOMERS

    def _give_up(self, newcomer: _Newcomer) -> None:
        left = [peer for peer in self._inside(newcomer.protocol) if has_left(peer)]
        if left and self._moved() == newcomer.moved:
            left[0].abort("it has left, and the port does not take what it sent last")
            return  # its end has let the newcomer in
        self._waiting.remove(newcomer)
        self._turn_away(newcomer.link, newcomer.protocol)

    def _turn_away(self, link: StreamLink, protocol: str) -> None:
        self.turned_away += 1
        if self._crowded:
            link.abort()
            return
        refusal = self._refusal(protocol)
        self._log.info('turned away peer=%s told="%s"', link.name, refusal)
        self._leaving.append(link)
        link.finish(refusal.encode() + b"\r\n")

    def _refusal(self, protocol: str) -> str:
        oldest = self._inside(protocol)[0]
        age = self._loop.time() - oldest.connected_at
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time.time() - age))
        if protocol == "raw" and self.limit > 1:
            return (
                f"portline: {self.name} is full ({self.limit} connections, "
                f"the oldest from {oldest.name} since {since}); try again later"
            )
        return f"portline: {self.name} is in use by {oldest.name} since {since}; try again later"


def has_left(peer: Session) -> bool:
    """Tell whether a peer has closed its end already."""
    return tcp.has_left(peer.link.socket)


class _Newcomer:
    """A connection that waits for room."""

    __slots__ = ("link", "moved", "protocol", "timer")

    def __init__(self, link: StreamLink, protocol: str, moved: int) -> None:
        self.link = link
        self.moved = moved  # what the device had taken when it came
        self.protocol = protocol
        self.timer: asyncio.TimerHandle | None = None

    def stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
