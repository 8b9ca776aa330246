"""Datagrams that only the other end of a login can have made.

Theory of operation
-------------------
A login over datagrams ends with a session key (:mod:`portline.auth.exchange`).  HKDF (RFC 5869)
makes a key for each direction of it, and a name for the session; then each datagram is::

    "PLU1"  session (8)  number (8)  data  tag (16)

The number is counted from 1, most significant byte first.  The tag is HMAC-SHA-256-128 (RFC 4868)
of all before it.  A number that was there before, or lies too far behind the highest, is refused as
RFC 4303, section 3.4.3, says.  The data can be read by everybody on the way: there is no standard
means to encrypt it with (DTLS) in Python.
"""

from __future__ import annotations

import hmac
from typing import Final

__all__ = ["MAGIC", "OVERHEAD", "WINDOW", "Seal", "session_of"]

MAGIC: Final = b"PLU1"

OVERHEAD: Final = 4 + 8 + 8 + 16
"""Bytes of a datagram beside its data."""

WINDOW: Final = 1024
"""How far a datagram may be overtaken by others and still count."""

_TAG: Final = 16
_HEAD: Final = OVERHEAD - _TAG


def _derived(key: bytes, info: str) -> bytes:
    """Return 32 bytes by HKDF-SHA-256 without salt; one block of T is enough for them."""
    extracted = hmac.digest(bytes(32), key, "sha256")
    return hmac.digest(extracted, info.encode() + b"\x01", "sha256")


def session_of(datagram: bytes) -> bytes | None:
    """Return the name of the session that a datagram claims; None for what has no such form."""
    if len(datagram) < OVERHEAD or not datagram.startswith(MAGIC):
        return None
    return datagram[4:12]


class Seal:
    """One end of a session; ``initiator`` is who has begun the login."""

    def __init__(self, key: bytes, *, initiator: bool) -> None:
        ours, theirs = (
            _derived(key, "portline udp 1 initiator"),
            _derived(key, "portline udp 1 responder"),
        )
        self._ours, self._theirs = (ours, theirs) if initiator else (theirs, ours)
        self.session = _derived(key, "portline udp 1 session")[:8]
        """The name of the session; it is no secret."""
        self.replayed = 0
        """Datagrams that were there before, or were overtaken by too many."""
        self.forged = 0
        """Datagrams whose tag was wrong."""
        self._sent = 0
        self._highest = 0
        self._seen = 0  # bit n: the number ``highest - n`` was there

    def __repr__(self) -> str:
        return f"Seal(session={self.session.hex()})"

    def close(self, data: bytes) -> bytes:
        """Return the datagram that carries ``data``; each time another one."""
        self._sent += 1
        head = MAGIC + self.session + self._sent.to_bytes(8, "big") + data
        return head + hmac.digest(self._ours, head, "sha256")[:_TAG]

    def open(self, datagram: bytes) -> bytes | None:
        """Return the data of a datagram; None, and counted, if the other end has not sent it now.

        Only for a datagram of this session.
        """
        head, tag = datagram[:-_TAG], datagram[-_TAG:]
        right = hmac.digest(self._theirs, head, "sha256")[:_TAG]
        if session_of(datagram) != self.session or not hmac.compare_digest(tag, right):
            self.forged += 1
            return None
        if not self._is_new(int.from_bytes(head[12:20], "big")):
            self.replayed += 1
            return None
        return head[_HEAD:]

    def _is_new(self, number: int) -> bool:
        behind = self._highest - number
        if behind >= WINDOW or (behind >= 0 and self._seen >> behind & 1) or not number:
            return False
        if behind >= 0:
            self._seen |= 1 << behind
        else:
            self._seen = (self._seen << min(-behind, WINDOW) | 1) & ((1 << WINDOW) - 1)
            self._highest = number
        return True
