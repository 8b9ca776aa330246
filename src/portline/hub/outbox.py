"""What waits for one peer: device data and words of the protocol, in order, bounded.

Theory of operation
-------------------
Data is kept as the very ``bytes`` objects that were read from the port, so many peers that lag
behind the same device share them.  Words (replies, negotiation) stand in the same queue, because
their place relative to the data has a meaning: what was received before "the baudrate is now
9600" was received at the old rate.

Only data is bounded and dropped here.  Words are bounded by their cause: their owner stops reading
a peer that lets more than :data:`WORDS_HIGH` bytes of them lie.  While the peer has suspended data
(RFC 2217 FLOWCONTROL-SUSPEND) words overtake it.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CHUNK_COST", "SEND_LIMIT", "WORDS_HIGH", "Outbox"]

CHUNK_COST: Final = 64
"""Bytes that each chunk counts for beside its data: what Python needs to keep one (a bytes header
of 33 and a place in the queue), so that a limit holds for single characters too."""

SEND_LIMIT: Final = 64 * 1024
"""Bytes joined into one send."""

WORDS_HIGH: Final = 64 * 1024
"""Bytes of unsent words at which their owner stops listening to the peer: what the answers to one
socket read of the shortest requests amount to."""


class _Word(bytes):
    """Bytes of the protocol itself: never dropped, never held by a suspension."""

    __slots__ = ()


class Outbox:
    """A bounded queue towards one peer.

    ``limit`` is in bytes of data, each chunk counted with CHUNK_COST.  ``suspended`` holds data.
    ``data_size`` tells how many bytes a chunk stands for, where that is not its length.
    """

    __slots__ = ("_data_size", "_queue", "dropped", "limit", "size", "suspended", "words")

    def __init__(self, limit: int, data_size: Callable[[bytes], int] = len) -> None:
        self.limit = limit
        self._data_size = data_size
        self.size = 0
        """Bytes of data that wait, with their cost."""
        self.words = 0
        """Bytes of words that wait."""
        self.dropped = 0
        """Bytes of data that were given up to stay within the limit, since the start; as they were
        before the protocol spelled them."""
        self.suspended = False
        self._queue: deque[bytes] = deque()

    def __bool__(self) -> bool:
        """Tell whether something could be taken now."""
        return self.words > 0 if self.suspended else bool(self._queue)

    @property
    def waiting(self) -> int:
        """Bytes of data and words that wait, without their cost."""
        return sum(map(len, self._queue))

    @property
    def full(self) -> bool:
        """Tell whether the limit is reached."""
        return self.size >= self.limit

    def put(self, data: bytes) -> None:
        """Add data at the end, even beyond the limit: see :meth:`shrink`."""
        if not data:
            return  # b"" is what an empty outbox gives
        self._queue.append(data)
        self.size += len(data) + CHUNK_COST

    def say(self, word: bytes) -> None:
        """Add a word at the end."""
        self._queue.append(_Word(word))
        self.words += len(word)

    def take(self, limit: int = SEND_LIMIT) -> bytes:
        """Remove and return what is to be sent next, whole chunks, about ``limit`` bytes.

        Returns b"" when there is nothing, or only data while suspended.
        """
        if self.suspended:
            return self._take_words()
        queue = self._queue
        if len(queue) == 1:
            return self._count_out(queue.popleft())
        chunks: list[bytes] = []
        total = 0
        while queue and (not chunks or total + len(queue[0]) <= limit):
            chunks.append(self._count_out(queue.popleft()))
            total += len(chunks[-1])
        return b"".join(chunks)

    def shrink(self) -> int:
        """Drop the oldest data until the limit holds, but not the newest chunk.

        Returns the bytes dropped; they are counted in ``dropped``.
        """
        before = self.dropped
        kept: list[bytes] = []
        queue = self._queue
        while self.size > self.limit and len(queue) > 1:
            chunk = queue.popleft()
            if isinstance(chunk, _Word):
                kept.append(chunk)
            else:
                self.size -= len(chunk) + CHUNK_COST
                self.dropped += self._data_size(chunk)
        queue.extendleft(reversed(kept))
        return self.dropped - before

    def purge(self) -> int:
        """Forget all data, keep the words; returns the bytes forgotten."""
        words = [chunk for chunk in self._queue if isinstance(chunk, _Word)]
        forgotten = sum(
            self._data_size(chunk) for chunk in self._queue if not isinstance(chunk, _Word)
        )
        self._queue = deque(words)
        self.size = 0
        return forgotten

    def data(self) -> bytes:
        """Return the data that waits, and leave it there."""
        return b"".join(chunk for chunk in self._queue if not isinstance(chunk, _Word))

    def _take_words(self) -> bytes:
        words = [chunk for chunk in self._queue if isinstance(chunk, _Word)]
        self._queue = deque(chunk for chunk in self._queue if not isinstance(chunk, _Word))
        self.words = 0
        return b"".join(words)

    def _count_out(self, chunk: bytes) -> bytes:
        if isinstance(chunk, _Word):
            self.words -= len(chunk)
        else:
            self.size -= len(chunk) + CHUNK_COST
        return chunk
