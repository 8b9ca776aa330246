"""Peers come and go 200 times while data flows: every byte is heard once, or counted once."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import random
import re
import socket
import struct
import termios
import threading
import time
from functools import reduce
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from portline.config.models import GatewayConfig
from portline.service.gateway import Gateway
from tests.interop.device import PATIENCE, Device
from tests.interop.server import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from portline.service.status import ConnectionStatus

RECONNECTIONS = {"bytes": 200, "packets": 80, "pauses": 80}
"""By the rules of packets."""

SIZE = 8
"""Bytes of a number."""

NUMBER = re.compile(b"".join(b"[\\x%02x-\\x%02x]" % (at, at + 31) for at in range(0, 256, 32)))
"""A number of 20 bits, twice in eight bytes, each of which shows which one of them it is."""

COUNT = 1 << 18
"""Numbers that the device has to send: for half a minute."""

PIECE = 12
"""Numbers that the device sends at once, and about how many each millisecond."""

LAST_LOOK = 60 * SIZE * PIECE
"""Bytes; some milliseconds, where a machine is slow, in some of the 200 times."""

RESET = struct.pack("ii", 1, 0)


def written(number: int) -> bytes:
    parts = [number >> bits & 31 for bits in (15, 10, 5, 0)] * 2
    return bytes(place << 5 | part for place, part in enumerate(parts))


def read(data: bytes) -> list[int]:
    """Return the numbers that have come whole.

    The beginning of one and the end of another, with a gap in between, make none.
    """
    found = []
    for number in NUMBER.findall(data):
        first, second = (
            reduce(lambda sum_, byte: sum_ << 5 | byte & 31, half, 0)
            for half in (number[:4], number[4:])
        )
        if first == second:
            found.append(first)
    return found


class Talker(threading.Thread):
    """Lets the device send numbers until it is stopped; ``sent`` is how many bytes that were."""

    def __init__(self, device: Device) -> None:
        super().__init__(daemon=True)
        self.device = device
        self.sent = 0
        self.stopping = threading.Event()

    def run(self) -> None:
        numbers = map(written, range(COUNT))
        while not self.stopping.wait(0.0007) and (piece := b"".join(islice(numbers, PIECE))):
            self.device.write(piece)
            self.sent += len(piece)

    def stop(self) -> int:
        self.stopping.set()
        self.join(PATIENCE)
        assert self.sent < SIZE * COUNT, "the numbers were used up: the test took too long"
        return self.sent


class Running:
    """A gateway with one connection, in a thread with a loop of its own."""

    def __init__(self, **options: object) -> None:
        self.port = free_port()
        table = {"listen": f"127.0.0.1:{self.port}", **options}
        config = GatewayConfig.model_validate({"connections": {"meter": table}})
        self._started = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._run(config),))
        self._thread.start()
        assert self._started.wait(PATIENCE)

    async def _run(self, config: GatewayConfig) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._gateway = Gateway(config)
        self._gateway.start()
        self._started.set()
        await self._stopping.wait()
        await self._gateway.stop()

    def status(self) -> ConnectionStatus:
        async def look() -> ConnectionStatus:
            return self._gateway.status()[0]

        return asyncio.run_coroutine_threadsafe(look(), self._loop).result(PATIENCE)

    def wait_until_alone(self) -> None:
        """Wait until it has noticed that its peers have gone.

        Until then it sends them what the next one hears too, and counts what they did not get.
        """
        deadline = time.monotonic() + PATIENCE
        while peers := self.status().peers:
            assert time.monotonic() < deadline, peers
            time.sleep(0.001)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(PATIENCE)


class Client:
    """A peer; ``received`` is what it has read."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.address = "{}:{}".format(*self.socket.getsockname())
        self.unread = 0
        self.received = bytearray()

    def read_for(self, seconds: float) -> None:
        """Read for a while, and whatever is there at least."""
        end = time.monotonic() + seconds
        while True:
            self.socket.settimeout(max(0.0, end - time.monotonic()))
            try:
                data = self.socket.recv(65536)
            except (TimeoutError, BlockingIOError):
                return
            assert data, "closed by the server"
            self.received += data

    def read_all(self) -> None:
        """Read until the end."""
        self.socket.settimeout(PATIENCE)
        with contextlib.suppress(ConnectionResetError):
            while data := self.socket.recv(65536):
                self.received += data

    def acknowledge(self) -> None:
        """Acknowledge what was read; a kernel that does so late never does it after a reset."""
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def leave(self, way: str) -> None:
        match way:
            case "ends":
                self.socket.shutdown(socket.SHUT_WR)
                self.read_all()
            case "closes":
                # As close() does, but what the kernel has got until now can still be read: it
                # takes nothing more and answers data with RST.
                self.socket.shutdown(socket.SHUT_RDWR)
                self.read_all()
            case "ends-closes":
                self.socket.shutdown(socket.SHUT_WR)
                with contextlib.suppress(AssertionError):  # the end may come, too
                    self.read_for(0.004)
                self.acknowledge()
                with contextlib.suppress(OSError):
                    self.socket.shutdown(socket.SHUT_RDWR)
                self.read_all()
            case "resets":
                self.acknowledge()
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                (self.unread,) = struct.unpack(
                    "i", fcntl.ioctl(self.socket, termios.FIONREAD, bytes(4))
                )
        self.socket.close()


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    made = Device(tmp_path / "ttyDEVICE")
    yield made
    made.unplug()


PACKETS = {
    "bytes": {},
    "packets": {"packet_size": 500, "packet_delimiter": ["\\x80"], "packet_wait": "4ms"},
    "pauses": {"packet_pause": "3ms"},
}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("rules", PACKETS)
@pytest.mark.parametrize("buffer_size", [0, 2000, 1 << 20])
@pytest.mark.parametrize("way", ["ends", "closes", "ends-closes", "resets"])
def test_every_byte_is_heard_once_or_counted_once(
    device: Device, way: str, buffer_size: int, rules: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="portline.connection")
    dice = random.Random(f"{way} {buffer_size} {rules}")
    gateway = Running(port=str(device.path), buffer_size=buffer_size, **PACKETS[rules])
    talker = Talker(device)
    clients = []
    try:
        talker.start()
        for cycle in range(RECONNECTIONS[rules]):
            client = Client(gateway.port)
            clients.append(client)
            client.read_for(dice.uniform(0, 0.02))
            # Who has asked and ends hears the port for a second more.
            if cycle % (50 if way == "ends" else 2) == 0:
                client.socket.sendall(b"?")
                client.read_for(dice.choice((0, 0.002)))
            client.leave(way)
            gateway.wait_until_alone()
            time.sleep(dice.uniform(0, 0.02))
        total = talker.stop()
        status = settled(gateway, total)
    finally:
        talker.stopping.set()
        gateway.stop()
    received = b"".join(client.received for client in clients)
    heard = read(received)
    once = list(dict.fromkeys(heard))
    assert once == sorted(once), "something came out of order"
    # The reset of one who lingers may destroy the acknowledgement of what it has just read, and
    # then that is kept for the next one as well.
    twice = SIZE * (len(heard) - len(once))
    assert twice < (LAST_LOOK if way == "ends-closes" else 1), "something came twice"
    missing = total - len(received) - status.kept - status.keep_discarded - status.dropped
    # Between the last look of a client and its reset something may come that it does not read or
    # not acknowledge: nobody can know of the first, and the second counts as dropped.
    unread = sum(client.unread for client in clients)
    exact = way in ("ends", "closes")
    assert abs(missing) < (1 if exact else LAST_LOOK + unread)
    assert status.unheard == 0
    if way == "ends":
        assert status.dropped == 0
    if way == "ends" and buffer_size > 1 << 16:
        assert status.keep_discarded == 0


def settled(gateway: Running, total: int) -> ConnectionStatus:
    """Return the status when everybody is gone, everything has come, and nothing changes more."""
    deadline = time.monotonic() + PATIENCE
    while (status := gateway.status()).heard < total or status.peers:
        assert time.monotonic() < deadline, status
        time.sleep(0.01)
    while True:
        before = status
        time.sleep(1.5)
        status = gateway.status()
        if (status.kept, status.dropped) == (before.kept, before.dropped):
            return status
        assert time.monotonic() < deadline, status
