"""A connection of a running Portline as commands watch it, until there is enough."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import click

from portline.cli.layout import clean
from portline.cli.processes import holder_of
from portline.errors import PortlineError
from portline.plural import plural
from portline.recording.record import Kind, Record, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from portline.config.measures import Duration, Size
    from portline.control.way import Way

__all__ = ["Count", "Measured", "Watched", "forget_output", "source_option"]

_Command = TypeVar("_Command", bound="Callable[..., Any]")


class Watched:
    """The records of a connection, within ``with``; ``ended`` tells why there are no more.

    ``about`` is what the connection is when it begins.
    """

    def __init__(self, name: str, way: Way | None) -> None:
        self.name = name
        self.ended = ""
        self._stream = holder_of(name, way).stream("monitor", {"name": name})
        self.about: dict[str, Any] = self._stream.result

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.close()

    def batches(
        self, seconds: float | None, patience: Callable[[], float | None] = lambda: None
    ) -> Iterator[list[Record]]:
        """Yield records as they come, some at a time, for so many seconds or until they end.

        Yields [] where nothing has come for the seconds that ``patience`` returns.
        """
        end = None if seconds is None else time.monotonic() + seconds
        last: Record | None = None
        while (left := None if end is None else end - time.monotonic()) is None or left > 0:
            idle = patience()
            waits = [limit for limit in (left, idle) if limit is not None]
            items = self._stream.wait(min(waits, default=None))
            if items is None:
                gone = last is not None and last.value.get("what") == "connection"
                self.ended = last.text if last is not None and gone else "its Portline has ended"
                return
            try:
                records = [Record.of(item) for item in items]
            except ValueError as error:
                raise PortlineError(
                    f"{self.name}: is told of in a way that this Portline does not understand; "
                    "is that process of another version?"
                ) from error
            if records:
                last = records[-1]
            if records or idle is not None:
                yield records

    @property
    def lines(self) -> dict[str, bool]:
        """The signal lines that are known at first."""
        lines = self.about.get("lines")
        return dict(lines) if isinstance(lines, dict) else {}

    @property
    def title(self) -> str:
        """What is watched, in a line."""
        about = self.about
        state = str(about["settings"]) if about["open"] else "not open"
        on = [name.upper() for name, level in self.lines.items() if level]
        lines = f", {' '.join(on) or 'no line'} on" if self.lines else ""
        return clean(f"{self.name}: {about['port']} {state}{lines}")


class Count:
    """What was seen, in numbers."""

    def __init__(self) -> None:
        self.records = 0
        self.bytes = {Source.PORT: 0, Source.PEER: 0}
        self.skipped_records = 0
        self.skipped_bytes = 0

    def add(self, record: Record) -> None:
        """Count a record."""
        if record.kind is not Kind.SKIPPED:
            self.records += 1
            self.bytes[record.source] += len(record.data)
            return
        for name in ("records", "bytes"):
            with suppress(TypeError, ValueError):
                more = int(str(record.value.get(name)))
                setattr(self, f"skipped_{name}", getattr(self, f"skipped_{name}") + more)

    def __str__(self) -> str:
        """Write ``3 records: 12 bytes from the port, 7 bytes to it``."""
        heard, spoken = self.bytes[Source.PORT], self.bytes[Source.PEER]
        text = (
            f"{plural(self.records, 'record')}: {plural(heard, 'byte')} from the port, "
            f"{plural(spoken, 'byte')} to it"
        )
        if self.skipped_records:
            text += (
                f"; skipped {plural(self.skipped_records, 'record')} with "
                f"{plural(self.skipped_bytes, 'byte')}, which came faster than taken"
            )
        return text


class Measured(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.2
    """A time or a size, with a unit."""

    def __init__(self, kind: Duration | Size) -> None:
        self.kind = kind
        self.name = kind.metavar

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | int:
        """Read it."""
        if isinstance(value, float | int):
            return value
        try:
            return self.kind.read(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def source_option(text: str) -> Callable[[_Command], _Command]:
    """Return the option ``--from port|peers``."""
    return click.option("--from", "source", type=click.Choice(["port", "peers"]), help=text)


def forget_output() -> None:
    """Let nothing be written to a pipe that is closed when the interpreter ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
