"""``portline monitor``: what passes and happens at a connection, live."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import click

from portline.cli.app import verbose_option
from portline.cli.completion import connections
from portline.cli.processes import socket_option
from portline.cli.watching import Count, Measured, Watched, forget_output, source_option
from portline.config.measures import Duration
from portline.errors import UsageError
from portline.recording.choice import Choice
from portline.recording.gathering import GAP, Gatherer
from portline.recording.page import LEGEND, Page, Stamp, View
from portline.recording.record import Kind, Source
from portline.recording.writing import JsonWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from portline.control.way import Way
    from portline.recording.record import Record

__all__ = ["SECONDS", "SOURCES", "kinds", "monitor"]

SECONDS: Final = Measured(Duration(0.001, 366 * 86400))
SOURCES: Final = {"port": Source.PORT, "peers": Source.PEER, None: None}

_PEERS: Final = (Kind.CONNECTED, Kind.DISCONNECTED)
_GROUPS: Final = {"peers": _PEERS, "port": (Kind.OPEN, Kind.CLOSED), "faults": (Kind.FAULT,)}
"""What may be named together, beside each kind by itself."""


def kinds(_ctx: click.Context, _param: click.Parameter, text: str | None) -> frozenset[Kind] | None:
    """Read ``data,lines``."""
    if text is None:
        return None
    found: set[Kind] = set()
    for word in text.split(","):
        name = word.strip()
        if name in _GROUPS:
            found.update(_GROUPS[name])
        elif name in Kind.__members__.values():
            found.add(Kind(name))
        else:
            known = ", ".join(
                [*(kind.value for kind in Kind if kind is not Kind.SKIPPED), *_GROUPS]
            )
            raise click.BadParameter(f"{name!r} is none of {known}")
    return frozenset(found)


@click.command()
@click.argument("name", shell_complete=connections)
@click.option(
    "--only",
    metavar="KINDS",
    callback=kinds,
    help="Only these, with commas between: data, lines, settings, break, fault, purge, open, "
    "closed, connected, disconnected; peers for the last two, port for those before.",
)
@source_option("Only what comes from the port, or from the peers.")
@click.option("--match", metavar="TEXT", default="", help="Only what has this text in it.")
@click.option("--hex", "view", flag_value="hex", help="Data in hex alone.")
@click.option("--text", "view", flag_value="text", help="Data as text alone.")
@click.option(
    "--time",
    "stamp",
    type=click.Choice([stamp.value for stamp in Stamp]),
    default=Stamp.ABSOLUTE.value,
    show_default=True,
    help="Of the day, since the first record, or since the one before.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object in a line, for programs.")
@click.option(
    "--gap",
    type=Measured(Duration(0, 10)),
    default=GAP,
    help="Put pieces of data together unless there is so much silence between them; 0: show each "
    "as it came. [default: 50ms]",
)
@click.option("--count", type=click.IntRange(1), metavar="N", help="End after so many records.")
@click.option("--seconds", type=SECONDS, help="End after this time.")
@socket_option
@verbose_option
def monitor(
    name: str,
    only: frozenset[Kind] | None,
    source: str | None,
    match: str,
    view: str | None,
    stamp: str,
    as_json: bool,
    gap: float,
    count: int | None,
    seconds: float | None,
    way: Way | None,
) -> int:
    """Show what passes and happens at the connection NAME of a running Portline, until Ctrl-C.

    Data from the port ("<-") and to it ("->") with the peer that sent it, changes of signal lines
    and settings, breaks, faults, who comes and goes.  The port never waits for it: where it cannot
    keep up, it skips and says how much.
    """
    if as_json and view is not None:
        raise UsageError("--json has no columns; leave out --hex and --text")
    choice = Choice(only, SOURCES[source], match.encode())
    page = Page(View(view or "both"), Stamp(stamp))
    writer = JsonWriter()

    def shown(record: Record) -> str:
        if as_json:
            return writer.encode(record).decode()
        return "".join(f"{line}\n" for line in page.lines(record))

    gatherer = None if as_json or not gap else Gatherer(gap, lines=page.view is View.TEXT)
    return _show(name, way, choice, shown, gatherer, count=count, seconds=seconds, quiet=as_json)


def _show(
    name: str,
    way: Way | None,
    choice: Choice,
    shown: Callable[[Record], str],
    gatherer: Gatherer | None,
    *,
    count: int | None,
    seconds: float | None,
    quiet: bool,
) -> int:
    seen, left = Count(), count
    with Watched(name, way) as watched:
        if not quiet:
            click.echo(f"{watched.title}\n{LEGEND}", err=True)
        try:
            for records in _gathered(watched, seconds, gatherer):
                wanted = [record for record in records if choice.wants(record)][:left]
                for record in wanted:
                    seen.add(record)
                _write("".join(map(shown, wanted)))
                left = None if left is None else left - len(wanted)
                if left == 0:
                    break
        except KeyboardInterrupt:
            pass
        except BrokenPipeError:  # who has read has seen enough
            forget_output()
            return 0
        if not quiet:
            click.echo(str(seen), err=True)
        if watched.ended:
            click.echo(f"{name}: {watched.ended}", err=True)
            return 1
    return 0


def _gathered(
    watched: Watched, seconds: float | None, gatherer: Gatherer | None
) -> Iterator[list[Record]]:
    """Yield records, with the data that belongs together put together."""
    if gatherer is None:
        yield from watched.batches(seconds)
        return
    for records in watched.batches(seconds, lambda: GAP if gatherer.pending else None):
        if records:
            yield [each for record in records for each in gatherer.feed(record)]
        else:
            yield gatherer.flush()
    yield gatherer.flush()


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
