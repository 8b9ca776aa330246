"""Recordings in the formats that need no other program: hex, JSON, and the bytes alone."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from portline.recording.gathering import Gatherer
from portline.recording.page import LEGEND, Page
from portline.recording.record import Kind, Record

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["HexWriter", "JsonWriter", "RawWriter", "Writer"]


class Writer(Protocol):
    """Turns records into the bytes of a file."""

    def begin(self) -> bytes:
        """Return what a file begins with; may be called again, for a further one."""

    def encode(self, record: Record) -> bytes:
        """Return what a record adds."""

    def end(self, at: float) -> bytes:
        """Return what a complete file ends with."""


class HexWriter:
    """Lines as the monitor shows them; ``local`` makes a date of seconds since 1970."""

    def __init__(
        self, name: str, *, local: Callable[[float], datetime] = datetime.fromtimestamp
    ) -> None:
        self._name = name
        self._local = local
        self._page = Page(local=local)
        self._gatherer = Gatherer()
        self._day = ""

    def begin(self) -> bytes:
        """Return the line that says what the arrows mean."""
        self._day = ""
        return f"# {self._name}: {LEGEND}\n".encode()

    def encode(self, record: Record) -> bytes:
        """Return the lines that are complete now, behind one with the day where that is another."""
        return b"".join(map(self._lines, self._gatherer.feed(record)))

    def _lines(self, record: Record) -> bytes:
        day = f"{self._local(record.at):%Y-%m-%d}"
        lines = [] if day == self._day else [f"# {day}"]
        self._day = day
        return "".join(f"{line}\n" for line in (*lines, *self._page.lines(record))).encode()

    def end(self, at: float) -> bytes:
        """Return the lines that were not complete."""
        return b"".join(map(self._lines, self._gatherer.flush()))


class JsonWriter:
    """One JSON object in a line for each record, as :class:`Record` makes it plain."""

    def begin(self) -> bytes:
        """Return nothing."""
        return b""

    def encode(self, record: Record) -> bytes:
        """Return the line of a record."""
        return json.dumps(record.plain(), separators=(",", ":")).encode() + b"\n"

    def end(self, at: float) -> bytes:
        """Return nothing."""
        return b""


class RawWriter:
    """The data alone, of the records that it is given."""

    def begin(self) -> bytes:
        """Return nothing."""
        return b""

    def encode(self, record: Record) -> bytes:
        """Return the data of a record."""
        return record.data if record.kind is Kind.DATA else b""

    def end(self, at: float) -> bytes:
        """Return nothing."""
        return b""
