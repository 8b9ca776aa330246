"""What was written to a peer and may not have arrived: kept, so that the next one can have it."""

from __future__ import annotations

from collections import deque
from typing import Final

__all__ = ["RETAIN_LOOK", "Retained", "Retaining"]

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


class Retaining:
    """The part of a link that keeps what was written; see :class:`portline.net.link.Link`."""

    __slots__ = ("_retained",)

    def __init__(self) -> None:
        self._retained: Retained | None = None

    @property
    def acked(self) -> int:
        """Bytes that the other machine has got."""
        # Each link has books of its own: TCP's, or those of what it has encrypted.
        raise NotImplementedError

    def retain(self, *, doubtful: bool = False) -> None:
        """Remember from now on what is written until the other machine has acknowledged it.

        Call it before the first write.  That is at most what the kernel takes for one connection
        (sysctl net.ipv4.tcp_wmem, 4 MiB) and what it did not take.  While a peer is ``doubtful``,
        until ``trust``, what it has acknowledged is remembered too, of 64 KiB in all.
        """
        self._retained = Retained()
        self._retained.whole = doubtful

    def trust(self) -> None:
        """Believe from now on that what the other machine acknowledges is in good hands."""
        if self._retained is not None:
            self._retained.whole = False

    def unacknowledged(self) -> tuple[bytes, int]:
        """Return the end of what was written, and how many bytes at its beginning were got.

        It begins where a write began.  Only for a link that retains.
        """
        assert self._retained is not None
        return self._retained.rest(self.acked)
