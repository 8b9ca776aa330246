"""``portline attach``: one client connection from the command line."""

from __future__ import annotations

from typing import Any, Final

import click

from portline.cli.flags import EITHER_PORT, described
from portline.cli.single import run_single, single_command

__all__ = ["attach"]

ARGUMENTS: Final = {"connect": "HOST"}

WORDING: Final = {
    **EITHER_PORT,
    'needs a host to connect to: write connect = "HOST:PORT"': "a host is missing: write it first, "
    "like 192.0.2.7:4001",
}


@single_command("client", ARGUMENTS)
@click.argument("connect", required=False, nargs=-1, metavar="[HOST:PORT]...")
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
    return run_single(ctx, config)
