"""``portline share``: one server connection from the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from portline.cli import flags
from portline.cli.completion import devices
from portline.cli.single import run_single, single_command

if TYPE_CHECKING:
    from portline.config.models import GatewayConfig

__all__ = ["described", "share"]

ARGUMENTS: Final = {"port": "PORT"}

WORDING: Final = {
    "(option port)": "(write its path first)",
    "port and virtual exclude": "PORT and --virtual exclude",
    'needs a port: write port = "/dev/ttyUSB0" for a real one, or virtual = "ttyV0" for one that '
    "Portline makes": "a port is missing: write its path first, or --virtual NAME to make one",
}


def described(port: str | None, name: str | None, given: dict[str, Any]) -> GatewayConfig:
    """Return the configuration that a command line describes.

    Raises ConfigError with every mistake, named by its flag.
    """
    return flags.described(
        "server", {**given, "port": port}, name=name, arguments=ARGUMENTS, wording=WORDING
    )


@single_command("server", ARGUMENTS)
@click.argument("port", required=False, shell_complete=devices)
def share(ctx: click.Context, /, port: str | None, name: str | None, **given: Any) -> int:
    """Share one serial port over TCP until Ctrl-C.

    PORT is a device like /dev/ttyUSB0, a stable name below /dev/serial/by-id, or a USB identity
    like usb:0403:6001:A50285BI.  With --virtual NAME Portline makes the port instead.

    \b
    portline share /dev/ttyUSB0 --baudrate 115200
    portline share /dev/ttyUSB0 --listen "*:4001" --tls --password-file meter.password
    portline share --virtual ttyV0 --protocol rfc2217
    """
    config = described(port, name, given)
    return run_single(ctx, config)
