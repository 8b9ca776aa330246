"""``portline serve``: what a configuration file describes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from portline.cli.app import verbose_option, verbosity
from portline.config.document import load
from portline.errors import ConfigError

__all__ = ["PLACES", "found_config", "serve"]

PLACES: Final = (Path("portline.toml"), Path("/etc/portline/portline.toml"))
"""Where a configuration is looked for when none is named, in this order."""


def found_config(named: Path | None, places: tuple[Path, ...] = PLACES) -> Path:
    """Return the file that was named, or the first that is there.  Raises ConfigError."""
    if named is not None:
        return named
    for place in places:
        if place.exists():
            return place
    looked = " nor ".join(str(place) for place in places)
    raise ConfigError(
        [f"no configuration: there is neither {looked}; name one, or use `portline share`"]
    )


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-c",
    "--config",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The configuration. [default: ./portline.toml, then /etc/portline/portline.toml]",
)
@verbose_option
@click.pass_context
def serve(ctx: click.Context, file: Path | None) -> int:
    """Share the serial ports that a configuration file describes, until Ctrl-C or SIGTERM."""
    path = found_config(file)
    config = load(path)
    if file is None:
        click.echo(f"portline: using {path}", err=True)
    from portline.service.run import run

    return run(config, verbose=verbosity(ctx), announce=False)
