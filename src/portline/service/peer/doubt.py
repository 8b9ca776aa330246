"""The time in which a peer that was called may still say that it is full, instead of serving.

Nothing waits for that but a text that begins like a refusal, see
:mod:`portline.service.peer.refusal`.
"""

from __future__ import annotations

from typing import Final

from portline.service.peer.refusal import asks_login, is_refusal, may_become_refusal

__all__ = ["DOUBT", "Doubt"]

DOUBT: Final = 2.0
"""Seconds after a connection was made in which the server may still say that it is full: one lets
newcomers wait a second for somebody who is leaving, and the rest is for the way."""


class Doubt:
    """What one peer has said that may be a refusal, from ``since`` on (monotonic seconds)."""

    def __init__(self, since: float) -> None:
        self.early = b""
        """All that the peer has said."""
        self._since = since

    def hear(self, data: bytes) -> bool:
        """Take what the peer says; tells whether that is known to be none, so that it is data."""
        self.early += data
        return not self.asks_login and not may_become_refusal(self.early)

    @property
    def asks_login(self) -> bool:
        """Tell whether the peer asks for a password."""
        return asks_login(self.early)

    @property
    def is_data(self) -> bool:
        """Tell whether what it has said is data, now that nothing more comes."""
        return bool(self.early) and not (self.asks_login or is_refusal(self.early))

    def overdue(self, now: float) -> bool:
        """Tell whether the time is over."""
        return now - self._since >= DOUBT
