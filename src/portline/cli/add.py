"""``portline add``: another connection in a configuration file, and at once in what runs it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from portline.cli.app import verbose_option
from portline.cli.editor import carry_out
from portline.cli.elsewhere import is_elsewhere
from portline.cli.flags import GroupedCommand, every_option, written
from portline.cli.processes import json_option
from portline.cli.serve import PLACES, config_flag
from portline.config.editing import added
from portline.config.models import MODELS

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["add"]


@click.command(
    cls=GroupedCommand,
    params=every_option(),
)
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(list(MODELS)),
    default="server",
    help="What the connection is. [default: server]",
)
@json_option
@config_flag
@verbose_option
def add(name: str, kind: str, as_json: bool, named: Path | None, **given: Any) -> int:
    """Add the connection NAME to the configuration, and begin with it where a Portline runs.

    Options are those of `portline share`, `attach` and `udp`.  Comments and order of the file stay.

    \b
    portline add meter --port /dev/ttyUSB0 --baudrate 115200 --listen 127.0.0.1:4001
    portline add scale --kind client --connect rfc2217://192.0.2.5:4001 --virtual ttyScale
    """
    options = ({} if kind == "server" else {"kind": kind}) | written(
        given, elsewhere=is_elsewhere(click.get_current_context())
    )
    place = PLACES[0] if named is None else named
    edit = partial(added, name=name, options=options)
    carry_out("add", edit, named, {"name": name, "options": options}, place=place, as_json=as_json)
    return 0
