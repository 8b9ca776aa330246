"""Linux' virtual USB host controller: plugging an adapter in, and finding the terminal it becomes.

Theory of operation
-------------------
All through sysfs.  ``/sys/devices/platform/vhci_hcd.0`` has the ports of all controllers
(``status``, ``status.1``, ...) and takes the descriptor of a connected stream socket for one of
them (``attach``); from then on the kernel is at the other end.  When our end is closed, by us or
because we died, the adapter is unplugged: nothing can be left behind.

``status`` then names the bus address of the port's device, and below
``/sys/bus/usb/devices/ADDRESS`` stands the terminal, once the driver has made it.

*Unplugging takes the kernel its time.*  A thread for each root hub plugs in and unplugs, one after
the other, and waits up to 30 s (closing_wait of tty_port.c) for a program that is just closing what
is unplugged.  What is plugged in below that hub meanwhile has no terminal until then.  So a
controller of which nothing is being unplugged is taken before the others; there are several where
the kernel was built so (CONFIG_USBIP_VHCI_NR_HCS).

No module is loaded from here.  What a machine's administrator has not loaded is named, with the
command.
"""

from __future__ import annotations

import errno
import os
import platform
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from portline.errors import PortBusy, PortDenied, PortError

if TYPE_CHECKING:
    import socket

    from portline.port.usbip.chip import Chip

__all__ = ["DEV", "SYS", "Controller", "Slot", "obstacle"]

SYS: Final = Path("/sys")
DEV: Final = Path("/dev")
MODULES: Final = Path("/lib/modules")

PLATFORM: Final = "devices/platform"
CONTROLLER: Final = f"{PLATFORM}/vhci_hcd.0"

DEVICE_ID: Final = 0x10002
"""What the device is called in messages; the kernel only repeats it."""

FULL_SPEED: Final = 2
"""USB 1.1's 12 Mbit/s, of enum usb_device_speed: what the chips have.  There is no wire whose
speed could matter."""

FREE: Final = "004"
"""VDEV_ST_NULL: nothing is plugged in."""

NOWHERE: Final = "0-0"
"""The address of a port with nothing in it."""

ADDRESS: Final = re.compile(r"\d+-\d+")
"""A device that is plugged into a root hub: bus and port."""

TRIES_MAX: Final = 32
"""Ports tried when others take them at the same time."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One line of ``status``; ``address`` is that of the device there, like ``3-1``.

    ``controller`` is the number of the one that has it.
    """

    hub: str
    number: int
    state: str
    address: str
    controller: int = 0


class Controller:
    """The virtual controllers of this machine."""

    def __init__(self, sys: Path = SYS, dev: Path = DEV) -> None:
        self._sys = sys
        self._dev = dev
        self._folder = sys / CONTROLLER

    def prepare(self, name: str, chip: Chip, identity: tuple[int, int]) -> None:
        """Let the chip's driver know our own vendor and product number, where it has to be told.

        Raises PortError, with what is missing, where the machine cannot take the adapter.
        """
        if text := obstacle(chip, self._sys):
            raise PortError(name, text)
        file = self._sys / "bus/usb-serial/drivers" / chip.drivers[0] / "new_id"
        if not file.exists():
            return  # a class driver needs no numbers
        numbers = f"{identity[0]:04x} {identity[1]:04x}"
        try:
            if numbers not in file.read_text("ascii").splitlines():
                file.write_text(numbers, "ascii")
        except OSError as error:
            raise _failed(name, error) from error

    def attach(self, name: str, kernels: socket.socket) -> int:
        """Plug in what is at the other end of ``kernels``; return the port.  Raises PortError.

        The kernel keeps the socket; the caller closes its own descriptor.
        """
        try:
            for slot in self._free()[:TRIES_MAX]:
                text = f"{slot.number} {kernels.fileno()} {DEVICE_ID} {FULL_SPEED}"
                try:
                    (self._folder / "attach").write_text(text, "ascii")
                except OSError as error:
                    if error.errno != errno.EBUSY:  # somebody else was faster
                        raise
                else:
                    return slot.number
        except OSError as error:
            raise _failed(name, error) from error
        raise PortBusy(
            name, "all ports of the virtual USB controller (vhci_hcd) are taken; unplug others"
        )

    def slots(self) -> list[Slot]:
        """Return the ports.  Raises OSError."""
        slots = []
        for file in self._folder.glob("status*"):
            controller = int(file.suffix[1:] or 0)
            for line in file.read_text("ascii").splitlines()[1:]:
                # hub port sta spd dev sockfd local_busid
                words = line.split()
                if len(words) == 7:
                    slots.append(Slot(words[0], int(words[1]), words[2], words[6], controller))
        return sorted(slots, key=lambda slot: slot.number)

    def _free(self) -> list[Slot]:
        """Return the free ports, those first below whose controller nothing is being unplugged."""
        slots = self.slots()
        known = {slot.address for slot in slots}
        busy = {
            controller
            for controller in {slot.controller for slot in slots}
            if not known.issuperset(self._below(controller))
        }
        free = [slot for slot in slots if slot.hub == "hs" and slot.state == FREE]
        return sorted(free, key=lambda slot: slot.controller in busy)

    def _below(self, controller: int) -> set[str]:
        """Return the addresses of the devices that the kernel has at a controller's root hubs."""
        folder = self._sys / PLATFORM / f"vhci_hcd.{controller}"
        return {path.name for path in folder.glob("usb*/*-*") if ADDRESS.fullmatch(path.name)}

    def node(self, number: int) -> str | None:
        """Return the path of the terminal at a port; None while there is none."""
        with suppress(OSError):
            address = next((s.address for s in self.slots() if s.number == number), NOWHERE)
            first = self._sys / "bus/usb/devices" / address / f"{address}:1.0"
            for entry in (*first.glob("ttyUSB*"), *first.glob("tty/ttyACM*")):
                path = self._dev / entry.name
                if path.is_char_device():
                    return str(path)
        return None


def obstacle(
    chip: Chip | type[Chip], sys: Path = SYS, modules: Path = MODULES, release: str = ""
) -> str:
    """Return why the machine cannot take such an adapter, with the remedy; "" when it can."""
    folder = sys / CONTROLLER
    if not folder.is_dir():
        if _has_module("vhci-hcd", modules / (release or platform.release())):
            wanted = " ".join(("vhci_hcd", *chip.drivers))
            return f"the kernel's module vhci_hcd is not loaded; `sudo modprobe -a {wanted}`"
        return (
            "this kernel has no virtual USB controller (vhci_hcd); install the package with its "
            'further modules, or take a pseudo terminal (--backend pty, in a file backend = "pty")'
        )
    if not os.access(folder / "attach", os.W_OK):
        return "to plug in a virtual USB adapter takes root; run Portline as a service of root"
    driver = chip.drivers[0]
    if not any((sys / "bus" / bus / "drivers" / driver).is_dir() for bus in ("usb-serial", "usb")):
        return f"the kernel's module {driver} is not loaded; `sudo modprobe {driver}`"
    return ""


def _has_module(name: str, folder: Path) -> bool:
    for index in ("modules.dep", "modules.builtin"):
        with suppress(OSError):
            if f"/{name}.ko" in (folder / index).read_text(errors="replace"):
                return True
    return False


def _failed(name: str, error: OSError) -> PortError:
    if error.errno in (errno.EACCES, errno.EPERM):
        return PortDenied(
            name, "to plug in a virtual USB adapter takes root; run Portline as a service of root"
        )
    return PortError(name, f"the virtual USB controller refuses the adapter: {error.strerror}")
