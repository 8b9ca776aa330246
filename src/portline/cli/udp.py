"""``portline udp``: one udp connection from the command line."""

from __future__ import annotations

from typing import Any, Final

import click

from portline.cli.app import verbose_option, verbosity
from portline.cli.flags import EITHER_PORT, GroupedCommand, connection_options, described

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


@click.command(
    cls=GroupedCommand,
    params=connection_options("udp", ARGUMENTS),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.argument("connect", required=False, nargs=-1, metavar="[HOST:PORT]...")
@click.option("--name", metavar="NAME", help="What the connection is called. [default: the port's]")
@verbose_option
@click.pass_context
def udp(ctx: click.Context, /, name: str | None, **given: Any) -> int:
    """Exchange the data of one serial port with other machines as UDP datagrams, until Ctrl-C.

    Each HOST is sent everything; it may be a multicast group or a broadcast address.  The packet
    rules decide what a datagram is.  With --virtual NAME applications here open a port of that
    name; with --port it is a device.

    \b
    portline udp 192.0.2.7:5000 --port /dev/ttyUSB0 --listen "*:5000"
    portline udp 239.1.2.3:5000 --virtual ttyV0 --listen "*:5000" --packet-delimiter "\\n"
    portline udp --listen "*:5000" --accept learn --port /dev/ttyUSB0
    """
    config = described("udp", given, name=name, arguments=ARGUMENTS, wording=WORDING)
    from portline.control.companion import companion
    from portline.service.run import run

    return run(config, verbose=verbosity(ctx), announce=True, companion=companion("udp"))
