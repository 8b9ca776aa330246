"""Low latency: what a driver gathers before it tells is told at once.

Theory of operation
-------------------
``ASYNC_LOW_LATENCY`` (``TIOCSSERIAL``, setserial's ``low_latency``) is understood by ftdi_sio,
which sets the chip's timer to 1 ms instead of 16, and by 8250 and a few more; others take it and
forget it, so it is read back.  Where it is refused, the timer's file in sysfs is tried, which only
root may write.  What was there before is put back when the port is closed.
"""

from __future__ import annotations

import fcntl
import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from portline.errors import SettingRefused

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FTDI_TIMER", "engage"]

TIOCGSERIAL: Final = 0x541E
TIOCSSERIAL: Final = 0x541F
ASYNC_LOW_LATENCY: Final = 1 << 13
"""asm-generic/ioctls.h, linux/tty_flags.h."""

SERIAL_STRUCT: Final = 128
"""Bytes: more than ``struct serial_struct`` has on any machine (72 on 64 bits)."""

FLAGS: Final = struct.Struct("i")
FLAGS_AT: Final = 16
"""Where its ``flags`` are: behind type, line, port and irq, which must stay (a wrong one takes the
UART away from the driver)."""

FTDI_TIMER: Final = 1
"""Milliseconds; the shortest that an FTDI chip does."""

TTYS: Final = Path("/sys/class/tty")


def engage(port: str, fd: int, path: str, ttys: Path = TTYS) -> Callable[[], None]:
    """Have the driver tell at once what it receives; return what puts back how it was.

    Raises SettingRefused where the driver has no such thing.
    """
    for way in (_flag(fd), _timer(ttys / os.path.basename(os.path.realpath(path)))):
        if way is not None:
            return way
    raise SettingRefused(
        port,
        "low-latency",
        True,
        "the driver has no low latency to switch on; leave low-latency out",
    )


def _flag(fd: int) -> Callable[[], None] | None:
    """Set the flag; None where that is refused or forgotten."""
    try:
        before = fcntl.ioctl(fd, TIOCGSERIAL, bytes(SERIAL_STRUCT))
        flags = FLAGS.unpack_from(before, FLAGS_AT)[0]
        if flags & ASYNC_LOW_LATENCY:
            return _nothing
        _set_flag(fd, on=True)
        found = FLAGS.unpack_from(fcntl.ioctl(fd, TIOCGSERIAL, bytes(SERIAL_STRUCT)), FLAGS_AT)[0]
    except OSError:
        return None
    return (lambda: _set_flag(fd, on=False)) if found & ASYNC_LOW_LATENCY else None


def _set_flag(fd: int, *, on: bool) -> None:
    # Read anew: another program may have changed something else meanwhile.
    words = bytearray(fcntl.ioctl(fd, TIOCGSERIAL, bytes(SERIAL_STRUCT)))
    flags = FLAGS.unpack_from(words, FLAGS_AT)[0] & ~ASYNC_LOW_LATENCY
    FLAGS.pack_into(words, FLAGS_AT, flags | (ASYNC_LOW_LATENCY if on else 0))
    fcntl.ioctl(fd, TIOCSSERIAL, bytes(words))


def _timer(entry: Path) -> Callable[[], None] | None:
    """Set the timer of an FTDI chip; None where there is none, or it may not be set."""
    file = entry / "device/latency_timer"
    with suppress(OSError, ValueError):
        before = int(file.read_text())
        if before <= FTDI_TIMER:
            return _nothing
        file.write_text(str(FTDI_TIMER))
        return lambda: _write(file, before)
    return None


def _write(file: Path, milliseconds: int) -> None:
    file.write_text(str(milliseconds))


def _nothing() -> None:
    """Put nothing back, because nothing was changed."""
