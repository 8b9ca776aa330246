"""Where a change of the configuration is made: by the Portline that runs it, or in the file itself.

A running `portline serve` changes its own file, so that what it does and what the file says are
never two things.  Where none runs, the file is changed all the same, and the next start has it.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from portline.cli.elsewhere import way_elsewhere
from portline.cli.layout import clean
from portline.cli.processes import ask_all
from portline.cli.serve import found_config
from portline.config.saving import change
from portline.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from portline.control.way import Way

__all__ = ["carry_out"]


@dataclass(frozen=True, slots=True)
class _Running:
    """A `portline serve` that has read a file."""

    way: Way
    file: str
    names: frozenset[str]


def carry_out(
    operation: str,
    edit: Callable[[str], str],
    named: Path | None,
    parameters: dict[str, Any],
    *,
    place: Path | None = None,
    as_json: bool = False,
) -> None:
    """Have an operation done by whom it concerns, and print what is different.

    ``edit`` does the same to the text of a file.  ``named`` is the file that was given; without
    one, it is that of the only Portline that runs or, where several do, that has the connection.
    A Portline on another machine (``--url``) changes its own file.  ``place`` is a file to begin
    where there is none at all.  Raises PortlineError.
    """
    name = parameters["name"]
    way: Way | None = way_elsewhere(click.get_current_context(silent=True))
    if way is not None and named is not None:
        raise UsageError(
            f"--config names a file of this machine, and --url (or PORTLINE_URL) a Portline at "
            f"{way}, which changes its own; leave one of them out"
        )
    if way is None:
        running = _concerned(name, named, new=operation == "add")
        way = None if running is None else running.way
    if way is None:
        path = _file(named, place)
        change(path, edit)
        done = f"{clean(name)} {_DONE[operation]}"
        if as_json:
            _print({"process": None, "file": os.path.abspath(path), "changes": [done]})
        else:
            click.echo(f"{path}: {done}; no `portline serve` runs it now")
        return
    for answer in ask_all(operation, way, **parameters):
        if answer.error is not None:
            raise answer.error
        if as_json:
            _print({**answer.result, "file": answer.result["process"]["file"]})
            continue
        for line in answer.result["changes"] or ["nothing has changed"]:
            click.echo(clean(line))
        if note := answer.result.get("note"):
            click.echo(
                f"portline: {clean(parameters.get('rename') or name)}: {clean(note)}", err=True
            )


def _print(result: dict[str, Any]) -> None:
    click.echo(json.dumps(result, indent=2))


_DONE = {
    "add": "added",
    "update": "changed",
    "remove": "removed",
    "enable": "enabled",
    "disable": "disabled",
}


def _file(named: Path | None, place: Path | None) -> Path:
    try:
        path = found_config(named)
    except ConfigError:
        if place is None:
            raise
        return place
    if place is None and not path.exists():
        raise ConfigError([f"{path}: there is no such file"])
    return path


def _concerned(name: str, named: Path | None, *, new: bool) -> _Running | None:
    """Return the process that a change is for, None where no running one is."""
    running = list(_serving())
    if named is not None:
        path = os.path.realpath(named)
        return next((each for each in running if os.path.realpath(each.file) == path), None)
    found = running if new else [each for each in running if name in each.names]
    if len(found) > 1:
        files = ", ".join(clean(each.file) for each in found)
        raise UsageError(f"more than one Portline runs; say which with --config: {files}")
    if not found and running:
        there_are = sorted({name for each in running for name in each.names})
        raise UsageError(f"there is no connection {name!r}; there are: {', '.join(there_are)}")
    return found[0] if found else None


def _serving() -> list[_Running]:
    return [
        _Running(
            answer.way,
            answer.result["process"]["file"],
            frozenset(each["name"] for each in answer.result["connections"]),
        )
        for answer in ask_all("status", None)
        if answer.error is None and answer.result["process"]["file"] is not None
    ]
