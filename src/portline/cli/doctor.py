"""``portline doctor``: what is wrong with this machine for serial ports, and what mends it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

import click

from portline.cli.app import verbose_option
from portline.cli.diagnosis.checks import diagnose
from portline.cli.diagnosis.finding import Finding, Weight
from portline.cli.diagnosis.machine import Listening, Machine
from portline.cli.layout import clean
from portline.cli.processes import ask_all
from portline.cli.serve import PLACES, config_flag
from portline.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["doctor"]

FAILED = 1

_PLACE: Final = re.compile(r"\[?([^\]]*?)\]?:(\d+) \(")
"""An address where a connection listens, with what is spoken there."""


@click.command()
@config_flag
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array, for programs.")
@verbose_option
def doctor(as_json: bool, named: Path | None) -> int:
    """Say what is wrong on this machine for serial ports, and what mends it.

    It looks at the real ports and who may open them, at programs that disturb them or are about
    to, at adapters without a driver, at the TCP ports of the configuration and of what runs (who
    else has them, and whether a firewall keeps others out), at what a killed Portline has left, at
    limits and folders, and at the ways to make virtual ports.  A line is "wrong", or a "note" about
    what is not possible here and need not be, or "good".  No port is opened and nothing is
    changed.  The exit code is 1 if something is wrong.
    """
    wrong, listening = _configured(named)
    known = {(each.host, each.port) for each in listening}
    listening += [each for each in _running() if (each.host, each.port) not in known]
    found = [*wrong, *diagnose(Machine(listening=tuple(listening)))]
    if as_json:
        click.echo(json.dumps([_entry(finding) for finding in found], indent=2))
    else:
        for finding in found:
            click.echo(f"{finding.weight.value:<5}  {clean(finding)}")
    is_wrong = any(finding.weight is Weight.WRONG for finding in found)
    if not (is_wrong or as_json):
        click.echo("Nothing is wrong.")
    return FAILED if is_wrong else 0


def _configured(named: Path | None) -> tuple[list[Finding], list[Listening]]:
    """Return where the configuration would have somebody listen, or what is wrong with it."""
    from portline.config.document import load

    path = named or next((place for place in PLACES if place.exists()), None)
    if path is None:
        return [], []
    try:
        config = load(path)
    except ConfigError as error:
        count = len(error.mistakes)
        text = f"{count} mistakes" if count > 1 else error.mistakes[0].removeprefix(f"{path}: ")
        return [Finding(Weight.WRONG, str(path), text, f"`portline check {path}` tells all")], []
    owners = [
        (name, connection.addresses)
        for name, connection in config.connections.items()
        if connection.kind == "server"
    ]
    if config.web is not None:
        owners.append(("[web]", config.web.listen))
    return [], [
        Listening(name, address.host, address.port)
        for name, addresses in owners
        for address in addresses
        if address.port
    ]


def _running() -> Iterator[Listening]:
    """Yield where running Portlines listen."""
    for answer in ask_all("status", None):
        if answer.error is None:
            for connection in answer.result["connections"]:
                if connection.get("options", {}).get("kind", "server") == "server":
                    for place in connection.get("places", ()):
                        if match := _PLACE.match(str(place)):
                            host = "*" if match[1] in ("0.0.0.0", "::") else match[1]
                            yield Listening(str(connection["name"]), host, int(match[2]))


def _entry(finding: Finding) -> dict[str, str]:
    return {
        "weight": finding.weight.value,
        "subject": finding.subject,
        "text": finding.text,
        "remedy": finding.remedy,
    }
