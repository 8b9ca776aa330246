"""The serial ports of this machine and their lasting names.

Theory of operation
-------------------
Nearly everything comes from sysfs; no port is opened.  Each entry of ``/sys/class/tty`` with a
``device`` is a port, except the ghosts: 8250 reserves ttyS0..ttyS31 and most have no chip
(``type`` 0); one of them is shown while a virtual port lies over it.
The entry itself is a link into ``/sys/devices``, whose text alone tells a USB adapter: one folder
on the way is called after the interface, ``1-1.4:1.0``, and the one above it is the adapter.

``ttyUSB0`` is whoever came first.  What stays are the links of udev (``/dev/serial/by-id`` and
``by-path``) and what needs no udev: the identity ``usb:VID:PID[:SERIAL[:INTERFACE]]`` and the place
``path:...`` (:mod:`portline.port.inventory.topology`).  :mod:`portline.port.inventory.naming` finds
the port that such a name means.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from portline.port.inventory.topology import Socket, socket_of
from portline.port.names.mounts import covering

__all__ = ["DEV", "SYS", "USB_PREFIX", "FoundPort", "Usb", "found_ports", "usb_ports"]

SYS: Final = Path("/sys")
DEV: Final = Path("/dev")

USB_PREFIX: Final = "usb:"

ATTRIBUTE_SIZE: Final = 4096
"""Bytes that a sysfs attribute has at most: one page."""

_INTERFACE: Final = re.compile(r".*/\d+-\d+(?:\.\d+)*:\d+\.\d+(?=/|$)")
"""The way to a USB interface, the kernel's name of which is bus-sockets:configuration.interface."""


@dataclass(frozen=True, slots=True)
class Usb:
    """A USB adapter as it describes itself.

    ``interface`` is the number in hexadecimal, "00", with the number of the port behind it where an
    interface has several, "00.3".
    """

    vendor: str
    product: str
    serial: str = ""
    interface: str = ""
    product_name: str = ""
    manufacturer: str = ""
    interface_name: str = ""

    @property
    def identity(self) -> str:
        """The full identity, as :func:`portline.port.inventory.naming.resolve` takes it."""
        full = f"{USB_PREFIX}{self.vendor}:{self.product}:{self.serial}:{self.interface}"
        return full.rstrip(":")

    @property
    def identities(self) -> frozenset[str]:
        """What means this adapter, with all or the first parts of its identity, case folded."""
        name = f"{USB_PREFIX}{self.vendor}:{self.product}"
        means = (name, f"{name}:{self.serial}", f"{name}::{self.interface}", self.identity)
        return frozenset(meaning.casefold() for meaning in means)

    @property
    def is_writable(self) -> bool:
        """Whether the identity can be written into a configuration: a string may hold anything."""
        return self.identity.isprintable()

    def matches(self, identity: str) -> bool:
        """Return whether an identity, with all or the first of its parts, means this adapter.

        An identity is compared as a whole and not taken apart, because a serial number may have
        colons (that of an ESP32 is a MAC address) and end like an interface.
        """
        return identity.casefold() in self.identities


@dataclass(frozen=True, slots=True)
class FoundPort:
    """One serial port: its node, its lasting links, its driver, and its adapter if it is USB."""

    path: str
    driver: str = ""
    by_id: str = ""
    by_path: str = ""
    usb: Usb | None = None
    socket: Socket | None = None
    twin: bool = False
    """Whether its identity means another port here, too; only the place tells them apart."""
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
        place = self.by_path or (self.socket.name if self.socket is not None else "")
        if self.twin and place:
            return place  # udev's link by-id of two of a kind is that of whoever came last
        if self.by_id:
            return self.by_id
        if self.usb is not None and self.usb.is_writable:
            return self.usb.identity
        return place or self.path


def found_ports(sys: Path = SYS, dev: Path = DEV) -> list[FoundPort]:
    """Return the ports of this machine, ordered as people count: ttyUSB2 before ttyUSB10."""
    consoles = _text(f"{sys}/class/tty/console/active").split()
    ports = []
    for name, device in _devices(sys).items():
        if not os.path.exists(device):
            continue
        over = covering(f"{dev}/{name}")
        hidden = over.terminal if over is not None and over.ours else ""
        if _text(f"{sys}/class/tty/{name}/type") == "0" and not hidden:
            continue
        ports.append(
            replace(
                _found(name, device, dev),
                console=name in consoles,
                hidden=hidden,
                stale=over is not None and bool(hidden) and over.dead,
            )
        )
    return _linked(ports, dev)


def usb_ports(sys: Path = SYS, dev: Path = DEV) -> list[FoundPort]:
    """Return those of them that are USB adapters, without looking what lies over them.

    It is asked once a second for each port that is waited for, so it looks at nothing else.
    """
    devices = _devices(sys).items()
    found = [_found(name, device, dev) for name, device in devices if _interface(device)]
    return _linked([port for port in found if port.usb is not None], dev)


def _devices(sys: Path) -> dict[str, str]:
    """Return the folder of the device behind each tty; some have none, and no such folder."""
    folder = f"{sys}/class/tty"
    found = {}
    for name in sorted(_names(folder), key=_counted):
        with suppress(OSError):
            entry = os.path.normpath(os.path.join(folder, os.readlink(f"{folder}/{name}")))
            # .../ttyUSB0/tty/ttyUSB0; what has no device lies in .../virtual/tty/tty0.
            device = os.path.dirname(os.path.dirname(entry))
            if os.path.basename(device) != "virtual":
                found[name] = device
    return found


def _found(name: str, device: str, dev: Path) -> FoundPort:
    usb, socket = _usb(device)
    return FoundPort(f"{dev}/{name}", _driver(device), usb=usb, socket=socket)


def _linked(ports: list[FoundPort], dev: Path) -> list[FoundPort]:
    """Return the ports with udev's links, and with those marked that look the same."""
    by_id = _links(f"{dev}/serial/by-id")
    by_path = _links(f"{dev}/serial/by-path")
    # A serial number may look like another one with an interface, so each may mean several.
    meant = Counter(name for port in ports if port.usb is not None for name in port.usb.identities)
    return [
        replace(
            port,
            twin=port.usb is not None and meant[port.usb.identity.casefold()] > 1,
            by_id=by_id.get(port.path, ""),
            by_path=by_path.get(port.path, ""),
        )
        for port in ports
    ]


def _counted(name: str) -> tuple[str, int]:
    stem = name.rstrip("0123456789")
    return stem, int(name[len(stem) :] or 0)


def _names(folder: str) -> list[str]:
    with suppress(OSError):
        return sorted(os.listdir(folder))
    return []


def _text(file: str) -> str:
    try:
        with open(file, encoding="utf-8", errors="replace") as opened:
            return opened.read(ATTRIBUTE_SIZE).strip()
    except OSError:
        return ""


def _links(folder: str) -> dict[str, str]:
    """Return for each device the link in ``folder`` that leads to it."""
    found = {}
    for name in _names(folder):
        with suppress(OSError):
            link = f"{folder}/{name}"
            if not name.isprintable():
                continue  # not udev's, and not to be written into a configuration
            found[os.path.normpath(os.path.join(folder, os.readlink(link)))] = link
    return found


def _driver(device: str) -> str:
    # Since Linux 6.5 an UART sits below two devices of "serial-base", which say nothing.
    for _ in range(3):
        with suppress(OSError):
            name = os.path.basename(os.readlink(f"{device}/driver"))
            if name not in ("port", "ctrl"):
                return name
        device = os.path.dirname(device)
    return ""


def _interface(device: str) -> str:
    """Return the folder of the USB interface that a device is, or lies in; "" when it is none."""
    found = _INTERFACE.match(device)
    return "" if found is None else found[0]


def _usb(device: str) -> tuple[Usb | None, Socket | None]:
    """Return the adapter that a device belongs to, and where it is; neither for what is not USB."""
    interface = _interface(device)
    adapter = os.path.dirname(interface)
    vendor = _text(f"{adapter}/idVendor") if interface else ""
    if not vendor:
        return None, None
    number = _text(f"{device}/port_number")
    named = _text(f"{interface}/bInterfaceNumber")
    if number and _ports_of(interface) > 1:
        named += f".{number}"
    usb = Usb(
        vendor=vendor,
        product=_text(f"{adapter}/idProduct"),
        serial=_text(f"{adapter}/serial"),
        interface=named,
        product_name=_text(f"{adapter}/product"),
        manufacturer=_text(f"{adapter}/manufacturer"),
        interface_name=_text(f"{interface}/interface"),
    )
    return usb, socket_of(interface, number)


def _ports_of(interface: str) -> int:
    """Return how many ports an interface has: drivers of usb-serial may have up to 16."""
    return sum(os.path.exists(f"{interface}/{name}/port_number") for name in _names(interface))
