"""What CDC-ACM, and Prolific with it, say of a line: settings, outputs, breaks, and its state.

Sources: USB PSTN 1.2, tables 17 and 31; USB CDC 1.2, 6.3.5.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Final

from portline.line import DATA_BITS
from portline.port.usbip.chip import PARITIES, STOPS, Answer, Chip

if TYPE_CHECKING:
    from portline.line import LineFault, LineSettings, ModemLines
    from portline.port.usbip.descriptors import Setup

__all__ = ["CodingChip", "decode", "encode"]

DTR: Final = 0x01
RTS: Final = 0x02

STATE_HEAD: Final = bytes((0xA1, 0x20, 0, 0, 0, 0, 2, 0))
"""SERIAL_STATE, of two bytes; Linux' drivers look at the first of them."""

DCD, DSR, BREAK, RI, FRAMING, PARITY, OVERRUN, CTS = (1 << bit for bit in range(8))
"""What is in it; CTS is Prolific's."""

_CODING: Final = struct.Struct("<IBBB")


class CodingChip(Chip):
    """A chip that speaks so, and whose data comes as it is."""

    interrupt_in: ClassVar = 1
    bulk_out: ClassVar = 2
    bulk_in: ClassVar = 3

    def request(self, setup: Setup, data: bytes) -> Answer:
        """Answer what the driver asks."""
        match setup.kind, setup.request:
            case (0x21, 0x20):  # SET_LINE_CODING
                settings = decode(data, self.settings)
                return (None, []) if settings is None else (b"", self._set(settings))
            case (0xA1, 0x21):  # GET_LINE_CODING
                return encode(self.settings), []
            case (0x21, 0x22):  # SET_CONTROL_LINE_STATE
                dtr, rts = bool(setup.value & DTR), bool(setup.value & RTS)
                return b"", self._drive(dtr=dtr, rts=rts)
            case (0x21, 0x23):  # SEND_BREAK, which begins one, or ends it
                return b"", self._hold_break(setup.value != 0)
            case _:
                return self._further(setup)

    def _further(self, setup: Setup) -> Answer:
        """Answer what only the maker's own driver asks."""
        return None, []

    def frame(
        self, data: bytes, room: int, lines: ModemLines, fault: LineFault
    ) -> tuple[bytes, int]:
        """Bring data as it is."""
        taken = data[:room]
        return taken, len(taken)

    def notice(self, lines: ModemLines, fault: LineFault) -> bytes:
        """Tell the lines, and the fault of the next character."""
        bits = DCD * lines.dcd | DSR * lines.dsr | RI * lines.ri
        bits |= CTS * (lines.cts and self.tells_cts)
        bits |= BREAK * fault.break_received | FRAMING * fault.framing
        bits |= PARITY * fault.parity | OVERRUN * fault.overrun
        return STATE_HEAD + struct.pack("<H", bits)


def decode(data: bytes, before: LineSettings) -> LineSettings | None:
    """Return the settings, None for bytes that mean none; flow control is not in there."""
    if len(data) != _CODING.size:
        return None
    rate, stop, parity, bits = _CODING.unpack(data)
    if stop >= len(STOPS) or parity >= len(PARITIES) or bits not in DATA_BITS:
        return None
    return replace(
        before,
        baudrate=rate,
        data_bits=bits,
        parity=PARITIES[parity],
        stop_bits=STOPS[stop],
    )


def encode(settings: LineSettings) -> bytes:
    """Write settings for a driver that reads them back."""
    return _CODING.pack(
        settings.baudrate,
        STOPS.index(settings.stop_bits),
        PARITIES.index(settings.parity),
        settings.data_bits,
    )
