"""Data put together again that came in pieces: a UART brings a few bytes at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from portline.recording.record import Kind, Record

__all__ = ["GAP", "ROW", "TEXT_ROW", "Gatherer"]

GAP: Final = 0.05
"""Seconds of silence that part what is shown together: what people take for two answers."""

ROW: Final = 16
"""Bytes in a line of hex."""

TEXT_ROW: Final = 80
"""Bytes in a line of text that does not end before."""


class Gatherer:
    """Joins the data of one direction and one peer until a row is full, or ``gap`` seconds passed.

    With ``lines`` a row is a line of text, otherwise ROW bytes.  Records come out in the order in
    which they begin, at the time of their first byte; nothing is lost.
    """

    def __init__(self, gap: float = GAP, *, lines: bool = False) -> None:
        self._gap = gap
        self._lines = lines
        self._pending: Record | None = None
        self._last = 0.0

    @property
    def pending(self) -> bool:
        """Tell whether something waits for the rest of its row."""
        return self._pending is not None

    def feed(self, record: Record) -> list[Record]:
        """Take a record; return what is complete now."""
        if record.kind is not Kind.DATA:
            return [*self.flush(), record]
        found: list[Record] = []
        pending = self._pending
        if pending is not None and (
            (pending.source, pending.peer) != (record.source, record.peer)
            or record.at - self._last > self._gap
        ):
            found += self.flush()
            pending = None
        self._last = record.at
        start = b"" if pending is None else pending.data
        data = start + record.data
        end = self._end(data)
        if end:
            found.append(replace(pending or record, data=data[:end]))
            pending = None
        rest = data[end:]
        self._pending = replace(pending or record, data=rest) if rest else None
        return found

    def flush(self) -> list[Record]:
        """Return what is pending, complete or not."""
        found = [] if self._pending is None else [self._pending]
        self._pending = None
        return found

    def _end(self, data: bytes) -> int:
        """Return how many bytes make whole rows."""
        if not self._lines:
            return len(data) // ROW * ROW
        end = data.rfind(b"\n") + 1
        return end + (len(data) - end) // TEXT_ROW * TEXT_ROW
