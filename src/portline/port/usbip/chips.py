"""The adapters there are, by the names of the option ``adapter``; how each introduces itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from portline.port.names.place import MAKER
from portline.port.usbip.cdc_acm import CdcAcm
from portline.port.usbip.descriptors import Identity
from portline.port.usbip.ftdi import Ftdi
from portline.port.usbip.pl2303 import Pl2303

if TYPE_CHECKING:
    from portline.port.usbip.chip import Chip

__all__ = ["CHIPS", "IDENTITIES", "make_chip"]

CHIPS: Final[dict[str, type[Chip]]] = {chip.name: chip for chip in (Pl2303, Ftdi, CdcAcm)}

IDENTITIES: Final = {
    "pl2303": (0x1209, 0x0001),
    "ftdi": (0x1209, 0x0002),
    "cdc-acm": (0x1209, 0x0003),
}
"""Vendor and product numbers: those that pid.codes keeps for tests, and nobody else's.

The adapters never leave this machine, so no two makers can meet; the drivers are told of them
(new_id) when they do not go by the class."""


def make_chip(adapter: str, name: str) -> Chip:
    """Return a chip whose product and serial number carry the name of its port.

    So ``lsusb``, ``/dev/serial/by-id`` and udev rules can tell several of them apart.
    """
    vendor, product = IDENTITIES[adapter]
    short = name.rpartition("/")[2]
    identity = Identity(vendor, product, MAKER, f"virtual port {short}", short)
    return CHIPS[adapter](identity)
