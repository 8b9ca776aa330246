"""How much of what was written a peer has got, when only cipher text can be counted on the way.

A record is of use only as a whole, so of one that has arrived in part nothing counts.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from portline.net.channel import RECORD

__all__ = ["LOOK", "MARKS_MAX", "Ledger"]

LOOK: Final = 16
"""Writes between two looks at what has arrived and need not be remembered: an idle connection
remembers no more than these."""

MARKS_MAX: Final = 1024
"""Writes that are remembered one by one; of older ones two count as one, which is known to have
arrived a little later.  A kernel full of small writes would else cost more here than there."""


class _Mark(NamedTuple):
    """One write: where it began and ended, in cipher text and in plain text, and its records."""

    cipher: int
    cipher_end: int
    plain: int
    plain_end: int
    records: int
    """0: not known."""


class Ledger:
    """The writes of one connection, from the first that may not have arrived on."""

    __slots__ = ("_cipher", "_floor", "_look", "_marks", "_plain")

    def __init__(self) -> None:
        self._cipher = 0
        self._plain = 0
        self._floor = 0  # plain text before the first mark
        self._marks: deque[_Mark] = deque()
        self._look = LOOK

    @property
    def full(self) -> bool:
        """Tell whether it is time to ``forget``."""
        return len(self._marks) >= self._look

    @property
    def plain(self) -> int:
        """Bytes of plain text written."""
        return self._plain

    def skip(self, cipher: int) -> None:
        """Note words of the protocol itself."""
        self._cipher += cipher

    def add(self, plain: int, cipher: int) -> None:
        """Note a write of ``plain`` bytes that became ``cipher`` bytes."""
        begin, at = self._cipher, self._plain
        self._cipher = end = begin + cipher
        self._plain = plain_end = at + plain
        self._marks.append(_Mark(begin, end, at, plain_end, -(-plain // RECORD)))

    def forget(self, cipher: int) -> None:
        """Remember no more what is among the first ``cipher`` bytes."""
        marks = self._marks
        while marks and marks[0].cipher_end <= cipher:
            self._floor = marks.popleft().plain_end
        if len(marks) > MARKS_MAX - LOOK:
            pairs = zip(list(marks)[::2], list(marks)[1::2], strict=False)
            rest = [marks[-1]] if len(marks) % 2 else []
            merged = [
                _Mark(one.cipher, two.cipher_end, one.plain, two.plain_end, 0) for one, two in pairs
            ]
            self._marks = deque([*merged, *rest])
        self._look = len(self._marks) + LOOK

    def plain_in(self, cipher: int) -> int:
        """Return the bytes of plain text that are whole in the first ``cipher`` bytes."""
        if cipher >= self._cipher:
            return self._plain
        found = self._floor
        for mark in self._marks:
            if mark.cipher_end > cipher:
                if mark.records > 1 and cipher > mark.cipher:
                    size = mark.cipher_end - mark.cipher - (mark.plain_end - mark.plain)
                    whole = (cipher - mark.cipher) // (RECORD + size // mark.records)
                    found = mark.plain + whole * RECORD
                break
            found = mark.plain_end
        return found
