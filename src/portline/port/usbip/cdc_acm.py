"""A modem of USB's own class, CDC-ACM, as Linux' ``cdc_acm`` drives it.

No maker's numbers are needed, and there are half as many transfers as with the others.  But the
class knows no CTS and no flow control: CTS always reads as on, and CRTSCTS stays in the kernel.
Faults are counted; characters are not marked.

Sources: USB CDC 1.2, USB PSTN 1.2; drivers/usb/class/cdc-acm.c.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, ClassVar, Final

from portline.port.usbip import coding
from portline.port.usbip.chip import Answer, Chip
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
    from portline.line import LineFault, ModemLines

__all__ = ["CdcAcm"]

VERSION: Final = 0x0100
COMMUNICATIONS: Final = 2

FUNCTIONS: Final = bytes.fromhex("05240010 010524010001042402060524060001")
"""Header 1.1, no call management, line coding and break (capabilities 6), interfaces 0 and 1."""

STATE_HEAD: Final = bytes((0xA1, 0x20, 0, 0, 0, 0, 2, 0))

DCD, DSR, BREAK, RI, FRAMING, PARITY, OVERRUN = (1 << bit for bit in range(7))
"""SERIAL_STATE (USB PSTN 1.2, table 31)."""


class CdcAcm(Chip):
    """A port /dev/ttyACM."""

    name: ClassVar = "cdc-acm"
    drivers: ClassVar = ("cdc_acm",)
    interrupt_in: ClassVar = 1
    bulk_out: ClassVar = 2
    bulk_in: ClassVar = 3
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

    def request(self, setup: Setup, data: bytes) -> Answer:
        """Answer what the driver asks."""
        match setup.kind, setup.request:
            case (0x21, coding.SET_LINE_CODING):
                settings = coding.decode(data, self.settings)
                return (None, []) if settings is None else (b"", self._set(settings))
            case (0xA1, coding.GET_LINE_CODING):
                return coding.encode(self.settings), []
            case (0x21, coding.SET_CONTROL):
                dtr, rts = bool(setup.value & coding.DTR), bool(setup.value & coding.RTS)
                return b"", self._drive(dtr=dtr, rts=rts)
            case (0x21, coding.SEND_BREAK):
                return b"", self._hold_break(setup.value != 0)
            case _:
                return None, []

    def frame(
        self, data: bytes, room: int, lines: ModemLines, fault: LineFault
    ) -> tuple[bytes, int]:
        """Bring data as it is."""
        taken = data[:room]
        return taken, len(taken)

    def notice(self, lines: ModemLines, fault: LineFault) -> bytes:
        """Tell the lines and the fault."""
        bits = DCD * lines.dcd | DSR * lines.dsr | RI * lines.ri
        bits |= BREAK * fault.break_received | FRAMING * fault.framing
        bits |= PARITY * fault.parity | OVERRUN * fault.overrun
        return STATE_HEAD + struct.pack("<H", bits)
