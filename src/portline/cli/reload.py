"""``portline reload``: have a running ``portline serve`` read its file again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from portline.cli.app import verbose_option
from portline.cli.complaint import complain
from portline.cli.layout import clean
from portline.cli.processes import ask_all, json_option, nobody, socket_option
from portline.errors import ConfigError, PortlineError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["reload"]


@click.command()
@json_option
@socket_option
@verbose_option
def reload(as_json: bool, socket: Path | None) -> int:
    """Have each running `portline serve` read its configuration file again.

    What is different is put in force, and printed; connections without a difference notice nothing.
    A file with mistakes changes nothing; the exit code is 2 then.
    """
    codes: list[int] = []
    results: list[Any] = []
    # An empty list of names: who is there is asked for, not what it does.
    for answer in ask_all("status", socket, names=[]):
        if answer.error is not None:
            codes.append(_failed("", answer.error, as_json=as_json))
        elif answer.result["process"]["file"] is not None or socket is not None:
            process = answer.result["process"]
            codes.append(_reload(answer.path, process, results if as_json else None))
    if not codes:
        raise nobody("`portline serve`")
    if as_json:
        click.echo(json.dumps(results, indent=2))
    return max(codes)


def _reload(path: Path, process: dict[str, Any], results: list[Any] | None) -> int:
    who = f"pid {process['pid']}, {clean(process['file'] or process['command'])}"
    for answer in ask_all("reload", path):
        if answer.error is not None:
            return _failed(who, answer.error, as_json=results is not None)
        if results is not None:
            results.append(answer.result)
            continue
        changes = answer.result["changes"]
        click.echo(f"{who}: {'reloaded' if changes else 'nothing has changed'}")
        for line in changes:
            click.echo(f"  {clean(line)}")
    return 0


def _failed(who: str, error: PortlineError, *, as_json: bool) -> int:
    """Say what is wrong; return the exit code."""
    is_config = isinstance(error, ConfigError)
    further = [f"{who}: nothing was changed"] if is_config else []
    complain(error, further, as_json=as_json)
    return 2 if is_config else 1
