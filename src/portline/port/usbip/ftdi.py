"""An FTDI FT232BM, as Linux' ``ftdi_sio`` drives it.

Its driver asks whether the transmitter is empty, keeps the counters of TIOCGICOUNT and marks
faults.  It does 7 and 8 data bits, and rates only as divisors of 3 MHz in eighths: what was asked
for is not told, and is found again (:func:`rate_of`).  When it is closed, its driver switches flow
control off.

The first two bytes of every packet into the host are the lines and the line state.  Source:
drivers/usb/serial/ftdi_sio.c and ftdi_sio.h; a device version of 4.00 is a BM, which has no EEPROM
to be asked about.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import ClassVar, Final

from portline.line import FlowControl, LineFault, ModemLines, Purge
from portline.port.usbip.chip import NO_FAULT, PARITIES, STOPS, Answer, Chip, TransmitterAsked
from portline.port.usbip.descriptors import (
    BULK,
    Descriptors,
    Identity,
    Setup,
    configuration,
    device,
    endpoint,
    interface,
)

__all__ = ["Ftdi", "divisor_of", "rate_of"]

BM: Final = 0x0400

PACKET: Final = 64
"""Bytes of a packet, the two of the state included."""

CLOCK: Final = 24_000_000
"""Hertz: the rate is this divided by the divisor in eighths."""

FRACTIONS: Final = (0, 3, 2, 4, 1, 5, 6, 7)
"""How eighths are written in bits 14 to 16 of a divisor."""

RATES: Final = (
    *(200, 300, 600, 1200, 1800, 2400, 4800, 9600, 14400, 19200, 28800),
    *(
        31250,
        38400,
        56000,
        57600,
        74880,
        76800,
        115200,
        128000,
        153600,
        230400,
        250000,
        256000,
        460800,
    ),
    *(500000, 576000, 614400, 921600, 1000000, 1228800, 1500000, 2000000, 3000000),
)
"""What people set; any other rate is taken for the roundest one that has the same divisor.

Below 184 the divisor does not fit its 14 bits, with the real chip too."""

ROUND: Final = (1000, 500, 100, 50, 10, 5, 1)

LATENCY: Final = 9
"""The register in which the latency timer is kept: written by request 9, read by request 10."""

FLOWS: Final = {1: FlowControl.HARDWARE, 4: FlowControl.XON_XOFF}
"""2 is DSR and DTR, for which there is no word here."""

DATA_READY, CTS, DSR, RI, DCD = 0x01, 0x10, 0x20, 0x40, 0x80
"""The first byte: the modem status, whose lowest bit is always set."""

OVERRUN, PARITY, FRAMING, BREAK, HOLDING_EMPTY, EMPTY = 0x02, 0x04, 0x08, 0x10, 0x20, 0x40
"""The second byte: the line status of a 16550."""


class Ftdi(Chip):
    """An adapter with counters."""

    name: ClassVar = "ftdi"
    drivers: ClassVar = ("ftdi_sio", "usbserial")
    interrupt_in: ClassVar = None
    bulk_in: ClassVar = 1
    bulk_out: ClassVar = 2
    marks_faults: ClassVar = True
    asks_transmitter: ClassVar = True

    def describe(self, identity: Identity) -> Descriptors:
        """Return a BM with its two endpoints."""
        ends = endpoint(0x81, BULK, PACKET), endpoint(0x02, BULK, PACKET)
        port = interface(0, (0xFF, 0xFF, 0xFF), *ends, ends=len(ends))
        return Descriptors(
            device(identity, version=BM),
            configuration(port),
            (identity.maker, identity.name, identity.serial),
        )

    def request(self, setup: Setup, data: bytes) -> Answer:
        """Answer what the driver asks."""
        value, index = setup.value, setup.index
        match setup.request:
            case 0:  # reset; 1 and 2 empty the buffers towards the host, and towards the line
                return b"", [Purge(value == 1, value == 2)] if value in (1, 2) else []
            case 1:  # each line has a bit that says whether the other one means it
                dtr = bool(value & 1) if value & 0x100 else self.dtr
                rts = bool(value & 2) if value & 0x200 else self.rts
                return b"", self._drive(dtr=dtr, rts=rts)
            case 2:
                flow = FLOWS.get(index >> 8, FlowControl.NONE)
                return b"", self._set(replace(self.settings, flow_control=flow))
            case 3:
                rate = rate_of(value | (index & 1) << 16)
                return b"", self._set(replace(self.settings, baudrate=rate))
            case 4:
                return self._format(value)
            case 5:
                return self._status(self.lines), [TransmitterAsked()]
            case 9:
                self.registers[LATENCY] = value & 0xFF
                return b"", []
            case 10:
                return bytes((self.registers.get(LATENCY, 16),)), []
            case 6 | 7:  # special characters
                return b"", []
            case 0x90:  # the EEPROM, which is empty
                return b"\xff\xff", []
            case _:
                return None, []

    def _format(self, value: int) -> Answer:
        # For 5 bits the driver writes none, which the chips take for 8 ("CS5 quirk").
        bits, parity, stop = value & 0xF or 8, value >> 8 & 7, value >> 11 & 3
        if bits not in (7, 8) or parity >= len(PARITIES) or stop >= len(STOPS):
            return None, []
        did = self._set(
            replace(self.settings, data_bits=bits, parity=PARITIES[parity], stop_bits=STOPS[stop])
        )
        return b"", [*did, *self._hold_break(bool(value & 1 << 14))]

    def _status(self, lines: ModemLines, fault: LineFault = NO_FAULT) -> bytes:
        modem = DATA_READY | CTS * lines.cts | DSR * lines.dsr | RI * lines.ri | DCD * lines.dcd
        line = (HOLDING_EMPTY | EMPTY) * self.transmitter_empty
        line |= OVERRUN * fault.overrun | PARITY * fault.parity
        line |= FRAMING * fault.framing | BREAK * fault.break_received
        return bytes((modem, line))

    def frame(
        self, data: bytes, room: int, lines: ModemLines, fault: LineFault
    ) -> tuple[bytes, int]:
        """Bring data in packets, each with the state in front."""
        status = self._status(lines, fault)
        packets = max(1, min(room // PACKET, -(-len(data) // (PACKET - 2))))
        pieces = []
        taken = 0
        for _ in range(packets):
            piece = data[taken : taken + PACKET - 2]
            taken += len(piece)
            pieces += [status, piece]
        return b"".join(pieces)[:room], taken


def divisor_of(rate: int) -> int:
    """Return the divisor for a rate as the driver writes it (ftdi_232bm_baud_to_divisor)."""
    eighths = (2 * CLOCK + rate) // (2 * rate)
    divisor = eighths >> 3 | FRACTIONS[eighths & 7] << 14
    return {1: 0, 0x4001: 1}.get(divisor, divisor)


@lru_cache(maxsize=64)
def rate_of(divisor: int) -> int:
    """Return the rate that was meant by a divisor: a usual one, or the roundest that has it."""
    eighths = (divisor & 0x3FFF) << 3 | FRACTIONS.index(divisor >> 14 & 7)
    eighths = {0: 8, 1: 12}.get(divisor, max(1, eighths))
    for rate in RATES:
        if divisor_of(rate) == divisor:
            return rate
    middle = CLOCK / eighths
    for step in ROUND:
        rate = round(middle / step) * step
        if rate and divisor_of(rate) == divisor:
            return rate
    return round(middle)
