"""What a real port's driver can, on adapters that the kernel takes for real, and on its UARTs."""

from __future__ import annotations

import asyncio
import os
import signal
import struct
import threading
import time
from dataclasses import dataclass, field
from fcntl import ioctl
from pathlib import Path

import pytest

from portline.config.models import ServerConnection
from portline.errors import SettingRefused
from portline.hub.pulses import pulse
from portline.line import Hold, LineFault, LineSettings, ModemChange, PortState, SetLine, SetModem
from portline.port.inventory.hotplug import Hotplug
from portline.port.inventory.naming import resolve
from portline.port.inventory.ports import found_ports
from portline.port.tty.features import Features
from portline.port.tty.port import PosixPort
from portline.port.tty.rs485 import Rs485
from portline.service.connection import Connection
from portline.service.network.reception import Reception
from tests.conftest import Run
from tests.peers import Peer
from tests.ports import Recorder
from tests.usb_double import UsbDouble
from tests.waiting import until

pytestmark = pytest.mark.lab

NAME = "/dev/ttyLAB0"
ROUNDS = 20


@dataclass
class Timed(Recorder):
    """An owner that notes when it was told of lines."""

    def __init__(self) -> None:
        super().__init__()
        self.when: list[float] = []

    def port_report(self, report: object) -> None:
        if isinstance(report, ModemChange):
            self.when.append(time.monotonic())
        super().port_report(report)  # type: ignore[arg-type]

    trouble: list[object] = field(default_factory=list)


def opened(double: UsbDouble, owner: Recorder, **options: object) -> PosixPort:
    port = PosixPort(
        double.node, LineSettings(), owner=owner, loop=asyncio.get_running_loop(), **options
    )
    port.open()
    return port


def waiting_threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "portline-lines"]


@pytest.mark.parametrize("adapter", ["pl2303", "ftdi", "cdc-acm"])
def test_lines_are_waited_for_and_the_wait_can_be_ended(run: Run, adapter: str) -> None:
    async def scenario() -> None:
        with UsbDouble(NAME, adapter) as double:
            owner = Timed()
            port = opened(double, owner)
            port.watch(modem_lines=True, faults=False)
            await asyncio.sleep(0.5)  # the thread may have been refused by now
            assert port.hardware is not None
            print(f"{adapter}: driver {port.hardware.driver}, lines {port.hardware.lines}")
            assert port.hardware.lines == "waited for"
            assert len(waiting_threads()) == 1
            took: list[float] = []
            for count in range(ROUNDS):
                before = len(owner.when)
                sent = time.monotonic()
                double.lines(dsr=count % 2 == 0, dcd=count % 2 == 0)
                await until(lambda: len(owner.when) > before)  # noqa: B023
                took.append(owner.when[before] - sent)
            took.sort()
            print(f"{adapter}: {took[ROUNDS // 2] * 1e3:.2f} ms median, {took[-1] * 1e3:.2f} worst")
            port.watch(modem_lines=False, faults=False)
            port.watch(modem_lines=True, faults=False)
            begun = time.monotonic()
            port.close()
            print(f"{adapter}: closed in {(time.monotonic() - begun) * 1e3:.2f} ms")
            assert waiting_threads() == []
            port.open()  # the device is free again
            port.close()

    run(scenario())


def test_a_driver_that_pulls_the_device_ends_the_wait(run: Run) -> None:
    async def scenario() -> None:
        owner = Recorder()
        with UsbDouble(NAME, "pl2303") as double:
            port = opened(double, owner)
            port.watch(modem_lines=True, faults=False)
        await until(lambda: owner.lost)
        assert waiting_threads() == []

    run(scenario())


def test_what_the_driver_counts(run: Run) -> None:
    async def scenario() -> None:
        owner = Recorder()
        with UsbDouble(NAME, "cdc-acm") as double:
            port = opened(double, owner)
            port.watch(modem_lines=False, faults=True)
            double.fault(parity=True)
            double.send(b"x")
            await until(lambda: owner.reports)
            assert owner.reports[0] == LineFault(parity=True)
            assert port.hardware is not None
            assert port.hardware.counters is not None
            assert port.hardware.counters.parity == 1
            port.close()

    run(scenario())


def test_low_latency_of_an_ftdi_chip_is_put_back(run: Run) -> None:
    def flags(fd: int) -> int:
        return int(struct.unpack_from("16xi", ioctl(fd, 0x541E, bytes(128)))[0])

    async def scenario() -> None:
        with UsbDouble(NAME, "ftdi") as double:
            timer = Path(f"/sys/class/tty/{Path(double.node).name}/device/latency_timer")
            before = timer.read_text()
            other = os.open(double.node, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            was = flags(other)
            port = opened(double, Recorder(), features=Features(low_latency=True), exclusive=False)
            assert flags(other) == was | (1 << 13)
            assert port.hardware is not None
            assert port.hardware.features == ("low latency",)
            port.close()
            assert flags(other) == was
            assert timer.read_text() == before
            os.close(other)

    run(scenario())


def test_low_latency_is_refused_by_a_driver_without_it(run: Run) -> None:
    async def scenario() -> None:
        with (
            UsbDouble(NAME, "cdc-acm") as double,
            pytest.raises(SettingRefused, match="no low latency"),
        ):
            opened(double, Recorder(), features=Features(low_latency=True))

    run(scenario())


@pytest.mark.parametrize("adapter", ["pl2303", "ftdi"])
def test_rs485_in_software(run: Run, adapter: str) -> None:
    async def scenario() -> None:
        with UsbDouble(NAME, adapter) as double:
            port = opened(double, Recorder(), features=Features(Rs485()))
            assert port.hardware is not None
            assert port.hardware.features == ("RS-485 (software)",)
            await until(lambda: not double.outputs[1])
            double.reports.clear()
            for count in range(5):
                port.write(b"question")
                await until(lambda: double.received == b"question" * (count + 1))  # noqa: B023
                await until(lambda: not double.outputs[1] and not port.state.rts)
            levels = [r.lines.cts for r in double.reports if isinstance(r, ModemChange)]
            assert levels == [True, False] * 5
            port.close()
            assert not double.outputs[1]

    run(scenario())


def test_rs485_of_a_16550a_is_in_software(run: Run) -> None:
    async def scenario() -> None:
        owner = Recorder()
        port = PosixPort(
            "/dev/ttyS2",
            LineSettings(baudrate=115200),
            owner=owner,
            loop=asyncio.get_running_loop(),
            features=Features(Rs485(), low_latency=True),
        )
        port.open()
        assert port.hardware is not None
        print("16550A:", port.hardware)
        assert port.hardware.features == ("RS-485 (software)", "low latency")
        assert not port.state.rts
        port.write(bytes(100))
        assert port.state.rts
        await until(lambda: not port.state.rts)
        assert port.sent == 100
        port.close()

    run(scenario())


def test_a_sequence_has_its_timing(run: Run) -> None:
    async def scenario() -> None:
        with UsbDouble(NAME, "ftdi") as double:
            port = opened(double, Recorder())
            states: list[PortState] = []
            begun = time.monotonic()
            for step in pulse("esp32").steps:
                port.submit(step, states.append)
            await until(lambda: len(states) == len(pulse("esp32").steps))
            took = time.monotonic() - begun
            asked = sum(step.duration for step in pulse("esp32").steps if isinstance(step, Hold))
            print(f"esp32: {asked * 1e3:.0f} ms of waits took {took * 1e3:.1f} ms")
            assert took >= asked * 0.99
            assert [(s.dtr, s.rts) for s in states] == [
                (False, True),
                (False, True),
                (True, False),
                (True, False),
                (False, False),
            ]
            await until(lambda: double.outputs == (False, False))
            port.close()

    run(scenario())


def test_adapters_are_named_without_udev() -> None:
    with UsbDouble(NAME, "ftdi") as first, UsbDouble("/dev/ttyLAB1", "ftdi") as second:
        ports = {port.path: port for port in found_ports()}
        mine = [ports[double.node] for double in (first, second)]
        for port in mine:
            print(port.path, port.lasting_name, port.usb, port.socket, port.driver)
            assert port.usb is not None
            assert port.socket is not None
            assert resolve(port.lasting_name) == port.path
            assert resolve(port.socket.name) == port.path
        assert mine[0].lasting_name != mine[1].lasting_name


def test_news_of_a_device_come_from_the_kernel(run: Run) -> None:
    async def scenario() -> None:
        heard: list[float] = []
        hotplug = Hotplug(lambda: heard.append(time.monotonic()), asyncio.get_running_loop())
        with UsbDouble(NAME, "pl2303"):
            await until(lambda: heard)
        hotplug.close()

    run(scenario())


def test_pulled_out_and_plugged_in_again(run: Run) -> None:
    """Under load, with the keeper's own means: the connection, its peer and settings go on."""

    async def scenario() -> None:
        double = UsbDouble(NAME, "ftdi")
        other = UsbDouble("/dev/ttyLAB1", "pl2303")
        loop = asyncio.get_running_loop()

        async def plug(each: UsbDouble) -> UsbDouble:
            await loop.run_in_executor(None, each.__enter__)
            return each

        await plug(double)
        [name] = [p.usb.identity for p in found_ports() if p.path == double.node and p.usb]
        config = ServerConnection.model_validate({"port": name, "listen": "127.0.0.1:0"})
        connection = Connection("meter", config, loop)
        connection.start()
        assert connection.keeper.open, connection.keeper.error
        assert isinstance(connection.network, Reception)
        wanted = LineSettings(baudrate=57600)
        waits: list[float] = []
        numbers: set[str] = set()
        with Peer(int(connection.network.entrance.listeners[0].address.rpartition(":")[2])) as peer:
            await until(lambda: connection.hub.peers)
            connection.port.submit(SetLine.everything(wanted))
            connection.port.submit(SetModem(rts=False))
            for count in range(6):
                peer.socket.send(bytes(500))
                await loop.run_in_executor(None, double.send, bytes(500))
                await loop.run_in_executor(None, double.__exit__)
                await until(lambda: connection.keeper.error is not None)
                if count == 3:
                    await plug(other)  # takes the number
                double = await plug(UsbDouble(NAME, "ftdi"))
                begun = time.monotonic()
                await until(lambda: connection.keeper.open)
                waits.append(time.monotonic() - begun)
                assert connection.port.path is not None
                numbers.add(connection.port.path)
                here = double
                await until(lambda: here.settings == wanted)  # noqa: B023
                await until(lambda: here.outputs == (True, False))  # noqa: B023
                peer.look()
                peer.received.clear()
            await loop.run_in_executor(None, double.send, b"still here")
            await until(lambda: peer.look().endswith(b"still here"))
            assert len(connection.hub.peers) == 1
        print(f"open again {max(waits) * 1e3:.0f} ms after it was there at most; as {numbers}")
        assert len(numbers) == 2
        connection.stop(0)
        connection.close()
        for each in (double, other):
            await loop.run_in_executor(None, each.__exit__)

    run(scenario())


def test_the_signal_is_still_the_default_for_programs_that_are_started() -> None:
    pid = os.fork()
    if not pid:
        os.execv("/bin/sh", ["sh", "-c", "kill -URG $$; exit 7"])
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert signal.SIGURG
