"""``portline ports``: the serial ports of this machine, and the line that shares each."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import click

from portline.cli.app import verbose_option
from portline.cli.layout import clean, columns, cut
from portline.config.values import DEFAULT_LISTEN, Address
from portline.port.base import Ability
from portline.port.inventory.holder import holders, terminal_holder
from portline.port.inventory.ports import found_ports
from portline.port.ladder import LADDER, Adapter, Backend, choose
from portline.port.names.place import MAKER

if TYPE_CHECKING:
    from portline.port.inventory.holder import Holder
    from portline.port.inventory.ports import FoundPort

__all__ = ["ports"]

DESCRIPTION_MAX: Final = 60
"""Columns of what a device calls itself: three texts of up to 126 characters; JSON has them all."""

NONE_FOUND: Final = """\
No serial ports were found on this machine.
  A USB adapter:    plug it in; `dmesg | tail` shows whether the kernel has a driver for it.
  A container:      pass the device in, for example with --device=/dev/ttyUSB0.
  WSL:              attach the adapter with usbipd first.
  No device yet:    `portline demo` shows everything with a simulated one."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array, for programs.")
@click.option(
    "--virtual",
    is_flag=True,
    help="Show how virtual ports can be made here instead, and what each way takes.",
)
@verbose_option
def ports(as_json: bool, virtual: bool) -> None:
    """List the serial ports of this machine.

    Each with what it is, who holds it, and the command that shares it under a name that survives
    unplugging.  IDENTITY is what a configuration may say instead (port = "usb:..."); for two of a
    kind it is the place where each is plugged in (port = "path:...").  No port is opened.
    """
    if virtual:
        click.echo(json.dumps(_ways(), indent=2) if as_json else _ladder(_ways()))
        return
    found = found_ports()
    held = holders([port.path for port in found])
    if as_json:
        entries = [_entry(n, port, held[port.path]) for n, port in enumerate(found)]
        click.echo(json.dumps(entries, indent=2))
    elif found:
        click.echo(_table(found, held))
    else:
        click.echo(NONE_FOUND)


def _ways() -> list[dict[str, object]]:
    """Return how virtual ports can be made, the best way first."""
    auto = choose(Backend.AUTO, Adapter.PL2303).rung
    return [
        {
            "backend": rung.backend.value,
            "adapter": capabilities.variant,
            "what": rung.what,
            "obstacle": rung.obstacle(adapter),
            "auto": rung is auto and adapter is Adapter.PL2303,
            "abilities": [a.value for a in Ability if a in capabilities.abilities],
        }
        for rung in LADDER
        for adapter, capabilities in rung.variants()
    ]


def _ladder(ways: list[dict[str, object]]) -> str:
    lines = []
    told = ""
    for way in ways:
        adapter = f" --adapter {way['adapter']}" if way["adapter"] else ""
        taken = ", which auto takes here" if way["auto"] else ""
        lines.append(f"--backend {way['backend']}{adapter}: {way['what']}{taken}")
        abilities = way["abilities"]
        assert isinstance(abilities, list)
        lines.append(f"    every program has: {', '.join(('data', *abilities))}")
        if obstacle := str(way["obstacle"]):  # what one adapter lacks, the next mostly lacks too
            lines.append(f"    not here: {'as above' if obstacle == told else obstacle}")
        told = obstacle
    return "\n".join(lines)


def _share(number: int, port: FoundPort) -> str | None:
    """Return the line to paste.

    None for the console, which is in use by the machine itself, for a virtual port, and where one
    lies over the device.
    """
    if port.console or port.hidden or _is_ours(port):
        return None
    name = shlex.quote(port.lasting_name)
    first = DEFAULT_LISTEN  # each next port gets the next number
    listen = Address(first.host, first.port + number)
    return f"portline share {name} --listen {listen} --protocol rfc2217"


def _is_ours(port: FoundPort) -> bool:
    """Tell whether it is a virtual port itself, made as a USB adapter."""
    return port.usb is not None and port.usb.manufacturer == MAKER


def _held(port: FoundPort, held: list[Holder]) -> str:
    """Return who has the device, or the virtual port in place of it."""
    if port.stale:
        return "under a virtual port that is gone; run `portline repair`"
    if port.hidden:
        server = terminal_holder(port.hidden)
        return f"under a virtual port of {server or 'another program'}"
    return ", ".join(map(str, held)) or "free"


def _entry(number: int, port: FoundPort, held: list[Holder]) -> dict[str, object]:
    return {
        **asdict(port),
        "description": port.description,
        "name": port.lasting_name,
        "identity": None if port.usb is None else port.usb.identity,
        "place": None if port.socket is None else port.socket.name,
        "holders": [asdict(holder) for holder in held],
        "share": _share(number, port),
    }


def _table(found: list[FoundPort], held: dict[str, list[Holder]]) -> str:
    rows = [
        (
            port.path,
            cut(clean(port.description), DESCRIPTION_MAX),
            _identity(port),
            clean(_held(port, held[port.path])),
        )
        for port in found
    ]
    title, *texts = columns([("PORT", "WHAT IT IS", "IDENTITY", "HELD BY"), *rows])
    lines = [title]
    for number, (port, text) in enumerate(zip(found, texts, strict=True)):
        lines.append(text)
        share = _share(number, port)
        if share is not None:
            lines.append(f"    {share}")
    return "\n".join(lines)


def _identity(port: FoundPort) -> str:
    """Return the name to write into a configuration that needs no udev, where there is one."""
    if port.usb is None:
        return ""
    if port.twin or not port.usb.is_writable:
        return "" if port.socket is None else port.socket.name
    return port.usb.identity
