"""Peers that have gone: what they got, and what was lost with them, once both are known."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging

    from portline.net.link import Link
    from portline.service.peer.linger import Lingering
    from portline.service.peer.session import Session

__all__ = ["Departures"]


class Departures:
    """The peers of one connection that are no longer in, and their books."""

    def __init__(self, lingering: Lingering, log: logging.LoggerAdapter[logging.Logger]) -> None:
        self.dropped = 0
        """Bytes given up for peers that have gone since; see ``PeerStatus.dropped``."""
        self._lingering = lingering
        self._log = log
        self._ending: set[Session] = set()

    @property
    def links(self) -> list[Link]:
        """The links that still send what waits."""
        return [session.link for session in self._ending]

    def note(self, session: Session, reason: str) -> None:
        """Note that a peer has gone; its link may still be sending."""
        self._lingering.leave(session)
        self._ending.add(session)
        session.link.when_closed(partial(self._account, session, reason))

    def _account(self, session: Session, reason: str) -> None:
        self._ending.discard(session)
        dropped = self._lingering.given_up(session)
        self.dropped += dropped
        self._log.info(
            'peer gone peer=%s received=%d sent=%d dropped=%d reason="%s"',
            session.name,
            session.link.received,
            session.link.sent,
            dropped,
            reason,
        )
