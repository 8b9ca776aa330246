"""A Prolific PL2303 of the newest family (HXN), as Linux' ``pl2303`` drives it.

It does every rate, 5 to 8 bits, all parities, 1, 1.5 and 2 stop bits, and its driver marks faults.
It asks nothing of its transmitter: a write is over when its transfer is.

Source: drivers/usb/serial/pl2303.c of Linux 6.1 and 6.12.  USB 2.0 with the device version 1.05 is
an HXN there; older families encode odd rates as divisors.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Final

from portline.line import FlowControl, Purge
from portline.port.usbip.coding import CodingChip
from portline.port.usbip.descriptors import (
    BULK,
    INTERRUPT,
    Descriptors,
    Identity,
    Setup,
    configuration,
    device,
    endpoint,
    interface,
)

if TYPE_CHECKING:
    from portline.port.usbip.chip import Answer, Did

__all__ = ["Pl2303"]

HXN: Final = 0x0105

RESET_REGISTER: Final = 0x07
"""PL2303_HXN_RESET_REG, written at open: its bits throw away what waits in either direction."""
RESET_RECEIVED: Final = 0x02
RESET_UNSENT: Final = 0x01

FLOW_REGISTER: Final = 0x0A
FLOW_MASK: Final = 0x1C
FLOWS: Final = {
    0x1C: FlowControl.NONE,
    0x18: FlowControl.HARDWARE,
    0x0C: FlowControl.XON_XOFF,
}


class Pl2303(CodingChip):
    """The default adapter."""

    name: ClassVar = "pl2303"
    drivers: ClassVar = ("pl2303", "usbserial")
    marks_faults: ClassVar = True

    def describe(self, identity: Identity) -> Descriptors:
        """Return an HXN with the endpoints that its driver looks for."""
        port = interface(
            0,
            (0xFF, 0, 0),
            endpoint(0x81, INTERRUPT, 10, 1),
            endpoint(0x02, BULK, 64),
            endpoint(0x83, BULK, 64),
            ends=3,
        )
        return Descriptors(
            device(identity, version=HXN),
            configuration(port),
            (identity.maker, identity.name, identity.serial),
        )

    def _further(self, setup: Setup) -> Answer:
        match setup.kind:
            case 0xC0:  # read a register
                register = setup.value & 0xFF
                fresh = FLOW_MASK if register == FLOW_REGISTER else 0
                return bytes((self.registers.get(register, fresh),)), []
            case 0x40:  # write one
                return b"", self._write(setup.value & 0xFF, setup.index & 0xFF)
            case _:
                return None, []

    def _write(self, register: int, value: int) -> list[Did]:
        self.registers[register] = value
        if register == FLOW_REGISTER:
            flow = FLOWS.get(value & FLOW_MASK, FlowControl.NONE)
            return self._set(replace(self.settings, flow_control=flow))
        if register == RESET_REGISTER:
            return [Purge(bool(value & RESET_RECEIVED), bool(value & RESET_UNSENT))]
        return []
