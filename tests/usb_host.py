"""The kernel's side of USB/IP, played by a test: a host, and drivers that do as Linux' do.

``Host`` writes commands and reads results.  The drivers are models of pl2303.c, ftdi_sio.c and
cdc-acm.c as far as an adapter notices them: which transfers they keep under way, and which requests
they make of settings and lines.
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from portline.line import FlowControl, LineSettings, ModemLines
from portline.port.usbip.chip import PARITIES, STOPS
from portline.port.usbip.ftdi import divisor_of

HEADER = struct.Struct(">5I")
SUBMIT = struct.Struct(">I4i8s")
RESULT = struct.Struct(">5i8x")

CONNRESET = -104
STALL = -32


@dataclass
class Result:
    """How a transfer ended: 0 and what it brought, or why it did not."""

    status: int
    length: int = 0
    data: bytes = b""


class Host:
    """Transfers by number; ``output`` is what goes to the device."""

    def __init__(self) -> None:
        self.output = bytearray()
        self.results: dict[int, Result] = {}
        self.unlinked: dict[int, int] = {}
        """How unlinks ended, by the number of the victim."""
        self.ended: list[int] = []
        """The transfers that ended since somebody emptied this, in order."""
        self._into: dict[int, bool] = {}
        self._victims: dict[int, int] = {}
        self._number = 0
        self._buffer = bytearray()

    def submit(
        self, endpoint: int, *, into: bool, length: int = 0, data: bytes = b"", setup: bytes = b""
    ) -> int:
        """Begin a transfer; return its number."""
        self._number += 1
        self._into[self._number] = into
        size = length if into else len(data)
        self.output += HEADER.pack(1, self._number, 0x10002, int(into), endpoint)
        self.output += SUBMIT.pack(0x200, size, 0, 0, 0, setup.ljust(8, b"\0"))
        self.output += data
        return self._number

    def request(
        self, kind: int, request: int, value: int, index: int, data: bytes = b"", length: int = 0
    ) -> int:
        """Begin a control request; return its number."""
        into = bool(kind & 0x80)
        size = length if into else len(data)
        setup = struct.pack("<BBHHH", kind, request, value, index, size)
        return self.submit(0, into=into, length=length, data=data, setup=setup)

    def unlink(self, victim: int) -> int:
        """Ask for the end of a transfer."""
        self._number += 1
        self._victims[self._number] = victim
        self.output += HEADER.pack(2, self._number, 0x10002, 0, 0)
        self.output += struct.pack(">I24x", victim)
        return self._number

    def take_output(self) -> bytes:
        output = bytes(self.output)
        self.output.clear()
        return output

    def feed(self, data: bytes) -> None:
        """Read results; a transfer that ends twice, or that nobody began, is a failure."""
        self._buffer += data
        while len(self._buffer) >= 48:
            kind, number, *rest = HEADER.unpack_from(self._buffer)
            assert rest == [0, 0, 0]
            status, length = RESULT.unpack_from(self._buffer, 20)[:2]
            end = 48
            if kind == 3:
                assert number in self._into, "nobody began that transfer"
                assert number not in self.results, "it ended twice"
                end += length if self._into[number] else 0
                if len(self._buffer) < end:
                    return
                self.results[number] = Result(status, length, bytes(self._buffer[48:end]))
                self.ended.append(number)
            else:
                assert kind == 4
                victim = self._victims.pop(number)
                assert (status == CONNRESET) is (victim not in self.results)
                self.unlinked[victim] = status
                if status == CONNRESET:
                    self.results[victim] = Result(status)
            del self._buffer[:end]


@dataclass
class Driver:
    """A driver; ``host`` carries what it does.  Call ``look`` after each answer of the device."""

    host: Host = field(default_factory=Host)
    received: bytearray = field(default_factory=bytearray)
    lines: ModemLines = field(default_factory=ModemLines)
    faults: int = 0
    """The bits of the faults that were told, since they were last cleared."""
    marked: list[tuple[int, bytes]] = field(default_factory=list)
    """Faults, with the characters that they came with."""
    states: list[ModemLines] = field(default_factory=list)
    unsent: bytearray = field(default_factory=bytearray)
    throttled: bool = False
    buffer: int = 1 << 30
    """Bytes of ``received`` from which on nothing more is fetched."""

    bulk_in: int = 3
    bulk_out: int = 2
    interrupt: int | None = 1
    transfers: int = 2
    size: int = 256
    writes: int = 2

    def __post_init__(self) -> None:
        self.into: deque[int] = deque()
        self.out: deque[int] = deque()
        self.notices: deque[int] = deque()
        self.late: set[int] = set()
        """Interrupts that may still come, although they are no longer wanted."""
        self.opened = False

    # --- what an application does ---------------------------------------------------------------

    def open(self) -> None:
        self.opened = True
        self.reset()
        self.look()
        self.drive(dtr=True, rts=True)

    def close(self) -> None:
        self.drive(dtr=False, rts=False)
        self.opened = False
        for number in (*self.into, *self.out, *self.notices):
            self.host.unlink(number)
        self.late.update(self.notices)
        self.into.clear()
        self.out.clear()
        self.notices.clear()

    def write(self, data: bytes) -> None:
        self.unsent += data
        self.look()

    @property
    def drained(self) -> bool:
        return not self.unsent and not self.out

    def look(self) -> None:
        """Take results, and keep transfers under way."""
        self._take()
        if not self.opened:
            return
        full = self.throttled or len(self.received) >= self.buffer
        while len(self.into) < self.transfers and not full:
            self.into.append(self.host.submit(self.bulk_in, into=True, length=self.size))
        if self.interrupt is not None and not self.notices:
            self.notices.append(self.host.submit(self.interrupt, into=True, length=10))
        while self.unsent and len(self.out) < self.writes:
            data = bytes(self.unsent[: self.size])
            del self.unsent[: self.size]
            self.out.append(self.host.submit(self.bulk_out, into=False, data=data))

    def _take(self) -> None:
        results = self.host.results
        ended, self.host.ended = self.host.ended, []
        for number in ended:
            if number in self.out:
                assert number == self.out.popleft()
                assert results[number].status == 0
            elif number in self.late:
                self.noticed(results[number].data)
            elif number in self.notices:
                self.notices.remove(number)
                self.noticed(results[number].data)
            elif number in self.into:
                assert number == self.into.popleft()
                self.arrived(results[number].data)

    def noticed(self, data: bytes) -> None:
        raise NotImplementedError  # for the drivers that have an interrupt endpoint

    def arrived(self, data: bytes) -> None:
        self.received += data
        if self.faults:
            self.marked.append((self.faults, data))
            self.faults = 0

    def told(self, lines: ModemLines) -> None:
        self.lines = lines
        self.states.append(lines)

    # --- requests -------------------------------------------------------------------------------

    def reset(self) -> None:
        pass

    def coding(self, settings: LineSettings) -> bytes:
        return struct.pack(
            "<IBBB",
            settings.baudrate,
            STOPS.index(settings.stop_bits),
            PARITIES.index(settings.parity),
            settings.data_bits,
        )

    def set(self, settings: LineSettings) -> None:
        self.host.request(0x21, 0x20, 0, 0, self.coding(settings))

    def drive(self, *, dtr: bool, rts: bool) -> None:
        self.host.request(0x21, 0x22, dtr | rts << 1, 0)

    def hold_break(self, on: bool) -> None:
        self.host.request(0x21, 0x23, 0xFFFF if on else 0, 0)


class Pl2303Driver(Driver):
    def reset(self) -> None:
        self.host.request(0x40, 0x80, 0x07, 0x03)

    def set(self, settings: LineSettings) -> None:
        super().set(settings)
        self.host.request(0xC0, 0x81, 0x0A, 0, length=1)
        flow = {FlowControl.NONE: 0x1C, FlowControl.HARDWARE: 0x18, FlowControl.XON_XOFF: 0x0C}
        self.host.request(0x40, 0x80, 0x0A, flow[settings.flow_control])

    def noticed(self, data: bytes) -> None:
        bits = data[8]
        self.faults = bits & 0x74
        self.told(
            ModemLines(
                cts=bool(bits & 128), dsr=bool(bits & 2), dcd=bool(bits & 1), ri=bool(bits & 8)
            )
        )


class AcmDriver(Driver):
    def __init__(self) -> None:
        super().__init__(writes=16, size=1280, transfers=16)

    def noticed(self, data: bytes) -> None:
        bits = data[8]
        self.faults |= bits & 0x74
        self.told(ModemLines(dsr=bool(bits & 2), dcd=bool(bits & 1), ri=bool(bits & 8)))


class FtdiDriver(Driver):
    def __init__(self) -> None:
        super().__init__(bulk_in=1, interrupt=None, size=512)
        self.format = 8
        self.asked: list[int] = []
        self.empty: bool | None = None

    def reset(self) -> None:
        self.host.request(0x40, 0, 0, 0)

    def set(self, settings: LineSettings) -> None:
        value = settings.data_bits | PARITIES.index(settings.parity) << 8
        value |= STOPS.index(settings.stop_bits) << 11
        self.format = value
        self.host.request(0x40, 4, value, 0)
        divisor = divisor_of(settings.baudrate)
        self.host.request(0x40, 3, divisor & 0xFFFF, divisor >> 16)
        flow = {FlowControl.NONE: 0, FlowControl.HARDWARE: 1, FlowControl.XON_XOFF: 4}
        self.host.request(0x40, 2, 0x1311, flow[settings.flow_control] << 8)

    def drive(self, *, dtr: bool, rts: bool) -> None:
        self.host.request(0x40, 1, 0x300 | dtr | rts << 1, 0)

    def hold_break(self, on: bool) -> None:
        self.host.request(0x40, 4, self.format | on << 14, 0)

    def ask(self) -> None:
        """Ask whether the transmitter is empty, as tcdrain does again and again."""
        self.asked.append(self.host.request(0xC0, 5, 0, 0, length=2))

    def _take(self) -> None:
        super()._take()
        while self.asked and self.asked[0] in self.host.results:
            self.empty = bool(self.host.results[self.asked.pop(0)].data[1] & 0x40)

    def arrived(self, data: bytes) -> None:
        while data:
            packet, data = data[:64], data[64:]
            bits = packet[0]
            lines = ModemLines(
                cts=bool(bits & 16), dsr=bool(bits & 32), dcd=bool(bits & 128), ri=bool(bits & 64)
            )
            if lines != self.lines:
                self.told(lines)
            self.received += packet[2:]
            if packet[2:] and packet[1] & 0x1E:
                self.marked.append((packet[1] & 0x1E, packet[2:]))


DRIVERS: dict[str, Any] = {"pl2303": Pl2303Driver, "ftdi": FtdiDriver, "cdc-acm": AcmDriver}
