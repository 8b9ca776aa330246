"""Who is let in, and what those who are not are told.

Theory of operation
-------------------
A program that closes its connection and opens a new one at once expects to be let in, but its old
connection may still be on its way out: what it sent last is not read yet, or its end has not been
noticed in this turn of the loop.  So a newcomer who finds the place taken by somebody who has
already left waits for a moment::

    newcomer --room--> in
       |
       +--full, somebody has left--> waiting --room--> in
       |                                |
       |                                +--WAIT_LIMIT over--+
       |                                                    |
       +--full, nobody is leaving---------------------------+--somebody gives way--> in
                                                            |
                                                            +--nobody does--> told why, out

When the time is over and the device has taken nothing meanwhile, the newcomer is let in, in the
place of who has left, and what that one has still to say is not read any more: the newcomer may be
the one who is to free the device.

Who gives way to a newcomer is the rule ``when_full`` (:func:`portline.hub.policy.give_way`); those
who have left already are asked first.  Who is replaced gets what waits for it and then a FIN, but
no word: in its stream a word would pass for the device's.  What it had sent and Portline had read
goes to the port.  The newcomer stands at the head of those who wait when that happens, so its place
is taken by nobody else.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Final, TypeAlias

from portline.hub.policy import Occupant, WhenFull, give_way
from portline.net.address import host_of
from portline.service.peer.refusal import full, in_use

if TYPE_CHECKING:
    import asyncio
    import logging
    from collections.abc import Callable, Sequence

    from portline.net.link import Link
    from portline.service.peer.session import Session

    Enter: TypeAlias = Callable[[Link, str], object]

__all__ = ["FIGHT", "FIGHT_SPAN", "NEWCOMERS", "WAIT_LIMIT", "Door"]

NEWCOMERS: Final = 64
"""Newcomers that wait or are told why at the same time; more of them are closed without a word, so
that a flood costs nothing."""

WAIT_LIMIT: Final = 1.0
"""Seconds that a newcomer waits for somebody who is leaving: what is on its way to the port then
is written at any usual rate, and a program that is refused has not given up yet."""

FIGHT: Final = 10
"""Replacements within FIGHT_SPAN after which newcomers are refused for a while.  Two programs that
connect again whenever they are replaced would otherwise throw each other out as fast as the network
allows; people and programs that were restarted do not come so often."""

FIGHT_SPAN: Final = 10.0
"""Seconds; so a place that is fought for changes hands once a second on average."""


class Door:
    """The limit on simultaneous connections of one connection.

    Raw peers are limited to ``limit``; with RFC 2217 there is always one controlling peer.
    ``when_full`` and ``idle_after`` (seconds) say who gives way to one too many.
    ``peers`` returns those who are in, in their order; ``moved`` how many bytes the device has
    taken; ``enter`` is called for who may come in.
    """

    def __init__(
        self,
        name: str,
        limit: int,
        *,
        when_full: WhenFull = WhenFull.REFUSE,
        idle_after: float = 0.0,
        loop: asyncio.AbstractEventLoop,
        peers: Callable[[], Sequence[Session]],
        moved: Callable[[], int],
        log: logging.LoggerAdapter[logging.Logger],
        enter: Enter,
    ) -> None:
        self.turned_away = 0
        """Connections that were not let in, since the start."""
        self.replaced = 0
        """Peers that gave way to a newcomer, since the start."""
        self.name = name
        self.limit = limit
        self.when_full = when_full
        self.idle_after = idle_after
        self._loop = loop
        self._peers = peers
        self._moved = moved
        self._log = log
        self._enter = enter
        self._waiting: deque[_Newcomer] = deque()
        self._leaving: list[Link] = []
        self._replacements: deque[float] = deque(maxlen=FIGHT)

    def full(self, protocol: str) -> bool:
        """Tell whether another peer of this protocol would be one too many."""
        return len(self._inside(protocol)) >= (self.limit if protocol == "raw" else 1)

    def knock(self, link: Link, protocol: str) -> None:
        """Let a newcomer in, have it wait, or tell it why not."""
        if not self.full(protocol):
            self._enter(link, protocol)
            return
        newcomer = _Newcomer(link, protocol, self._moved())
        if not self._crowded and any(map(has_left, self._inside(protocol))):
            newcomer.timer = self._loop.call_later(WAIT_LIMIT, self._give_up, newcomer)
            self._waiting.append(newcomer)
        elif not self._replace(newcomer):
            self._turn_away(link, protocol)

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
        if not self._replace(newcomer):
            self._turn_away(newcomer.link, newcomer.protocol)

    def _replace(self, newcomer: _Newcomer) -> bool:
        """Let the newcomer in, in the place of who gives way; False if nobody does."""
        self._waiting.appendleft(newcomer)
        # Once, as a rule; more often when the limit was lowered while more were inside.
        for _ in self._inside(newcomer.protocol):
            inside = self._inside(newcomer.protocol)
            left = [peer for peer in inside if has_left(peer)]
            peer = self._gives_way(left, newcomer) or self._gives_way(inside, newcomer)
            if peer is None or self._fought_for:
                break
            self.replaced += 1
            self._replacements.append(self._loop.time())
            peer.close(f"replaced by {newcomer.link.name} (when-full = {self.when_full.value})")
            if newcomer not in self._waiting:
                return True  # its end has let the newcomer in
        self._waiting.remove(newcomer)
        return False

    @property
    def _fought_for(self) -> bool:
        times = self._replacements
        return len(times) == FIGHT and self._loop.time() - times[0] < FIGHT_SPAN

    def _gives_way(self, peers: Sequence[Session], newcomer: _Newcomer) -> Session | None:
        place = give_way(
            self.when_full,
            [Occupant(host_of(peer.name), peer.connected_at, peer.active_at) for peer in peers],
            host_of(newcomer.link.name),
            idle_after=self.idle_after,
            now=self._loop.time(),
        )
        return None if place is None else peers[place]

    def _turn_away(self, link: Link, protocol: str) -> None:
        self.turned_away += 1
        if self._crowded:
            link.abort()
            return
        refusal = self._refusal(link, protocol)
        self._log.info('turned away peer=%s told="%s"', link.name, refusal)
        self._leaving.append(link)
        link.finish(refusal.encode() + b"\r\n")

    def _refusal(self, link: Link, protocol: str) -> str:
        inside = self._inside(protocol)
        oldest = inside[0]
        age = self._loop.time() - oldest.connected_at
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time.time() - age))
        why = self._why_nobody(host_of(link.name), inside)
        if protocol == "raw" and self.limit > 1:
            return full(self.name, self.limit, oldest.name, since, why)
        return in_use(self.name, oldest.name, since, why)

    def _why_nobody(self, host: str, inside: Sequence[Session]) -> str:
        """Tell why nobody gives way, where that is not plain."""
        same = any(host_of(peer.name) == host for peer in inside)
        match self.when_full:
            case WhenFull.REFUSE:
                return ""
            case _ if self._fought_for:
                return f", and {FIGHT} peers were replaced within {FIGHT_SPAN:g} s"
            case WhenFull.REPLACE_IDLE:
                return f", and nobody has been idle for {self.idle_after:g} s"
            case WhenFull.REPLACE_SAME_ADDRESS if not same:
                return f", and nobody has your address {host}"
            case _:
                return ""


def has_left(peer: Session) -> bool:
    """Tell whether a peer has closed its end already."""
    return peer.link.has_left()


class _Newcomer:
    """A connection that waits for room."""

    __slots__ = ("link", "moved", "protocol", "timer")

    def __init__(self, link: Link, protocol: str, moved: int) -> None:
        self.link = link
        self.moved = moved  # what the device had taken when it came
        self.protocol = protocol
        self.timer: asyncio.TimerHandle | None = None

    def stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
