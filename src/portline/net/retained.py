"""What was written to a peer and may not have arrived: kept, so that the next one can have it."""

from __future__ import annotations

from collections import deque
from typing import Final

__all__ = ["RETAIN_LOOK", "Retained"]

RETAIN_LOOK: Final = 64 * 1024
"""Bytes written between two looks at what is acknowledged and need not be retained any more."""


class Retained:
    """The end of what was written, from the beginning of a write on."""

    __slots__ = ("_at", "_look", "_size", "_writes", "whole")

    def __init__(self) -> None:
        self.whole = False
        """Whether to keep what was got, too; not beyond RETAIN_LOOK bytes."""
        self._writes: deque[bytes] = deque()
        self._at = 0  # the place of the first one in what was written
        self._size = 0
        self._look = RETAIN_LOOK

    def add(self, data: bytes) -> bool:
        """Keep what is written; returns whether it is time to ``forget``."""
        self._writes.append(data)
        self._size += len(data)
        return self._size >= self._look

    def forget(self, acked: int) -> None:
        """Keep no more the writes of which every byte is among the first ``acked``."""
        self.whole = False
        while self._writes and self._at + len(self._writes[0]) <= acked:
            size = len(self._writes.popleft())
            self._at += size
            self._size -= size
        self._look = self._size + RETAIN_LOOK

    def rest(self, acked: int) -> tuple[bytes, int]:
        """Return what is kept, and how many bytes at its beginning are among the first ``acked``.

        It begins where a write began.
        """
        if not self.whole:
            self.forget(acked)
        return b"".join(self._writes), acked - self._at
