"""The line coding: how CDC-ACM, and Prolific with it, write settings (USB PSTN 1.2, table 17)."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from portline.line import DATA_BITS
from portline.port.usbip.chip import PARITIES, STOPS

if TYPE_CHECKING:
    from portline.line import LineSettings

__all__ = ["GET_LINE_CODING", "SET_CONTROL", "SET_LINE_CODING", "decode", "encode"]

SET_LINE_CODING: Final = 0x20
GET_LINE_CODING: Final = 0x21
SET_CONTROL: Final = 0x22
SEND_BREAK: Final = 0x23

DTR: Final = 0x01
RTS: Final = 0x02

_CODING: Final = struct.Struct("<IBBB")


def decode(data: bytes, before: LineSettings) -> LineSettings | None:
    """Return the settings, None for bytes that mean none; flow control is not in there."""
    if len(data) != _CODING.size:
        return None
    rate, stop, parity, bits = _CODING.unpack(data)
    if stop >= len(STOPS) or parity >= len(PARITIES) or bits not in DATA_BITS:
        return None
    return replace(
        before,
        baudrate=rate,
        data_bits=bits,
        parity=PARITIES[parity],
        stop_bits=STOPS[stop],
    )


def encode(settings: LineSettings) -> bytes:
    """Write settings for a driver that reads them back."""
    return _CODING.pack(
        settings.baudrate,
        STOPS.index(settings.stop_bits),
        PARITIES.index(settings.parity),
        settings.data_bits,
    )
