"""From what a port is called to the device that it means just now.

=====================================  ==========================================================
name                                   means
=====================================  ==========================================================
``/dev/...``                           that device, or what a link leads to
``/dev/ttyUSB*``, ``.../by-id/*FTDI*``  the one device that matches (``*``, ``?``, ``[...]``)
``usb:0403:6001``                      the only adapter of its kind
``usb:0403:6010:FT4X:01``              an adapter to the last detail; ``usb:0403:6010::01`` when it
                                       has no serial number
``path:1-1.4``                         whatever is plugged in there, by the kernel's name
``path:pci-0000:00:14.0-usb-0:1.4:1.0``  the same by udev's, which outlasts the order of controllers
=====================================  ==========================================================

A name is looked up anew at each opening, so an adapter is found again under another number.  One
that means several devices is refused with all of them named: whichever came first would be a guess.
"""

from __future__ import annotations

import glob
import os
from typing import TYPE_CHECKING, Final

from portline.errors import PortAbsent, PortError
from portline.port.inventory.ports import DEV, SYS, USB_PREFIX, found_ports, usb_ports
from portline.port.inventory.topology import PATH_PREFIX

if TYPE_CHECKING:
    from pathlib import Path

    from portline.port.inventory.ports import FoundPort

__all__ = ["CANDIDATES", "resolve"]

CANDIDATES: Final = 8
"""Ports that a refusal names; who has more of them writes a narrower name anyway."""


def resolve(name: str, sys: Path = SYS, dev: Path = DEV) -> str:
    """Return the path of the one port that a name means.

    Raises PortAbsent when there is none, and PortError naming the candidates when there are
    several.  A plain path is returned as it is, whether there is such a device or not.
    """
    if name.startswith(USB_PREFIX):
        if name.count(":") < 2 or not all(name.split(":")[1:3]):
            raise PortError(name, "is not a USB identity like usb:0403:6001:SERIAL:00")
        found = [p for p in usb_ports(sys, dev) if p.usb is not None and p.usb.matches(name)]
    elif name.startswith(PATH_PREFIX):
        ports = usb_ports(sys, dev)
        found = [p for p in ports if p.socket is not None and p.socket.matches(name)]
    elif glob.has_magic(name) and not os.path.lexists(name):
        return _matching(name, sys, dev)
    else:
        return name
    if not found:
        what = "adapter" if name.startswith(USB_PREFIX) else "USB serial port at that place"
        raise PortAbsent(name, f"no such {what}; is it plugged in? see `portline ports`")
    if len(found) > 1:
        raise _ambiguous(name, found)
    return found[0].path


def _matching(pattern: str, sys: Path, dev: Path) -> str:
    """Return the one device whose name fits; several links to it are one device."""
    # The first link of each device by name, so that the same one is taken every time.
    devices = {os.path.realpath(path): path for path in sorted(glob.glob(pattern), reverse=True)}
    if not devices:
        raise PortAbsent(pattern, "nothing matches; is it plugged in? see `portline ports`")
    if len(devices) == 1:
        return next(iter(devices.values()))
    known = {os.path.realpath(port.path): port for port in found_ports(sys, dev)}
    # /dev/ttyS0..31 are all there, and most have no chip.
    found = [port for device, port in known.items() if device in devices]
    if len(found) == 1:
        return devices[os.path.realpath(found[0].path)]
    raise _ambiguous(pattern, found or sorted(devices.values()))


def _ambiguous(name: str, found: list[FoundPort] | list[str]) -> PortError:
    names = [
        port if isinstance(port, str) else f"{port.path} ({port.lasting_name})" for port in found
    ]
    more = f" and {len(names) - CANDIDATES} more" if len(names) > CANDIDATES else ""
    listed = ", ".join(names[:CANDIDATES])
    return PortError(name, f"means more than one port: {listed}{more}; say which")
