"""Real ports on pseudo terminals, and somebody at the far end of their line."""

from __future__ import annotations

import asyncio
import os
import time
import tty
from typing import TYPE_CHECKING

from portline.line import LineSettings, Report
from portline.port.pty import PtyPort
from portline.port.serial import PosixPort

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from portline.errors import PortError
    from portline.port.base import SerialPort

PATIENCE = 10.0
"""Seconds within which anything that is going to happen has happened, on a busy machine too."""

SETTINGS = LineSettings(baudrate=115200)

FLAGS = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC


async def until(condition: Callable[[], object]) -> None:
    """Let the loop turn until a condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.001)


async def turns(count: int = 5) -> None:
    """Let the loop turn a few times, for what must not happen."""
    for _ in range(count):
        await asyncio.sleep(0.005)


class Recorder:
    """An owner that writes down what it is told."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.chunks: list[bytes] = []
        self.reports: list[Report] = []
        self.used: list[bool] = []
        self.full: list[bool] = []
        self.lost: list[PortError] = []

    def port_data(self, data: bytes) -> None:
        assert data
        self.chunks.append(data)
        self.received += data

    def port_report(self, report: Report) -> None:
        self.reports.append(report)

    def port_in_use(self, in_use: bool) -> None:
        self.used.append(in_use)

    def port_full(self, full: bool) -> None:
        self.full.append(full)

    def port_lost(self, error: PortError) -> None:
        self.lost.append(error)


class FarEnd:
    """A non-blocking descriptor that a test talks through."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.received = bytearray()

    async def write(self, data: bytes) -> None:
        rest = memoryview(data)
        deadline = time.monotonic() + PATIENCE
        while rest:
            assert time.monotonic() < deadline, "the far end cannot write"
            try:
                rest = rest[os.write(self.fd, rest) :]
            except BlockingIOError:
                await asyncio.sleep(0.001)

    def read(self) -> bytes:
        """Read what there is."""
        try:
            data = os.read(self.fd, 65536)
        except BlockingIOError:
            return b""
        self.received += data
        return data

    async def expect(self, data: bytes) -> None:
        """Read until exactly ``data`` has come since the last call."""

        def complete() -> bool:
            self.read()
            return len(self.received) >= len(data)

        await until(complete)
        assert bytes(self.received) == data
        self.received.clear()

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class DeviceBench:
    """A PosixPort on a pseudo terminal; the test is the device."""

    can_be_lost = True

    def __init__(self, folder: Path) -> None:
        self.owner = Recorder()
        self.link = folder / "device"
        self.far = FarEnd(-1)
        self.plug_in()
        self.port: SerialPort = PosixPort(
            str(self.link), SETTINGS, owner=self.owner, loop=asyncio.get_running_loop()
        )

    def plug_in(self) -> None:
        self.far.close()
        master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(master, False)
        self.link.unlink(missing_ok=True)
        self.link.symlink_to(os.ttyname(slave))
        os.close(slave)
        self.far = FarEnd(master)

    async def open(self) -> FarEnd:
        """Open the port; return what talks to it."""
        self.port.open()
        return self.far

    def unplug(self) -> None:
        self.far.close()

    def close(self) -> None:
        self.port.close()
        self.far.close()


class VirtualBench:
    """A PtyPort; the test is the application."""

    can_be_lost = False

    def __init__(self, folder: Path) -> None:
        self.owner = Recorder()
        self.far = FarEnd(-1)
        self.virtual = PtyPort(
            "virtual",
            SETTINGS,
            owner=self.owner,
            loop=asyncio.get_running_loop(),
            directory=folder,
            group=None,
        )
        self.port: SerialPort = self.virtual

    async def open(self) -> FarEnd:
        """Open the port and then an application; return what talks to it."""
        self.port.open()
        return await self.application()

    async def application(self) -> FarEnd:
        """Open an application and wait until the port knows."""
        assert self.port.path is not None
        before = len(self.owner.used)
        self.far = FarEnd(os.open(self.port.path, FLAGS))
        await until(lambda: len(self.owner.used) > before)
        return self.far

    def unplug(self) -> None:
        self.far.close()

    def close(self) -> None:
        self.far.close()
        self.port.close()


Bench = DeviceBench | VirtualBench
