"""What the port delivers while nobody is connected (the option ``buffer-size``).

Theory of operation
-------------------
::

            +-----lend-----+
            |              v
    keeping (add)        lending (add, got)
            ^              |
            +----settle----+

*Keeping*: what is added stays, up to ``limit`` bytes of it; which ones is the rule ``overflow``.

*Lending*: the last peer is leaving, but hears the port for a moment yet, so what is added may reach
it and may not.  It is remembered as far as there is room, and forgotten again as soon as the peer
has got it: :meth:`Keep.got` tells how many of the bytes lent.  What nobody has got when the moment
is over, :meth:`Keep.settle`, is kept, and counts as discarded as far as it could not be remembered.
So every byte goes to exactly one of: who was leaving, who comes next, ``discarded``.

=============  =================================================================================
``overflow``   what exceeds the limit
=============  =================================================================================
drop-newest    is discarded, so that the next peer continues where the last one left
drop-oldest    takes the place of the oldest, for who wants the latest state and no history
hold           is not taken from the port, which is :attr:`Keep.full`; what was read then is kept
=============  =================================================================================
"""

from __future__ import annotations

from collections import deque

from portline.hub.policy import BufferOverflow

__all__ = ["Keep"]


class Keep:
    """Up to ``limit`` bytes of what came; what exceeds them is discarded and counted.

    A limit of 0 keeps nothing.
    """

    __slots__ = (
        "_data",
        "_end",
        "_got",
        "_lending",
        "_lent",
        "_lent_size",
        "discarded",
        "limit",
        "overflow",
    )

    def __init__(self, limit: int, overflow: BufferOverflow = BufferOverflow.DROP_NEWEST) -> None:
        self.limit = limit
        self.overflow = overflow
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

    @property
    def full(self) -> bool:
        """Tell whether the port is to be held: nothing more is to be added."""
        return self.overflow is BufferOverflow.HOLD and len(self) >= self.limit

    def add(self, data: bytes) -> None:
        """Keep what the rule allows of ``data``."""
        fitting = data
        if self.overflow is BufferOverflow.DROP_NEWEST:
            fitting = data[: max(self.limit - len(self), 0)]
        if not self._lending:
            self._data += fitting
            self.discarded += len(data) - len(fitting)
        else:
            if fitting:
                self._lent.append((self._end, fitting))
                self._lent_size += len(fitting)
            self._end += len(data)
        if self.overflow is BufferOverflow.DROP_OLDEST:
            self._drop_oldest()

    def put_back(self, data: bytes) -> None:
        """Keep what a peer was sent and did not get, before what came since."""
        self._data[:0] = data
        self._fit()

    def resize(self, limit: int, overflow: BufferOverflow) -> None:
        """Keep up to another size, by another rule; what is lent may have been got, and stays."""
        self.limit, self.overflow = limit, overflow
        self._fit()

    def _fit(self) -> None:
        """Discard what exceeds the limit."""
        if self.overflow is BufferOverflow.DROP_NEWEST:
            self.discarded += max(0, len(self._data) - self.limit)
            del self._data[self.limit :]
        elif self.overflow is BufferOverflow.DROP_OLDEST:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        """Discard from the beginning; what was lent is counted when it is settled."""
        excess = max(0, len(self) - self.limit)
        oldest = min(excess, len(self._data))
        del self._data[:oldest]
        self.discarded += oldest
        excess -= oldest
        while excess:
            start, piece = self._lent.popleft()
            cut = min(excess, len(piece))
            if cut < len(piece):
                self._lent.appendleft((start + cut, piece[cut:]))
            self._lent_size -= cut
            excess -= cut

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
