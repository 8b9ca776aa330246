"""What a 16550A and its driver do, and what Portline makes of it: the chip's own ways.

What every port must do is in tests/contract/test_port.py, which runs on these chips too.
"""

from __future__ import annotations

import asyncio
import os
from itertools import product
from typing import TYPE_CHECKING

import pytest

from portline.errors import PortBusy, SettingRefused
from portline.line import (
    FlowControl,
    Item,
    LineFault,
    LineSettings,
    ModemChange,
    ModemLines,
    Parity,
    Query,
    SendBreak,
    SetBreak,
    SetLine,
    SetModem,
    StopBits,
)
from portline.port.inventory.ports import found_ports
from portline.port.tty.modem import read_counters
from portline.port.tty.port import PosixPort
from portline.port.tty.termios2 import decode, read_attributes
from tests.lab.uart import Monitor, UartBench, clean_wire, modem_bits, set_modem_bits
from tests.ports import FLAGS, SETTINGS, Recorder, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Run

pytestmark = pytest.mark.lab

DTR, RTS, OUT1, OUT2, LOOP = 0x002, 0x004, 0x2000, 0x4000, 0x8000
"""TIOCM_* of asm-generic/termios.h; with LOOP the chip's outputs are its inputs."""


@pytest.fixture
def chip() -> Iterator[int]:
    """The port's chip by a descriptor of the test's own; root passes the port's lock."""
    fd = os.open(UartBench.path, FLAGS)
    yield fd
    set_modem_bits(fd, DTR | RTS)
    os.close(fd)


def test_every_setting_is_in_force_in_the_driver(run: Run, chip: int) -> None:
    asked = [
        LineSettings(9600, bits, parity, stop)
        for bits, parity, stop in product((5, 6, 7, 8), Parity, StopBits)
        if stop is StopBits.ONE or (stop is StopBits.ONE_AND_A_HALF) == (bits == 5)
    ]
    asked += [LineSettings(rate) for rate in (50, 110, 300, 1200, 19200, 57600, 115200)]
    asked += [LineSettings(9600, flow_control=flow) for flow in FlowControl]
    asked.append(LineSettings(19200, 7, Parity.EVEN, StopBits.TWO, FlowControl.XON_XOFF))

    async def scenario() -> None:
        bench = UartBench()
        await bench.open()
        for settings in asked:
            bench.port.submit(SetLine.everything(settings))
            await until(lambda: bench.port.state.idle)
            assert bench.port.state.settings == settings
            assert decode(read_attributes(chip)) == settings
        assert bench.port.refused == 0
        bench.close()

    run(scenario())


def test_the_inbound_half_of_flow_control(run: Run, chip: int) -> None:
    async def scenario() -> None:
        bench = UartBench()
        await bench.open()
        bench.port.submit(SetLine(inbound_flow=FlowControl.XON_XOFF))
        found = decode(read_attributes(chip))
        assert (found.flow_control, found.inbound) == (FlowControl.NONE, FlowControl.XON_XOFF)
        bench.close()

    run(scenario())


def test_a_rate_of_no_table_is_granted(run: Run, chip: int) -> None:
    async def scenario() -> None:
        bench = UartBench()
        await bench.open()
        for rate in (12700, 28750, 7100, 100):
            bench.port.submit(SetLine(baudrate=rate))
            assert bench.port.state.settings.baudrate == rate
            assert read_attributes(chip).ospeed == pytest.approx(rate, rel=0.02)
        assert bench.port.refused == 0
        bench.close()

    run(scenario())


@pytest.mark.parametrize(("rate", "real"), [(12345, 12800), (31250, 28800), (74880, 57600)])
def test_a_rate_that_the_divisor_misses_is_refused(
    run: Run, chip: int, rate: int, real: int
) -> None:
    async def scenario() -> None:
        bench = UartBench()
        with pytest.raises(SettingRefused, match=f"baudrate = {rate}; it offers .* {real}$"):
            bench.make(settings=LineSettings(rate)).open()
        await bench.open()
        bench.port.submit(SetLine(baudrate=rate))
        assert bench.port.state.settings.baudrate == real
        assert read_attributes(chip).ospeed == pytest.approx(rate, rel=0.001)  # so the driver says
        assert bench.port.refused == 1
        bench.close()

    run(scenario())


@pytest.mark.parametrize("rate", [115201 + 2400, 250000, 4_000_000])
def test_a_rate_above_the_chips_clock_is_refused(run: Run, chip: int, rate: int) -> None:
    async def scenario() -> None:
        bench = UartBench()
        await bench.open()
        bench.port.submit(SetLine(baudrate=9600))
        bench.port.submit(SetLine(baudrate=rate, data_bits=7))
        found = bench.port.state.settings
        assert (found.baudrate, found.data_bits) == (9600, 7)
        assert decode(read_attributes(chip)) == found
        assert bench.port.refused == 1
        far = bench.far
        bench.port.write(b"goes on")
        await far.expect(b"goes on")
        bench.close()

    run(scenario())


def test_a_configured_rate_that_is_refused_leaves_the_port_as_it_was(run: Run, chip: int) -> None:
    async def scenario() -> None:
        bench = UartBench()
        before = read_attributes(chip)
        port = bench.make(settings=LineSettings(250000))
        with pytest.raises(SettingRefused, match="baudrate = 250000; it offers baudrate = 115200"):
            port.open()
        assert read_attributes(chip) == before
        assert port.path is None
        bench.close()

    run(scenario())


def test_dtr_and_rts_reach_the_chip_and_stay_when_it_is_closed(run: Run, chip: int) -> None:
    async def scenario() -> None:
        bench = UartBench()
        await bench.open()
        assert modem_bits(chip) & (DTR | RTS) == DTR | RTS
        for dtr, rts in product((False, True), repeat=2):
            bench.port.submit(SetModem(dtr=dtr, rts=rts))
            assert (bench.port.state.dtr, bench.port.state.rts) == (dtr, rts)
            assert modem_bits(chip) & (DTR | RTS) == DTR * dtr | RTS * rts
        bench.port.submit(SetModem(dtr=True, rts=False))
        bench.port.close()
        assert modem_bits(chip) & (DTR | RTS) == DTR
        bench.close()

    run(scenario())


def test_lines_as_configured_are_there_after_opening(run: Run, chip: int) -> None:
    async def scenario() -> None:
        bench = UartBench()
        bench.port = bench.make(dtr=False, rts=True)
        await bench.open()
        assert modem_bits(chip) & (DTR | RTS) == RTS
        bench.close()

    run(scenario())


def test_modem_lines_come_back_through_the_chips_loop(run: Run, chip: int) -> None:
    async def scenario() -> None:
        bench = UartBench()
        await bench.open()
        set_modem_bits(chip, LOOP)
        bench.port.submit(Query(Item.MODEM_LINES))
        assert bench.port.state.lines == ModemLines()
        assert (bench.port.state.dtr, bench.port.state.rts) == (False, False)
        bench.port.watch(modem_lines=True, faults=False)
        told = []
        for bits, lines in (
            (RTS, ModemLines(cts=True)),
            (RTS | DTR, ModemLines(cts=True, dsr=True)),
            (DTR | OUT1, ModemLines(dsr=True, ri=True)),
            (OUT2, ModemLines(dcd=True)),
            (0, ModemLines()),
        ):
            set_modem_bits(chip, LOOP | bits)
            told.append(ModemChange(lines))
            await until(lambda: len(bench.owner.reports) >= len(told))
            assert bench.owner.reports == told
        # What the port drives by itself keeps the other bits.
        bench.port.submit(SetModem(dtr=False, rts=True))
        assert modem_bits(chip) & LOOP
        await until(lambda: bench.owner.reports[-1] == ModemChange(ModemLines(cts=True)))
        bench.port.write(b"around")
        await until(lambda: bench.owner.received == b"around")
        bench.close()

    run(scenario())


def test_a_break_of_the_device_is_told_and_counted(run: Run) -> None:
    async def scenario() -> None:
        bench = UartBench()
        far = await bench.open()
        fd = os.open(bench.path, FLAGS)
        bench.port.watch(modem_lines=False, faults=True)
        before = read_counters(fd)
        with Monitor() as monitor:
            monitor.ask("chardev-send-break", id="ttyS1")
        await until(lambda: bench.owner.reports)
        assert bench.owner.reports == [LineFault(break_received=True)]
        after = read_counters(fd)
        assert after.breaks == before.breaks + 1
        assert (after.framing, after.parity, after.overrun) == (
            before.framing,
            before.parity,
            before.overrun,
        )
        await until(lambda: bench.owner.received == b"\0")  # as a break reads without PARMRK
        await far.write(b"after")
        await until(lambda: bench.owner.received == b"\0after")
        os.close(fd)
        bench.close()

    run(scenario())


def test_a_break_ends_by_itself_and_data_follows_it(run: Run) -> None:
    async def scenario() -> None:
        bench = UartBench()
        far = await bench.open()
        answers: list[bool] = []
        bench.port.write(b"before")
        bench.port.submit(SendBreak(0.05), lambda state: answers.append(state.break_on))
        bench.port.write(b"after")
        await far.expect(b"beforeafter")
        assert answers == [False]
        bench.port.submit(SetBreak(True), lambda state: answers.append(state.break_on))
        bench.port.submit(SetBreak(False), lambda state: answers.append(state.break_on))
        assert answers == [False, True, False]
        assert bench.port.refused == 0
        bench.close()

    run(scenario())


def test_the_lock_keeps_a_second_portline_out(run: Run) -> None:
    async def scenario() -> None:
        bench = UartBench()
        await bench.open()
        with pytest.raises(PortBusy, match="another connection of this program"):
            bench.make().open()
        bench.port.write(b"unharmed")
        await bench.far.expect(b"unharmed")
        bench.close()

    run(scenario())


def test_two_ports_talk_over_their_wire(run: Run) -> None:
    everything = bytes(range(256)) * 8

    async def scenario() -> None:
        clean_wire("/dev/ttyS4", "/dev/ttyS5")
        owners = [Recorder(), Recorder()]
        ports = [
            PosixPort(path, SETTINGS, owner=owner, loop=asyncio.get_running_loop())
            for path, owner in zip(("/dev/ttyS4", "/dev/ttyS5"), owners, strict=True)
        ]
        for port in ports:
            port.open()
        for port in ports:
            port.write(everything)
        await until(lambda: all(len(owner.received) >= len(everything) for owner in owners))
        assert [owner.received for owner in owners] == [everything, everything]
        for port in ports:
            port.close()

    run(scenario())


def test_the_machines_ports_are_found() -> None:
    found = [port.path for port in found_ports()]
    assert [f"/dev/ttyS{number}" for number in range(1, 6)] == [
        path for path in found if path.startswith("/dev/ttyS") and path != "/dev/ttyS0"
    ]
