"""``portline start``, ``stop``, ``enable``, ``disable`` and ``disconnect``."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from portline.cli.app import verbose_option
from portline.cli.completion import connections
from portline.cli.editor import carry_out
from portline.cli.layout import clean
from portline.cli.processes import ask_holder, json_option, socket_option
from portline.cli.serve import config_flag
from portline.config.editing import updated

if TYPE_CHECKING:
    from pathlib import Path

    from portline.control.way import Way

__all__ = ["disable", "disconnect", "enable", "start", "stop"]


@click.command()
@click.argument("name", shell_complete=connections)
@json_option
@socket_option
@verbose_option
def start(name: str, as_json: bool, way: Way | None) -> int:
    """Start the connection NAME of a running Portline, if it is stopped; its file stays as it is.

    One that is not enabled runs until Portline ends; `portline enable` is for good.
    """
    answer = ask_holder("start", name, way)
    _tell(answer, as_json, "started" if answer["changes"] else "runs already")
    return 0


@click.command()
@click.argument("name", shell_complete=connections)
@json_option
@socket_option
@verbose_option
def stop(name: str, as_json: bool, way: Way | None) -> int:
    """Stop the connection NAME until it is started, or Portline begins anew.

    Its peers are said goodbye to, and its port and its addresses are free when this returns.  Its
    file stays as it is; `portline disable` is for good.
    """
    answer = ask_holder("stop", name, way)
    if as_json:
        click.echo(json.dumps(answer, indent=2))
    elif answer["changes"]:
        click.echo(f"{clean(name)}: stopped")
    else:
        click.echo(f"{clean(name)}: is stopped already: {clean(answer['reason'])}")
    return 0


@click.command()
@click.argument("name", shell_complete=connections)
@json_option
@config_flag
@verbose_option
def enable(name: str, as_json: bool, named: Path | None) -> int:
    """Have the connection NAME started with Portline, by its file, and start it where one runs.

    The option `enabled` is taken out of the file; what else is there stays.
    """
    edit = partial(updated, name=name, options={"enabled": None})
    carry_out("enable", edit, named, {"name": name}, as_json=as_json)
    return 0


@click.command()
@click.argument("name", shell_complete=connections)
@json_option
@config_flag
@verbose_option
def disable(name: str, as_json: bool, named: Path | None) -> int:
    """Have the connection NAME not started any more, by its file, and stop it where one runs.

    `enabled = false` is written into the file; what else is there stays.
    """
    edit = partial(updated, name=name, options={"enabled": False})
    carry_out("disable", edit, named, {"name": name}, as_json=as_json)
    return 0


@click.command()
@click.argument("name", shell_complete=connections)
@click.argument("peer")
@json_option
@socket_option
@verbose_option
def disconnect(name: str, peer: str, as_json: bool, way: Way | None) -> int:
    """Send a peer of the connection NAME away.

    PEER is its address as `portline status` shows it, or the host of it where that is enough, or
    its number as --json has it.  It gets what waits for it first.  It may connect again; what a
    client has connected to is called again at once.
    """
    answer = ask_holder("disconnect", name, way, peer=peer)
    if as_json:
        click.echo(json.dumps(answer, indent=2))
    else:
        again = "; it is called again" if answer["again"] else ""
        click.echo(f"{clean(name)}: {clean(answer['peer'])} disconnected{again}")
    return 0


def _tell(answer: dict[str, Any], as_json: bool, what: str) -> None:
    if as_json:
        click.echo(json.dumps(answer, indent=2))
        return
    reason = f" - {clean(answer['reason'])}" if answer["reason"] else ""
    click.echo(f"{clean(answer['name'])}: {what}; {clean(answer['state'])}{reason}")
