"""The rate that a PC's UART really runs at: its driver says what was asked for.

Theory of operation
-------------------
A 16550 divides its clock by a whole number.  8250 (drivers/tty/serial/8250/8250_port.c, and
uart_get_divisor in serial_core.c) takes the nearest one and tells the rate that was asked for: at a
clock of 115200 baud, 31250 runs at 28800 and nobody says so.  ``TIOCGSERIAL`` tells the clock.

Only chips are believed whose divisor is known to be a plain one: numbered as ttyS, of the types
16450 to 16550A, with the clock of a PC's UART or a multiple of it.  Others have fractions,
prescalers or clocks of their own, and their driver's word stands.
"""

from __future__ import annotations

import fcntl
import os
import struct
from typing import Final

__all__ = ["CLOCK", "real_rate"]

TIOCGSERIAL: Final = 0x541E
"""asm-generic/ioctls.h."""

SERIAL_STRUCT: Final = 128
"""Bytes: more than ``struct serial_struct`` has on any machine (72 on 64 bits)."""

HEAD: Final = struct.Struct("=iiIiiiii")
"""Type, line, port, irq, flags, FIFO size, custom divisor and clock (linux/serial.h)."""

CLOCK: Final = 115_200
"""Baud: what a PC's UART does with a divisor of 1."""

CHIPS: Final = range(2, 5)
"""PORT_16450, PORT_16550 and PORT_16550A (linux/serial.h)."""

TTY_MAJOR: Final = 4
FIRST_TTYS: Final = 64
"""ttyS0 (Documentation/admin-guide/devices.txt)."""

SPD_MASK: Final = 0x1030
SPD_CUST: Final = 0x0030
SPD_RATE: Final = 38_400
"""At this rate ``setserial spd_cust divisor N`` counts (linux/tty_flags.h)."""


def real_rate(fd: int, rate: int) -> int:
    """Return the baudrate, to the nearest baud, at which a chip runs whose driver says ``rate``.

    ``rate`` itself where nothing else is known, and where it is above the chip's clock; never
    raises.
    """
    try:
        device = os.fstat(fd).st_rdev
        if os.major(device) != TTY_MAJOR or os.minor(device) < FIRST_TTYS:
            return rate
        words = fcntl.ioctl(fd, TIOCGSERIAL, bytes(SERIAL_STRUCT))
    except OSError:
        return rate
    chip, flags, custom, clock = _told(words)
    if chip not in CHIPS or clock <= 0 or clock % CLOCK:
        return rate
    if rate == SPD_RATE and flags & SPD_MASK == SPD_CUST and custom > 0:
        return round(clock / custom)
    return divided(clock, rate)


def divided(clock: int, rate: int) -> int:
    """Return the rate nearest to ``rate`` that is ``clock`` divided by a whole number."""
    if not 0 < rate <= clock:
        return rate
    return round(clock / ((2 * clock + rate) // (2 * rate)))


def _told(words: bytes) -> tuple[int, int, int, int]:
    """Return the chip, the flags, the custom divisor and the clock."""
    chip, _line, _port, _irq, flags, _fifo, custom, clock = HEAD.unpack_from(words)
    return chip, flags, custom, clock
