"""One open tty: every request as ioctls, best effort, and what is in force afterwards.

Theory of operation
-------------------
No ioctl here ends a port (hardware that lacks a function is common: a pty has no lines, many USB
adapters no break).  What was refused is counted, and the attributes go on saying what is in force.
A device that is gone answers EIO to everything; the reader of the descriptor notices and says so.
"""

from __future__ import annotations

import fcntl
import struct
from contextlib import suppress
from dataclasses import replace
from typing import Final

from portline.errors import SettingRefused
from portline.line import DATA_BITS, LineSettings, ModemLines, Parity, SetModem
from portline.port.tty.divisor import real_rate
from portline.port.tty.modem import drive, has_none, lines_of, outputs_of, read_lines
from portline.port.tty.node import is_pty
from portline.port.tty.termios2 import (
    VMIN,
    Attributes,
    decode,
    encode,
    granted,
    read_attributes,
    write_attributes,
)

__all__ = ["Tty", "differences", "refusal"]

TCFLSH: Final = 0x540B
TCIFLUSH: Final = 0
TCOFLUSH: Final = 1
TIOCOUTQ: Final = 0x5411
TIOCINQ: Final = 0x541B
TIOCSBRK: Final = 0x5427
TIOCCBRK: Final = 0x5428
TIOCSERGETLSR: Final = 0x5459
TIOCSER_TEMT: Final = 1
"""asm-generic/ioctls.h; TEMT is "transmitter empty"."""

SPEEDS: Final = range(1, 1 << 32)
"""What fits into ``c_ospeed``; 0 would hang the line up."""


def differences(asked: LineSettings, found: LineSettings) -> list[str]:
    """Return the names of the settings in which two lines differ, ``inbound_flow`` last."""
    names = [
        name
        for name in ("baudrate", "data_bits", "parity", "stop_bits", "flow_control")
        if getattr(asked, name) != getattr(found, name)
    ]
    if asked.inbound is not found.inbound and not (names and names[-1] == "flow_control"):
        names.append("inbound_flow")
    return names


def refusal(port: str, setting: str, asked: LineSettings, found: LineSettings) -> SettingRefused:
    """Return the error that names the setting that a driver does not do."""
    shown = _written(asked, setting)
    others = "; ".join(
        f"{name.replace('_', '-')} = {_written(found, name)}" for name in differences(asked, found)
    )
    text = f"the driver does not do {setting.replace('_', '-')} = {shown}; it offers {others}"
    value = getattr(asked, setting)
    return SettingRefused(port, setting, getattr(value, "value", value), text)


def _written(settings: LineSettings, name: str) -> str:
    """Return a setting as configuration files spell it."""
    value = settings.inbound if name == "inbound_flow" else getattr(settings, name)
    return value.name.lower() if isinstance(value, Parity) else str(getattr(value, "value", value))


class Tty:
    """The settings and lines of one open descriptor.

    ``settings``, ``dtr``, ``rts``, ``break_on`` and ``lines`` are what is in force; without modem
    lines, ``dtr`` and ``rts`` are what was asked for, on at first.  ``refused`` counts.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.drains = not is_pty(fd)
        self.settings = decode(read_attributes(fd))
        self.dtr = self.rts = True
        self.break_on = False
        self.lines = ModemLines()
        self.has_lines = True
        self.refused = 0
        self._tells_empty = self.drains
        self.read_modem_lines()

    def configure(self, asked: LineSettings) -> list[str]:
        """Put settings in force as far as the driver does them; return the names of the others."""
        if asked.baudrate not in SPEEDS or asked.data_bits not in DATA_BITS:
            self.refused += 1
            return ["baudrate" if asked.data_bits in DATA_BITS else "data_bits"]
        try:
            before = read_attributes(self.fd)
            wanted = encode(asked, before)
            if wanted != _comparable(before):
                # Some adapters disturb the line on every change, also on one that is none.
                write_attributes(self.fd, wanted)
            found = decode(read_attributes(self.fd))
            found = replace(found, baudrate=real_rate(self.fd, found.baudrate))
        except OSError:
            self.refused += 1
            return differences(asked, self.settings)
        self.settings = granted(asked, found)
        missing = differences(asked, self.settings)
        self.refused += bool(missing)
        return missing

    def drive(self, request: SetModem) -> None:
        """Drive DTR and RTS; without any ioctl when they are like that already."""
        dtr = None if request.dtr == self.dtr else request.dtr
        rts = None if request.rts == self.rts else request.rts
        if dtr is None and rts is None:
            return
        if self.has_lines:
            try:
                drive(self.fd, dtr=dtr, rts=rts)
            except OSError:
                self.refused += 1
                return
        self.dtr = self.dtr if dtr is None else dtr
        self.rts = self.rts if rts is None else rts

    def set_break(self, on: bool) -> bool:
        """Begin or end the break condition; return whether the driver did it."""
        if on is self.break_on:
            return True
        try:
            fcntl.ioctl(self.fd, TIOCSBRK if on else TIOCCBRK)
        except OSError:
            self.refused += 1
            return False
        self.break_on = on
        return True

    def read_modem_lines(self) -> ModemLines:
        """Ask the driver for the modem lines; the last known ones when it does not answer."""
        if self.has_lines:
            try:
                bits = read_lines(self.fd)
            except OSError as error:
                self.has_lines = not has_none(error)
            else:
                self.lines = lines_of(bits)
                self.dtr, self.rts = outputs_of(bits)
        return self.lines

    def mend(self) -> bool:
        """Undo a VMIN of 0, with which an empty tty reads as b""; return whether that was it."""
        try:
            attributes = read_attributes(self.fd)
            if attributes.cc[VMIN] != 0:
                return False
            cc = bytearray(attributes.cc)
            cc[VMIN] = 1
            write_attributes(self.fd, replace(attributes, cc=bytes(cc)))
        except OSError:
            return False
        return True

    def drop_received(self) -> None:
        """Empty the kernel's input queue."""
        self._flush(TCIFLUSH)

    def drop_unsent(self) -> None:
        """Empty the kernel's output queue."""
        self._flush(TCOFLUSH)

    def received(self) -> int:
        """Return the bytes in the kernel's input queue; 0 when it does not tell."""
        return self._count(TIOCINQ)

    def unsent(self) -> int:
        """Return the bytes in the kernel's output queue; 0 when it does not tell."""
        return self._count(TIOCOUTQ)

    def empty(self) -> bool | None:
        """Return whether the transmitter is empty, None when the driver does not tell."""
        if self._tells_empty:
            try:
                status = struct.unpack("I", fcntl.ioctl(self.fd, TIOCSERGETLSR, bytes(4)))[0]
            except OSError:
                self._tells_empty = False
            else:
                return bool(status & TIOCSER_TEMT)
        return None

    def _flush(self, queue: int) -> None:
        try:
            fcntl.ioctl(self.fd, TCFLSH, queue)
        except OSError:
            self.refused += 1

    def _count(self, what: int) -> int:
        with suppress(OSError):
            return int(struct.unpack("i", fcntl.ioctl(self.fd, what, bytes(4)))[0])
        return 0


def _comparable(attributes: Attributes) -> Attributes:
    """Return attributes with their rate written the way :func:`encode` writes it."""
    return replace(attributes, ispeed=attributes.ospeed)
