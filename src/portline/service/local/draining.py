"""Lets a program that drains its virtual port wait until the peers have what it wrote.

Theory of operation
-------------------
Waits are gathered into rounds: who comes while one is under way takes part in the next, since what
is asked and answered now may be older than what it wrote.  In a round

1. packets that time completes are waited for; a block that waits for more data is not, because it
   would wait for the very program that waits here;
2. there is one :class:`portline.hub.drain.Drain` for each peer that hears the port.

What was kept because nobody is connected has been taken, as a line without a cable takes it.
So has what a peer did not get that went during the wait: it is kept for the next, or dropped as the
configuration says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from portline.hub.drain import HAND_LOOK, STALL_LIMIT, Ask, Drain, Way

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

    from portline.line import Told
    from portline.service.peer.session import Session

__all__ = ["Draining"]


class Draining:
    """The waits of one connection.

    ``peers`` returns who hears the port, ``gathering`` whether a packet is to be sent in a while,
    ``character_time`` the seconds of a character on the line.
    """

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        peers: Callable[[], Iterable[Session]],
        gathering: Callable[[], bool],
        character_time: Callable[[], float],
    ) -> None:
        self._loop = loop
        self._peers = peers
        self._gathering = gathering
        self._character_time = character_time
        self._round: list[Callable[[], None]] = []
        self._next: list[Callable[[], None]] = []
        self._gathered_by: float | None = None
        self._drains: dict[Session, Drain] = {}
        self._timer: asyncio.Handle | None = None

    def wait(self, done: Callable[[], None]) -> None:
        """Call ``done`` once everything that the port has brought so far has left; maybe at once.

        It is called for certain, unless ``stop`` comes first.
        """
        self._next.append(done)
        if not self._round:
            self._begin()

    def told(self, session: Session, report: Told) -> None:
        """Note what an access server answered."""
        drain = self._drains.get(session)
        if drain is not None:
            drain.told(report, self._loop.time())
            # Not now: what is asked in the middle of a turn of the session is not handed over yet.
            self._wake(self._loop.call_soon(self._look))

    def stop(self) -> None:
        """Forget everybody who waits."""
        self._wake(None)
        self._round, self._next, self._drains = [], [], {}

    def _begin(self) -> None:
        self._round, self._next = self._next, []
        self._gathered_by = self._loop.time() + STALL_LIMIT
        self._look()

    def _wake(self, timer: asyncio.Handle | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = timer

    def _look(self) -> None:
        now = self._loop.time()
        wait = self._gather(now)
        if wait is None:
            for session in tuple(self._drains):
                step = None if session.closed else self._step(session, now)
                if step is None:
                    del self._drains[session]
                else:
                    wait = step if wait is None else min(wait, step)
        if wait is not None:
            self._wake(self._loop.call_later(wait, self._look))
            return
        self._wake(None)
        done, self._round = self._round, []
        for call in done:
            call()
        if self._next and not self._round:
            self._begin()

    def _gather(self, now: float) -> float | None:
        """Return how long to wait for packets; begin with the peers when that is over."""
        if self._gathered_by is None:
            return None
        if self._gathering() and now < self._gathered_by:
            return HAND_LOOK
        self._gathered_by = None
        time = self._character_time()
        self._drains = {
            session: Drain(session.remote.transmitter, time, now) for session in self._peers()
        }
        return None

    def _step(self, session: Session, now: float) -> float | None:
        """Go on with one peer; return the seconds until the next look, None when it is over."""
        drain = self._drains[session]
        step = drain.look(_way(session), now)
        while isinstance(step, Ask):
            for query in step.queries:
                session.ask(query, patience=step.patience)
            drain.asked(session.handed)
            step = drain.look(_way(session), now)
        return step


def _way(session: Session) -> Way:
    return Way(
        waiting=session.outbox.size + session.link.unsent,
        handed=session.handed,
        acked=session.link.acked,
        asking=session.wire.asking,
    )
