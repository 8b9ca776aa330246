"""``portline reload``: have a running ``portline serve`` read its file again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from portline.cli.app import verbose_option
from portline.cli.layout import clean
from portline.cli.processes import ask_all, nobody, socket_option
from portline.errors import ConfigError, PortlineError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["reload"]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@socket_option
@verbose_option
def reload(socket: Path | None) -> int:
    """Have each running `portline serve` read its configuration file again.

    What is different is put in force, and printed; connections without a difference notice nothing.
    A file with mistakes changes nothing; the exit code is 2 then.
    """
    codes = []
    # An empty list of names: who is there is asked for, not what it does.
    for answer in ask_all("status", socket, names=[]):
        if answer.error is not None:
            codes.append(_failed("", answer.error))
        elif answer.result["process"]["file"] is not None or socket is not None:
            codes.append(_reload(answer.path, answer.result["process"]))
    if not codes:
        raise nobody("`portline serve`")
    return max(codes)


def _reload(path: Path, process: dict[str, Any]) -> int:
    who = f"pid {process['pid']}, {clean(process['file'] or process['command'])}"
    for answer in ask_all("reload", path):
        if answer.error is not None:
            return _failed(who, answer.error)
        changes = answer.result["changes"]
        click.echo(f"{who}: {'reloaded' if changes else 'nothing has changed'}")
        for line in changes:
            click.echo(f"  {clean(line)}")
    return 0


def _failed(who: str, error: PortlineError) -> int:
    """Say what is wrong; return the exit code."""
    lines = error.mistakes if isinstance(error, ConfigError) else str(error).splitlines()
    for line in lines:
        click.echo(f"portline: error: {clean(line)}", err=True)
    if isinstance(error, ConfigError):
        click.echo(f"portline: error: {who}: nothing was changed", err=True)
        return 2
    return 1
