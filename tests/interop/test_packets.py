"""Packet detection as a peer sees it: what arrives together, and when."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest

from tests.interop.device import PATIENCE, Device

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.interop.server import Server

# Slow: waits for pauses; the rules are in tests/unit/frame.
pytestmark = pytest.mark.slow

QUIET = 0.3
"""Seconds in which nothing may come; only what would be a fault is timed by it."""


def connected(server: Server) -> socket.socket:
    peer = socket.create_connection(("127.0.0.1", server.port), PATIENCE)
    peer.sendall(b"!")
    return peer


def arrivals(peer: socket.socket, size: int) -> list[tuple[float, bytes]]:
    """Return what came with each read, and when, until ``size`` bytes are there."""
    found: list[tuple[float, bytes]] = []
    while sum(len(data) for _, data in found) < size:
        data = peer.recv(4096)
        assert data
        found.append((time.monotonic(), data))
    return found


def nothing_more(peer: socket.socket) -> None:
    peer.settimeout(QUIET)
    try:
        assert peer.recv(4096) == b"", "more than was due"
    except TimeoutError:
        pass
    finally:
        peer.settimeout(PATIENCE)


def test_a_block_is_sent_when_it_is_full(device: Device, share: Callable[..., Server]) -> None:
    server = share("raw", "--packet-size", "4", "--buffer-size", "1kB")
    with connected(server) as peer:
        assert device.read(1) == b"!"
        device.write(b"abcdefghij")
        assert b"".join(data for _, data in arrivals(peer, 8)) == b"abcdefgh"
        nothing_more(peer)
    # What was gathered when the last peer left is kept for the next one.
    with connected(server) as peer:
        assert arrivals(peer, 2)[0][1] == b"ij"


def test_a_character_ends_a_packet(device: Device, share: Callable[..., Server]) -> None:
    server = share("raw", "--packet-delimiter", "13", "--packet-delimiter", r"\x03")
    with connected(server) as peer:
        assert device.read(1) == b"!"
        device.write(b"one\rtwo\x03thr")
        assert b"".join(data for _, data in arrivals(peer, 8)) == b"one\rtwo\x03"
        nothing_more(peer)
        device.write(b"ee\r")
        assert arrivals(peer, 6)[0][1] == b"three\r"


def test_waiting_gathers_what_comes_meanwhile(device: Device, share: Callable[..., Server]) -> None:
    server = share("raw", "--packet-wait", "500ms")
    with connected(server) as peer:
        assert device.read(1) == b"!"
        begun = time.monotonic()
        for byte in b"abcde":
            device.write(bytes((byte,)))
            time.sleep(0.02)
        [(when, data)] = arrivals(peer, 5)
        assert data == b"abcde"
        assert when - begun >= 0.5


def test_a_pause_keeps_packets_apart(device: Device, share: Callable[..., Server]) -> None:
    server = share("raw", "--packet-size", "2", "--packet-pause", "500ms")
    with connected(server) as peer:
        assert device.read(1) == b"!"
        begun = time.monotonic()
        device.write(b"aabbcc")
        found = arrivals(peer, 6)
        assert [data for _, data in found] == [b"aa", b"bb", b"cc"]
        assert found[-1][0] - begun >= 2 * 0.5


def test_a_quiet_line_ends_a_packet(device: Device, share: Callable[..., Server]) -> None:
    # 100 characters at 300 baud are 3.3 s: far longer than the machine's own hiccups.
    server = share("raw", "--packet-idle", "100", "--baudrate", "300")
    with connected(server) as peer:
        assert device.read(1) == b"!"
        begun = time.monotonic()
        for part in (b"abc", b"def"):
            device.write(part)
            time.sleep(0.5)
        [(when, data)] = arrivals(peer, 6)
        assert data == b"abcdef"
        assert when - begun >= 0.5 + 3.3
