"""``portline status``: what the running Portlines do."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import click

from portline.cli.app import verbose_option
from portline.cli.complaint import complain
from portline.cli.completion import connections
from portline.cli.layout import age, clean, columns_of_terminal, paragraph, together
from portline.cli.processes import ask_all, nobody, socket_option
from portline.cli.watch import Picture, repeat
from portline.cli.watching import Measured
from portline.config.measures import Duration
from portline.errors import PortlineError, UsageError
from portline.plural import plural

if TYPE_CHECKING:
    from portline.control.way import Way

__all__ = ["INTERVAL", "status"]

INTERVAL: Final = 1.0
"""Seconds between two looks: rates are of some seconds, and a status costs a millisecond."""


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=connections)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array, for programs.")
@click.option("--watch", is_flag=True, help="Show it again and again, until Ctrl-C.")
@click.option(
    "--interval",
    type=Measured(Duration(0.1, 3600)),
    metavar="SECONDS",
    help="Between two looks with --watch. [default: 1s]",
)
@socket_option
@verbose_option
def status(
    names: tuple[str, ...],
    as_json: bool,
    watch: bool,
    interval: float | None,
    way: Way | None,
) -> int:
    """Show what the running connections do: their state, port, peers, traffic and options.

    With NAME everything about those connections, every option included.  The exit code is 1 if
    no Portline of this user is running, or one does not answer.

    With --watch a terminal shows it live, in place; into a pipe goes each state as a whole, with
    --json as one line.
    """
    if watch:
        return _watched(names, as_json=as_json, interval=interval or INTERVAL, way=way)
    if interval is not None:
        raise UsageError("--interval is for --watch; give both")
    chosen = {"names": list(names)} if names else {}
    answers = list(ask_all("status", way, **chosen))
    if not answers:
        raise nobody("Portline")
    errors = [answer.error for answer in answers if answer.error is not None]
    for error in errors:
        complain(error, as_json=as_json)
    code = 1 if errors else 0
    results = [answer.result for answer in answers if answer.error is None]
    _check_names(names, results, way)
    if as_json:
        import json

        click.echo(json.dumps(results, indent=2))
    elif results:
        click.echo("\n".join(_text(results, detailed=bool(names))))
    return code


def _watched(names: tuple[str, ...], *, as_json: bool, interval: float, way: Way | None) -> int:
    """Show it until somebody has seen enough; who ends and begins meanwhile is shown, too."""
    picture = Picture()
    chosen = {"names": list(names)} if names else {}

    def show() -> None:
        answers = list(ask_all("status", way, **chosen))
        results = [answer.result for answer in answers if answer.error is None]
        if as_json:
            import json

            sys.stdout.write(json.dumps(results, separators=(",", ":")) + "\n")
            sys.stdout.flush()
            return
        lines = [f"portline: error: {clean(each.error)}" for each in answers if each.error]
        if not answers:
            lines = [str(nobody("Portline"))]
        picture.draw([*lines, *_text(results, detailed=bool(names))])

    return repeat(show, interval)


def _check_names(names: tuple[str, ...], results: list[Any], way: Way | None) -> None:
    """Raise PortlineError when a name is that of no connection."""
    found = {connection["name"] for result in results for connection in result["connections"]}
    missing = [name for name in names if name not in found]
    if not missing:
        return
    everything = ask_all("status", way)
    known = sorted(
        clean(connection["name"])
        for answer in everything
        if answer.error is None
        for connection in answer.result["connections"]
    )
    raise PortlineError(
        f"there is no connection {', '.join(map(clean, missing))}; there are: {', '.join(known)}"
    )


def _text(results: list[Any], *, detailed: bool) -> list[str]:
    """Return the lines about all processes; those without a connection to show are left out."""
    lines: list[str] = []
    for result in results:
        if result["connections"] or not detailed:
            try:
                lines += _about(result, detailed=detailed)
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                raise PortlineError(
                    "a process answers in a way that this Portline does not understand; "
                    "is it of another version? `portline status --json` shows it as it is"
                ) from error
    return lines[1:]


def _about(result: dict[str, Any], *, detailed: bool) -> list[str]:
    """Return the lines about one process."""
    from portline.cli.details import details, differences
    from portline.cli.overview import overview

    width = columns_of_terminal()
    lines = ["", *_title(result["process"], _refused(result.get("control", {})), width)]
    if (page := result.get("page")) is not None:
        lines += _page(page, width)
    for connection in result["connections"]:
        lines += ["", *overview(connection, width, everything=detailed)]
        lines += (details if detailed else differences)(connection, width)
    return lines


def _page(page: dict[str, Any], width: int) -> list[str]:
    """Return the lines about a page: where it is, who is there, and what is wrong."""
    counters = page["counters"]
    parts = [f"page {', '.join(map(clean, page['addresses'])) or '-'}"]
    if page["error"]:
        parts.append(clean(page["error"]))
    parts += [
        plural(counters[key], what)
        for key, what in (("connections", "browser connection"), ("sessions", "session"))
        if key in counters
    ]
    parts += [
        _counted(clean(key).split("_"), count)
        for key, count in counters.items()
        if count and key not in ("connections", "sessions")
    ]
    return paragraph(together(parts, ","), width)


def _refused(control: dict[str, int]) -> list[str]:
    """Return how many programs the control socket has refused, by the reason."""
    return [_counted(clean(key).split("_"), count) for key, count in control.items() if count]


def _counted(words: list[str], count: int) -> str:
    """Write a counter by its name: of ``logins_failed`` or ``slow_headers`` the noun bends."""
    if count == 1:
        words = [word.removesuffix("s") for word in words]
    return f"{count} {' '.join(words)}"


def _title(process: dict[str, Any], refused: list[str], width: int) -> list[str]:
    parts = [f"portline {clean(process['command'])}", f"pid {process['pid']}"]
    if process["file"] is not None:
        parts.append(clean(process["file"]))
    parts += [f"up for {age(process['up_for'])}", *refused]
    return paragraph(together(parts, ","), width)
