"""USB/IP as the kernel's virtual host controller speaks it: transfers in, their results out.

Theory of operation
-------------------
The kernel (vhci_hcd) is the host, this program the device.  Each message begins with 48 bytes, big
endian; data of a transfer towards the device follows a CMD_SUBMIT, data from the device follows a
RET_SUBMIT (Documentation/usb/usbip_protocol.rst; drivers/usb/usbip/usbip_common.h):

===========  =========  ==========================================================================
CMD_SUBMIT   to us      a transfer begins; it is answered once, by RET_SUBMIT, whenever it is done
CMD_UNLINK   to us      a transfer is no longer wanted; answered at once, by RET_UNLINK
RET_SUBMIT   to kernel  status 0, or -EPIPE for a request that the device refuses ("stall")
RET_UNLINK   to kernel  -ECONNRESET: it was still under way, and RET_SUBMIT will not come;
                        0: its RET_SUBMIT has been sent already
===========  =========  ==========================================================================

There are no isochronous transfers: a serial adapter has none.  Pure: bytes and values.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Container

__all__ = [
    "HEADER_SIZE",
    "TRANSFER_MAX",
    "Command",
    "Splitter",
    "Submit",
    "Unlink",
    "answered",
    "completed",
    "recorded",
    "stalled",
    "unlinked",
]

HEADER_SIZE: Final = 48
"""Bytes before the data of a message, whichever it is."""

TRANSFER_MAX: Final = 64 * 1024
"""Bytes of one transfer.  Linux' serial drivers ask for 256 to 1280; more is not a serial driver,
and the kernel would have this program hold what it likes."""

CMD_SUBMIT: Final = 1
CMD_UNLINK: Final = 2
RET_SUBMIT: Final = 3
RET_UNLINK: Final = 4

DIRECTION_IN: Final = 1
STALL: Final = -32
"""-EPIPE of Linux, on every machine: USB/IP carries Linux' numbers."""
RESET: Final = -104
"""-ECONNRESET."""

_BASIC: Final = struct.Struct(">5I")
"""Command, sequence number, device, direction, endpoint."""
_SUBMIT: Final = struct.Struct(">I4i8s")
"""Flags, length, start frame, number of isochronous packets, interval, setup packet."""
_RESULT: Final = struct.Struct(">5i8x")
"""Status, actual length, start frame, number of packets, errors."""
_UNLINK: Final = struct.Struct(">I24x")
_UNLINKED: Final = struct.Struct(">i24x")


@dataclass(frozen=True, slots=True)
class Submit:
    """A transfer on an endpoint (0..15); ``into`` the host it brings at most ``length`` bytes.

    ``setup`` matters on endpoint 0 only; ``data`` is what goes to the device.
    """

    number: int
    endpoint: int
    into: bool
    length: int
    setup: bytes
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Unlink:
    """The wish that the transfer ``victim`` ends."""

    number: int
    victim: int


Command: TypeAlias = Submit | Unlink


def completed(number: int, data: bytes = b"", *, length: int | None = None) -> bytes:
    """Return the end of a transfer: with ``data`` into the host, or ``length`` bytes taken."""
    taken = len(data) if length is None else length
    return _BASIC.pack(RET_SUBMIT, number, 0, 0, 0) + _RESULT.pack(0, taken, 0, 0, 0) + data


def stalled(number: int) -> bytes:
    """Return the end of a request that the device does not know."""
    return _BASIC.pack(RET_SUBMIT, number, 0, 0, 0) + _RESULT.pack(STALL, 0, 0, 0, 0)


def unlinked(number: int, *, pending: bool) -> bytes:
    """Return the answer to an unlink; ``pending`` tells whether the victim was still under way."""
    return _BASIC.pack(RET_UNLINK, number, 0, 0, 0) + _UNLINKED.pack(RESET if pending else 0)


def recorded(log: bytes) -> tuple[list[Command], bytes]:
    """Return the commands in a log that ends with zeros, and what is left of one that is not whole.

    Raises ValueError like :class:`Splitter`.
    """
    splitter = Splitter(log)
    commands: list[Command] = []
    begin = 0
    while any(log[begin : begin + 4]) and len(log) - begin >= HEADER_SIZE:
        command, end = splitter.parse(begin)
        if command is None:
            return commands, log[begin:]
        commands.append(command)
        begin = end
    return commands, log[begin:].rstrip(b"\0")


def answered(log: bytes, into: Container[int]) -> tuple[set[int], int]:
    """Return the transfers and unlinks that are answered in a log, and where it ends, with zeros.

    ``into`` are those transfers into the host, whose answers bring data.  Raises ValueError for
    what is no answer.
    """
    numbers = set()
    begin = 0
    while any(log[begin : begin + 4]) and len(log) - begin >= HEADER_SIZE:
        kind, number = _BASIC.unpack_from(log, begin)[:2]
        if kind not in (RET_SUBMIT, RET_UNLINK):
            raise ValueError(f"{kind} is no answer of USB/IP")
        numbers.add(number)
        size = _RESULT.unpack_from(log, begin + _BASIC.size)[1]
        begin += HEADER_SIZE
        if kind == RET_SUBMIT and number in into:
            begin += max(0, size)
    return numbers, begin


class Splitter:
    """Divides what the kernel sends into commands, whatever pieces it comes in."""

    def __init__(self, rest: bytes = b"") -> None:
        self._buffer = bytearray(rest)

    @property
    def rest(self) -> bytes:
        """The beginning of a message whose end has not come yet."""
        return bytes(self._buffer)

    def feed(self, data: bytes) -> list[Command]:
        """Return the commands that are complete now.

        Raises ValueError for what is not USB/IP, or not for a serial adapter; nothing that comes
        afterwards can be understood.
        """
        self._buffer += data
        commands: list[Command] = []
        begin = 0
        while len(self._buffer) - begin >= HEADER_SIZE:
            command, end = self.parse(begin)
            if command is None:
                break
            commands.append(command)
            begin = end
        if begin:
            del self._buffer[:begin]
        return commands

    def parse(self, begin: int) -> tuple[Command | None, int]:
        """Return the command at ``begin`` and where it ends; None when its data is missing."""
        buffer = self._buffer
        kind, number, _device, direction, endpoint = _BASIC.unpack_from(buffer, begin)
        body = begin + _BASIC.size
        data = begin + HEADER_SIZE
        if kind == CMD_UNLINK:
            return Unlink(number, _UNLINK.unpack_from(buffer, body)[0]), data
        if kind != CMD_SUBMIT:
            raise ValueError(f"{kind} is no command of USB/IP")
        _flags, length, _frame, packets, _interval, setup = _SUBMIT.unpack_from(buffer, body)
        if not 0 <= length <= TRANSFER_MAX:
            raise ValueError(f"a transfer of {length} bytes is not in 0..{TRANSFER_MAX}")
        if packets not in (0, -1):
            raise ValueError("an isochronous transfer is nothing for a serial adapter")
        if endpoint > 15:
            raise ValueError(f"there is no endpoint {endpoint}")
        into = direction == DIRECTION_IN
        end = data if into else data + length
        if len(buffer) < end:
            return None, begin
        return Submit(number, endpoint, into, length, setup, bytes(buffer[data:end])), end
