"""``portline edit``: options of a connection, in its file and where it runs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from portline.cli.app import verbose_option
from portline.cli.completion import connections
from portline.cli.editor import carry_out
from portline.cli.elsewhere import is_elsewhere
from portline.cli.flags import GroupedCommand, every_option, written
from portline.cli.processes import json_option
from portline.cli.serve import config_flag
from portline.config.editing import updated
from portline.config.models import MODELS, options
from portline.config.options import key_of
from portline.config.rules import unknown
from portline.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["edit"]


@click.command(
    cls=GroupedCommand,
    params=every_option(),
)
@click.argument("name", shell_complete=connections)
@click.option("--rename", metavar="NEW", default="", help="What the connection is called from now.")
@click.option(
    "--unset",
    metavar="OPTION",
    multiple=True,
    help="Take an option out, so that its default holds. [may be given several times]",
)
@json_option
@config_flag
@verbose_option
def edit(
    name: str, rename: str, unset: tuple[str, ...], as_json: bool, named: Path | None, **given: Any
) -> int:
    """Change options of the connection NAME in its file, and where a Portline runs it.

    Peers of a connection that is adapted stay; comments and order of the file stay, too.

    \b
    portline edit meter --baudrate 19200 --unset packet-pause
    portline edit meter --rename water
    """
    removed = dict.fromkeys(map(_field, unset))
    values = written(given, elsewhere=is_elsewhere(click.get_current_context()))
    if both := [key_of(field) for field in removed if field in values]:
        raise UsageError(f"--unset {both[0]} and --{both[0]} exclude each other; give one of them")
    changed: dict[str, object] = {**removed, **values}
    if not changed and not rename:
        raise UsageError("nothing to change: give an option like --baudrate 9600, or --rename NEW")

    edited = partial(updated, name=name, options=changed, rename=rename)
    parameters = {"name": name, "options": changed, "rename": rename or name}
    carry_out("update", edited, named, parameters, as_json=as_json)
    return 0


def _field(key: str) -> str:
    """Return the field that a key means.  Raises UsageError for one that there is not."""
    field = key.removeprefix("--").replace("-", "_")
    known = {name for model in MODELS.values() for name in options(model)} - {"kind"}
    if field not in known:
        raise UsageError(f"--unset {key}: {unknown(key, [key_of(name) for name in known])}")
    return field
