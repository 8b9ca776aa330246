"""Packet detection: where the stream from the port is cut on its way to the network.

Theory of operation
-------------------
Bytes are gathered until a rule says that a packet is complete, whichever rule does so first:

========== =====================================================================
block      this many bytes are there; exactly they are sent
delimiters one of these byte strings has arrived; it ends the packet (of several that could, the one
           that is complete first, so that the division of the stream into reads does not matter)
wait       the first byte has waited this long
idle       no byte has come for this long
========== =====================================================================

Without any of them each chunk is a packet.  ``pause`` then keeps packets apart: after one has been
sent, the next waits that long; what comes meanwhile gathers further, so a stream that no rule cuts
turns into one packet per pause.

Nothing is thrown away here: :meth:`Packetizer.rest` returns what waits when nobody listens any
more, and :attr:`Packetizer.full` asks for back-pressure when a rule does not fire.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["GATHER_LIMIT", "QUEUE_LIMIT", "Packetizer"]

GATHER_LIMIT: Final = 64 * 1024
"""Bytes gathered at most when no rule fires; then they are sent as they are.  As much as a port
reads in one go, and as a block can be long."""

QUEUE_LIMIT: Final = 64 * 1024
"""Bytes of complete packets that wait for a pause to end at which the port should not be read."""


class Packetizer:
    """Cuts one stream into packets.

    Times are in seconds, ``block`` in bytes (at most GATHER_LIMIT), 0 turns a rule off.
    ``delimiters`` are non-empty byte strings; with ``strip`` they are left out of the packets.
    """

    def __init__(
        self,
        *,
        pause: float = 0.0,
        wait: float = 0.0,
        idle: float = 0.0,
        block: int = 0,
        delimiters: Sequence[bytes] = (),
        strip: bool = False,
    ) -> None:
        self.pause = pause
        self.wait = wait
        self.idle = idle
        """May be changed at any time: it depends on the character time of the line."""
        self._block = min(block, GATHER_LIMIT) if block else GATHER_LIMIT
        self._delimiters = tuple(sorted(delimiters, key=len, reverse=True))
        self._overlap = max(map(len, delimiters), default=1) - 1
        self._strip = strip
        self._at_once = not (wait or idle or block or delimiters)
        self._gathered = bytearray()
        self._searched = 0
        self._first = 0.0
        self._last = 0.0
        self._ready: deque[bytes] = deque()
        self._ready_size = 0
        self._not_before = 0.0

    @property
    def full(self) -> bool:
        """Tell whether so much waits that the port should not be read for now."""
        return self.waiting >= QUEUE_LIMIT + GATHER_LIMIT

    @property
    def waiting(self) -> int:
        """Bytes that wait."""
        return self._ready_size + len(self._gathered)

    def feed(self, data: bytes, now: float) -> list[bytes]:
        """Take a chunk and return the packets that are to be sent now, in order."""
        self._time_out(now)
        if not self._gathered:
            self._first = now
        self._last = now
        self._gathered += data
        self._cut(now)
        return self.tick(now)

    def tick(self, now: float) -> list[bytes]:
        """Let time pass and return the packets that are to be sent now, in order."""
        self._time_out(now)
        if not self.pause:
            packets = list(self._ready)
            self._ready.clear()
            self._ready_size = 0
            return packets
        if now < self._not_before:
            return []
        if not self._ready and self._at_once and self._gathered:
            self._complete(len(self._gathered))
        if not self._ready:
            return []
        self._not_before = now + self.pause
        packet = self._ready.popleft()
        self._ready_size -= len(packet)
        return [packet]

    def deadline(self) -> float | None:
        """Return when :meth:`tick` wants to be called next; None for not before more data."""
        ends = self._gathering_ends()
        if self.pause and (self._ready or (self._at_once and self._gathered)):
            return self._not_before if ends is None else min(ends, self._not_before)
        return ends

    def rest(self) -> bytes:
        """Return everything that waits, and forget it."""
        data = b"".join(self._ready) + bytes(self._gathered)
        self._ready.clear()
        self._ready_size = 0
        self._forget_gathered(len(self._gathered))
        return data

    def _gathering_ends(self) -> float | None:
        """Return when time completes the packet that is gathered; None for never."""
        if not self._gathered:
            return None
        ends = [
            start + span
            for start, span in ((self._first, self.wait), (self._last, self.idle))
            if span
        ]
        return min(ends, default=None)

    def _time_out(self, now: float) -> None:
        """Complete the packet that is gathered if its time is over."""
        due = self._gathering_ends()
        if due is not None and due <= now:
            self._complete(len(self._gathered))

    def _cut(self, now: float) -> None:
        """Complete packets by the rules that look at the bytes."""
        if self._at_once and not self.pause:
            self._complete(len(self._gathered))
            return
        while self._gathered:
            end, length = self._boundary()
            if end is None:
                return
            self._complete(end, keep=end - length if self._strip else end)
            self._first = now

    def _boundary(self) -> tuple[int | None, int]:
        """Return where the first packet ends, and how long its delimiter is."""
        start = max(0, self._searched - self._overlap)
        first, length = self._block + 1, 0
        for delimiter in self._delimiters:
            place = self._gathered.find(delimiter, start, min(first, len(self._gathered)))
            if place >= 0 and place + len(delimiter) < first:
                first, length = place + len(delimiter), len(delimiter)
        if length:
            return first, length
        self._searched = len(self._gathered)
        if len(self._gathered) >= self._block:
            return self._block, 0
        return None, 0

    def _complete(self, end: int, keep: int | None = None) -> None:
        packet = bytes(self._gathered[: end if keep is None else keep])
        self._forget_gathered(end)
        if packet:
            self._ready.append(packet)
            self._ready_size += len(packet)

    def _forget_gathered(self, end: int) -> None:
        del self._gathered[:end]
        self._searched = 0
