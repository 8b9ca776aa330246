"""``portline udp``: one udp connection from the command line."""

from __future__ import annotations

from typing import Any, Final

import click

from portline.cli.flags import EITHER_PORT, described
from portline.cli.single import run_single, single_command

__all__ = ["udp"]

ARGUMENTS: Final = {"connect": "HOST"}

WORDING: Final = {
    **EITHER_PORT,
    'needs a host to send to, like connect = "HOST:PORT", or listen = PORT': "a host is missing: "
    "write it first, like 192.0.2.7:5000, or give --listen PORT",
    'because connect names no host; name one there, or write accept = "learn" or "any"': "because "
    "no host is named; write one first, or give --accept learn or --accept any",
    "give accept = learn": "give --accept learn",
}


@single_command("udp", ARGUMENTS)
@click.argument("connect", required=False, nargs=-1, metavar="[HOST:PORT]...")
def udp(ctx: click.Context, /, name: str | None, **given: Any) -> int:
    """Exchange the data of one serial port with other machines as UDP datagrams, until Ctrl-C.

    Each HOST is sent everything; it may be a multicast group or a broadcast address.  The packet
    rules decide what a datagram is.  With --virtual NAME applications here open a port of that
    name; with --port it is a device.

    \b
    portline udp 192.0.2.7:5000 --port /dev/ttyUSB0 --listen "*:5000"
    portline udp 239.1.2.3:5000 --virtual ttyV0 --listen "*:5000" --open --packet-delimiter "\\n"
    portline udp --listen "*:5000" --accept learn --allow 192.0.2.0/24 --port /dev/ttyUSB0
    """
    config = described("udp", given, name=name, arguments=ARGUMENTS, wording=WORDING)
    return run_single(ctx, config)
