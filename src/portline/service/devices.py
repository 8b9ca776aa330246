"""The serial ports of this machine as people and programs want to know them; none is opened."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from portline.config.values import DEFAULT_LISTEN, Address
from portline.port.inventory.holder import holders, terminal_holder
from portline.port.inventory.ports import FoundPort, found_ports
from portline.port.names.place import MAKER

if TYPE_CHECKING:
    from portline.port.inventory.holder import Holder
    from portline.port.inventory.ports import Usb
    from portline.port.inventory.topology import Socket

__all__ = ["Device", "devices"]


@dataclass(frozen=True, slots=True)
class Device:
    """One serial port, with what :class:`portline.port.inventory.ports.FoundPort` has.

    ``name`` is what to write into a configuration, ``identity`` and ``place`` what may be written
    there instead, where there is such a thing.  ``holders`` are the processes other than this one
    that have it open, ``held`` says it in words.  ``share`` is the command that shares it; None for
    the console, for a virtual port, and for a device under one.
    """

    path: str
    driver: str
    by_id: str
    by_path: str
    usb: Usb | None
    socket: Socket | None
    twin: bool
    console: bool
    hidden: str
    stale: bool
    description: str
    name: str
    identity: str | None
    place: str | None
    holders: tuple[Holder, ...]
    held: str
    share: str | None


def devices() -> list[Device]:
    """Return the serial ports, ordered as people count.  Blocks: it looks at every process."""
    found = found_ports()
    held = holders([port.path for port in found])
    return [_device(number, port, held[port.path]) for number, port in enumerate(found)]


def _device(number: int, port: FoundPort, held: list[Holder]) -> Device:
    return Device(
        **{field.name: getattr(port, field.name) for field in fields(FoundPort)},
        description=port.description,
        name=port.lasting_name,
        identity=None if port.usb is None else port.usb.identity,
        place=None if port.socket is None else port.socket.name,
        holders=tuple(held),
        held=_held(port, held),
        share=_share(number, port),
    )


def _held(port: FoundPort, held: list[Holder]) -> str:
    """Return who has the device, or the virtual port in place of it."""
    if port.stale:
        return "under a virtual port that is gone; run `portline repair`"
    if port.hidden:
        server = terminal_holder(port.hidden)
        return f"under a virtual port of {server or 'another program'}"
    return ", ".join(map(str, held)) or "free"


def _share(number: int, port: FoundPort) -> str | None:
    """Return the line to paste."""
    if port.console or port.hidden or _is_ours(port):
        return None
    first = DEFAULT_LISTEN  # each next port gets the next number
    listen = Address(first.host, first.port + number)
    name = shlex.quote(port.lasting_name)
    return f"portline share {name} --listen {listen} --protocol rfc2217"


def _is_ours(port: FoundPort) -> bool:
    """Tell whether it is a virtual port itself, made as a USB adapter."""
    return port.usb is not None and port.usb.manufacturer == MAKER
