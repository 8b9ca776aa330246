"""A real port on a USB adapter whose far end is the test: what the lab's 16550A cannot show."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from portline.line import (
    FlowControl,
    LineFault,
    LineSettings,
    ModemChange,
    ModemLines,
    Parity,
    PortState,
    SendBreak,
    SetBreak,
    SetLine,
    SetModem,
    StopBits,
)
from portline.port.tty.port import PosixPort
from tests.ports import Recorder, until
from tests.usb_double import UsbDouble

pytestmark = pytest.mark.lab

NAME = "/dev/device"

Scenario = Callable[[UsbDouble, PosixPort, Recorder], Coroutine[Any, Any, None]]
Play = Callable[[Scenario], None]


@pytest.fixture(params=["pl2303", "ftdi", "cdc-acm"])
def adapter(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def play(adapter: str) -> Play:
    """Run a scenario with a port on such an adapter, opened with odd settings."""

    def play_it(scenario: Scenario) -> None:
        async def whole(double: UsbDouble) -> None:
            owner = Recorder()
            settings = LineSettings(57600, 7, Parity.ODD, StopBits.TWO)
            port = PosixPort(NAME, settings, owner=owner, loop=asyncio.get_running_loop())
            port.open()
            try:
                await scenario(double, port, owner)
            finally:
                port.close()

        with UsbDouble(NAME, adapter) as double:
            asyncio.run(whole(double))

    return play_it


def test_the_device_sees_the_settings_and_the_lines(play: Play) -> None:
    async def scenario(double: UsbDouble, port: PosixPort, owner: Recorder) -> None:
        wanted = LineSettings(57600, 7, Parity.ODD, StopBits.TWO)
        await until(lambda: double.settings == wanted)
        for change in (
            SetLine(baudrate=250000),
            SetLine(baudrate=12345, parity=Parity.MARK),
            SetLine(parity=Parity.SPACE, stop_bits=StopBits.ONE),
            SetLine(data_bits=8, parity=Parity.NONE),
        ):
            wanted = change.applied_to(wanted)
            port.submit(change)
            await until(lambda wanted=wanted: double.settings == wanted)
        for dtr, rts in [(False, True), (False, False), (True, False), (True, True)]:
            port.submit(SetModem(dtr=dtr, rts=rts))
            await until(lambda dtr=dtr, rts=rts: double.outputs == (dtr, rts))
        assert port.refused == 0

    play(scenario)


def test_hardware_flow_control_is_told_where_the_adapter_knows_it(play: Play, adapter: str) -> None:
    async def scenario(double: UsbDouble, port: PosixPort, owner: Recorder) -> None:
        port.submit(SetLine(flow_control=FlowControl.HARDWARE))
        if adapter != "cdc-acm":
            await until(lambda: double.settings.flow_control is FlowControl.HARDWARE)
            port.write(b"held")
            await asyncio.sleep(0.3)  # what must not happen cannot be waited for
            assert double.received == b""
        double.lines(cts=True)
        port.write(b"sent")
        await until(lambda: double.received.endswith(b"sent"))

    play(scenario)


def test_what_the_driver_refuses_is_counted(play: Play, adapter: str) -> None:
    async def scenario(double: UsbDouble, port: PosixPort, owner: Recorder) -> None:
        answers: list[PortState] = []
        port.submit(SetLine(data_bits=6), answers.append)
        await until(lambda: answers)
        if adapter == "ftdi":  # it has 7 and 8
            assert (port.refused, answers[0].settings.data_bits) == (1, 7)
        else:
            assert (port.refused, answers[0].settings.data_bits) == (0, 6)

    play(scenario)


def test_lines_that_the_device_moves_are_reported(play: Play, adapter: str) -> None:
    async def scenario(double: UsbDouble, port: PosixPort, owner: Recorder) -> None:
        port.watch(modem_lines=True, faults=False)
        for lines in (ModemLines(dsr=True), ModemLines(dsr=True, dcd=True), ModemLines(ri=True)):
            seen = ModemLines(adapter == "cdc-acm", lines.dsr, lines.dcd, lines.ri)
            double.lines(dsr=lines.dsr, dcd=lines.dcd, ri=lines.ri)
            await until(lambda seen=seen: ModemChange(seen) in owner.reports)
            await until(lambda seen=seen: port.state.lines == seen)

    play(scenario)


def test_breaks_to_the_device(play: Play) -> None:
    async def scenario(double: UsbDouble, port: PosixPort, owner: Recorder) -> None:
        port.write(b"before")
        port.submit(SetBreak(on=True))
        await until(lambda: double.breaks == [True])
        assert double.received == b"before"
        port.submit(SetBreak(on=False))
        port.submit(SendBreak(0.05))
        await until(lambda: double.breaks == [True, False, True, False])

    play(scenario)


def test_faults_of_the_line_are_reported(play: Play, adapter: str) -> None:
    async def scenario(double: UsbDouble, port: PosixPort, owner: Recorder) -> None:
        port.watch(modem_lines=False, faults=True)
        await asyncio.sleep(0)
        double.send(b"a")
        await until(lambda: owner.received == b"a")
        double.fault(parity=True)
        double.send(b"b")
        await until(lambda: len(owner.received) == 2)
        await until(lambda: any(each.parity for each in faults(owner)))
        double.fault(break_received=True)
        double.send(b"c")
        await until(lambda: any(each.break_received for each in faults(owner)))

    play(scenario)


def faults(owner: Recorder) -> list[LineFault]:
    return [each for each in owner.reports if isinstance(each, LineFault)]


def test_a_change_waits_for_the_characters_before_it(play: Play) -> None:
    async def scenario(double: UsbDouble, port: PosixPort, owner: Recorder) -> None:
        before = LineSettings(57600, 7, Parity.ODD, StopBits.TWO)
        await until(lambda: double.settings == before)
        answers: list[PortState] = []
        port.write(b"with the old settings")
        port.submit(SetLine(baudrate=9600), answers.append)
        await until(lambda: double.received == b"with the old settings")
        assert double.settings == before or answers
        await until(lambda: answers)
        await until(lambda: double.settings.baudrate == 9600)

    play(scenario)
