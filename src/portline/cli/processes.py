"""The running Portlines as the commands ask them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from portline.cli.complaint import complain
from portline.cli.elsewhere import asked_on_command_line, way_elsewhere
from portline.control.client import NobodyThere, SocketWay
from portline.control.place import Places, remove_stale
from portline.errors import ConfigError, NameUnknown, PortlineError, UsageError, clean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from portline.control.way import Way

__all__ = [
    "Answer",
    "ask_all",
    "ask_holder",
    "each_service",
    "failed",
    "holder",
    "holder_of",
    "json_option",
    "nobody",
    "on_this_machine",
    "socket_option",
]

_Command = TypeVar("_Command", bound="Callable[..., Any]")


@dataclass(frozen=True, slots=True)
class Answer:
    """What one process said: a result, or why there is none."""

    way: Way
    result: Any = None
    error: PortlineError | None = None


def socket_option(command: _Command) -> _Command:
    """Give a command ``way``: ``--socket PATH``, or what `portline --url` says.

    None where neither is given: all processes of this user.
    """
    from pathlib import Path

    def chosen(ctx: click.Context, _param: click.Parameter, path: Path | None) -> Way | None:
        if ctx.resilient_parsing:  # the shell's completion, which asks by itself
            return None
        elsewhere = way_elsewhere(ctx)
        if path is None:
            return elsewhere
        if elsewhere is not None:
            raise UsageError(
                f"--socket is for a Portline of this machine, and --url (or PORTLINE_URL) says "
                f"{elsewhere}; leave one of them out"
            )
        return SocketWay(path)

    option = click.option(
        "--socket",
        "way",
        type=click.Path(path_type=Path, readable=False),
        metavar="PATH",
        callback=chosen,
        help="Ask the process with this socket only. [default: all of this user]",
    )
    return option(command)


def on_this_machine(name: str, way: Way | None) -> Way | None:
    """Return whom to ask of this machine about what ``name`` means on it alone.

    PORTLINE_URL does not count then.  Raises UsageError for a ``--url``.
    """
    if way is None or isinstance(way, SocketWay):
        return way
    if asked_on_command_line(click.get_current_context(silent=True)):
        raise UsageError(f"{name}: means nothing at {way}; name a connection, or leave out --url")
    return None


def ask_all(operation: str, way: Way | None, **parameters: object) -> Iterator[Answer]:
    """Ask one process, or all of this machine that this user may ask; left-over sockets go."""
    ways = map(SocketWay, Places().sockets()) if way is None else [way]
    for each in ways:
        try:
            yield Answer(each, _checked(each, each.ask(operation, parameters)))
        except NobodyThere as error:
            if isinstance(each, SocketWay):
                remove_stale(each.path)
            if way is not None:
                yield Answer(each, error=error)
        except PortlineError as error:
            yield Answer(each, error=error)


def ask_holder(operation: str, name: str, way: Way | None, **parameters: object) -> Any:
    """Have the process that has the connection ``name`` do an operation on it; return its result.

    Raises PortlineError: what the process says, or that there is none, or no such connection.
    """
    found = holder_of(name, way)
    for answer in ask_all(operation, found, name=name, **parameters):
        if answer.error is not None:
            raise answer.error
        return answer.result
    raise nobody("Portline")


def holder_of(name: str, way: Way | None) -> Way:
    """Return the way to the process that has the connection ``name``.

    Raises NameUnknown, UsageError where several have one of that name, PortlineError where nobody
    has answered.
    """
    known: dict[str, list[Way]] = {}
    errors: list[PortlineError] = []
    for answer in ask_all("status", way):
        if answer.error is not None:
            errors.append(answer.error)
            continue
        for connection in answer.result["connections"]:
            known.setdefault(connection["name"], []).append(answer.way)
    if name in known:
        return holder(name, known[name])
    if errors and (way is not None or not known):
        raise errors[0]
    if known or way is not None:
        raise NameUnknown(name, sorted(known))
    raise nobody("Portline")


def holder(name: str, ways: list[Way]) -> Way:
    """Return the only one of the ways by which a connection is reached.  Raises UsageError."""
    if len(ways) > 1:
        sockets = ", ".join(map(clean, ways))
        raise UsageError(
            f"{name!r} is a connection of several processes; choose one with --socket: {sockets}"
        )
    return ways[0]


def each_service(
    answers: Iterable[Answer],
    act: Callable[[Way, dict[str, Any], list[Any] | None], int],
    *,
    named: bool,
    as_json: bool,
) -> int:
    """Act on each `portline serve` among those that answer; return the highest exit code.

    ``act`` gets the way, what the process says of itself, and a list for its result where JSON
    is wanted, which is printed at the end.  ``named`` takes a process without a file, too.  Raises
    PortlineError where there is none.
    """
    codes: list[int] = []
    results: list[Any] = []
    for answer in answers:
        if answer.error is not None:
            codes.append(failed("", answer.error, as_json=as_json))
        elif answer.result["process"]["file"] is not None or named:
            process = answer.result["process"]
            codes.append(act(answer.way, process, results if as_json else None))
    if not codes:
        raise nobody("`portline serve`")
    if as_json:
        click.echo(json.dumps(results, indent=2))
    return max(codes)


def failed(who: str, error: PortlineError, *, as_json: bool) -> int:
    """Say what is wrong; return the exit code."""
    is_config = isinstance(error, ConfigError)
    further = [f"{who}: nothing was changed"] if is_config else []
    complain(error, further, as_json=as_json)
    return 2 if is_config else 1


def json_option(command: _Command) -> _Command:
    """Give a command ``--json``."""
    text = "Print what the process answers as JSON, for programs."
    return click.option("--json", "as_json", is_flag=True, help=text)(command)


def _checked(way: Way, result: Any) -> Any:
    """Return a result that has at least the shape of one: root asks programs of any user."""
    match result:
        case {"process": {"pid": int(), "command": str(), "file": _}}:
            connections = result.get("connections", [])
            if isinstance(connections, list) and all(map(_has_name, connections)):
                return result
        case _:
            pass
    raise PortlineError(f"{way}: is answered by a program that is no Portline")


def _has_name(connection: object) -> bool:
    return isinstance(connection, dict) and isinstance(connection.get("name"), str)


def nobody(what: str) -> PortlineError:
    """Return what to say when nobody answered."""
    hint = "; that of another user does, which root may ask" if Places().others() else ""
    return PortlineError(f"no {what} of this user is running{hint}")
