"""One who watches a connection: what was seen and not taken yet, bounded.

Theory of operation
-------------------
::

    keeping up --the ring is full--> skipping --everything taken--> keeping up
                                                (a record tells how much)

What is in the ring stays there, in order and without a gap; what comes while it is full is only
counted.  So a watcher has an unbroken piece, then one record that says how much is missing, then
the next piece.  The connection never waits and never asks: putting a record costs the same
whatever the watcher does.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from portline.plural import plural
from portline.recording.record import Kind, Record, Source

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RECORD_COST", "RING", "TAKE", "Watcher"]

RING: Final = 1024 * 1024
"""Bytes that wait for one watcher, their cost included: a second and more of 4 000 000 baud in both
directions, and 32 watchers of one connection are 32 MiB at the very most."""

RECORD_COST: Final = 256
"""Bytes that a record counts for beside its data: about what Python needs to keep one."""

TAKE: Final = 64 * 1024
"""Bytes taken at once, their cost included: what is turned into JSON in less than a
millisecond."""


class Watcher:
    """The records of a connection from now on; ``ready()`` is called when there is something.

    It is called from the loop, within whatever has happened, so it must only make a note; and not
    again before :meth:`take` has left nothing behind.  ``close(self)`` is how it leaves.
    """

    def __init__(
        self,
        ready: Callable[[], None],
        leave: Callable[[Watcher], None],
        *,
        limit: int = RING,
    ) -> None:
        self.skipped_bytes = 0
        """Bytes of data that it did not get, since it began."""
        self.skipped_records = 0
        """Records that it did not get."""
        self._ready = ready
        self._leave = leave
        self._limit = limit
        self._ring: deque[Record] = deque()
        self._size = 0
        self._told = False
        self._missed: tuple[int, int, float] | None = None  # bytes, records, when the last one was
        self._last: Record | None = None
        self._over = False

    @property
    def waiting(self) -> bool:
        """Tell whether something can be taken."""
        return bool(self._ring) or self._missed is not None or self._last is not None

    @property
    def ended(self) -> bool:
        """Tell whether nothing will come any more, and everything has been taken."""
        return self._over and not self.waiting

    def put(self, record: Record) -> int:
        """Add a record at the end; returns the bytes of data that were skipped instead."""
        size = len(record.data)
        if self.is_full(size):
            self.skip(size, record.at)
            return size
        self._ring.append(record)
        self._size += size + RECORD_COST
        self._tell()
        return 0

    def is_full(self, size: int) -> bool:
        """Tell whether a record with ``size`` bytes of data would be skipped now."""
        return self._missed is not None or self._size + size + RECORD_COST > self._limit

    def skip(self, size: int, at: float) -> None:
        """Count a record with ``size`` bytes of data that was not put, and when that was."""
        count, records, _ = self._missed or (0, 0, 0.0)
        self._missed = (count + size, records + 1, at)
        self.skipped_bytes += size
        self.skipped_records += 1
        self._tell()

    def take(self, limit: int = TAKE) -> list[Record]:
        """Remove and return the oldest records, about ``limit`` bytes with their cost.

        At least one while any is ``waiting``.
        """
        ring, room = self._ring, limit
        taken: list[Record] = []
        while ring and (not taken or room >= len(ring[0].data) + RECORD_COST):
            record = ring.popleft()
            size = len(record.data) + RECORD_COST
            self._size -= size
            room -= size
            taken.append(record)
        if not ring:
            taken += self._rest()
            self._told = False
        return taken

    def _rest(self) -> list[Record]:
        rest = []
        if self._missed is not None:
            count, records, at = self._missed
            self._missed = None
            rest.append(
                Record(
                    at,
                    Source.PORT,
                    Kind.SKIPPED,
                    text=f"skipped {plural(records, 'record')} with {plural(count, 'byte')}: "
                    "not read fast enough",
                    value={"bytes": count, "records": records},
                )
            )
        if self._last is not None:
            rest.append(self._last)
            self._last = None
        return rest

    def end(self, record: Record) -> None:
        """Let ``record`` be the last; it is never skipped."""
        self._over = True
        self._last = record
        self._tell()

    def close(self) -> None:
        """Watch no more, and forget what waits.  May be called twice."""
        self._over = self._told = True
        self._ring.clear()
        self._size = 0
        self._missed = self._last = None
        self._leave(self)

    def _tell(self) -> None:
        if not self._told:
            self._told = True
            self._ready()
