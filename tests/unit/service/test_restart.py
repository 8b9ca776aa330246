"""A gateway ends and another one goes on, on a played kernel, with a real port far away."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from portline.config.models import GatewayConfig
from portline.line import LineSettings, Parity
from portline.port.usbip import port as module
from portline.service.gateway import Gateway
from portline.service.process.store import Store
from tests.conftest import Run
from tests.ports import turns, until
from tests.usb_bench import Application, Kernel

SETTINGS = LineSettings(57600, 7, Parity.EVEN)


class Bench:
    """One played kernel, and the gateways that follow each other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.node = folder / "ttyUSB0"
        self.node.touch()
        self.kernel = Kernel(asyncio.get_running_loop(), str(self.node))
        self.store = Store({})

    def gateway(self, name: str = "plc", **options: object) -> Gateway:
        table = {
            "virtual": str(self.folder / name),
            "backend": "usbip",
            "buffer-size": "1 KiB",
        }
        options = options or {"listen": "127.0.0.1:0"}
        config = GatewayConfig.model_validate({"connections": {"plc": table | options}})
        made = Gateway(config, self.store)
        made.start()
        return made

    async def end(self, gateway: Gateway, *, named: bool = True) -> None:
        """End a gateway for the sake of another one, whose store has what this one's kept."""
        gateway.leave_ports(named=named)
        await gateway.stop()
        before, self.store = self.store, Store({})
        self.store._left, before._kept = before._kept, {}
        before.close()


Scenario = Callable[[Bench], Coroutine[Any, Any, None]]
Check = Callable[[Scenario], None]


@pytest.fixture
def check(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Check:
    caplog.set_level(logging.INFO)

    def check_it(scenario: Scenario) -> None:
        async def whole() -> None:
            bench = Bench(tmp_path)
            monkeypatch.setattr(module, "Controller", lambda: bench.kernel)
            try:
                await scenario(bench)
            finally:
                bench.kernel.unplug()
                bench.store.close()

        run(whole())

    return check_it


def peer(gateway: Gateway) -> socket.socket:
    address = gateway.connections["plc"].network.entrance.listeners[0].address
    connected = socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])))
    connected.setblocking(False)
    return connected


async def expect(connected: socket.socket, data: bytes) -> None:
    received = bytearray()
    loop = asyncio.get_running_loop()
    while received != data:
        received += await asyncio.wait_for(loop.sock_recv(connected, 4096), 10)
        assert data.startswith(bytes(received))


def test_an_application_stays_over_a_restart(check: Check) -> None:
    async def scenario(bench: Bench) -> None:
        first = bench.gateway()
        far = Application(bench.kernel)
        far.driver.set(SETTINGS)
        await until(lambda: first.connections["plc"].settings == SETTINGS)
        with peer(first) as connected:
            await far.write(b"heard by the first")
            await expect(connected, b"heard by the first")
        await until(lambda: not first.connections["plc"].hub.peers)
        await far.write(b"heard by nobody, ")
        await until(lambda: len(first.connections["plc"].hub.keep) == 17)
        plugged, lines = bench.kernel.socket, far.driver.lines
        await bench.end(first)
        await far.write(b"written meanwhile")
        second = bench.gateway()
        connection = second.connections["plc"]
        assert (connection.settings, connection.port.path) == (SETTINGS, str(bench.folder / "plc"))
        with peer(second) as connected:
            await expect(connected, b"heard by nobody, written meanwhile")
            connected.send(b"an answer")
            await far.expect(b"an answer")
        assert bench.kernel.socket is plugged
        assert far.driver.lines == lines
        await second.stop()
        await until(lambda: bench.kernel.socket is None)
        far._open = False
        far._inner.close()

    check(scenario)


def test_a_remote_port_is_asked_for_everything_again(check: Check) -> None:
    """The real port is one of another gateway: it goes back to its own when we are gone."""

    async def scenario(bench: Bench) -> None:
        table = {"virtual": str(bench.folder / "far"), "backend": "pty", "listen": "127.0.0.1:0"}
        table["listen"] = "rfc2217://127.0.0.1:0"
        far_end = Gateway(GatewayConfig.model_validate({"connections": {"plc": table}}))
        far_end.start()
        address = far_end.connections["plc"].network.entrance.listeners[0].address
        options = {"kind": "client", "connect": f"rfc2217://{address}"}
        first = bench.gateway(**options)
        far = Application(bench.kernel)
        far.driver.set(SETTINGS)
        far.driver.drive(dtr=True, rts=False)
        state = far_end.connections["plc"].port
        await until(lambda: state.state.settings == SETTINGS)
        await until(lambda: (state.state.dtr, state.state.rts) == (True, False))
        await bench.end(first)
        await until(lambda: not far_end.connections["plc"].hub.peers)
        await until(lambda: not state.state.dtr)
        second = bench.gateway(**options)
        await until(lambda: (state.state.dtr, state.state.rts) == (True, False))
        assert state.state.settings == SETTINGS
        await second.stop()
        await far_end.stop()
        far._open = False
        far._inner.close()

    check(scenario)


def test_a_port_of_another_name_unplugs_the_one_that_was_left(
    check: Check, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(bench: Bench) -> None:
        first = bench.gateway()
        await turns()
        plugged = bench.kernel.socket
        await bench.end(first)
        second = bench.gateway("other")
        assert bench.kernel.socket is not plugged
        # The played kernel has room for one, so the one before is gone by itself.
        assert "descriptors of this name are of no use and closed" in caplog.text
        assert not os.path.lexists(bench.folder / "plc")
        assert second.connections["plc"].port.application is not None
        assert not second.connections["plc"].port.application.there
        await second.stop()

    check(scenario)


def test_another_backend_unplugs_it_too(check: Check) -> None:
    async def scenario(bench: Bench) -> None:
        first = bench.gateway()
        await bench.end(first, named=False)
        second = bench.gateway(backend="pty", listen="127.0.0.1:0")
        await until(lambda: bench.kernel.socket is None)
        assert second.connections["plc"].port.path == str(bench.folder / "plc")
        await second.stop()

    check(scenario)


def test_a_port_that_a_reload_removes_is_unplugged(check: Check) -> None:
    async def scenario(bench: Bench) -> None:
        made = bench.gateway()
        await turns()
        assert bench.kernel.socket is not None
        other = {"virtual": str(bench.folder / "other"), "backend": "pty", "listen": "127.0.0.1:0"}
        made.apply(GatewayConfig.model_validate({"connections": {"other": other}}))
        await until(lambda: bench.kernel.socket is None)
        await until(lambda: not bench.store._kept)
        await made.stop()

    check(scenario)


def test_the_way_it_is_made_is_logged_with_the_name_of_the_connection(
    check: Check, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.gateway().stop()

    check(scenario)
    [record] = [each for each in caplog.records if "backend=usbip" in each.message]
    assert (record.name, getattr(record, "connection", "")) == ("portline.connection", "plc")
