"""``portline lines``, ``break`` and ``set``: the port of a connection, operated from here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import click

from portline.cli.app import verbose_option
from portline.cli.completion import connections
from portline.cli.layout import clean
from portline.cli.processes import ask_holder, json_option, socket_option
from portline.errors import UsageError
from portline.line import BREAK_PULSE

if TYPE_CHECKING:
    from portline.control.way import Way

__all__ = ["lines", "send_break", "set_settings"]

LEVELS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(("on", "1", "true", "high"), True),
    **dict.fromkeys(("off", "0", "false", "low"), False),
    "auto": None,
}
"""Words for a level; with auto the configuration decides again."""


@click.command()
@click.argument("name", shell_complete=connections)
@click.argument("levels", metavar="[LINE=LEVEL]...", nargs=-1)
@json_option
@socket_option
@verbose_option
def lines(name: str, levels: tuple[str, ...], as_json: bool, way: Way | None) -> int:
    """Show the signal lines of the connection NAME, or drive some first.

    A real port drives dtr and rts; the application of a virtual one reads cts, dsr, dcd and ri.
    LEVEL is on or off; with auto the configuration decides again.  A level holds until something
    else decides it: a peer that comes or goes, or asks for another; a rule that comes to another.

    \b
    portline lines meter
    portline lines meter dtr=off rts=on
    portline lines meter dtr=auto
    """
    wanted = {line: _level(line, text) for line, text in _pairs(levels, "dtr=on").items()}
    answer = ask_holder("lines", name, way, lines=wanted)
    if as_json:
        click.echo(json.dumps(answer, indent=2))
        return 0
    shown = [f"{clean(line).upper()} {_ON[level]}" for line, level in answer["lines"].items()]
    click.echo(f"{clean(name)}: {', '.join(shown) or 'none'}")
    if answer["note"]:
        click.echo(clean(answer["note"]), err=True)
    return 0


_ON: Final = {True: "on", False: "off"}


def _level(line: str, text: str) -> bool | None:
    if text.lower() not in LEVELS:
        raise UsageError(f"{line}={text}: the level must be on, off or auto")
    return LEVELS[text.lower()]


@click.command("break")
@click.argument("name", shell_complete=connections)
@click.argument("seconds", type=float, default=BREAK_PULSE)
@json_option
@socket_option
@verbose_option
def send_break(name: str, seconds: float, as_json: bool, way: Way | None) -> int:
    """Send a break at the port of the connection NAME, for SECONDS.  [default: 0.25, at most 5]

    It comes behind what the peers have sent.  The application of a virtual port reads a break,
    where the port can show one.
    """
    answer = ask_holder("break", name, way, seconds=seconds)
    text = f"{clean(name)}: a break of {seconds:g} s"
    click.echo(json.dumps(answer, indent=2) if as_json else text)
    return 0


@click.command("set")
@click.argument("name", shell_complete=connections)
@click.argument("settings", metavar="[OPTION=VALUE]...", nargs=-1)
@json_option
@socket_option
@verbose_option
def set_settings(name: str, settings: tuple[str, ...], as_json: bool, way: Way | None) -> int:
    """Put settings of the real port of the connection NAME in force now, and show all of them.

    OPTION is baudrate, data-bits, parity, stop-bits or flow-control, as in a file.  The file stays
    as it is; see `portline edit`.  They hold until a peer asks for others or, having done so,
    leaves.

    \b
    portline set meter baudrate=19200 parity=even
    portline set meter
    """
    answer = ask_holder("settings", name, way, options=_pairs(settings, "baudrate=9600"))
    text = f"{clean(name)}: {clean(answer['notation'])}"
    click.echo(json.dumps(answer, indent=2) if as_json else text)
    return 0


def _pairs(words: tuple[str, ...], example: str) -> dict[str, Any]:
    """Return what KEY=VALUE words say.  Raises UsageError."""
    found: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        key = key.strip().lower()
        if not (key and equals and value.strip()):
            raise UsageError(f"{word!r} is no assignment; write it like {example}")
        if key in found:
            raise UsageError(f"{key} is given twice; give it once")
        found[key] = value.strip()
    return found
