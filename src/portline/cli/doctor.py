"""``portline doctor``: what is wrong with this machine for serial ports, and what mends it."""

from __future__ import annotations

import json

import click

from portline.cli.app import verbose_option
from portline.cli.diagnosis import Finding, Machine, Weight, diagnose
from portline.cli.layout import clean

__all__ = ["doctor"]

FAILED = 1


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array, for programs.")
@verbose_option
def doctor(as_json: bool) -> int:
    """Say what is wrong on this machine for serial ports, and what mends it.

    It looks at the real ports and who may open them, at programs that disturb them, at what a
    killed Portline has left, at limits and folders, and at the ways to make virtual ports.  A line
    is "wrong", or a "note" about what is not possible here and need not be, or "good".  No port is
    opened and nothing is changed.  The exit code is 1 if something is wrong.
    """
    found = diagnose(Machine())
    if as_json:
        click.echo(json.dumps([_entry(finding) for finding in found], indent=2))
    else:
        for finding in found:
            click.echo(f"{finding.weight.value:<5}  {clean(finding)}")
    wrong = any(finding.weight is Weight.WRONG for finding in found)
    if not (wrong or as_json):
        click.echo("Nothing is wrong.")
    return FAILED if wrong else 0


def _entry(finding: Finding) -> dict[str, str]:
    return {
        "weight": finding.weight.value,
        "subject": finding.subject,
        "text": finding.text,
        "remedy": finding.remedy,
    }
