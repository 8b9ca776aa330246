"""Real ports on pseudo terminals, and somebody at the far end of their line."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import struct
import time
import tty
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, cast

from portline.line import BAUDRATE_MAX, LineSettings, ModemChange, ModemLines, Report
from portline.port.pty.port import PtyPort
from portline.port.tty.port import PosixPort
from portline.port.tty.termios2 import encode, read_attributes, write_attributes
from tests.waiting import SLOWNESS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from portline.errors import PortError
    from portline.port.base import SerialPort

PATIENCE = 10.0 * SLOWNESS
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
        self.draining: list[Callable[[], None]] = []

    def port_data(self, data: bytes) -> None:
        assert data
        self.chunks.append(data)
        self.received += data

    def port_report(self, report: Report) -> None:
        self.reports.append(report)

    def port_in_use(self, in_use: bool) -> None:
        self.used.append(in_use)

    def port_drain(self, done: Callable[[], None]) -> None:
        self.draining.append(done)

    def port_full(self, full: bool) -> None:
        self.full.append(full)

    def port_lost(self, error: PortError) -> None:
        self.lost.append(error)


class VirtualRecorder(Recorder):
    """The owner of a virtual port, whose lines move whenever an application comes and goes."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[ModemLines] = []

    def port_report(self, report: Report) -> None:
        if isinstance(report, ModemChange):
            self.lines.append(report.lines)
        else:
            super().port_report(report)


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

    much = 600_000
    """Bytes that count as much, as fast as its line is."""

    often = 1000
    """Openings that count as often, as fast as its driver is."""

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

    much = 600_000

    often = 1000

    strict = False

    def __init__(self, folder: Path) -> None:
        self.owner = VirtualRecorder()
        self.far = FarEnd(-1)
        self.virtual = PtyPort(
            "virtual",
            SETTINGS,
            owner=self.owner,
            loop=asyncio.get_running_loop(),
            directory=folder,
            group=None,
            strict=self.strict,
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


class StrictBench(VirtualBench):
    """A PtyPort with strict baudrate emulation; its line is as fast as lines can be."""

    strict = True

    async def application(self) -> FarEnd:
        """Open an application that sets that speed, and wait until the port knows."""
        far = await super().application()
        fast = replace(SETTINGS, baudrate=BAUDRATE_MAX)
        write_attributes(far.fd, encode(fast, read_attributes(far.fd)))
        await until(lambda: self.virtual.application.settings == fast)
        self.owner.reports.clear()
        return far


Bench = DeviceBench | VirtualBench


class SlowLoop:
    """The part of an event loop that a port's parts use, turned by hand; ``now`` is in seconds."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.writers: dict[int, Callable[[], object]] = {}
        self.readers: dict[int, Callable[[], object]] = {}
        self._soon: list[Callable[[], object]] = []
        self._timers: list[_Timer] = []

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[..., object], *args: object) -> None:
        self._soon.append(lambda: callback(*args))

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: object
    ) -> asyncio.TimerHandle:
        timer = _Timer(self.now + delay, lambda: callback(*args))
        self._timers.append(timer)
        return cast("asyncio.TimerHandle", timer)

    def add_writer(self, fd: int, callback: Callable[[], object]) -> None:
        self.writers[fd] = callback

    def remove_writer(self, fd: int) -> None:
        del self.writers[fd]

    def add_reader(self, fd: int, callback: Callable[[], object]) -> None:
        self.readers[fd] = callback

    def remove_reader(self, fd: int) -> None:
        del self.readers[fd]

    @property
    def waiting(self) -> list[float]:
        """Seconds until each timer that is still set."""
        return sorted(timer.at - self.now for timer in self._timers if not timer.over)

    def turn(self) -> None:
        """Do what is due, once."""
        soon, self._soon = self._soon, []
        for callback in soon:
            callback()
        for callback in list(self.writers.values()):
            callback()

    def pass_time(self, seconds: float) -> None:
        """Let time pass, timer by timer."""
        end = self.now + seconds
        while due := [t for t in self._timers if not t.over and t.at <= end + 1e-9]:
            self._timers[:] = [t for t in self._timers if not t.over]
            timer = min(due, key=lambda t: t.at)
            timer.over = True
            self.now = max(self.now, timer.at)
            timer.callback()
        self.now = end


@dataclass
class _Timer:
    at: float
    callback: Callable[[], object]
    over: bool = False

    def cancel(self) -> None:
        self.over = True


class Uart:
    """A chip behind a pseudo terminal: answers the ioctls that a pty refuses."""

    def __init__(self, fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fd = fd
        self.lines = 0x006  # DTR and RTS
        self.counters = [0] * 20
        self.unsent = 0
        self.transmitter_empty: bool | None = None
        self.calls: list[str] = []
        self.broken: set[str] = set()
        self._real = fcntl.ioctl
        monkeypatch.setattr(fcntl, "ioctl", self._ioctl)

    def _ioctl(self, fd: int, request: int, argument: bytes | int = 0) -> Any:
        name = self.NAMES.get(request)
        if fd != self.fd or name is None:
            return self._real(fd, request, argument)
        self.calls.append(name)
        if name in self.broken:
            raise OSError(errno.EIO, "Input/output error")
        given = (
            struct.unpack("i", argument)[0]
            if isinstance(argument, bytes) and len(argument) == 4
            else 0
        )
        match name:
            case "TIOCMGET":
                return struct.pack("i", self.lines)
            case "TIOCMSET":
                self.lines = (self.lines & 0x1E0) | (given & 0x006)
            case "TIOCMBIS":
                self.lines |= given
            case "TIOCMBIC":
                self.lines &= ~given
            case "TIOCGICOUNT":
                return struct.pack("20i", *self.counters)
            case "TIOCOUTQ":
                return struct.pack("i", self.unsent)
            case "TIOCSERGETLSR":
                if self.transmitter_empty is None:
                    raise OSError(errno.ENOTTY, "Inappropriate ioctl for device")
                return struct.pack("I", int(self.transmitter_empty))
        return 0

    def took(self) -> list[str]:
        """Return the calls since the last time, without those that only look."""
        calls, self.calls = self.calls, []
        return [name for name in calls if name not in ("TIOCMGET", "TIOCOUTQ", "TIOCSERGETLSR")]

    NAMES: ClassVar = {
        0x5415: "TIOCMGET",
        0x5416: "TIOCMBIS",
        0x5417: "TIOCMBIC",
        0x5418: "TIOCMSET",
        0x545D: "TIOCGICOUNT",
        0x5411: "TIOCOUTQ",
        0x5459: "TIOCSERGETLSR",
        0x5427: "TIOCSBRK",
        0x5428: "TIOCCBRK",
    }
