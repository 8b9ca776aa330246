"""The ioctls that a serial port answers: what they read and fill, and some of their structures.

What they mean is said by :mod:`portline.port.programs.calls` as far as `portline run` answers them
too. Pure.  Sources: Linux ``asm-generic/ioctls.h``, ``linux/serial.h``, ``tty_io.c``.
"""

from __future__ import annotations

import struct
from typing import Final

from portline.port.programs.calls import READS as SHARED_READS
from portline.port.programs.calls import SHORT, TCGETS
from portline.port.tty.modem import COUNTERS, TIOCGICOUNT, TIOCMGET
from portline.port.tty.termios2 import LAYOUT, TCGETS2

__all__ = ["FILLS", "READS", "WORD", "SerialInfo"]

TCXONC: Final = 0x540A
TCFLSH: Final = 0x540B
TIOCEXCL: Final = 0x540C
TIOCNXCL: Final = 0x540D
TIOCOUTQ: Final = 0x5411
TIOCGWINSZ: Final = 0x5413
TIOCSWINSZ: Final = 0x5414
TIOCGSOFTCAR: Final = 0x5419
TIOCSSOFTCAR: Final = 0x541A
FIONREAD: Final = 0x541B
TIOCGSERIAL: Final = 0x541E
TIOCSSERIAL: Final = 0x541F
TIOCSETD: Final = 0x5423
TIOCGETD: Final = 0x5424
TIOCSERGETLSR: Final = 0x5459
TIOCGEXCL: Final = 0x80045440

SERIAL_SIZE: Final = 72
"""``struct serial_struct`` where addresses have 64 bits."""

WORD: Final = struct.Struct("=i")

READS: Final = {
    **SHARED_READS,
    TIOCSWINSZ: 8,
    TIOCSSOFTCAR: WORD.size,
    TIOCSSERIAL: SERIAL_SIZE,
    TIOCSETD: WORD.size,
}
"""Request -> bytes that are read at its argument."""

FILLS: Final = {
    TCGETS: SHORT,
    TCGETS2: LAYOUT.size,
    TIOCMGET: WORD.size,
    TIOCGICOUNT: COUNTERS.size,
    TIOCOUTQ: WORD.size,
    TIOCGWINSZ: 8,
    TIOCGSOFTCAR: WORD.size,
    FIONREAD: WORD.size,
    TIOCGSERIAL: SERIAL_SIZE,
    TIOCGETD: WORD.size,
    TIOCSERGETLSR: WORD.size,
    TIOCGEXCL: WORD.size,
}
"""Request -> bytes that are filled at its argument."""


class SerialInfo:
    """What TIOCGSERIAL tells and TIOCSSERIAL sets: only what setserial shows, without effect."""

    def __init__(self) -> None:
        chip = (TYPE_16550A, 0, 0, 0, 0, FIFO, 0, BAUD_BASE)
        self.raw = _SERIAL.pack(*chip, CLOSE_DELAY, b"", 0, CLOSING_WAIT, 0, b"")

    def set(self, raw: bytes) -> None:
        """Take what may be changed: flags, divisor, and the delays of closing."""
        now, new = list(_SERIAL.unpack(self.raw)), _SERIAL.unpack(raw)
        for index in CHANGEABLE:
            now[index] = new[index]
        self.raw = _SERIAL.pack(*now)


TYPE_16550A: Final = 4
FIFO: Final = 16
BAUD_BASE: Final = 115200

CLOSE_DELAY: Final = 50
CLOSING_WAIT: Final = 3000
"""Hundredths of a second, as serial_core.c begins with."""

_SERIAL: Final = struct.Struct("=iiIiiiiiH2siHH28s")
"""type, line, port, irq, flags, xmit_fifo_size, custom_divisor, baud_base, close_delay, io_type and
a reserved byte, hub6, closing_wait, closing_wait2, and addresses that mean nothing here."""

CHANGEABLE: Final = (4, 6, 8, 11)
