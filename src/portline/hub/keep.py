"""What the port delivers while nobody is connected (the option ``buffer-size``).

Theory of operation
-------------------
::

            +-----lend-----+
            |              v
    keeping (add)        lending (add, got)
            ^              |
            +----settle----+

*Keeping*: what is added stays, the first ``limit`` bytes of it.

*Lending*: the last peer is leaving, but hears the port for a moment yet, so what is added may reach
it and may not.  It is remembered as far as there is room, and forgotten again as soon as the peer
has got it: :meth:`Keep.got` tells how many of the bytes lent.  What nobody has got when the moment
is over, :meth:`Keep.settle`, is kept, and counts as discarded as far as it could not be remembered.
So every byte goes to exactly one of: who was leaving, who comes next, ``discarded``.
"""

from __future__ import annotations

from collections import deque

__all__ = ["Keep"]


class Keep:
    """The first ``limit`` bytes that came; what exceeds them is discarded and counted.

    The oldest bytes are kept, not the newest, so that the next peer continues where the last one
    left.
    A limit of 0 keeps nothing.
    """

    __slots__ = ("_data", "_end", "_got", "_lending", "_lent", "_lent_size", "discarded", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.discarded = 0
        """Bytes that did not fit, since the start."""
        self._data = bytearray()
        self._lending = False
        self._lent: deque[tuple[int, bytes]] = deque()  # where each piece begins in what was lent
        self._lent_size = 0
        self._end = 0
        self._got = 0

    def __len__(self) -> int:
        """Return how many bytes are kept, lent ones included."""
        return len(self._data) + self._lent_size

    def add(self, data: bytes) -> None:
        """Keep what fits of ``data``."""
        fitting = data[: max(self.limit - len(self), 0)]
        if not self._lending:
            self._data += fitting
            self.discarded += len(data) - len(fitting)
            return
        if fitting:
            self._lent.append((self._end, fitting))
            self._lent_size += len(fitting)
        self._end += len(data)

    def resize(self, limit: int) -> None:
        """Keep up to another size; what came last of what does not fit is discarded.

        What is lent is not touched: it may have been got.
        """
        self.limit = limit
        self.discarded += max(0, len(self._data) - limit)
        del self._data[limit:]

    def empty(self) -> bytes:
        """Return everything kept, but not what is lent, and forget it."""
        data = bytes(self._data)
        self._data.clear()
        return data

    def lend(self) -> None:
        """Regard what is added from now on as lent."""
        self._lending = True

    def got(self, count: int) -> None:
        """Note that the first ``count`` bytes lent have been got, by whomever."""
        self._got = max(self._got, count)
        while self._lent:
            start, piece = self._lent[0]
            got = self._got - start
            if got < len(piece):
                if got > 0:
                    self._lent[0] = (self._got, piece[got:])
                    self._lent_size -= got
                return
            del self._lent[0]
            self._lent_size -= len(piece)

    def settle(self) -> None:
        """Keep or discard what was lent and not got; nothing is lent any more."""
        rest = b"".join(piece for _, piece in self._lent)
        self.discarded += max(0, self._end - self._got) - len(rest)
        self._lent.clear()
        self._lent_size = self._end = self._got = 0
        self._lending = False
        self.add(rest)
