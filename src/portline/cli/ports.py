"""``portline ports``: the serial ports of this machine, and the line that shares each."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import click

from portline.cli.app import verbose_option
from portline.cli.layout import clean, columns, cut
from portline.port.base import Ability
from portline.port.ladder import LADDER, Adapter, Backend, choose
from portline.service.devices import devices

if TYPE_CHECKING:
    from portline.service.devices import Device

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
    found = devices()
    if as_json:
        click.echo(json.dumps([asdict(device) for device in found], indent=2))
    elif found:
        click.echo(_table(found))
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


def _table(found: list[Device]) -> str:
    rows = [
        (
            device.path,
            cut(clean(device.description), DESCRIPTION_MAX),
            _identity(device),
            clean(device.held),
        )
        for device in found
    ]
    title, *texts = columns([("PORT", "WHAT IT IS", "IDENTITY", "HELD BY"), *rows])
    lines = [title]
    for device, text in zip(found, texts, strict=True):
        lines.append(text)
        if device.share is not None:
            lines.append(f"    {device.share}")
    return "\n".join(lines)


def _identity(device: Device) -> str:
    """Return the name to write into a configuration that needs no udev, where there is one."""
    if device.usb is None:
        return ""
    if device.twin or not device.usb.is_writable:
        return device.place or ""
    return device.usb.identity
