"""The running Portlines as the commands ask them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from portline.cli.complaint import complain
from portline.control.client import NobodyThere, ask
from portline.control.place import Places, remove_stale
from portline.errors import ConfigError, NameUnknown, PortlineError, UsageError, clean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

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
    "socket_option",
]

_Command = TypeVar("_Command", bound="Callable[..., Any]")


@dataclass(frozen=True, slots=True)
class Answer:
    """What one process said: a result, or why there is none."""

    path: Path
    result: Any = None
    error: PortlineError | None = None


def socket_option(command: _Command) -> _Command:
    """Give a command ``--socket PATH``."""
    from pathlib import Path

    option = click.option(
        "--socket",
        "socket",
        type=click.Path(path_type=Path, readable=False),
        metavar="PATH",
        help="Ask the process with this socket only. [default: all of this user]",
    )
    return option(command)


def ask_all(operation: str, socket: Path | None, **parameters: object) -> Iterator[Answer]:
    """Ask the process of one socket, or all that this user may ask; left-over sockets go."""
    for path in Places().sockets() if socket is None else [socket]:
        try:
            yield Answer(path, _checked(path, ask(path, operation, parameters)))
        except NobodyThere as error:
            remove_stale(path)
            if socket is not None:
                yield Answer(path, error=error)
        except PortlineError as error:
            yield Answer(path, error=error)


def ask_holder(operation: str, name: str, socket: Path | None, **parameters: object) -> Any:
    """Have the process that has the connection ``name`` do an operation on it; return its result.

    Raises PortlineError: what the process says, or that there is none, or no such connection.
    """
    path = holder_of(name, socket)
    for answer in ask_all(operation, path, name=name, **parameters):
        if answer.error is not None:
            raise answer.error
        return answer.result
    raise nobody("Portline")


def holder_of(name: str, socket: Path | None) -> Path:
    """Return the socket of the process that has the connection ``name``.

    Raises NameUnknown, UsageError where several have one of that name, PortlineError where nobody
    has answered.
    """
    known: dict[str, list[Path]] = {}
    errors: list[PortlineError] = []
    for answer in ask_all("status", socket):
        if answer.error is not None:
            errors.append(answer.error)
            continue
        for connection in answer.result["connections"]:
            known.setdefault(connection["name"], []).append(answer.path)
    if name in known:
        return holder(name, known[name])
    if errors and (socket is not None or not known):
        raise errors[0]
    raise NameUnknown(name, sorted(known)) if known else nobody("Portline")


def holder(name: str, paths: list[Path]) -> Path:
    """Return the only one of the sockets by which a connection is reached.  Raises UsageError."""
    if len(paths) > 1:
        sockets = ", ".join(clean(path) for path in paths)
        raise UsageError(
            f"{name!r} is a connection of several processes; choose one with --socket: {sockets}"
        )
    return paths[0]


def each_service(
    answers: Iterable[Answer],
    act: Callable[[Path, dict[str, Any], list[Any] | None], int],
    *,
    named: bool,
    as_json: bool,
) -> int:
    """Act on each `portline serve` among those that answer; return the highest exit code.

    ``act`` gets the socket, what the process says of itself, and a list for its result where JSON
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
            codes.append(act(answer.path, process, results if as_json else None))
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


def _checked(path: Path, result: Any) -> Any:
    """Return a result that has at least the shape of one: root asks programs of any user."""
    match result:
        case {"process": {"pid": int(), "command": str(), "file": _}}:
            connections = result.get("connections", [])
            if isinstance(connections, list) and all(map(_has_name, connections)):
                return result
        case _:
            pass
    raise PortlineError(f"{path}: is answered by a program that is no Portline")


def _has_name(connection: object) -> bool:
    return isinstance(connection, dict) and isinstance(connection.get("name"), str)


def nobody(what: str) -> PortlineError:
    """Return what to say when nobody answered."""
    hint = "; that of another user does, which root may ask" if Places().others() else ""
    return PortlineError(f"no {what} of this user is running{hint}")
