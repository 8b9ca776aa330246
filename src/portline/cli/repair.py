"""``portline repair``: what a killed Portline has left is cleaned up."""

from __future__ import annotations

import json

import click

from portline.cli.app import verbose_option
from portline.errors import clean
from portline.port.names.repair import link_folders, repair_links, repair_overlaps

__all__ = ["repair"]

FAILED = 1


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object, for programs.")
@verbose_option
def repair(as_json: bool) -> int:
    """Clean up what a Portline that was killed has left.

    Devices over which its virtual ports lie (overlap) are to be reached again, and links to its
    virtual ports are removed.  Nothing that is in use is touched.  The exit code is 1 if something
    could not be cleaned up.
    """
    overlaps = repair_overlaps()
    links = repair_links(link_folders())
    failed = (*overlaps.failed, *links.failed)
    if as_json:
        told = {
            "devices": [str(path) for path in overlaps.done],
            "links": [str(path) for path in links.done],
            "errors": [str(error) for error in failed],
        }
        click.echo(json.dumps(told, indent=2))
        return FAILED if failed else 0
    for path in overlaps.done:
        click.echo(f"{clean(path)}: is the device again; a virtual port that is gone lay over it")
    for path in links.done:
        click.echo(f"{clean(path)}: removed; it led to a virtual port that is gone")
    for error in failed:
        click.echo(f"portline: error: {clean(error)}", err=True)
    if failed:
        return FAILED
    if not (overlaps.done or links.done):
        click.echo("Nothing to repair.")
    return 0
