"""What waits until a peer that was called turns out to be an access server, or to be none.

To agree is not enough: ser2net does so before it says in plain text that the port is in use.  So
data waits in both directions until the peer serves, has been asked for the settings that the data
is for and has told something of its port; until it says that it is none; until it has said more
than a refusal; or until HOLD_LIMIT is over.
"""

from __future__ import annotations

from typing import Final

__all__ = ["EARLY_LIMIT", "HOLD_LIMIT", "Holding", "refusal_of"]

HOLD_LIMIT: Final = 3.0
"""Seconds that data waits for a peer to turn out to be an access server; as in pyserial."""

EARLY_LIMIT: Final = 4 * 1024
"""Bytes that a peer may say before it turns out to be an access server or none; more is data."""

REFUSAL_SHOWN: Final = 200
"""Characters that are shown of what a peer said instead of serving."""


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
    def refusal(self) -> str:
        """What the peer said that does not serve, for people; "" if it said nothing."""
        return refusal_of(self.early)


def refusal_of(early: bytes) -> str:
    """Return what a peer said instead of serving as a reason for people; "" if it said nothing.

    A server that has no place says so in plain text and closes the connection.  No device said
    that, so no application must read it.
    """
    text = early.decode("utf-8", "replace").strip()[:REFUSAL_SHOWN]
    shown = "".join(each if each.isprintable() else "?" for each in text)
    return shown and f'the peer does not serve us: "{shown}"'
