"""``portline remove``: a connection out of its file, and out of what runs it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from portline.cli.app import verbose_option
from portline.cli.completion import connections
from portline.cli.editor import carry_out
from portline.cli.processes import json_option
from portline.cli.serve import config_flag
from portline.config.editing import removed

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["remove"]


@click.command()
@click.argument("name", shell_complete=connections)
@json_option
@config_flag
@verbose_option
def remove(name: str, as_json: bool, named: Path | None) -> int:
    """Take the connection NAME out of its file, and end it where a Portline runs it.

    The rest of the file stays as it is, comments included.
    """
    edit = partial(removed, name=name)
    carry_out("remove", edit, named, {"name": name}, as_json=as_json)
    return 0
