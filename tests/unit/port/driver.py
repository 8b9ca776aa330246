"""A driver that has RS-485 and a serial_struct, played by the test."""

from __future__ import annotations

import errno
import fcntl
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

__all__ = ["Driver"]


class Driver:
    """Answers the ioctls of one descriptor; ``rs485`` and ``flags`` are what is in force.

    ``refuses`` names ioctls that fail; ``keeps`` are bits of RS-485 that it can change, and
    ``delays`` whether it has them; ``remembers`` whether it keeps the flags of TIOCSSERIAL.
    """

    def __init__(self, fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fd = fd
        self.rs485 = struct.pack("=8I", 0, 0, 0, 7, 0, 0, 0, 0)
        self.serial = bytearray(struct.pack("iiIii", 4, 1, 0x3F8, 4, 0x40)) + bytes(108)
        self.refuses: set[str] = set()
        self.keeps = 0xFFFFFFFF
        self.delays = True
        self.remembers = True
        self.counters = list(range(100, 120))
        self._real = fcntl.ioctl
        monkeypatch.setattr(fcntl, "ioctl", self._ioctl)

    @property
    def flags(self) -> int:
        return int(struct.unpack_from("16xi", self.serial)[0])

    def _ioctl(self, fd: int, request: int, argument: bytes | int = 0) -> Any:
        names = {
            0x542E: "TIOCGRS485",
            0x542F: "TIOCSRS485",
            0x541E: "TIOCGSERIAL",
            0x541F: "TIOCSSERIAL",
            0x545D: "TIOCGICOUNT",
        }
        name = names.get(request)
        if fd != self.fd or name is None:
            return self._real(fd, request, argument)
        if name in self.refuses:
            raise OSError(errno.ENOTTY, "Inappropriate ioctl for device")
        match name:
            case "TIOCGRS485":
                return self.rs485
            case "TIOCSRS485":
                assert isinstance(argument, bytes)
                flags, before, after, *rest = struct.unpack("=8I", argument)
                if not self.delays:
                    before = after = 0
                self.rs485 = struct.pack("=8I", flags & self.keeps, before, after, *rest)
            case "TIOCGSERIAL":
                return bytes(self.serial)
            case "TIOCSSERIAL":
                assert isinstance(argument, bytes)
                if self.remembers:
                    self.serial = bytearray(argument)
            case "TIOCGICOUNT":
                return struct.pack("20i", *self.counters)
        return 0
