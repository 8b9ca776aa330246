"""The modem lines and the fault counters of a tty, by ioctl.

The numbers are those of ``asm-generic/ioctls.h`` and ``termios.h``, ``linux/serial.h``.  A port may
have none of them: pseudo terminals answer ENOTTY, some adapters EINVAL.
"""

from __future__ import annotations

import errno
import fcntl
import struct
from dataclasses import dataclass
from typing import Final

from portline.line import LineFault, ModemLines

__all__ = [
    "Counters",
    "drive",
    "faults_between",
    "has_none",
    "lines_of",
    "outputs_of",
    "read_counters",
    "read_lines",
]

TIOCMGET: Final = 0x5415
TIOCMBIS: Final = 0x5416
TIOCMBIC: Final = 0x5417
TIOCMSET: Final = 0x5418
TIOCGICOUNT: Final = 0x545D

DTR: Final = 0x002
RTS: Final = 0x004
CTS: Final = 0x020
DCD: Final = 0x040
RI: Final = 0x080
DSR: Final = 0x100

COUNTERS: Final = struct.Struct("=20i")
"""``struct serial_icounter_struct``."""


@dataclass(frozen=True, slots=True)
class Counters:
    """What the driver counted since it was loaded; each wraps around at 2**31."""

    framing: int
    overrun: int
    parity: int
    breaks: int
    buffer_overrun: int


def has_none(error: OSError) -> bool:
    """Return whether an error says that the port has no such thing at all."""
    return error.errno in (errno.ENOTTY, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)


def read_lines(fd: int) -> int:
    """Return the bits of all six lines.  Raises OSError."""
    return int(struct.unpack("i", fcntl.ioctl(fd, TIOCMGET, bytes(4)))[0])


def lines_of(bits: int) -> ModemLines:
    """Return the inputs among the bits."""
    return ModemLines(
        cts=bool(bits & CTS), dsr=bool(bits & DSR), dcd=bool(bits & DCD), ri=bool(bits & RI)
    )


def outputs_of(bits: int) -> tuple[bool, bool]:
    """Return DTR and RTS among the bits."""
    return bool(bits & DTR), bool(bits & RTS)


def drive(fd: int, *, dtr: bool | None, rts: bool | None) -> None:
    """Drive the lines that are not None, both in one call.  Raises OSError.

    Boards are put into their boot loader by the order of these edges, so two ioctls with a
    scheduler between them would not do.
    """
    on = (DTR if dtr else 0) | (RTS if rts else 0)
    off = (DTR if dtr is False else 0) | (RTS if rts is False else 0)
    if on and off:
        bits = (read_lines(fd) & ~off) | on
        fcntl.ioctl(fd, TIOCMSET, struct.pack("i", bits))
    elif on:
        fcntl.ioctl(fd, TIOCMBIS, struct.pack("i", on))
    elif off:
        fcntl.ioctl(fd, TIOCMBIC, struct.pack("i", off))


def read_counters(fd: int) -> Counters:
    """Return the fault counters.  Raises OSError; see :func:`has_none`."""
    raw = COUNTERS.unpack(fcntl.ioctl(fd, TIOCGICOUNT, bytes(COUNTERS.size)))
    return Counters(*raw[6:11])


def faults_between(before: Counters, after: Counters) -> LineFault | None:
    """Return what happened between two readings, None for nothing."""
    if before == after:
        return None
    return LineFault(
        overrun=(before.overrun, before.buffer_overrun) != (after.overrun, after.buffer_overrun),
        parity=before.parity != after.parity,
        framing=before.framing != after.framing,
        break_received=before.breaks != after.breaks,
    )
