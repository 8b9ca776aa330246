"""``portline serve``: what a configuration file describes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from portline.cli.app import verbose_option, verbosity
from portline.cli.password import asked
from portline.config.document import load
from portline.config.saving import ConfigFile
from portline.errors import ConfigError

__all__ = ["PLACES", "config_flag", "config_option", "found_config", "serve"]

_Command = TypeVar("_Command", bound=Callable[..., Any])

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


def config_option(command: _Command) -> _Command:
    """Give a command its configuration, as ``--config FILE`` or as a bare ``FILE``."""
    kind = click.Path(path_type=Path, readable=False)
    return click.argument("file", required=False, type=kind)(config_flag(command))


def config_flag(command: _Command) -> _Command:
    """Give a command its configuration as ``--config FILE``."""
    return click.option(
        "-c",
        "--config",
        "named",
        type=click.Path(path_type=Path, readable=False),
        metavar="FILE",
        help="The configuration. [default: ./portline.toml, then /etc/portline/portline.toml]",
    )(command)


@click.command()
@config_option
@click.option(
    "--web",
    "address",
    is_flag=False,
    flag_value="",
    metavar="[ADDRESS]",
    help="Have a page, too, at [HOST:]PORT. [default: what the file says, then 127.0.0.1:8217]",
)
@verbose_option
@click.pass_context
def serve(ctx: click.Context, file: Path | None, named: Path | None, address: str | None) -> int:
    """Share the serial ports that a configuration file describes, until Ctrl-C or SIGTERM.

    FILE may be given with or without --config.  SIGHUP reads it again: connections that it does not
    change notice nothing, and a file with a mistake changes nothing.  SIGUSR2 restarts Portline.
    With --web=ADDRESS or --web there is a page to see, make and change connections, as with a table
    [web] in the file; where there is no file, ./portline.toml is made with the first connection.
    """
    web = None if address is None else {"listen": address} if address else {}
    found = named or file
    if found is None and web is not None and not any(place.exists() for place in PLACES):
        path, needed = PLACES[0], False
        click.echo(f"portline: no configuration yet; connections will be in {path}", err=True)
    else:
        path, needed = found_config(found), True
    config = load(path, web, needed=needed)
    if found is None and needed:
        click.echo(f"portline: using {path}", err=True)
    from portline.control.companion import companion
    from portline.service.process.run import run
    from portline.web.companion import with_page

    # What comes through a pipe can be read only once.
    source = ConfigFile(path, web, needed=needed) if path.is_file() or not needed else None
    beside = with_page(
        companion("serve", os.path.abspath(path)), told=lambda lines: click.echo("\n".join(lines))
    )
    return run(
        config,
        source=source,
        verbose=verbosity(ctx),
        announce=True,
        companion=beside,
        restartable=source is not None,
        ask=asked,
    )
