"""An adapter pulled out and plugged in again, each time under another number, under load."""

from __future__ import annotations

import asyncio
import os
import tty
from functools import partial
from typing import TYPE_CHECKING

import pytest

from portline.config.models import ServerConnection
from portline.line import LineSettings, PortState, SetLine, SetModem
from portline.port.inventory.naming import resolve
from portline.port.tty.termios2 import decode, read_attributes
from portline.service.connection import Connection
from portline.service.network.reception import Reception
from tests.peers import Peer
from tests.unit.port.machine import Machine
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Run

ROUNDS = 50


class Adapter:
    """One adapter in a made-up machine; its line is a pseudo terminal that the test holds."""

    def __init__(self, root: Path) -> None:
        self.machine = Machine(root)
        self.number = -1
        self.master = -1

    def plug(self) -> None:
        self.number += 1
        machine = self.machine
        home = machine.adapter(f"1-{1 + self.number % 4}", "0403", "6001", serial=f"A:{7}")
        name = f"ttyUSB{self.number}"
        machine.usb_serial(name, home, driver="ftdi_sio")
        self.master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(self.master, False)
        node = machine.dev / name
        node.unlink()
        node.symlink_to(os.ttyname(slave))
        os.close(slave)

    def pull(self) -> None:
        os.close(self.master)
        name = f"ttyUSB{self.number}"
        (self.machine.dev / name).unlink()
        (self.machine.dev / name).touch()  # unplug() takes a node away
        self.machine.unplug(name)
        home = self.machine.sys / "devices/pci0000:00/0000:00:14.0/usb1"
        for folder in home.glob("1-*"):
            os.rename(folder, self.machine.sys / f"gone{self.number}-{folder.name}")

    def settings(self) -> LineSettings:
        return decode(read_attributes(self.master))


@pytest.mark.parametrize("name", ["usb:0403:6001", "usb:0403:6001:A:7", "usb:0403:6001::00"])
def test_peers_settings_and_lines_survive(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    async def scenario() -> None:
        adapter = Adapter(tmp_path)
        look = partial(resolve, sys=adapter.machine.sys, dev=adapter.machine.dev)
        monkeypatch.setattr("portline.port.tty.node.resolve", look)
        config = ServerConnection.model_validate({"port": name, "listen": "127.0.0.1:0"})
        adapter.plug()
        connection = Connection("meter", config, asyncio.get_running_loop())
        connection.start()
        assert connection.keeper.open
        assert isinstance(connection.network, Reception)
        listener = connection.network.entrance.listeners[0]
        wanted = LineSettings(baudrate=57600)
        states: list[PortState] = []
        with Peer(int(listener.address.rpartition(":")[2])) as peer:
            await until(lambda: connection.hub.peers)
            connection.port.submit(SetLine.everything(wanted), states.append)
            connection.port.submit(SetModem(rts=False), states.append)
            for count in range(ROUNDS):
                peer.socket.send(bytes(1000))
                os.write(adapter.master, bytes(1000))
                adapter.pull()
                await until(lambda: connection.keeper.error is not None)
                adapter.plug()
                connection.keeper.hurry()
                assert connection.keeper.open
                assert connection.port.path == str(adapter.machine.dev / f"ttyUSB{count + 1}")
                assert adapter.settings() == wanted
                state = connection.port.state
                assert (state.settings, state.dtr, state.rts) == (wanted, True, False)
                peer.look()
                peer.received.clear()
            os.write(adapter.master, b"still here")
            await until(lambda: peer.look().endswith(b"still here"))
            assert len(connection.hub.peers) == 1
            before = len(os.listdir("/proc/self/fd"))
            adapter.pull()
            await until(lambda: connection.keeper.error is not None)
            assert "plugged in" in str(connection.keeper.error) or "unplugged" in str(
                connection.keeper.error
            )
            assert len(os.listdir("/proc/self/fd")) <= before
        connection.stop(0)
        connection.close()

    run(scenario())
