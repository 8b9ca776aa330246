"""A reader of pcapng files with serial data, written from the specifications alone."""

from __future__ import annotations

import struct
from typing import Any


def blocks(data: bytes) -> list[tuple[int, bytes]]:
    """Return the blocks of a little-endian file, and check how they are put together."""
    found = []
    while data:
        kind, length = struct.unpack("<II", data[:8])
        assert length % 4 == 0
        assert struct.unpack("<I", data[length - 4 : length]) == (length,)
        found.append((kind, data[8 : length - 4]))
        data = data[length:]
    return found


def options(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while data:
        code, length = struct.unpack("<HH", data[:4])
        if code == 0:
            assert length == 0
            assert len(data) == 4
            return found
        assert code not in found
        found[code] = data[4 : 4 + length]
        assert not any(data[4 + length : 4 + length + -length % 4])
        data = data[4 + length + -length % 4 :]
    return found


def packets(data: bytes) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return what a file says of its interface, and its packets."""
    (section, first), (interface, second), *rest = blocks(data)
    assert section == 0x0A0D0D0A
    assert struct.unpack("<IHHq", first[:16]) == (0x1A2B3C4D, 1, 0, -1)
    assert interface == 1
    linktype, reserved, snap = struct.unpack("<HHI", second[:8])
    assert (reserved, snap) == (0, 0)
    told = options(second[8:])
    about = {
        "linktype": linktype,
        "application": options(first[16:]).get(4, b"").decode(),
        "name": told.get(2, b"").decode(),
        "description": told.get(3, b"").decode(),
    }
    assert told[9] == b"\x06"
    found = []
    for kind, body in rest:
        assert kind == 6
        number, high, low, captured, original = struct.unpack("<5I", body[:20])
        assert (number, captured) == (0, original)
        packet = body[20 : 20 + captured]
        more = options(body[20 + captured + -captured % 4 :])
        seconds, micros, event, lines, footer = struct.unpack(">IIBBH", packet[:12])
        assert (high << 32 | low) == seconds * 1_000_000 + micros
        assert footer == 0
        found.append(
            {
                "at": seconds + micros / 1e6,
                "event": event,
                "lines": lines,
                "data": packet[12:],
                "comment": more.get(1, b"").decode(),
                "direction": struct.unpack("<I", more[2])[0] if 2 in more else 0,
            }
        )
    return about, found
