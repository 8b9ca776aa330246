"""``portline attach``: one client connection from the command line."""

from __future__ import annotations

from typing import Any, Final

import click

from portline.cli.app import verbose_option, verbosity
from portline.cli.flags import EITHER_PORT, GroupedCommand, connection_options, described

__all__ = ["attach"]

ARGUMENTS: Final = {"connect": "HOST"}

WORDING: Final = {
    **EITHER_PORT,
    'needs a host to connect to: write connect = "HOST:PORT"': "a host is missing: write it first, "
    "like 192.0.2.7:4001",
}


@click.command(
    cls=GroupedCommand,
    params=connection_options("client", ARGUMENTS),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.argument("connect", required=False, nargs=-1, metavar="[HOST:PORT]...")
@click.option("--name", metavar="NAME", help="What the connection is called. [default: the port's]")
@verbose_option
@click.pass_context
def attach(ctx: click.Context, /, name: str | None, **given: Any) -> int:
    """Bring a remote serial port here, until Ctrl-C: connect to HOST and keep connected.

    With --virtual NAME applications here open a port of that name, which stays whatever the network
    does; with --port a device here is joined to the remote side.  Several hosts are tried in order.

    \b
    portline attach 192.0.2.7:4001 --virtual ttyV0
    portline attach rfc2217://meter.example:4001 --virtual /dev/ttyV0
    portline attach 192.0.2.7:4001 192.0.2.8:4001 --port /dev/ttyUSB0
    """
    config = described("client", given, name=name, arguments=ARGUMENTS, wording=WORDING)
    from portline.control.companion import companion
    from portline.service.run import run

    return run(config, verbose=verbosity(ctx), announce=True, companion=companion("attach"))
