"""Sends peers away who have died, are silent for too long, or wait in vain for the device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from portline.service.peer.session import Session

__all__ = ["ABSENCE_LIMIT", "PERIOD", "Sweep"]

PERIOD: Final = 1.0
"""Seconds between looks, or less where a peer's time is over earlier."""

ABSENCE_LIMIT: Final = 30.0
"""Seconds that a peer stays connected while the device is away: longer than unplugging, plugging
and booting a USB adapter takes, and short enough for an application to notice a loss."""


class Sweep:
    """Looks at the peers of one connection while there are any.

    ``silence`` is the time after which a peer that owes an answer is dead, ``inactivity`` the time
    without data after which it is disconnected, both in seconds, 0 for never.  ``absent_since``
    returns since when the device is away, None while it is there; ``lasting`` peers stay however
    long that is.
    """

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        peers: Callable[[], Sequence[Session]],
        absent_since: Callable[[], float | None],
        silence: float,
        inactivity: float,
        lasting: bool = False,
    ) -> None:
        self._loop = loop
        self._peers = peers
        self._absent_since = absent_since
        self.silence = silence
        self.inactivity = inactivity
        self._lasting = lasting
        self._timer: asyncio.TimerHandle | None = None
        self._stuck: dict[Session, tuple[int, float]] = {}
        """Where the data to a peer has stopped, and since when."""

    def schedule(self) -> None:
        """Look again in time, if there is anybody."""
        peers = self._peers()
        if self._timer is not None or not peers:
            return
        wait = PERIOD
        if self.inactivity:
            first = min(session.active_at for session in peers) + self.inactivity
            wait = min(wait, max(0.0, first - self._loop.time()))
        self._timer = self._loop.call_later(wait, self._look)

    def stop(self) -> None:
        """Do nothing more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        now = self._loop.time()
        absent = self._absent_since()
        self._look_who_is_stuck(now)
        for session in self._peers():
            session.tick(now)
            if self._is_dead(session, now):
                session.abort("the peer does not answer any more")
            elif self.inactivity and now - session.active_at >= self.inactivity:
                session.close(f"no activity for {self.inactivity:g} s")
            elif self._waits_in_vain(session, absent, now):
                session.close(f"the port is absent for {ABSENCE_LIMIT:g} s")
        self.schedule()

    def _look_who_is_stuck(self, now: float) -> None:
        before, self._stuck = self._stuck, {}
        for session in self._peers():
            place = session.link.stuck_at()
            if place is not None:
                known, since = before.get(session, (None, now))
                self._stuck[session] = (place, since if known == place else now)

    def _is_dead(self, session: Session, now: float) -> bool:
        if session.link.dead(self.silence):
            return True
        stuck = self._stuck.get(session)
        return stuck is not None and 0 < self.silence <= now - stuck[1]

    def _waits_in_vain(self, session: Session, absent: float | None, now: float) -> bool:
        if absent is None or self._lasting:
            return False
        return now - max(absent, session.connected_at) >= ABSENCE_LIMIT
