"""``portline pulse``: reset a board by DTR and RTS, through whoever has its port."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any, Final

import click

from portline.cli.app import verbose_option
from portline.cli.completion import connections_and_devices
from portline.cli.layout import clean
from portline.cli.processes import (
    ask_all,
    holder,
    json_option,
    nobody,
    on_this_machine,
    socket_option,
)
from portline.errors import NameUnknown, PortError, PortlineError, UsageError
from portline.hub.pulses import NAMED
from portline.hub.pulses import pulse as sequence_of
from portline.line import Hold

if TYPE_CHECKING:
    from portline.control.way import Way
    from portline.hub.pulses import Pulse

__all__ = ["pulse"]

DEVICE: Final = ("/", "usb:", "path:")
"""How the name of a device begins; a connection's name has no slash."""

_WIDTH: Final = max(map(len, NAMED))
_TABLE: Final = "\n".join(
    f"{name:{_WIDTH}}  {each.about}\n{'':{_WIDTH}}  {each.text}" for name, each in NAMED.items()
)


@click.command(
    epilog=f"\b\nSequences:\n{_TABLE}",
)
@click.argument("name", shell_complete=connections_and_devices)
@click.argument("sequence", nargs=-1, required=True)
@json_option
@socket_option
@verbose_option
def pulse(name: str, sequence: tuple[str, ...], as_json: bool, way: Way | None) -> int:
    """Move DTR and RTS of a port in a sequence, with exact timing.

    NAME is a connection of a running Portline, or a device: a path, or usb:... or path:...; one
    that a running Portline has is pulsed by it.  SEQUENCE is one of those below, or steps, where
    what has a comma between it moves at once:

    \b
    portline pulse meter esp32
    portline pulse /dev/ttyUSB0 dtr=0 rts=1 wait=0.1 dtr=1,rts=0 wait=0.05 dtr=0
    """
    try:
        steps = sequence_of(" ".join(sequence))
    except ValueError as error:
        raise UsageError(str(error)) from None
    is_device = name.startswith(DEVICE)
    if is_device:
        way = on_this_machine(name, way)
    for there, connection in _connections(name, is_device, way):
        for answer in ask_all("pulse", there, name=connection, sequence=steps.text):
            if answer.error is not None:
                raise answer.error
            if as_json:
                click.echo(json.dumps(answer.result, indent=2))
            else:
                click.echo(f"{clean(connection)}: {steps.text}")
        return 0
    if not is_device:
        raise nobody(f"connection {name!r}")
    where = _pulsed(name, steps)
    if as_json:
        told = {"process": None, "name": where, "sequence": steps.text}
        click.echo(json.dumps(told, indent=2))
    else:
        click.echo(f"{where}: {steps.text}")
    return 0


def _connections(name: str, is_device: bool, way: Way | None) -> list[tuple[Way, str]]:
    """Return the connections that a name means, each with the way to its process."""
    found = []
    known: list[str] = []
    for answer in ask_all("status", way):
        if answer.error is not None:
            if way is not None:
                raise answer.error
            continue
        known += [connection["name"] for connection in answer.result["connections"]]
        found += [
            (answer.way, connection["name"])
            for connection in answer.result["connections"]
            if (_means(name, connection) if is_device else connection["name"] == name)
        ]
    if found:
        holder(name, [there for there, _ in found])
    elif way is not None and not is_device:
        raise NameUnknown(name, sorted(known))
    return found


def _means(device: str, connection: dict[str, Any]) -> bool:
    """Return whether a connection has the device open that a name means."""
    from portline.port.inventory.naming import resolve

    port = connection.get("port")
    path = port.get("path") if isinstance(port, dict) else None
    if not isinstance(path, str):
        return False
    try:
        return os.path.realpath(resolve(device)) == os.path.realpath(path)
    except PortError:
        return False


def _pulsed(name: str, steps: Pulse) -> str:
    """Open a device, move its lines, and return its path; they stay as they are then."""
    from portline.port.tty.device import Tty
    from portline.port.tty.node import close_node, open_node
    from portline.port.tty.termios2 import CLOCAL, HUPCL, read_attributes, write_attributes

    fd, path = open_node(name)
    try:
        from dataclasses import replace

        before = read_attributes(fd)
        write_attributes(fd, replace(before, cflag=(before.cflag | CLOCAL) & ~HUPCL))
        tty = Tty(fd)
        if not tty.has_lines:
            raise PortError(name, "the port has no DTR and RTS")
        for step in steps.steps:
            if isinstance(step, Hold):
                time.sleep(step.duration)
            else:
                tty.drive(step)
        if tty.refused:
            raise PortError(name, "the driver has refused to move DTR or RTS")
    except OSError as error:
        raise PortlineError(f"{name}: the device went away: {error.strerror}") from error
    finally:
        close_node(fd)
    return path
