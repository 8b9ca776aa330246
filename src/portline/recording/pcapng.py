"""Writes and reads recordings as pcapng, the format of Wireshark.

Source: draft-ietf-opsawg-pcapng; written little-endian.  One section with one interface of link
type RTAC_SERIAL (:mod:`portline.recording.rtac`), and an Enhanced Packet Block for each record,
with its direction in ``epb_flags``, and in its comment what the header has no place for: whose it
is, and the text of what is no data.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from portline.plural import plural
from portline.recording.record import AT_MAX, Kind, Record, Source
from portline.recording.rtac import HEADER, LINKTYPE, EventType, header, lines_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["BLOCK_MAX", "INTERFACES_MAX", "MAGIC", "OPTIONS_MAX", "PcapngWriter", "read_pcapng"]

MAGIC: Final = b"\x0a\x0d\x0d\x0a"
"""What a file of this format begins with."""

BLOCK_MAX: Final = 16 * 1024**2
"""Bytes of a block that is read: what Wireshark itself takes for the largest."""

INTERFACES_MAX: Final = 1024
"""Interfaces of a section that are read: Portline writes one, and each costs memory."""

OPTIONS_MAX: Final = 256
"""Options of a block that are read: Portline writes three, and each costs time."""

_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_BYTE_ORDER: Final = 0x1A2B3C4D
_COMMENT, _NAME, _DESCRIPTION, _FLAGS, _APPLICATION, _RESOLUTION = 1, 2, 3, 2, 4, 9
_INBOUND, _OUTBOUND = 1, 2
_TEXT_MAX: Final = 0xFFFF  # of an option

_EVENTS: Final = {
    Kind.BREAK: EventType.SERIAL_BREAK,
    Kind.SKIPPED: EventType.CAPTURE_DATA_LOST,
}
_FAULTS: Final = {
    "framing": EventType.FRAMING_ERROR,
    "parity": EventType.PARITY_ERROR,
    "overrun": EventType.SERIAL_OVERFLOW,
}


class PcapngWriter:
    """Turns the records of one connection into the bytes of a file.

    ``name`` and ``about`` are shown as those of the interface, ``program`` as what has written it;
    ``lines`` are those that are on at first.
    """

    def __init__(
        self,
        name: str,
        *,
        about: str = "",
        program: str = "",
        lines: Mapping[str, bool] | None = None,
    ) -> None:
        self._name = name
        self._about = about
        self._program = program
        self._lines = dict(lines or {})

    def begin(self) -> bytes:
        """Return what a file begins with."""
        section = struct.pack("<IHHq", _BYTE_ORDER, 1, 0, -1)
        section += _options((_APPLICATION, self._program.encode()))
        interface = struct.pack("<HHI", LINKTYPE, 0, 0)
        interface += _options(
            (_NAME, self._name.encode()),
            (_DESCRIPTION, self._about.encode()),
            (_RESOLUTION, b"\x06"),  # microseconds
        )
        return _block(_SECTION, section) + _block(_INTERFACE, interface)

    def encode(self, record: Record) -> bytes:
        """Return what a record adds to the file."""
        for name, level in record.value.items() if record.kind is Kind.LINES else ():
            self._lines[name] = level is True
        comment = record.peer
        if record.kind is Kind.DATA:
            from_port = record.source is Source.PORT
            events = [EventType.DATA_RX_START if from_port else EventType.DATA_TX_START]
        else:
            comment = f"{record.kind}: {record.text}" + (f" ({comment})" if comment else "")
            events = [event for name, event in _FAULTS.items() if record.value.get(name)]
            if record.kind is not Kind.FAULT or not events:
                events = [_EVENTS.get(record.kind, EventType.STATUS_CHANGE)]
        flags = _INBOUND if record.source is Source.PORT else _OUTBOUND
        return b"".join(
            self._packet(record.at, event, record.data, flags, comment) for event in events
        )

    def end(self, at: float) -> bytes:
        """Return what a complete file ends with."""
        return self._packet(at, EventType.CAPTURE_COMPLETE, b"", 0, "")

    def _packet(self, at: float, event: EventType, data: bytes, flags: int, comment: str) -> bytes:
        packet = header(at, event, self._lines) + data
        micros = round(at * 1_000_000)
        body = struct.pack("<IIIII", 0, micros >> 32, micros & 0xFFFFFFFF, len(packet), len(packet))
        body += _padded(packet)
        body += _options((_COMMENT, comment.encode()), (_FLAGS, struct.pack("<I", flags)))
        return _block(_PACKET, body)


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _options(*options: tuple[int, bytes]) -> bytes:
    """Return options, without those that say nothing."""
    told = [(code, value[:_TEXT_MAX]) for code, value in options if value]
    written = [struct.pack("<HH", code, len(value)) + _padded(value) for code, value in told]
    return b"".join([*written, bytes(4)])


# --- reading ------------------------------------------------------------------------------------

_KINDS: Final = {
    EventType.DATA_TX_START: (Source.PEER, Kind.DATA),
    EventType.DATA_TX_END: (Source.PEER, Kind.DATA),
    EventType.DATA_RX_START: (Source.PORT, Kind.DATA),
    EventType.DATA_RX_END: (Source.PORT, Kind.DATA),
    EventType.CAPTURE_DATA_LOST: (Source.PORT, Kind.SKIPPED),
    EventType.SERIAL_BREAK: (Source.PORT, Kind.BREAK),
    EventType.FRAMING_ERROR: (Source.PORT, Kind.FAULT),
    EventType.PARITY_ERROR: (Source.PORT, Kind.FAULT),
    EventType.SERIAL_OVERFLOW: (Source.PORT, Kind.FAULT),
    EventType.STATUS_CHANGE: (Source.PORT, Kind.LINES),
}


def read_pcapng(read: Callable[[int], bytes]) -> Iterator[Record]:
    """Yield the records of a file; ``read(n)`` returns its next n bytes, fewer at its end.

    Of what is no data only the kind, the lines and the comment are known.  A file that breaks off
    ends with its last whole block.  Raises ValueError where it is none, or has no serial data.
    """
    order = ""
    interfaces: list[tuple[int, float]] = []
    while len(start := read(8)) == 8:
        if start[:4] == MAGIC:
            mark = read(4)
            order = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}.get(mark, "")
            interfaces = []
            read_already = 12
        else:
            read_already = 8
        if not order:
            raise ValueError("is no pcapng file")
        kind, length = struct.unpack(f"{order}II", start)
        if length % 4 or not 12 <= length <= BLOCK_MAX:
            raise ValueError(f"is damaged: a block of {plural(length, 'byte')}")
        body = read(length - read_already)
        if len(body) < length - read_already:
            return
        body = body[:-4]
        if kind == _INTERFACE:
            if len(interfaces) >= INTERFACES_MAX:
                raise ValueError(f"has more than {INTERFACES_MAX} interfaces")
            interfaces.append(_interface(body, order))
        elif kind == _PACKET and (record := _record(body, order, interfaces)) is not None:
            yield record
    if not order:
        raise ValueError("is no pcapng file")


def _interface(body: bytes, order: str) -> tuple[int, float]:
    """Return the link type, and the seconds of one unit of its time stamps."""
    if len(body) < 8:
        raise ValueError("is damaged: an interface without a link type")
    (linktype,) = struct.unpack_from(f"{order}H", body)
    unit = 1e-6
    for code, value in _options_of(body[8:], order):
        if code == _RESOLUTION and value:
            exponent = value[0] & 0x7F
            unit = 2.0**-exponent if value[0] & 0x80 else 10.0**-exponent
    return linktype, unit


def _record(body: bytes, order: str, interfaces: list[tuple[int, float]]) -> Record | None:
    if len(body) < 20:
        raise ValueError("is damaged: a packet without a header")
    number, high, low, captured, _ = struct.unpack_from(f"{order}5I", body)
    if number >= len(interfaces) or 20 + captured > len(body):
        raise ValueError("is damaged: a packet of an interface that is not there")
    linktype, unit = interfaces[number]
    packet = body[20 : 20 + captured]
    if linktype != LINKTYPE:
        raise ValueError(f"has no serial data, but that of link type {linktype}")
    if len(packet) < HEADER.size:
        raise ValueError("is damaged: a packet without a header")
    _, _, event, on, _ = HEADER.unpack_from(packet)
    if event not in _KINDS:
        return None  # the end of the recording, and what others may have added
    source, kind = _KINDS[EventType(event)]
    comment = ""
    rest = body[20 + captured + (-captured % 4) :]
    for code, value in _options_of(rest, order):
        if code == _COMMENT:
            comment = value.decode("utf-8", "replace")
        elif code == _FLAGS and len(value) == 4 and kind is not Kind.DATA:
            (flags,) = struct.unpack(f"{order}I", value)
            source = Source.PEER if flags & 3 == _OUTBOUND else source
    # Twice from integers: a double has no microseconds left at 1e9 seconds times 1e6.
    ticks = high << 32 | low
    at = ticks // round(1 / unit) + (ticks % round(1 / unit)) * unit
    if at >= AT_MAX:
        raise ValueError("is damaged: a time after the year 9999")
    if kind is Kind.DATA:
        return Record(at, source, kind, comment, packet[HEADER.size :])
    named, separator, text = comment.partition(": ")
    if separator and named in Kind.__members__.values():
        kind, comment = Kind(named), text
    value_of = dict(lines_of(on)) if kind is Kind.LINES else {}
    return Record(at, source, kind, text=comment, value=value_of)


def _options_of(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    position = 0
    count = 0
    while position + 4 <= len(data):
        code, length = struct.unpack_from(f"{order}HH", data, position)
        if not code:
            return
        count += 1
        if count > OPTIONS_MAX:
            raise ValueError(f"is damaged: a block with more than {OPTIONS_MAX} options")
        yield code, data[position + 4 : position + 4 + length]
        position += 4 + length + (-length % 4)
