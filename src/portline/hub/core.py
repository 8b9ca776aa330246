"""The hub: fan-in and fan-out between one port and its peers.

Theory of operation
-------------------
The hub knows its peers only as hashable tokens in the order in which they connected.  It does not
move bytes: it tells whoever does (``service/connection.py``) where each chunk goes, and keeps the
books.

*Hearing.*  :meth:`Hub.hear` names the peers that get a chunk of the port.  While nobody is
connected the chunk is kept (:mod:`portline.hub.keep`), and goes to the first who may hear it.

*Speaking.*  :meth:`Hub.speak` tells whether what a peer sent goes to the port, and notes that the
peer was active.

*Pace.*  The port is read as fast as the fastest listener takes it, never slower for the sake of a
peer that has stopped::

    keeping up --fell_behind--> waited for --PATIENCE over--> left behind
         ^                          |                             |
         +-------caught_up----------+-----------------------------+

A peer whose outbox is full is waited for - the port is *held* - but for PATIENCE seconds at the
most, and not again before it has caught up; so hiccups cost nothing and a peer that has stopped
costs the others one such pause.  Then it is left behind: its own oldest data is dropped, or it is
disconnected (:class:`portline.hub.policy.Overflow`).  While everybody who hears is behind, the
port is held: there is nobody to go on for, and back-pressure to the device loses less than
dropping would.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

from portline.hub.keep import Keep
from portline.hub.policy import BufferOverflow, Selection, select

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["PATIENCE", "Hub"]

P = TypeVar("P", bound="Hashable")

PATIENCE: Final = 0.05
"""Seconds that the others wait for a peer whose outbox is full.  A busy reader drains 256 KiB and
the kernel's buffers in some milliseconds; 0.05 s is also far below the 0.35 s in which a UART fills
the kernel's 4 KiB at 115200 baud, so holding a device without flow control this long loses
nothing."""


class Hub(Generic[P]):
    """The peers of one port.  ``now`` is a monotonic time in seconds."""

    def __init__(
        self,
        *,
        receive_from: Selection = Selection.ALL,
        send_to: Selection = Selection.ALL,
        buffer_size: int = 0,
        buffer_overflow: BufferOverflow = BufferOverflow.DROP_NEWEST,
    ) -> None:
        self.receive_from = receive_from
        self.send_to = send_to
        self.keep = Keep(buffer_size, buffer_overflow)
        self.peers: tuple[P, ...] = ()
        """All peers, in the order in which they connected."""
        self.listeners: tuple[P, ...] = ()
        """Those who hear the port at this moment."""
        self.heard = 0
        """Bytes that came from the port, since the start."""
        self.unheard = 0
        """Bytes for which nobody was chosen although somebody was connected."""
        self.spoken = 0
        """Bytes that went from peers to the port."""
        self.unspoken = 0
        """Bytes from peers that were not chosen to speak."""
        self._activity: list[P] = []
        self._speakers: frozenset[P] = frozenset()
        self._waited: dict[P, float] = {}
        self._left: set[P] = set()
        self._deaf: set[P] = set()

    def choose(self, *, receive_from: Selection, send_to: Selection) -> None:
        """Apply other policies to who is connected, from the next chunk on."""
        self.receive_from = receive_from
        self.send_to = send_to
        self._choose()

    # --- membership -----------------------------------------------------------------------------

    def join(self, peer: P, *, hears: bool = True) -> None:
        """Add a peer at the end of the order; one that cannot hear is never chosen to."""
        self.peers = (*self.peers, peer)
        if not hears:
            self._deaf.add(peer)
        self._choose()

    def leave(self, peer: P) -> None:
        """Remove a peer; unknown ones are ignored."""
        self.peers = tuple(p for p in self.peers if p != peer)
        if peer in self._activity:
            self._activity.remove(peer)
        self._waited.pop(peer, None)
        self._left.discard(peer)
        self._deaf.discard(peer)
        self._choose()

    def _choose(self) -> None:
        hearing = [peer for peer in self.peers if peer not in self._deaf]
        active = [peer for peer in self._activity if peer not in self._deaf]
        self.listeners = select(self.send_to, hearing, active)
        self._speakers = frozenset(select(self.receive_from, self.peers, self._activity))

    # --- data -----------------------------------------------------------------------------------

    def hear(self, data: bytes) -> tuple[P, ...]:
        """Return who gets this chunk of the port; keep or count it when that is nobody."""
        self.heard += len(data)
        if not self.listeners:
            if self.peers:
                self.unheard += len(data)
            else:
                self.keep.add(data)
        return self.listeners

    def kept(self) -> bytes:
        """Return what was kept for whoever hears the port now; b"" while that is nobody.

        To be delivered to ``listeners`` before anything else; call after :meth:`join`, and when
        :meth:`speak` has changed who hears.
        """
        return self.keep.empty() if self.listeners and len(self.keep) else b""

    def speak(self, peer: P, size: int) -> bool:
        """Note that ``peer`` sent ``size`` bytes; tell whether they go to the port."""
        activity = self._activity
        if not activity or activity[-1] != peer:
            if peer in activity:
                activity.remove(peer)
            activity.append(peer)
            self._choose()
        if peer in self._speakers:
            self.spoken += size
            return True
        self.unspoken += size
        return False

    # --- pace -----------------------------------------------------------------------------------

    def fell_behind(self, peer: P, now: float) -> bool:
        """Note that the outbox of ``peer`` is full.

        Returns True when the peer has been left behind: its overflow policy applies now.
        """
        if peer in self._left:
            return any(p not in self._left for p in self.listeners)
        if peer in self.peers:
            self._waited.setdefault(peer, now + PATIENCE)
        return False

    def caught_up(self, peer: P) -> None:
        """Note that the outbox of ``peer`` is empty."""
        self._waited.pop(peer, None)
        self._left.discard(peer)

    @property
    def held(self) -> bool:
        """Tell whether the port is not to be read now."""
        if not self.peers:
            return self.keep.full
        if not self._waited and not self._left:
            return False
        behind = [peer in self._waited or peer in self._left for peer in self.listeners]
        waited = any(peer in self._waited for peer in self.listeners)
        return bool(behind) and (waited or all(behind))

    def deadline(self) -> float | None:
        """Return when the patience with somebody ends; None while nobody is waited for."""
        return min(self._waited.values(), default=None)

    def tick(self, now: float) -> list[P]:
        """Leave behind those whose time is over, and return them."""
        late = [peer for peer, until in self._waited.items() if until <= now]
        for peer in late:
            del self._waited[peer]
            self._left.add(peer)
        return late
