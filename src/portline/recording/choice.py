"""Which records somebody wants to see."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from portline.recording.record import Kind, Record, Source

if TYPE_CHECKING:
    from collections.abc import Container

__all__ = ["Choice"]


@dataclass
class Choice:
    """Takes records one after the other and tells which are wanted; None wants all.

    ``match`` is looked for in the data of each direction, also where it is divided among several
    records (the one with its end is wanted), and in the texts.  That something was skipped, and
    that the connection is no more, is always wanted.
    """

    kinds: Container[Kind] | None = None
    source: Source | None = None
    match: bytes = b""
    _tails: dict[Source, bytes] = field(default_factory=dict)

    def wants(self, record: Record) -> bool:
        """Tell whether a record is wanted."""
        if record.kind is Kind.SKIPPED:
            self._tails.clear()
            return True
        if record.kind is Kind.CLOSED and record.value.get("what") == "connection":
            return True
        return (
            (self.kinds is None or record.kind in self.kinds)
            and (self.source is None or record.source is self.source)
            and (not self.match or self._matches(record))
        )

    def _matches(self, record: Record) -> bool:
        if record.kind is not Kind.DATA:
            return self.match in record.text.encode()
        data = self._tails.get(record.source, b"") + record.data
        tail = len(self.match) - 1
        self._tails[record.source] = data[len(data) - tail :] if tail < len(data) else data
        return self.match in data
