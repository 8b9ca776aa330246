"""The hub and its outboxes as a machine: no byte lost, doubled or out of order within the bounds.

The model is a device that says consecutive numbers and peers that read when they like.  Whatever
happens, each peer must get an increasing run of them; gaps are allowed only where the rules say
so, and the counters must say the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
)

from portline.hub.core import PATIENCE, Hub
from portline.hub.outbox import Outbox
from portline.hub.policy import Selection

LIMIT = 600
SELECTIONS = st.sampled_from(Selection)


@dataclass(eq=False)
class Peer:
    outbox: Outbox = field(default_factory=lambda: Outbox(LIMIT))
    got: list[int] = field(default_factory=list)
    due: list[int] = field(default_factory=list)
    clear: bool = True


class Device(RuleBasedStateMachine):
    peers = Bundle("peers")

    @initialize(receive_from=SELECTIONS, send_to=SELECTIONS, size=st.integers(0, 40))
    def make(self, receive_from: Selection, send_to: Selection, size: int) -> None:
        self.hub: Hub[Peer] = Hub(receive_from=receive_from, send_to=send_to, buffer_size=size)
        self.now = 0.0
        self.next = 0
        self.order: list[Peer] = []
        self.active: list[Peer] = []
        self.kept: list[int] = []
        self.lost_before = 0
        self.unheard = 0
        self.spoken = self.refused = 0

    def expected(self, selection: Selection) -> list[Peer]:
        return {
            Selection.ALL: self.order,
            Selection.NONE: [],
            Selection.FIRST: self.order[:1],
            Selection.LAST: self.order[-1:],
            Selection.LAST_ACTIVE: self.active[-1:],
        }[selection]

    def put(self, peer: Peer, data: bytes) -> None:
        peer.due.extend(data)
        peer.outbox.put(data)
        if peer.outbox.full and self.hub.fell_behind(peer, self.now):
            peer.outbox.shrink()

    def flush_kept(self) -> None:
        kept = self.hub.kept()
        hearers = self.expected(self.hub.send_to)
        assert list(kept) == (self.kept if hearers else [])
        if hearers:
            self.kept = []
        if kept:
            for peer in hearers:
                self.put(peer, kept)

    @rule(size=st.integers(1, 60))
    def device_talks(self, size: int) -> None:
        if self.hub.held:
            return
        data = bytes((self.next + i) % 251 for i in range(size))
        self.next += size
        hearers = self.expected(self.hub.send_to)
        assert list(self.hub.hear(data)) == hearers
        for peer in hearers:
            self.put(peer, data)
        if not hearers and self.order:
            self.unheard += size
        elif not self.order:
            room = self.hub.keep.limit - len(self.kept)
            self.kept.extend(data[:room])
            self.lost_before += max(0, size - room)

    @rule(target=peers)
    def join(self) -> Peer:
        peer = Peer()
        self.hub.join(peer)
        self.order.append(peer)
        self.flush_kept()
        return peer

    @rule(peer=consumes(peers))
    def leave(self, peer: Peer) -> None:
        self.hub.leave(peer)
        self.order.remove(peer)
        if peer in self.active:
            self.active.remove(peer)
        self.check(peer)

    @rule(peer=peers, limit=st.integers(1, 500))
    def reads(self, peer: Peer, limit: int) -> None:
        peer.got.extend(peer.outbox.take(limit))
        if not peer.outbox.size:
            self.hub.caught_up(peer)
        self.check(peer)

    @rule(peer=peers, size=st.integers(1, 9))
    def peer_talks(self, peer: Peer, size: int) -> None:
        if peer in self.active:
            self.active.remove(peer)
        self.active.append(peer)
        chosen = peer in self.expected(self.hub.receive_from)
        assert self.hub.speak(peer, size) == chosen
        self.spoken += size if chosen else 0
        self.refused += 0 if chosen else size
        self.flush_kept()

    @rule(seconds=st.sampled_from([0.01, PATIENCE / 2, PATIENCE * 2]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        deadline = self.hub.deadline()
        late = self.hub.tick(self.now)
        assert bool(late) == (deadline is not None and deadline <= self.now)
        for peer in late:
            if self.hub.fell_behind(peer, self.now):
                peer.outbox.shrink()

    def check(self, peer: Peer) -> None:
        """What was got, and what waits, is what was due, less what was dropped and counted."""
        waiting = len(peer.due) - len(peer.got) - peer.outbox.dropped
        assert waiting >= 0
        if not peer.outbox.dropped:
            assert peer.got == peer.due[: len(peer.got)]
        if not peer.outbox.size:
            assert waiting == 0
        due = iter(peer.due)
        assert all(any(wanted == byte for wanted in due) for byte in peer.got)

    @invariant()
    def books_are_right(self) -> None:
        hub = self.hub
        assert (hub.heard, hub.unheard) == (self.next, self.unheard)
        assert (hub.spoken, hub.unspoken) == (self.spoken, self.refused)
        assert (len(hub.keep), hub.keep.discarded) == (len(self.kept), self.lost_before)

    @invariant()
    def bounds_hold(self) -> None:
        for peer in self.order:
            assert peer.outbox.size <= LIMIT + 60 + 64

    @invariant()
    def somebody_who_is_up_to_date_never_waits_long(self) -> None:
        """The port is held only while a patience runs or while all who hear are behind."""
        hearers = self.expected(self.hub.send_to)
        if self.hub.held and self.hub.deadline() is None:
            assert hearers
            assert all(peer.outbox.size for peer in hearers)


TestDevice = Device.TestCase
TestDevice.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
