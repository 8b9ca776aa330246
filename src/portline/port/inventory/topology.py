"""Where a USB port is plugged in: the name of the socket, which stays when the adapter does not.

Theory of operation
-------------------
The kernel names a USB device after its bus and the sockets that lead to it, ``1-1.4``, and one of
its interfaces ``1-1.4:1.0`` (Documentation/driver-api/usb/usb.rst).  Bus numbers are given in the
order in which controllers are found, so udev's lasting name puts the controller in their place
(``ID_PATH``, systemd's udev-builtin-path_id.c)::

    pci-0000:00:14.0-usb-0:1.4:1.0-port0
    controller         |   |   |   +-- the port, of drivers that number them (usb-serial)
                       |   |   +-- configuration and interface
                       |   +-- the sockets
                       +-- "usb-0" for any bus of that controller

Both are worked out from sysfs alone, so they exist without udev, too.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

__all__ = ["PATH_PREFIX", "Socket", "socket_of"]

PATH_PREFIX: Final = "path:"

CONTROLLERS: Final = ("pci", "platform")
"""The buses by which udev names a controller; the same that USB controllers are found on."""


@dataclass(frozen=True, slots=True)
class Socket:
    """The place of one USB serial port.

    ``interface`` is the kernel's name, ``1-1.4:1.0``; ``path`` is udev's, without ``-port0``;
    ``number`` is that port of the driver, "" where the driver does not number them.
    """

    interface: str
    path: str = ""
    number: str = ""

    @property
    def name(self) -> str:
        """The most exact of its names, as :meth:`matches` takes it."""
        if not self.path:
            return PATH_PREFIX + self.interface
        return PATH_PREFIX + self.path + (f"-port{self.number}" if self.number else "")

    def matches(self, name: str) -> bool:
        """Return whether a name, exact or of the whole adapter, means this place."""
        adapter = self.interface.partition(":")[0]
        whole = self.path.removesuffix(self.interface.removeprefix(adapter))
        names = {self.interface, adapter, self.path, whole, self.name.removeprefix(PATH_PREFIX)}
        return name.removeprefix(PATH_PREFIX) in names - {""}


def socket_of(interface: str, number: str = "") -> Socket:
    """Return the place of the USB interface whose folder in sysfs is given, links resolved."""
    name = os.path.basename(interface)
    sockets = name.partition("-")[2]
    controller = _controller(interface)
    path = f"{controller}-usb-0:{sockets}" if controller and sockets else ""
    return Socket(name, path, number)


def _controller(interface: str) -> str:
    """Return the outermost devices that name the controller: ``pci-0000:00:14.0``."""
    names: list[str] = []
    last = ""
    folder = os.path.dirname(interface)
    while len(folder) > 1:
        bus = ""
        with suppress(OSError):
            bus = os.path.basename(os.readlink(f"{folder}/subsystem"))
        # Bridges on the way to a controller are of the same bus, and udev leaves them out.
        if bus in CONTROLLERS and bus != last:
            names.insert(0, f"{bus}-{os.path.basename(folder)}")
        last = bus or last
        folder = os.path.dirname(folder)
    return "-".join(names)
