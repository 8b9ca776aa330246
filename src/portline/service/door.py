"""Who is let in, and what those who are not are told."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from portline.net.stream import StreamLink
    from portline.service.session import Session

__all__ = ["FAREWELLS", "Door"]

FAREWELLS: Final = 64
"""Refused connections that are told why at the same time; more of them are closed without a word,
so that a flood costs nothing."""


class Door:
    """The limit on simultaneous connections of one connection.

    Raw peers are limited to ``limit``; with RFC 2217 there is always one controlling peer.
    """

    def __init__(self, name: str, limit: int) -> None:
        self.turned_away = 0
        """Connections that were not let in, since the start."""
        self._name = name
        self._limit = limit
        self._leaving: list[StreamLink] = []

    def full(self, protocol: str, peers: Sequence[Session]) -> bool:
        """Tell whether another peer of this protocol would be one too many."""
        limit = self._limit if protocol == "raw" else 1
        return sum(peer.protocol == protocol for peer in peers) >= limit

    def refusal(self, protocol: str, peers: Sequence[Session]) -> str:
        """Return what to tell a newcomer who cannot be let in; empty if it can."""
        if not self.full(protocol, peers):
            return ""
        oldest = next(peer for peer in peers if peer.protocol == protocol)
        age = time.monotonic() - oldest.connected_at
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time.time() - age))
        if protocol == "raw" and self._limit > 1:
            return (
                f"portline: {self._name} is full ({self._limit} connections, "
                f"the oldest from {oldest.name} since {since}); try again later"
            )
        return f"portline: {self._name} is in use by {oldest.name} since {since}; try again later"

    def turn_away(self, link: StreamLink, refusal: str) -> None:
        """Tell a newcomer why, and close."""
        self.turned_away += 1
        self._leaving = [other for other in self._leaving if not other.closed]
        if len(self._leaving) >= FAREWELLS:
            link.abort()
            return
        self._leaving.append(link)
        link.finish(refusal.encode() + b"\r\n")

    def close(self) -> None:
        """Close those who are still being told."""
        for link in self._leaving:
            link.abort()
        self._leaving.clear()
