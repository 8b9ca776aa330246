"""A port of this machine and its operator."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from portline.errors import PortAbsent, PortBusy, PortError
from portline.line import LineSettings
from portline.port.tty.termios2 import decode, read_attributes
from portline.remote.opening import over
from portline.remote.port import RemotePort
from portline.service.operator.bench import Bench
from tests.conftest import Run
from tests.ports import DeviceBench, until


class Play:
    """A bench at a device that the test plays."""

    def __init__(self, folder: Path) -> None:
        self.device = DeviceBench(folder)
        self.ended = 0
        self.bench = self.another()

    def another(self) -> Bench:
        return Bench(
            str(self.device.link),
            LineSettings(115200),
            loop=asyncio.get_running_loop(),
            ended=self._ended,
        )

    def _ended(self) -> None:
        self.ended += 1

    async def open(self) -> RemotePort:
        self.bench.open()
        ours, theirs = socket.socketpair()
        self.bench.serve(theirs)
        return await over(asyncio.get_running_loop(), ours, "device")

    @property
    def settings(self) -> LineSettings | None:
        return decode(read_attributes(self.device.far.fd))


def test_data_settings_and_the_end(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        play = Play(tmp_path)
        terminal = await play.open()
        assert play.settings == LineSettings(115200)
        await play.device.far.write(b"hello \xff")
        assert await terminal.read_exactly(7) == b"hello \xff"
        await terminal.set(baudrate=1200)
        assert play.settings == LineSettings(1200)
        terminal.write(b"to the device\xff" * 1000)
        await terminal.close()
        await play.device.far.expect(b"to the device\xff" * 1000)
        await until(lambda: play.ended)
        assert play.bench.error is None
        again = play.another()
        again.open()  # nothing of it is left
        again.close()
        play.device.close()
        assert play.ended == 1

    run(scenario())


def test_a_device_that_goes(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        play = Play(tmp_path)
        terminal = await play.open()
        play.device.unplug()
        assert await terminal.read() == b""
        await until(lambda: play.ended)
        assert isinstance(play.bench.error, PortAbsent)
        await terminal.close()
        play.device.close()

    run(scenario())


def test_a_device_that_cannot_be_opened(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        play = Play(tmp_path)
        play.bench.open()
        with pytest.raises(PortBusy):
            play.another().open()
        play.bench.close()
        play.device.link.unlink()
        with pytest.raises(PortAbsent):
            play.bench.open()
        play.device.link.write_text("")
        with pytest.raises(PortError, match="is not a serial port"):
            play.bench.open()
        play.device.close()
        assert play.ended == 0

    run(scenario())


def test_an_operator_who_does_not_read_holds_the_device(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        play = Play(tmp_path)
        terminal = await play.open()
        data = os.urandom(1 << 20)
        sending = asyncio.get_running_loop().create_task(play.device.far.write(data))
        await until(lambda: terminal.waiting >= 256 * 1024)
        assert await terminal.read_exactly(len(data)) == data
        await sending
        await terminal.close()
        play.device.close()

    run(scenario())
