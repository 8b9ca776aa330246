"""A device that is pulled out at each moment: after each of the driver's answers in turn."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import itertools
import os
import struct
from typing import TYPE_CHECKING, Any

import pytest

from portline.errors import PortError
from portline.line import (
    FlowControl,
    Hold,
    Item,
    Parity,
    PortState,
    Purge,
    Query,
    Request,
    SendBreak,
    SetBreak,
    SetLine,
    SetModem,
)
from portline.port.tty import device
from portline.port.tty.features import Features
from portline.port.tty.port import PosixPort
from portline.port.tty.rs485 import Rs485, Rs485Mode
from tests.ports import SETTINGS, DeviceBench, turns, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Run

FEATURES = {
    "software": Features(rs485=Rs485(mode=Rs485Mode.SOFTWARE), low_latency=True),
    "driver": Features(rs485=Rs485()),
}

REQUESTS: list[Request] = [
    SetLine(19200, 7, Parity.EVEN, flow_control=FlowControl.XON_XOFF),
    SetModem(dtr=False, rts=True),
    Query(Item.MODEM_LINES),
    SetBreak(on=True),
    SetBreak(on=False),
    SendBreak(0.01),
    Hold(0.01),
    Purge(received=True, unsent=True),
    SetLine(9600),
]


class Pulled:
    """The driver of one descriptor, and any opened after it, which answers EIO from a call on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answers: int) -> None:
        self.calls = 0
        self.left = answers
        self.serial = bytes(128)
        self.rs485 = bytes(32)
        self._real = fcntl.ioctl
        monkeypatch.setattr(fcntl, "ioctl", self._called(self._ioctl))
        monkeypatch.setattr(fcntl, "flock", self._called(fcntl.flock))
        for name in ("read", "write"):
            monkeypatch.setattr(os, name, self._called(getattr(os, name)))

    def _called(self, function: Any) -> Any:
        def called(fd: int, *arguments: object) -> Any:
            if not os.isatty(fd):
                return function(fd, *arguments)
            self.calls += 1
            if self.calls > self.left:
                raise OSError(errno.EIO, "Input/output error")
            return function(fd, *arguments)

        return called

    def _ioctl(self, fd: int, request: int, argument: Any = 0) -> Any:
        """Answer what a pseudo terminal refuses."""
        match request:
            case 0x5415:  # TIOCMGET
                return struct.pack("i", 0x1E6)
            case 0x5416 | 0x5417 | 0x5418 | 0x5427 | 0x5428:  # the lines and breaks
                return 0
            case 0x545D:  # TIOCGICOUNT
                return bytes(80)
            case 0x5459:  # TIOCSERGETLSR
                return struct.pack("I", 1)
            case 0x541E:  # TIOCGSERIAL
                return self.serial
            case 0x541F:
                self.serial = argument
            case 0x542E:  # TIOCGRS485
                return self.rs485
            case 0x542F:
                self.rs485 = argument
            case _:
                return self._real(fd, request, argument)
        return 0


@pytest.mark.parametrize("features", FEATURES.values(), ids=FEATURES)
def test_pulled_out_at_each_moment(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, features: Features
) -> None:
    """Opening raises or the port is lost, once; every request is answered, nothing stays open."""

    async def moment(answers: int) -> bool:
        folder = tmp_path / f"{answers}"
        folder.mkdir()
        bench = DeviceBench(folder)
        before = len(os.listdir("/proc/self/fd"))
        with monkeypatch.context() as patch:
            patch.setattr(device, "is_pty", lambda fd: False)
            pulled = Pulled(patch, answers)
            port = PosixPort(
                str(bench.link),
                SETTINGS,
                owner=bench.owner,
                loop=asyncio.get_running_loop(),
                features=features,
            )
            done: list[PortState] = []
            try:
                port.open()
            except PortError:
                assert (port.path, len(os.listdir("/proc/self/fd"))) == (None, before)
                bench.port = port
                bench.close()
                return pulled.calls > answers
            port.watch(modem_lines=True, faults=True)
            for request in REQUESTS:
                port.write(b"x" * 100)
                port.submit(request, done.append)
            await turns()
            port.watch(modem_lines=False, faults=False)
            if pulled.calls <= answers:
                await until(lambda: len(done) == len(REQUESTS) or bench.owner.lost)
            port.close()
            port.close()
            await turns()
            assert len(done) == len(REQUESTS)
            assert len(bench.owner.lost) <= 1
            assert len(os.listdir("/proc/self/fd")) == before
            bench.port = port
            bench.close()
            return pulled.calls > answers

    async def scenario() -> None:
        for answers in itertools.count():
            if not await moment(answers):
                break
        assert answers > 50

    run(scenario())
