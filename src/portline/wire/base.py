"""What every protocol towards a peer offers, and the simplest of them.

Theory of operation
-------------------
A wire is a sans-I/O translator between the bytes of one network connection and the vocabulary of
:mod:`portline.line`.  Whoever owns it (``service/peer/session.py``)

1. passes what the network brought to :meth:`Wire.feed`, carries the events out in their order, and
   then sends what :meth:`Wire.outgoing` returns;
2. carries each request out exactly once and in order, and passes the state that is in force
   afterwards to :meth:`Wire.answer`, sending what that returns;
3. sends what :meth:`Wire.encode` makes of the port's data, and :meth:`Wire.report` of its news;
4. calls :meth:`Wire.tick` within a second after :meth:`Wire.deadline`, and then sends what
   :meth:`Wire.outgoing` returns.

Bytes returned are to be sent in the order in which they were returned.  A wire never raises on
what a peer sends: whatever arrives, it goes on, and counts what it could not use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from portline.line import Event, PortState, Report, Request

__all__ = ["RawWire", "Wire"]


class Wire(Protocol):
    """One peer's protocol.  ``now`` is a monotonic time in seconds, always passed in."""

    transparent: bool
    """True when bytes are passed as they are in both directions and nothing else is ever said; the
    owner may then leave :meth:`feed`, :meth:`encode` and :meth:`outgoing` out."""

    malformed: int
    """How many commands of the peer could not be used and were left out (status)."""

    @property
    def peer_signature(self) -> str:
        """Who the peer says it is; "" if it did not."""
        ...

    @property
    def unanswered(self) -> int:
        """How many of our requests the peer left without an answer."""
        ...

    @property
    def asking(self) -> bool:
        """Tell whether the peer is known to be an access server; only then it can be asked."""
        ...

    @property
    def refuses(self) -> bool:
        """Tell whether the peer has said that it is no access server."""
        ...

    def start(self, now: float) -> bytes:
        """Return what is to be sent first; call once, before anything else."""
        ...

    def feed(self, data: bytes, now: float) -> Sequence[Event]:
        """Take bytes from the network and return what they say.

        The events are the same for any division of the same bytes into chunks, except that data
        may be divided differently.  Data comes out as non-empty ``bytes``.
        """
        ...

    def outgoing(self) -> bytes:
        """Return what the wire itself wants to say after a feed or tick; b"" mostly."""
        ...

    def encode(self, data: bytes) -> bytes:
        """Return data of the port as it goes to the network."""
        ...

    def data_size(self, encoded: bytes) -> int:
        """Return how many bytes of data what :meth:`encode` has returned stands for."""
        ...

    def decoded(self, sent: bytes, skip: int) -> bytes:
        """Return the data in what was said here, without that in its first ``skip`` bytes.

        ``sent`` begins where a word or a piece of data began.
        """
        ...

    def answer(self, request: Request, state: PortState) -> bytes:
        """Return the answer to a request of :meth:`feed`, given what is in force now.

        b"" where the protocol has no answer.
        """
        ...

    def report(self, report: Report, now: float) -> bytes:
        """Return the report as the peer wants to hear it; b"" if it does not, or cannot."""
        ...

    def ask(self, request: Request, now: float) -> bytes:
        """Return a request to the peer as the owner of the remote port; b"" if it owns none.

        Its answer comes from :meth:`feed` as :class:`portline.line.Told`.
        """
        ...

    def set_masks(self, modem: int, line: int, now: float) -> bytes:
        """Return what tells an access server which changes to notify; b"" if it is none.

        ``modem`` and ``line`` are RFC 2217's bits of modem state and line state.
        """
        ...

    def deadline(self) -> float | None:
        """Return the time at which :meth:`tick` wants to be called, None for never."""
        ...

    def tick(self, now: float) -> Sequence[Event]:
        """Let time pass; return what follows from it."""
        ...


class RawWire:
    """Bytes as they are: nothing added, nothing understood."""

    transparent = True
    asking = False
    refuses = True
    malformed = 0
    peer_signature = ""
    unanswered = 0

    def start(self, now: float) -> bytes:
        """Send nothing first."""
        return b""

    def feed(self, data: bytes, now: float) -> Sequence[Event]:
        """Return the data as it came."""
        return (data,) if data else ()

    def outgoing(self) -> bytes:
        """Say nothing."""
        return b""

    def encode(self, data: bytes) -> bytes:
        """Return the data as it is."""
        return data

    def data_size(self, encoded: bytes) -> int:
        """Return its length."""
        return len(encoded)

    def decoded(self, sent: bytes, skip: int) -> bytes:
        """Return the data as it is."""
        return sent[skip:]

    def answer(self, request: Request, state: PortState) -> bytes:
        """Say nothing: a raw peer never asks."""
        return b""

    def report(self, report: Report, now: float) -> bytes:
        """Say nothing: a raw peer has no words for it."""
        return b""

    def ask(self, request: Request, now: float) -> bytes:
        """Say nothing: a raw peer has no words for it."""
        return b""

    def set_masks(self, modem: int, line: int, now: float) -> bytes:
        """Say nothing: a raw peer has no words for it."""
        return b""

    def deadline(self) -> float | None:
        """Want nothing."""
        return None

    def tick(self, now: float) -> Sequence[Event]:
        """Do nothing."""
        return ()
