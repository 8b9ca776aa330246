"""``/api/record``: what passes at a connection from now on, as a file that is being fetched.

It is an operation like those of the table, but its answer is a file and no JSON; so it is of HTTP
alone.  The file ends, complete, after its time, when it is full, or with the connection, and at any
moment when who fetches it goes.
"""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import suppress
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

import portline
from portline.control.operations.operation import Operation, Parameter
from portline.control.operations.parameters import NAME
from portline.control.operations.streams import Monitored
from portline.control.operations.table import OPERATIONS
from portline.recording.pcapng import PcapngWriter
from portline.recording.record import Kind, Record
from portline.recording.writing import HexWriter, JsonWriter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from portline.control.operations.subject import Subject
    from portline.recording.writing import Writer
    from portline.service.monitor.watcher import Watcher

__all__ = ["MEDIA", "RECORD", "SECONDS", "SIZE", "heading", "recorded"]

SECONDS: Final = (0.1, 86_400.0, 60.0)
"""The least, the most, and what a file takes if nobody says: nobody waits longer than a day for a
download, and who forgot to say how long is not kept waiting."""

SIZE: Final = (4096, 1024**3, 64 * 1024**2)
"""Bytes: the least, the most (what 115200 baud bring in a day), and if nobody says."""

END_MAX: Final = 256
"""Bytes that are kept for what a complete file ends with."""

PIECE: Final = 256
"""Bytes of a record that are turned into lines of hex at once, in a part of a millisecond; the
other formats keep a record whole, and take no longer for its 64 KiB."""

PORTION: Final = 32 * 1024
"""Bytes that are sent at once."""

CHECK: Final = 0.5
"""Seconds within which a download notices that its time is over, or its token worthless."""

MEDIA: Final = {
    "pcapng": "application/x-pcapng",
    "hex": "text/plain; charset=utf-8",
    "json": "application/x-ndjson",
}
"""The type of each format."""

_SUFFIX: Final = {"pcapng": "pcapng", "hex": "txt", "json": "jsonl"}


def _format(value: object) -> str:
    if isinstance(value, str) and value in MEDIA:
        return value
    raise ValueError(f"format must be one of {', '.join(MEDIA)}")


def _seconds(value: object) -> float:
    low, high, _ = SECONDS
    if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
        return float(value)
    raise ValueError(f"seconds must be {low:g} to {high:g}")


def _size(value: object) -> int:
    low, high, _ = SIZE
    if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
        return value
    raise ValueError(f"size must be {low} to {high}, in bytes")


async def _record(subject: Subject, *, name: str, **_limits: object) -> Monitored:
    """Record what passes and happens at a connection, from now on, as a file that is downloaded."""
    found = await OPERATIONS["monitor"].run(subject, name=name)
    assert isinstance(found, Monitored)
    return found


RECORD: Final = Operation(
    "record",
    (
        NAME,
        Parameter(
            "format",
            "pcapng for Wireshark, lines of hex, or lines of JSON.",
            _format,
            {"type": "string", "enum": list(MEDIA)},
            "pcapng",
        ),
        Parameter(
            "seconds",
            f"End after this time; {SECONDS[2]:g} if left out.",
            _seconds,
            {"type": "number", "minimum": SECONDS[0], "maximum": SECONDS[1]},
            SECONDS[2],
        ),
        Parameter(
            "size",
            f"End before the file has more bytes; {SIZE[2]} if left out.",
            _size,
            {"type": "integer", "minimum": SIZE[0], "maximum": SIZE[1]},
            SIZE[2],
        ),
    ),
    Monitored,
    _record,
    changes=False,
)
"""record."""


def heading(name: str, form: str) -> dict[str, str]:
    """Return the header fields that say what a browser calls the file."""
    safe = re.sub(r"[^A-Za-z0-9._-]", "-", name)[:64].strip(".") or "recording"
    return {
        "Content-Disposition": f'attachment; filename="{safe}.{_SUFFIX[form]}"',
        "X-Accel-Buffering": "no",  # nginx would gather
    }


async def recorded(
    about: Monitored,
    watcher: Watcher,
    ready: asyncio.Event,
    good: Callable[[], bool],
    *,
    form: str,
    seconds: float,
    size: int,
) -> AsyncIterator[bytes]:
    """Yield the file; ``ready`` is set when the watcher has something, ``good`` says go on."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    writer = _writer(about, form)
    written = writer.begin()
    left = size - len(written) - END_MAX
    last = 0.0
    yield written
    while not watcher.ended and good() and (wait := end - loop.time()) > 0:
        if not watcher.waiting:
            ready.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(ready.wait(), min(wait, CHECK))
            continue
        portion = bytearray()
        for piece in (piece for record in watcher.take() for piece in _pieces(record, form)):
            written = writer.encode(piece)
            left -= len(written)
            if left < 0:
                break
            last = piece.at
            portion += written
            if len(portion) > PORTION:
                yield bytes(portion)
                portion.clear()
            await asyncio.sleep(0)
        yield bytes(portion)
        if left < 0:
            break
    yield writer.end(max(time.time(), last))


def _writer(about: Monitored, form: str) -> Writer:
    if form == "hex":
        return HexWriter(about.name)
    if form == "json":
        return JsonWriter()
    lines: dict[str, Any] = {} if about.lines is None else asdict(about.lines)
    return PcapngWriter(
        about.name,
        about=f"{about.port} {about.settings}",
        program=f"Portline {portline.__version__}",
        lines=lines,
    )


def _pieces(record: Record, form: str) -> Iterator[Record]:
    """Yield a record in pieces that are quick to write."""
    if form != "hex" or record.kind is not Kind.DATA or len(record.data) <= PIECE:
        yield record
        return
    for start in range(0, len(record.data), PIECE):
        yield replace(record, data=record.data[start : start + PIECE])
