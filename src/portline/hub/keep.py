"""What the port delivers while nobody is connected (mission 1.5, "buffer size")."""

from __future__ import annotations

__all__ = ["Keep"]


class Keep:
    """The first ``limit`` bytes that came; what exceeds them is discarded and counted.

    The oldest bytes are kept, not the newest: "the data exceeding the size of the buffer will be
    discarded" (the seed's page), and a peer that comes late can continue where the last one left.
    A limit of 0 keeps nothing.
    """

    __slots__ = ("_data", "discarded", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.discarded = 0
        """Bytes that did not fit, since the start."""
        self._data = bytearray()

    def __len__(self) -> int:
        """Return how many bytes are kept."""
        return len(self._data)

    def add(self, data: bytes) -> None:
        """Keep what fits of ``data``."""
        room = self.limit - len(self._data)
        if room >= len(data):
            self._data += data
            return
        self._data += data[: max(room, 0)]
        self.discarded += len(data) - max(room, 0)

    def resize(self, limit: int) -> None:
        """Keep up to another size; what came last of what does not fit is discarded."""
        self.limit = limit
        self.discarded += max(0, len(self._data) - limit)
        del self._data[limit:]

    def empty(self) -> bytes:
        """Return everything kept and forget it."""
        data = bytes(self._data)
        self._data.clear()
        return data
