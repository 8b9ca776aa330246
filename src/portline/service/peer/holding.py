"""What waits until a peer that was called turns out to be an access server, or to be none.

To agree is not enough: ser2net does so before it says in plain text that the port is in use.  So
data waits in both directions until the peer serves, has been asked for the settings that the data
is for and has told something of its port; until it says that it is none; until it has said more
than a refusal; or until HOLD_LIMIT is over.
"""

from __future__ import annotations

from typing import Final

from portline.service.peer.refusal import asks_login

__all__ = ["EARLY_LIMIT", "HOLD_LIMIT", "Holding"]

HOLD_LIMIT: Final = 3.0
"""Seconds that data waits for a peer to turn out to be an access server; as in pyserial."""

EARLY_LIMIT: Final = 4 * 1024
"""Bytes that a peer may say before it turns out to be an access server or none; more is data."""


class Holding:
    """The data of one peer that waits, from ``since`` on (monotonic seconds)."""

    def __init__(self, since: float) -> None:
        self.early = b""
        """What the peer has said beside the protocol."""
        self.told = False
        """Whether it has told something of its port."""
        self._since = since

    def settled(self, *, serves: bool, refuses: bool) -> bool:
        """Tell whether it is known by now what the peer is."""
        return refuses or (serves and self.told) or len(self.early) > EARLY_LIMIT

    def overdue(self, now: float) -> bool:
        """Tell whether nobody waits for that any longer."""
        return now - self._since >= HOLD_LIMIT

    @property
    def asks_login(self) -> bool:
        """Tell whether the peer asks for a password."""
        return asks_login(self.early)
