"""A modem of USB's own class, CDC-ACM, as Linux' ``cdc_acm`` drives it.

No maker's numbers are needed, and there are half as many transfers as with the others.  But the
class knows no CTS and no flow control: CTS always reads as on, and CRTSCTS stays in the kernel.
Faults are counted; characters are not marked.

Sources: USB CDC 1.2, USB PSTN 1.2; drivers/usb/class/cdc-acm.c.
"""

from __future__ import annotations

from typing import ClassVar, Final

from portline.port.usbip.coding import CodingChip
from portline.port.usbip.descriptors import (
    BULK,
    INTERRUPT,
    Descriptors,
    Identity,
    configuration,
    device,
    endpoint,
    interface,
)

__all__ = ["CdcAcm"]

VERSION: Final = 0x0100
COMMUNICATIONS: Final = 2

FUNCTIONS: Final = bytes.fromhex("05240010 010524010001042402060524060001")
"""Header 1.1, no call management, line coding and break (capabilities 6), interfaces 0 and 1."""


class CdcAcm(CodingChip):
    """A port /dev/ttyACM."""

    name: ClassVar = "cdc-acm"
    drivers: ClassVar = ("cdc_acm",)
    marks_faults: ClassVar = False
    tells_cts: ClassVar = False

    def describe(self, identity: Identity) -> Descriptors:
        """Return the two interfaces of the class."""
        control = interface(
            0, (COMMUNICATIONS, 2, 1), FUNCTIONS, endpoint(0x81, INTERRUPT, 16, 1), ends=1
        )
        data = interface(1, (10, 0, 0), endpoint(0x02, BULK, 64), endpoint(0x83, BULK, 64), ends=2)
        return Descriptors(
            device(identity, version=VERSION, kind=COMMUNICATIONS),
            configuration(control, data),
            (identity.maker, identity.name, identity.serial),
        )
