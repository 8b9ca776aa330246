"""What a USB device says about itself while the kernel gets to know it, and the requests for it.

Numbers and layouts are those of USB 2.0, chapter 9.  Pure: values and bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

__all__ = [
    "BULK",
    "INTERRUPT",
    "STRING_MAX",
    "Descriptors",
    "Identity",
    "Setup",
    "configuration",
    "device",
    "endpoint",
    "interface",
    "standard_answer",
]

BULK: Final = 2
INTERRUPT: Final = 3
"""Kinds of endpoints (bmAttributes)."""

STRING_MAX: Final = 126
"""Characters of a string: its descriptor has one byte for its size."""

ENGLISH: Final = bytes((4, 3, 0x09, 0x04))
"""String descriptor 0: all strings are in US English, as Linux asks for them."""

_MANUFACTURER, _PRODUCT, _SERIAL = 1, 2, 3

_DEVICE: Final = struct.Struct("<BBHBBBBHHHBBBB")
_CONFIGURATION: Final = struct.Struct("<BBHBBBBB")
_SETUP: Final = struct.Struct("<BBHHH")


@dataclass(frozen=True, slots=True)
class Setup:
    """The eight bytes of a control request (USB 2.0, 9.3)."""

    kind: int
    request: int
    value: int
    index: int
    length: int

    @classmethod
    def parse(cls, data: bytes) -> Setup:
        """Read them."""
        return cls(*_SETUP.unpack(data))

    @property
    def standard(self) -> bool:
        """Whether it is one that every device answers, not one of its class or maker."""
        return not self.kind & 0x60


@dataclass(frozen=True, slots=True)
class Identity:
    """How an adapter introduces itself; the serial number tells several of one kind apart."""

    vendor: int
    product: int
    maker: str
    name: str
    serial: str


@dataclass(frozen=True, slots=True)
class Descriptors:
    """Everything that a device with one configuration tells about itself."""

    device: bytes
    configuration: bytes
    strings: tuple[str, str, str]
    """Maker, product, serial number."""


def device(identity: Identity, *, version: int, kind: int = 0) -> bytes:
    """Return the device descriptor; ``version`` (BCD) is what drivers know chips by.

    ``kind`` is the class, 0 where the interfaces say it.
    """
    return _DEVICE.pack(
        *(_DEVICE.size, 1, 0x0200, kind, 0, 0, 64),
        *(identity.vendor, identity.product, version, _MANUFACTURER, _PRODUCT, _SERIAL, 1),
    )


def configuration(*interfaces: bytes) -> bytes:
    """Return the only configuration: bus-powered, 100 mA, no remote wake-up."""
    body = b"".join(interfaces)
    size = _CONFIGURATION.size + len(body)
    return _CONFIGURATION.pack(_CONFIGURATION.size, 2, size, len(interfaces), 1, 0, 0x80, 50) + body


def interface(number: int, triple: tuple[int, int, int], *parts: bytes, ends: int) -> bytes:
    """Return an interface of a class (class, subclass, protocol) with ``ends`` endpoints."""
    return bytes((9, 4, number, 0, ends, *triple, 0)) + b"".join(parts)


def endpoint(address: int, kind: int, size: int, interval: int = 0) -> bytes:
    """Return an endpoint; bit 7 of ``address`` means into the host."""
    return struct.pack("<BBBBHB", 7, 5, address, kind, size, interval)


def standard_answer(setup: Setup, known: Descriptors) -> bytes | None:
    """Return the answer to a standard request, None for one that is refused.

    The kernel gives the address itself; there is nothing to choose between.  The descriptors of
    high speed (DEVICE_QUALIFIER) are refused: this is a full speed device.
    """
    match setup.request:
        case 6:
            return _descriptor(setup.value >> 8, setup.value & 0xFF, known)
        case 0:  # GET_STATUS
            return bytes(2)
        case 8:  # GET_CONFIGURATION
            return b"\x01"
        case 10:  # GET_INTERFACE
            return b"\x00"
        case 1 | 3 | 5 | 9 | 11:  # features, address, configuration, interface
            return b""
        case _:
            return None


def _descriptor(kind: int, index: int, known: Descriptors) -> bytes | None:
    if kind == 1:
        return known.device
    if kind == 2:
        return known.configuration
    if kind != 3 or index > len(known.strings):
        return None
    if index == 0:
        return ENGLISH
    text = known.strings[index - 1][:STRING_MAX].encode("utf-16-le")[: 2 * STRING_MAX]
    return bytes((len(text) + 2, 3)) + text
