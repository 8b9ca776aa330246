"""What a session calls back: the connection that it belongs to, seen from its peer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from portline.line import Report, Request
    from portline.service.peer.session import Session

__all__ = ["SessionOwner"]


class SessionOwner(Protocol):
    """Who a session calls back, from the event loop.

    ``peer_data`` and ``peer_behind`` are on the way of every chunk.
    """

    def peer_data(self, session: Session, data: bytes) -> None:
        """Take what the peer wants to send to the port."""

    def peer_request(self, session: Session, request: Request) -> None:
        """Carry out a request and call ``session.answered`` once."""

    def peer_report(self, session: Session, report: Report) -> None:
        """Take what an access server at the other end tells."""

    def peer_serves(self, session: Session) -> None:
        """Note that the peer turns out to be an access server, which can be asked."""

    def peer_does_not_serve(self, session: Session) -> None:
        """Note that a peer which should be an access server is none."""

    def peer_offers_more(self, session: Session) -> None:
        """Note that a raw peer would speak RFC 2217."""

    def peer_settled(self, session: Session) -> None:
        """Note that a peer which might have refused us has not."""

    def peer_watches(self) -> None:
        """Note that what the peers want to be told of has changed."""

    def peer_behind(self, session: Session) -> None:
        """Note that the outbox is full, at each chunk that goes beyond."""

    def peer_caught_up(self, session: Session) -> None:
        """Note that the outbox is empty again."""

    def peer_finished(self, session: Session) -> None:
        """Note that the peer will send nothing more."""

    def peer_gone(self, session: Session, reason: str) -> None:
        """Note that the link is closed."""
