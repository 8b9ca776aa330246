"""The header of link type RTAC_SERIAL (250), by which Wireshark knows serial data.

Source: https://www.tcpdump.org/linktypes/LINKTYPE_RTAC_SERIAL.html; all numbers are big-endian::

    4 bytes  seconds since 1970
    4 bytes  microseconds since that second
    1 byte   what it is: an :class:`EventType`
    1 byte   the lines that are on then: CONTROL_LINES
    2 bytes  reserved
    ...      data

A port is the DTE here: RX came from the device (or the application of a virtual port), TX goes to
it.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CONTROL_LINES", "HEADER", "LINKTYPE", "EventType", "header", "lines_of"]

LINKTYPE: Final = 250
HEADER: Final = struct.Struct(">IIBBH")

CONTROL_LINES: Final = {
    "cts": 0x01,
    "dcd": 0x02,
    "dsr": 0x04,
    "rts": 0x08,
    "dtr": 0x10,
    "ri": 0x20,
}


class EventType(IntEnum):
    """What a packet tells."""

    STATUS_CHANGE = 0x00
    DATA_TX_START = 0x01
    DATA_RX_START = 0x02
    DATA_TX_END = 0x03
    DATA_RX_END = 0x04
    CAPTURE_DATA_LOST = 0x05
    CAPTURE_COMPLETE = 0x06
    FRAMING_ERROR = 0x07
    PARITY_ERROR = 0x08
    SERIAL_BREAK = 0x09
    SERIAL_OVERFLOW = 0x0A


def header(at: float, event: EventType, lines: Mapping[str, bool]) -> bytes:
    """Return the header for a time (seconds since 1970) and the lines that are known."""
    seconds, micros = divmod(round(at * 1_000_000), 1_000_000)
    on = sum(bit for name, bit in CONTROL_LINES.items() if lines.get(name))
    return HEADER.pack(seconds, micros, event, on, 0)


def lines_of(on: int) -> dict[str, bool]:
    """Return the lines by their names."""
    return {name: bool(on & bit) for name, bit in CONTROL_LINES.items()}
