"""``portline record``: what passes and happens at a connection, into a file."""

from __future__ import annotations

import signal
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from portline import __version__
from portline.cli.app import verbose_option
from portline.cli.completion import connections
from portline.cli.layout import age, clean, quantity
from portline.cli.monitor import SECONDS, SOURCES
from portline.cli.processes import socket_option
from portline.cli.watching import Count, Measured, Watched, forget_output, source_option
from portline.config.measures import Size
from portline.errors import PortlineError, UsageError
from portline.plural import plural
from portline.recording.pcapng import PcapngWriter
from portline.recording.record import Kind, Source
from portline.recording.writing import HexWriter, JsonWriter, RawWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from portline.control.way import Way
    from portline.recording.record import Record
    from portline.recording.writing import Writer

__all__ = ["FILES_MAX", "SIZE", "Output", "record"]

SIZE: Final = 1024**3
"""Bytes of a file where no other limit is given: what 115200 baud bring in a day, and a disk that
is not filled by what somebody forgot."""

FILES_MAX: Final = 1000
"""Files that are kept of one recording."""

END_MAX: Final = 256
"""Bytes that are kept for what a complete file ends with."""

_FORMATS: Final = ("pcapng", "hex", "json", "raw")
_SUFFIXES: Final = {
    "": "pcapng",
    ".pcapng": "pcapng",
    ".pcap": "pcapng",
    ".txt": "hex",
    ".hex": "hex",
    ".json": "json",
    ".jsonl": "json",
} | dict.fromkeys((".bin", ".raw", ".dat"), "raw")
_SIZES: Final = Measured(Size(4096, 1024**4))


class Output:
    """A file of a recording, or more than one where they take turns.

    ``limit`` bytes fit into each, ``files`` are kept: the newest is ``path``, those before are
    numbered from 1.  Raises PortlineError where it cannot be written.
    """

    def __init__(
        self, path: Path, writer: Writer, *, limit: int, files: int, overwrite: bool
    ) -> None:
        self.path = path
        self.written = 0
        """Bytes, of all files."""
        self.turns = 0
        """How often another file was begun."""
        self._writer = writer
        self._limit = limit
        self._files = files
        self._size = 0
        self._last = 0.0
        self._to_stdout = str(path) == "-"
        with self._told():
            mode = "wb" if overwrite or not path.is_file() else "xb"
            self._file = sys.stdout.buffer if self._to_stdout else path.open(mode)
        self._put(writer.begin())

    def add(self, record: Record) -> bool:
        """Write a record; False, with nothing written, where it has no room and no other file."""
        data = self._writer.encode(record)
        if self._size + len(data) + END_MAX > self._limit and self._size:
            if self._files < 2:
                return False
            self._turn()
        self._put(data)
        self._last = record.at
        return True

    def flush(self) -> None:
        """Let others read what is written."""
        with self._told():
            self._file.flush()

    def close(self, at: float) -> None:
        """Complete the file."""
        self._put(self._writer.end(max(at, self._last)))
        with self._told():
            self._file.flush()
            if not self._to_stdout:
                self._file.close()

    def older(self, number: int) -> Path:
        """Return the name of the file that was begun ``number`` files ago."""
        return self.path.with_name(f"{self.path.stem}.{number}{self.path.suffix}")

    def _turn(self) -> None:
        self._put(self._writer.end(self._last))
        with self._told():
            self._file.close()
            for number in range(self._files - 1, 0, -1):
                before = self.path if number == 1 else self.older(number - 1)
                if before.exists():
                    before.replace(self.older(number))
            self._file = self.path.open("xb")
        self.turns += 1
        self._size = 0
        self._put(self._writer.begin())

    def _put(self, data: bytes) -> None:
        with self._told():
            self._file.write(data)
        self._size += len(data)
        self.written += len(data)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise
        except FileExistsError:
            raise UsageError(
                f"{self.path}: is there already; name another file, or give --overwrite"
            ) from None
        except OSError as error:
            raise PortlineError(f"{self.path}: cannot be written: {error.strerror}") from error


def _format_of(path: Path, chosen: str | None) -> str:
    """Return the format of a file.  Raises UsageError where its name ends in an unknown way."""
    if chosen is not None:
        return chosen
    try:
        return _SUFFIXES[path.suffix.lower()]
    except KeyError:
        endings = ", ".join(filter(None, _SUFFIXES))
        raise UsageError(
            f"{path}: {path.suffix} is no ending of a recording; there are: {endings}; or choose "
            f"with --format ({', '.join(_FORMATS)})"
        ) from None


def _outputs(
    path: Path, form: str, source: Source | None, watched: Watched, **options: Any
) -> list[tuple[Source | None, Output]]:
    """Return the files, each with the direction of what it gets; None for both."""
    if form != "raw":
        writer: Writer
        if form == "hex":
            writer = HexWriter(watched.name)
        elif form == "json":
            writer = JsonWriter()
        else:
            about = watched.about
            writer = PcapngWriter(
                watched.name,
                about=f"{about['port']} {about['settings']}",
                program=f"Portline {__version__}",
                lines=watched.lines,
            )
        return [(source, Output(path, writer, **options))]
    if source is not None:
        return [(source, Output(path, RawWriter(), **options))]
    if str(path) == "-":
        raise UsageError("raw data of both directions does not go to one pipe; choose with --from")
    return [
        (Source.PORT, Output(path.with_name(f"{path.name}.from-port"), RawWriter(), **options)),
        (Source.PEER, Output(path.with_name(f"{path.name}.to-port"), RawWriter(), **options)),
    ]


@click.command()
@click.argument("name", shell_complete=connections)
@click.argument("file", type=click.Path(path_type=Path, readable=False, allow_dash=True))
@click.option(
    "--format",
    "form",
    type=click.Choice(_FORMATS),
    help="pcapng for Wireshark, lines of hex, lines of JSON, or the bytes alone. [default: what "
    "the name ends with (.pcapng, .txt, .json, .bin); pcapng where it ends with nothing]",
)
@source_option("Only what comes from the port, or from the peers.")
@click.option("--seconds", type=SECONDS, help="End after this time.")
@click.option("--size", type=_SIZES, default=SIZE, help="Bytes of a file. [default: 1GiB]")
@click.option(
    "--files",
    type=click.IntRange(1, FILES_MAX),
    default=1,
    show_default=True,
    help="Keep so many files: when one is full, begin another, and forget the oldest. With one, "
    "the recording ends then.",
)
@click.option("--overwrite", is_flag=True, help="Begin anew a file that is there already.")
@socket_option
@verbose_option
def record(
    name: str,
    file: Path,
    form: str | None,
    source: str | None,
    seconds: float | None,
    size: int,
    files: int,
    overwrite: bool,
    way: Way | None,
) -> int:
    """Record what passes and happens at the connection NAME into FILE, until Ctrl-C.

    FILE is - for standard output: `portline record meter - | wireshark -k -i -`.  Raw data of both
    directions goes to FILE.from-port and FILE.to-port.
    """
    if str(file) == "-" and files > 1:
        raise UsageError("standard output is one file; leave out --files")
    only = SOURCES[source]
    with Watched(name, way) as watched:
        outputs = _outputs(
            file,
            _format_of(file, form),
            only,
            watched,
            limit=size,
            files=files,
            overwrite=overwrite,
        )
        count, begun = Count(), time.monotonic()
        if sys.stderr.isatty():
            click.echo(f"{watched.title}; recording, until Ctrl-C", err=True)
        full = _recorded(watched, outputs, seconds, count)
        ended = watched.ended
        took = time.monotonic() - begun
    to_stdout = str(file) == "-"
    for _, output in outputs:
        more = f", {plural(min(output.turns, files - 1), 'older file')}" if output.turns else ""
        told = f"{clean(output.path)}: {quantity(output.written)}{more}"
        click.echo(told, err=to_stdout)
    click.echo(f"{age(took)}, {count}", err=to_stdout)
    if full:
        click.echo(f"ended: the file is full (--size {_SIZES.kind.show(size)})", err=to_stdout)
    if ended:
        click.echo(f"ended: {clean(ended)}", err=to_stdout)
        return 1
    return 0


def _recorded(
    watched: Watched,
    outputs: list[tuple[Source | None, Output]],
    seconds: float | None,
    count: Count,
) -> bool:
    """Record until the end, whatever it is; return whether it was a full file."""
    only = outputs[0][0] if len(outputs) == 1 else None
    full = False
    try:
        with _ends_with(signal.SIGTERM):
            for records in watched.batches(seconds):
                for each in records:
                    if only is not None and each.source is not only and each.kind is Kind.DATA:
                        continue
                    if not all(
                        output.add(each)
                        for source, output in outputs
                        if source in (None, each.source) or each.kind is not Kind.DATA
                    ):
                        full = True
                        return True
                    count.add(each)
                for _, output in outputs:
                    output.flush()
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:
        forget_output()
    finally:
        with suppress(BrokenPipeError):
            for _, output in outputs:
                output.close(time.time())
    return full


@contextmanager
def _ends_with(number: signal.Signals) -> Iterator[None]:
    """Let a signal end what goes on as Ctrl-C does: the file is completed."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before: Callable[..., Any] | int | None = signal.signal(number, interrupt)
    try:
        yield
    finally:
        signal.signal(number, before)
