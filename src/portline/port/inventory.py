"""The serial ports of this machine and their lasting names.

Theory of operation
-------------------
Nearly everything comes from sysfs; no port is opened.  Each entry of ``/sys/class/tty`` with a
``device`` is a port, except the ghosts: 8250 reserves ttyS0..ttyS31 and most have no chip
(``type`` 0); one of them is shown while a virtual port lies over it.
A USB adapter is recognised by walking up from ``device`` to the folder with ``idVendor``; the
folder with ``bInterfaceNumber`` on the way tells which port of a double adapter it is.

``ttyUSB0`` is whoever came first.  What stays are the links of udev (``/dev/serial/by-id`` and
``by-path``) and the identity ``usb:VID:PID[:SERIAL[:INTERFACE]]``, which needs no udev:
``usb:0403:6001`` for the only one of its kind, ``usb:0403:6010:FT4X:01`` to the last detail,
``usb:0403:6010::01`` when it has no serial number.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from portline.errors import PortAbsent, PortError
from portline.port.mounts import covering

__all__ = ["DEV", "SYS", "USB_PREFIX", "FoundPort", "Usb", "found_ports", "resolve"]

SYS: Final = Path("/sys")
DEV: Final = Path("/dev")

USB_PREFIX: Final = "usb:"

ATTRIBUTE_SIZE: Final = 4096
"""Bytes that a sysfs attribute has at most: one page."""


@dataclass(frozen=True, slots=True)
class Usb:
    """A USB adapter as it describes itself; ``interface`` is the number in hexadecimal, "00"."""

    vendor: str
    product: str
    serial: str = ""
    interface: str = ""
    product_name: str = ""
    manufacturer: str = ""
    interface_name: str = ""

    @property
    def identity(self) -> str:
        """The full identity, as :func:`resolve` takes it."""
        full = f"{USB_PREFIX}{self.vendor}:{self.product}:{self.serial}:{self.interface}"
        return full.rstrip(":")

    def matches(self, identity: str) -> bool:
        """Return whether an identity, with all or the first of its parts, means this adapter."""
        name = f"{USB_PREFIX}{self.vendor}:{self.product}"
        means = [name, f"{name}:{self.serial}", f"{name}::{self.interface}", self.identity]
        return identity.casefold() in [meaning.casefold() for meaning in means]


@dataclass(frozen=True, slots=True)
class FoundPort:
    """One serial port: its node, its lasting links, its driver, and its adapter if it is USB."""

    path: str
    driver: str = ""
    by_id: str = ""
    by_path: str = ""
    usb: Usb | None = None
    console: bool = False
    hidden: str = ""
    """The terminal of the virtual port that lies over it (overlap), "" when there is none."""
    stale: bool = False
    """Whether the program behind that virtual port is gone (``portline repair``)."""

    @property
    def description(self) -> str:
        """What it is, in words."""
        if self.console:
            return "the console of this machine"
        if self.usb is None:
            return self.driver or "serial port"
        parts = (self.usb.manufacturer, self.usb.product_name, self.usb.interface_name)
        return " ".join(part for part in parts if part) or self.driver or "USB serial port"

    @property
    def lasting_name(self) -> str:
        """The name to write into a configuration: one that survives replugging, where there is."""
        if self.by_id:
            return self.by_id
        if self.usb is not None:
            return self.usb.identity
        return self.by_path or self.path


def found_ports(sys: Path = SYS, dev: Path = DEV) -> list[FoundPort]:
    """Return the ports of this machine, ordered as people count: ttyUSB2 before ttyUSB10."""
    by_id = _links(dev / "serial/by-id")
    by_path = _links(dev / "serial/by-path")
    consoles = _text(sys / "class/tty/console/active").split()
    ports = []
    for name in sorted(_names(sys / "class/tty"), key=_counted):
        entry = sys / "class/tty" / name
        path = str(dev / name)
        over = covering(path)
        hidden = over.terminal if over is not None and over.ours else ""
        if not (entry / "device").exists() or (_text(entry / "type") == "0" and not hidden):
            continue
        ports.append(
            FoundPort(
                path=path,
                driver=_driver(entry / "device"),
                by_id=by_id.get(os.path.realpath(path), ""),
                by_path=by_path.get(os.path.realpath(path), ""),
                usb=_usb(entry / "device"),
                console=name in consoles,
                hidden=hidden,
                stale=over is not None and bool(hidden) and over.dead,
            )
        )
    return ports


def resolve(identity: str, sys: Path = SYS, dev: Path = DEV) -> str:
    """Return the path of the one port that a USB identity means.

    Raises PortAbsent when there is none, and PortError naming all of them when there are several.
    """
    if identity.count(":") < 2 or not all(identity.split(":")[1:3]):
        raise PortError(identity, "is not a USB identity like usb:0403:6001:SERIAL:00")
    found = [p for p in found_ports(sys, dev) if p.usb is not None and p.usb.matches(identity)]
    if not found:
        raise PortAbsent(identity, "no such adapter; is it plugged in? see `portline ports`")
    if len(found) > 1:
        names = ", ".join(f"{port.path} ({port.lasting_name})" for port in found)
        raise PortError(identity, f"means more than one adapter: {names}; say which")
    return found[0].path


def _counted(name: str) -> tuple[str, int]:
    stem = name.rstrip("0123456789")
    return stem, int(name[len(stem) :] or 0)


def _names(folder: Path) -> list[str]:
    with suppress(OSError):
        return sorted(os.listdir(folder))
    return []


def _text(file: Path) -> str:
    try:
        with file.open(errors="replace") as opened:
            return opened.read(ATTRIBUTE_SIZE).strip()
    except OSError:
        return ""


def _links(folder: Path) -> dict[str, str]:
    """Return for each device the link in ``folder`` that leads to it."""
    return {os.path.realpath(folder / name): str(folder / name) for name in _names(folder)}


def _driver(device: Path) -> str:
    # Since Linux 6.5 an UART sits below two devices of "serial-base", which say nothing.
    for folder in (path := device.resolve(), *path.parents):
        with suppress(OSError):
            name = os.path.basename(os.readlink(folder / "driver"))
            if name not in ("port", "ctrl"):
                return name
    return ""


def _usb(device: Path) -> Usb | None:
    interface = interface_name = ""
    for folder in (path := device.resolve(), *path.parents):
        if not interface and (folder / "bInterfaceNumber").exists():
            interface = _text(folder / "bInterfaceNumber")
            interface_name = _text(folder / "interface")
        if (folder / "idVendor").exists():
            return Usb(
                vendor=_text(folder / "idVendor"),
                product=_text(folder / "idProduct"),
                serial=_text(folder / "serial"),
                interface=interface,
                product_name=_text(folder / "product"),
                manufacturer=_text(folder / "manufacturer"),
                interface_name=interface_name,
            )
    return None
