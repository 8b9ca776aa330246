"""RS-485: one pair of wires for both directions, and who switches the sender on.

Theory of operation
-------------------
Many UART drivers switch RTS around what they send by themselves (``TIOCSRS485``, ``struct
serial_rs485`` in linux/serial.h; Documentation/driver-api/serial/serial-rs485.rst).  They write
back what they really do, so a refusal is seen by reading it again.  Drivers of USB adapters mostly
have none of it; then :mod:`portline.port.tty.direction` switches RTS.
"""

from __future__ import annotations

import fcntl
import struct
from dataclasses import dataclass
from enum import Enum
from typing import Final

from portline.errors import SettingRefused

__all__ = ["DELAY_MAX", "Rs485", "Rs485Mode", "engage", "read", "restore"]

TIOCGRS485: Final = 0x542E
TIOCSRS485: Final = 0x542F
"""asm-generic/ioctls.h."""

ENABLED: Final = 1 << 0
RTS_ON_SEND: Final = 1 << 1
RTS_AFTER_SEND: Final = 1 << 2
RX_DURING_TX: Final = 1 << 4
"""SER_RS485_...: RTS is high while sending, or while not, and the own echo is read."""

OURS: Final = ENABLED | RTS_ON_SEND | RTS_AFTER_SEND | RX_DURING_TX

STRUCT: Final = struct.Struct("=8I")
"""Flags, the two delays in ms, and five words that are kept as they are."""

DELAY_MAX: Final = 0.1
"""Seconds; the longest delay that Linux takes (RS485_MAX_RTS_DELAY in serial_core.c)."""


class Rs485Mode(Enum):
    """Who switches the direction."""

    OFF = "off"
    ON = "on"
    """The driver, or Portline where the driver does not."""
    SOFTWARE = "software"
    """Portline, whatever the driver can."""


@dataclass(frozen=True, slots=True)
class Rs485:
    """How the direction is switched.

    ``rts_on_send`` is RTS while sending, the opposite otherwise.  ``before`` and ``after`` are
    seconds between switching and the first bit, and between the last bit and switching back.
    ``rx_during_tx`` tells whether what is received while sending is passed on.
    """

    mode: Rs485Mode = Rs485Mode.ON
    rts_on_send: bool = True
    before: float = 0.0
    after: float = 0.0
    rx_during_tx: bool = False

    def words(self, kept: bytes) -> bytes:
        """Return the structure for the driver; what is not ours in it stays as in ``kept``."""
        flags, _, _, *rest = STRUCT.unpack(kept)
        flags &= ~(RTS_ON_SEND | RTS_AFTER_SEND | RX_DURING_TX)
        flags |= ENABLED | (RTS_ON_SEND if self.rts_on_send else RTS_AFTER_SEND)
        flags |= RX_DURING_TX if self.rx_during_tx else 0
        return STRUCT.pack(flags, round(self.before * 1000), round(self.after * 1000), *rest)


def read(fd: int) -> bytes:
    """Return what is in force at the driver.  Raises OSError where it has no such thing."""
    return fcntl.ioctl(fd, TIOCGRS485, bytes(STRUCT.size))


def engage(port: str, fd: int, rs485: Rs485) -> bytes | None:
    """Let the driver switch the direction; return what :func:`restore` takes back.

    None where the driver has no RS-485.  Raises SettingRefused where it has, but not like this.
    """
    try:
        before = read(fd)
        wanted = rs485.words(before)
        fcntl.ioctl(fd, TIOCSRS485, wanted)
        found = read(fd)
    except OSError:
        return None
    if _asked(found) == _asked(wanted):
        return before
    restore(fd, before)
    if not STRUCT.unpack(found)[0] & ENABLED:
        return None
    option, value = _difference(wanted, found, rs485)
    raise SettingRefused(
        port,
        option,
        value,
        f"the driver does RS-485, but not {option} like this; leave it out, or write "
        'rs485 = "software"',
    )


def restore(fd: int, before: bytes) -> None:
    """Put back what was there.  Raises OSError when the device is gone."""
    fcntl.ioctl(fd, TIOCSRS485, before)


def _difference(wanted: bytes, found: bytes, rs485: Rs485) -> tuple[str, object]:
    """Return the first option that the driver has changed, and its value."""
    asked, does = _asked(wanted), _asked(found)
    if asked[1] != does[1]:
        return "rs485-delay-before", rs485.before
    if asked[2] != does[2]:
        return "rs485-delay-after", rs485.after
    if (asked[0] ^ does[0]) & (RTS_ON_SEND | RTS_AFTER_SEND):
        return "rs485-rts-on-send", "high" if rs485.rts_on_send else "low"
    return "rs485-rx-during-tx", rs485.rx_during_tx


def _asked(words: bytes) -> tuple[int, int, int]:
    """Return what is ours in the structure: the flags and the two delays."""
    flags, before, after, *_ = STRUCT.unpack(words[: STRUCT.size])
    return flags & OURS, before, after
