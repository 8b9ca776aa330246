"""``portline check``: everything that is wrong in a configuration file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from portline.cli.app import verbose_option
from portline.cli.serve import config_option, found_config
from portline.config.document import load
from portline.config.models import UdpConnection
from portline.errors import ConfigError
from portline.net.address import display

if TYPE_CHECKING:
    from pathlib import Path

    from portline.config.models import ConnectionConfig

__all__ = ["check", "summary"]


def summary(name: str, connection: ConnectionConfig) -> str:
    """Return one line on what a connection does: ``meter: /dev/ttyUSB0 9600-8N1 on raw://...``."""
    places = ", ".join(str(place) for place in connection.places())
    where = f"{'on' if connection.kind == 'server' else 'to'} {places}"
    if isinstance(connection, UdpConnection):
        ways = (("to", connection.connect), ("on", connection.listen))
        where = ", ".join(
            f"{word} udp://{display(each.host, each.port)}" for word, some in ways for each in some
        )
    if connection.is_virtual:
        return f"{name}: virtual port {connection.port_name} {where}"
    return f"{name}: {connection.port_name} {connection.line_settings()} {where}"


def _print(
    path: Path | None, error: ConfigError | None, connections: dict[str, dict[str, object]]
) -> None:
    """Print what programs want to know: what is wrong, or every option of the connections."""
    faults = [] if error is None else error.faults
    told = {
        "file": None if path is None else str(path),
        "errors": [] if error is None else error.mistakes,
        "mistakes": [{"option": option, "text": text} for option, text in faults],
        "connections": connections,
    }
    click.echo(json.dumps(told, indent=2))


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object, for programs.")
@verbose_option
def check(as_json: bool, file: Path | None, named: Path | None) -> int:
    """Say everything that is wrong in a configuration file, or that it is fine.

    Without FILE it looks where `portline serve` does.  Nothing is opened or listened on.  The exit
    code is 1 if there are mistakes.
    """
    path: Path | None = None
    try:
        path = found_config(named or file)
        config = load(path)
    except ConfigError as error:
        if as_json:
            _print(path, error, {})
        for mistake in () if as_json else error.mistakes:
            click.echo(mistake)
        return 1
    if as_json:
        from portline.config.spelling import option_values

        _print(path, None, {n: option_values(each) for n, each in config.connections.items()})
        return 0
    click.echo(f"{path}: ok")
    for name, connection in config.connections.items():
        rests = "" if connection.enabled else " - not enabled"
        click.echo(f"  {summary(name, connection)}{rests}")
    if config.web is not None:
        places = ", ".join(map(str, config.web.listen))
        click.echo(f"  a page on {places} ({config.web.scheme})")
    return 0
