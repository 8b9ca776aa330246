"""The rules of a server connection, written down as simply as can be.

Nothing here looks at the code that is under test: bytes are gathered one by one, everything is kept
in lists, and whoever got what is written down as long as the test lasts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["LINGER", "Model", "Packets", "Peer"]

LINGER = 1.0
"""Seconds for which a raw peer that has asked and ended its side hears the port."""

GATHERED_MAX = 65536
"""Bytes after which something is sent even if no rule says so."""


class Packets:
    """Packet detection (1.3), byte by byte."""

    def __init__(self, config: Any) -> None:
        self.size = config.packet_size or GATHERED_MAX
        self.delimiters = sorted(config.packet_delimiter, key=len, reverse=True)
        self.strip = config.packet_strip
        self.wait = config.packet_wait
        self.pause = config.packet_pause
        self.idle = 0.0
        self.rules = config.packet_size or self.delimiters or self.wait or config.packet_idle
        self.gathered = bytearray()
        self.first = self.last = 0.0
        self.ready: list[bytes] = []
        self.not_before = 0.0

    def feed(self, data: bytes, now: float) -> list[bytes]:
        self.time_out(now)
        for index in range(len(data)):
            self.take(data[index : index + 1], now)
        if not self.rules and not self.pause:
            self.complete()
        return self.tick(now)

    def take(self, byte: bytes, now: float) -> None:
        if not self.gathered:
            self.first = now
        self.last = now
        self.gathered += byte
        for delimiter in self.delimiters:
            if self.gathered.endswith(delimiter):
                if self.strip:
                    del self.gathered[-len(delimiter) :]
                self.complete()
                return
        if len(self.gathered) == self.size:
            self.complete()

    def complete(self) -> None:
        if self.gathered:
            self.ready.append(bytes(self.gathered))
        self.gathered.clear()

    def time_out(self, now: float) -> None:
        if (self.wait and now >= self.first + self.wait) or (
            self.idle and now >= self.last + self.idle
        ):
            self.complete()

    def tick(self, now: float) -> list[bytes]:
        self.time_out(now)
        if not self.pause:
            ready, self.ready = self.ready, []
            return ready
        if now < self.not_before:
            return []
        if not self.ready and not self.rules:
            self.complete()
        if not self.ready:
            return []
        self.not_before = now + self.pause
        return [self.ready.pop(0)]

    def rest(self) -> bytes:
        rest = b"".join(self.ready) + self.gathered
        self.ready.clear()
        self.gathered.clear()
        return rest


@dataclass(eq=False)
class Peer:
    """One peer: ``due`` is what it has to get, of it ``as_peer`` bytes before it lingered."""

    number: int
    due: bytearray = field(default_factory=bytearray)
    as_peer: int | None = None
    active: float = 0.0
    has_spoken: bool = False
    dead: bool = False
    until: float = 0.0


class Model:
    """One connection."""

    def __init__(self, config: Any) -> None:
        self.config = config
        timed = (config.packet_wait, config.packet_idle, config.packet_pause)
        ruled = config.packet_size or config.packet_delimiter or any(timed)
        self.packets = Packets(config) if ruled else None
        self.peers: list[Peer] = []
        self.lingering: list[Peer] = []
        self.activity: list[Peer] = []
        self.kept = b""
        self.heard = self.discarded = self.unheard = self.unspoken = 0
        self.written = b""
        self.lines: dict[str, bool | None] = {"dtr": None, "rts": None}
        self.lines_become("disconnected")

    @property
    def occupied(self) -> bool:
        return bool(self.peers or self.lingering)

    def chosen(self, rule: str) -> list[Peer]:
        match rule:
            case "all":
                return list(self.peers)
            case "first":
                return self.peers[:1]
            case "last":
                return self.peers[-1:]
            case "last-active":
                return [peer for peer in self.activity if peer in self.peers][-1:]
            case _:
                return []

    def full(self) -> bool:
        raw = self.config.protocol.value == "raw"
        return len(self.peers) >= (self.config.max_connections if raw else 1)

    # --- the port -------------------------------------------------------------------------------

    def device_says(self, data: bytes, now: float) -> None:
        if self.packets is not None and self.occupied:
            for packet in self.packets.feed(data, now):
                self.pass_on(packet, now)
        else:
            self.pass_on(data, now)

    def tick(self, now: float) -> None:
        if self.packets is not None and self.occupied:
            for packet in self.packets.tick(now):
                self.pass_on(packet, now)

    def pass_on(self, data: bytes, now: float) -> None:
        self.heard += len(data)
        hearers = self.chosen(self.config.send_to.value)
        alive = [peer for peer in self.lingering if not peer.dead]
        for peer in (*hearers, *alive):
            peer.due += data
            peer.active = now
        if self.peers and not hearers:
            self.unheard += len(data)
        elif not self.peers and not alive:
            self.heard -= len(data)
            self.keep(data)

    def keep(self, data: bytes) -> None:
        self.heard += len(data)
        room = max(0, self.config.buffer_size - len(self.kept))
        self.kept += data[:room]
        self.discarded += len(data[room:])

    def hand_out(self, now: float) -> None:
        """Give what was kept to those who hear the port now, if anybody does."""
        hearers = self.chosen(self.config.send_to.value)
        if hearers and self.kept:
            for peer in hearers:
                peer.due += self.kept
                peer.active = now
            self.kept = b""

    # --- peers ----------------------------------------------------------------------------------

    def join(self, peer: Peer, now: float) -> None:
        if not self.occupied:
            self.lines_become("connected")
        if self.packets is not None and not self.peers:
            self.keep(self.packets.rest())  # who lingers has not waited long enough
        peer.active = now
        self.peers.append(peer)
        self.hand_out(now)

    def says(self, peer: Peer, data: bytes, now: float) -> None:
        peer.active = now
        peer.has_spoken = True
        self.activity = [other for other in self.activity if other is not peer] + [peer]
        if peer in self.chosen(self.config.receive_from.value):
            self.written += data
        else:
            self.unspoken += len(data)
        self.hand_out(now)

    def ends(self, peer: Peer, now: float) -> None:
        """A raw peer that asked just before, and hears the port, waits for its answer."""
        waits = self.config.protocol.value == "raw" and peer.has_spoken
        hears = peer in self.chosen(self.config.send_to.value)
        if waits and hears and now - peer.active < LINGER:
            peer.as_peer = len(peer.due)
            peer.until = now + LINGER
            self.lingering.append(peer)
        self.gone(peer, now, lingering=False)

    def gone(self, peer: Peer, now: float, *, lingering: bool = True) -> None:
        before = self.occupied
        if peer in self.peers:
            self.peers.remove(peer)
        if lingering and peer in self.lingering:
            self.lingering.remove(peer)
        if before and not self.occupied:
            if self.packets is not None and (rest := self.packets.rest()):
                self.pass_on(rest, now)
            self.lines_become("disconnected")

    def lines_become(self, moment: str) -> None:
        for line in self.lines:
            level = getattr(self.config, f"{line}_{moment}").value
            if level in {"high", "low"}:
                self.lines[line] = level == "high"
