"""``portline reload``: have a running ``portline serve`` read its file again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from portline.cli.app import verbose_option
from portline.cli.layout import clean
from portline.cli.processes import ask_all, each_service, failed, json_option, socket_option

if TYPE_CHECKING:
    from portline.control.way import Way

__all__ = ["reload"]


@click.command()
@json_option
@socket_option
@verbose_option
def reload(as_json: bool, way: Way | None) -> int:
    """Have each running `portline serve` read its configuration file again.

    What is different is put in force, and printed; connections without a difference notice nothing.
    A file with mistakes changes nothing; the exit code is 2 then.
    """
    # An empty list of names: who is there is asked for, not what it does.
    there = ask_all("status", way, names=[])
    return each_service(there, _reload, named=way is not None, as_json=as_json)


def _reload(way: Way, process: dict[str, Any], results: list[Any] | None) -> int:
    who = f"pid {process['pid']}, {clean(process['file'] or process['command'])}"
    for answer in ask_all("reload", way):
        if answer.error is not None:
            return failed(who, answer.error, as_json=results is not None)
        if results is not None:
            results.append(answer.result)
            continue
        changes = answer.result["changes"]
        click.echo(f"{who}: {'reloaded' if changes else 'nothing has changed'}")
        for line in changes:
            click.echo(f"  {clean(line)}")
    return 0
