"""The sessions of operators, who have no port at their end."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from portline.line import Report
    from portline.service.peer.session import Session

__all__ = ["Portless"]


class Portless:
    """What an owner of operators' sessions is told and has nothing to do for.

    The rest of :class:`portline.service.peer.owner.SessionOwner` is for whoever has the port.
    """

    def peer_report(self, session: Session, report: Report) -> None:
        """Take nothing: an operator has no port."""

    def peer_serves(self, session: Session) -> None:
        """Take nothing: an operator has no port."""

    def peer_does_not_serve(self, session: Session) -> None:
        """Take nothing: nobody has asked for that."""

    def peer_offers_more(self, session: Session) -> None:
        """Take nothing: an operator speaks RFC 2217."""

    def peer_settled(self, session: Session) -> None:
        """Take nothing: an operator is not doubted."""

    def peer_finished(self, session: Session) -> None:
        """End with an operator who has left."""
        session.close("the terminal was closed")
