"""Records as lines for people: when, in which direction, and what, in hex and as text.

::

    <- from the port   -> to the port
    12:00:01.000120 <- 48 65 6c 6c 6f 0a                                Hello.
    12:00:01.020000 -> 2a 49 44 4e 3f 0a                                *IDN?.   192.0.2.1:50000
    12:00:01.021000 -> settings: baudrate=1200: 1200-8N1   192.0.2.1:50000
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from portline.errors import clean
from portline.recording.gathering import ROW, TEXT_ROW
from portline.recording.record import Kind, Record, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["LEGEND", "Page", "Stamp", "View"]

LEGEND: Final = "<- from the port   -> to the port"

_ARROWS: Final = {Source.PORT: "<-", Source.PEER: "->"}
_PRINTABLE: Final = bytes(byte if 0x20 <= byte < 0x7F else 0x2E for byte in range(256))
_HEX_WIDTH: Final = 3 * ROW


class Stamp(StrEnum):
    """How the time is written: of the day, since the first record, since the one before."""

    ABSOLUTE = "absolute"
    RELATIVE = "relative"
    DELTA = "delta"


class View(StrEnum):
    """How data is shown."""

    BOTH = "both"
    HEX = "hex"
    TEXT = "text"


@dataclass
class Page:
    """Lays records out, one after the other; ``local`` makes a date of seconds since 1970."""

    view: View = View.BOTH
    stamp: Stamp = Stamp.ABSOLUTE
    local: Callable[[float], datetime] = datetime.fromtimestamp
    _first: float | None = None
    _last: float = 0.0

    def lines(self, record: Record) -> Iterator[str]:
        """Yield the lines of a record; printable, whatever it holds."""
        start = f"{self._time(record.at)} {_ARROWS[record.source]} "
        who = f"   {clean(record.peer)}" if record.peer else ""
        if record.kind is not Kind.DATA:
            yield clean(f"{start}{record.kind}: {record.text}") + who
            return
        further = " " * (len(start) - 3) + f"{_ARROWS[record.source]} "
        for row in self._rows(record.data):
            yield (start + row + who).rstrip()
            start, who = further, ""

    def _time(self, at: float) -> str:
        if self._first is None:
            self._first = self._last = at
        since, self._last = self._last, at
        match self.stamp:
            case Stamp.ABSOLUTE:
                return f"{self.local(at):%H:%M:%S.%f}"
            case Stamp.RELATIVE:
                return f"{at - self._first:13.6f}"
            case Stamp.DELTA:
                return f"{at - since:+13.6f}"

    def _rows(self, data: bytes) -> Iterator[str]:
        if self.view is View.TEXT:
            yield from map(_text, _lines_of(data))
            return
        for position in range(0, len(data), ROW):
            row = data[position : position + ROW]
            written = row.hex(" ")
            if self.view is View.BOTH:
                written = f"{written:{_HEX_WIDTH}} {row.translate(_PRINTABLE).decode('ascii')}"
            yield written


def _lines_of(data: bytes) -> Iterator[bytes]:
    """Yield data such that each line end is the last of its piece."""
    for line in data.splitlines(keepends=True):
        for position in range(0, len(line), TEXT_ROW):
            yield line[position : position + TEXT_ROW]


def _text(data: bytes) -> str:
    """Write bytes as text; what is not printable ASCII, or a backslash, as Python would."""
    return "".join(
        chr(byte) if 0x20 <= byte < 0x7F and byte != 0x5C else _ESCAPES.get(byte, f"\\x{byte:02x}")
        for byte in data
    )


_ESCAPES: Final = {0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t", 0x5C: "\\\\"}
