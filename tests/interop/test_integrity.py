"""Nothing is lost, doubled or reordered; a slow peer harms itself only; nothing is left behind."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.interop.device import PATIENCE
from tests.interop.telnet_client import BINARY, DO, WILL, TelnetClient, escape, option

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.interop.device import Device
    from tests.interop.server import Server

MEBIBYTE = 1 << 20

TRANSFER_LIMIT = 240.0
"""Seconds after which a transfer counts as hanging: a slow, busy machine moves 1 MiB a second."""

MEMORY_LIMIT = 24 * MEBIBYTE
"""Bytes by which the server may grow while somebody does not read: its queues, and slack."""

LEAK_LIMIT = 2 * MEBIBYTE
"""Bytes of noise of the allocator; a leak of 1 KiB a connection is 3 MiB after 3000."""

PROTOCOLS = [pytest.param("raw", marks=pytest.mark.slow), "rfc2217"]
"""Raw data passes through the same queues as that of RFC 2217, so one of them is quick."""

SIZES = [
    pytest.param(2 * MEBIBYTE, id="2M"),
    pytest.param(64 * MEBIBYTE, id="64M", marks=[pytest.mark.slow, pytest.mark.timeout(600)]),
]


def pattern(kind: str, size: int) -> bytes:
    return b"\xff" * size if kind == "ff" else random.Random(size).randbytes(size)


class DataError(AssertionError):
    def __init__(self, where: str, expected: bytes, got: bytes, offset: int) -> None:
        at = next((i for i, (a, b) in enumerate(zip(expected, got, strict=False)) if a != b), 0)
        super().__init__(
            f"{where}: differs at byte {offset + at}:"
            f" {got[at : at + 20]!r} instead of {expected[at : at + 20]!r}"
        )


def unescape(octets: bytes) -> tuple[bytes, bytes]:
    """Return the data in Telnet octets that hold data only, and what is not complete yet."""
    trailing = len(octets) - len(octets.rstrip(b"\xff"))
    cut = len(octets) - trailing % 2
    complete, rest = octets[:cut], octets[cut:]
    pairs = complete.count(b"\xff\xff")
    assert complete.count(b"\xff") == 2 * pairs, "a Telnet command within a one-way transfer"
    return complete.replace(b"\xff\xff", b"\xff"), rest


class Transfer:
    """Data from both ends at once, each checked while it comes; faults end up in ``faults``."""

    def __init__(self, device: Device, link: socket.socket, data: bytes, *, telnet: bool) -> None:
        self.device, self.link, self.data, self.telnet = device, link, data, telnet
        self.faults: list[BaseException] = []
        self.at_device = self.at_client = 0
        self._deadline = time.monotonic() + TRANSFER_LIMIT

    def run(self) -> None:
        steps = (self._to_link, self._from_link, self._to_device, self._from_device)
        threads = [threading.Thread(target=self._guarded, args=(step,)) for step in steps]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.faults:
            raise self.faults[0]
        assert (self.at_device, self.at_client) == (len(self.data), len(self.data))

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except BaseException as fault:  # handed to the test's own thread
            self.faults.append(fault)

    def _going(self) -> bool:
        return not self.faults and time.monotonic() < self._deadline

    def _to_link(self) -> None:
        for start in range(0, len(self.data), 1 << 18):
            chunk = self.data[start : start + (1 << 18)]
            self.link.sendall(escape(chunk) if self.telnet else chunk)
            if not self._going():
                return

    def _to_device(self) -> None:
        for start in range(0, len(self.data), 1 << 16):
            self.device.write(self.data[start : start + (1 << 16)], TRANSFER_LIMIT)
            if not self._going():
                return

    def _from_link(self) -> None:
        rest = b""
        while self.at_client < len(self.data) and self._going():
            octets = self.link.recv(1 << 18)
            assert octets, f"closed after {self.at_client} bytes"
            if self.telnet:
                octets, rest = unescape(rest + octets)
            self.at_client = self._check("to the client", octets, self.at_client)

    def _from_device(self) -> None:
        while self.at_device < len(self.data) and self._going():
            octets = self.device.read(1 << 16, 0.05)
            self.at_device = self._check("to the device", octets, self.at_device)

    def _check(self, where: str, got: bytes, offset: int) -> int:
        expected = self.data[offset : offset + len(got)]
        if got != expected:
            raise DataError(where, expected, got, offset)
        return offset + len(got)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", [pytest.param("random", marks=pytest.mark.slow), "ff"])
@pytest.mark.parametrize("protocol", ["raw", "rfc2217"])
def test_data_both_ways_at_once(
    device: Device, share: Callable[..., Server], protocol: str, kind: str, size: int
) -> None:
    server = share(protocol, developer_mode=False)
    data = pattern(kind, size)
    if protocol == "raw":
        with socket.create_connection(("127.0.0.1", server.port), TRANSFER_LIMIT) as link:
            Transfer(device, link, data, telnet=False).run()
        return
    with TelnetClient(server.port) as client:
        client.agree()
        client.exchange(option(WILL, BINARY) + option(DO, BINARY))
        client.socket.settimeout(TRANSFER_LIMIT)
        Transfer(device, client.socket, data, telnet=True).run()


# --- peers that do not read ----------------------------------------------------------------------


def write_until_gone(device: Device, data: bytes) -> None:
    """Let the device send, and leave it to the receiver to find out what did not come."""
    with contextlib.suppress(AssertionError, OSError, ValueError):
        device.write(data, TRANSFER_LIMIT)


@pytest.mark.parametrize(
    "size",
    [
        pytest.param(4 * MEBIBYTE, id="4M"),
        pytest.param(32 * MEBIBYTE, id="32M", marks=[pytest.mark.slow, pytest.mark.timeout(300)]),
    ],
)
def test_peer_that_does_not_read_harms_nobody_else(
    device: Device, share: Callable[..., Server], size: int
) -> None:
    server = share("raw", developer_mode=False)
    data = pattern("random", size)
    with (
        socket.create_connection(("127.0.0.1", server.port), PATIENCE) as stalled,
        socket.create_connection(("127.0.0.1", server.port), PATIENCE) as reading,
    ):
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        # Both are served before it starts.
        device.write(b"!")
        assert (stalled.recv(1), reading.recv(1)) == (b"!", b"!")
        before = server.memory()
        sender = threading.Thread(target=write_until_gone, args=(device, data))
        sender.start()
        received = bytearray()
        while len(received) < size:
            octets = reading.recv(1 << 18)
            assert octets, f"closed after {len(received)} bytes"
            received += octets
        sender.join()
        assert received == data
        assert server.memory() - before < MEMORY_LIMIT


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_only_peer_that_does_not_read_costs_no_memory(
    device: Device, share: Callable[..., Server], protocol: str
) -> None:
    server = share(protocol, developer_mode=False)
    with TelnetClient(server.port) as client:
        if protocol == "rfc2217":
            client.agree()
        device.write(b"!")
        client.read(1)
        before = server.memory()
        with contextlib.suppress(AssertionError):  # held back, or taken and dropped: both are well
            device.write(b"." * (64 * MEBIBYTE), 1)
        assert server.memory() - before < MEMORY_LIMIT
    with TelnetClient(server.port) as successor:
        if protocol == "rfc2217":
            successor.agree()
        successor.send(b"fresh")
        assert device.read(5) == b"fresh"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_device_that_does_not_read_costs_no_memory(
    device: Device, share: Callable[..., Server], protocol: str
) -> None:
    server = share(protocol, developer_mode=False)
    with TelnetClient(server.port) as client:
        if protocol == "rfc2217":
            client.agree()
        client.send(b"!")
        assert device.read(1) == b"!"
        before = server.memory()
        client.socket.settimeout(1)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 64 * MEBIBYTE:
                sent += client.socket.send(b"." * 65536)
        assert sent < 64 * MEBIBYTE, "data for which there is no room was taken"
        assert server.memory() - before < MEMORY_LIMIT
        # Whoever starts to read gets all of it.
        assert device.read(sent, 60) == b"." * sent


# --- connections that come and go ----------------------------------------------------------------


def come_and_go(port: int, index: int) -> None:
    """Connect and end in one of the ways in which peers do."""
    link = socket.create_connection(("127.0.0.1", port), PATIENCE)
    way = index % 4
    if way == 1:
        link.sendall(b"\xff\xfb\x2chello")
    elif way == 2:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    elif way == 3:
        link.shutdown(socket.SHUT_WR)
    link.close()


@pytest.mark.parametrize(
    "cycles",
    [
        pytest.param(400, id="400", marks=pytest.mark.covered),
        pytest.param(3000, id="3000", marks=[pytest.mark.slow, pytest.mark.timeout(300)]),
    ],
)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_connections_leave_nothing_behind(
    device: Device, share: Callable[..., Server], protocol: str, cycles: int
) -> None:
    server = share(protocol, developer_mode=False)
    descriptors = server.descriptors()
    with device.echoing():
        for index in range(300):  # warm-up: caches and pools fill
            come_and_go(server.port, index)
        settle(server, descriptors)
        memory = server.memory()
        for index in range(cycles):
            come_and_go(server.port, index)
        settle(server, descriptors)
        assert server.descriptors() <= descriptors
        assert server.memory() - memory < LEAK_LIMIT


def settle(server: Server, descriptors: int) -> None:
    """Wait until the server has seen the last of its peers go."""
    deadline = time.monotonic() + PATIENCE
    while server.descriptors() > descriptors and time.monotonic() < deadline:
        time.sleep(0.05)
