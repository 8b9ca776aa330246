"""A USB port beyond the contract of all ports, with a driver played by the test."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from portline.errors import PortBusy, PortError
from portline.line import (
    BreakChange,
    FlowControl,
    LineChange,
    LineFault,
    LineSettings,
    ModemLines,
    Parity,
    SetBreak,
    SetInputs,
    StopBits,
)
from portline.port.usbip import port as module
from tests.conftest import Run
from tests.ports import turns, until
from tests.usb_bench import NODE, AcmBench, FtdiBench, UsbBench

Scenario = Callable[[UsbBench], Coroutine[Any, Any, None]]
Check = Callable[[Scenario], None]


@pytest.fixture(params=[UsbBench, FtdiBench, AcmBench], ids=["pl2303", "ftdi", "cdc-acm"])
def bench_type(request: pytest.FixtureRequest) -> type[UsbBench]:
    return request.param


@pytest.fixture
def check(bench_type: type[UsbBench], run: Run, tmp_path: Path) -> Check:
    def check_it(scenario: Scenario) -> None:
        async def whole() -> None:
            bench = bench_type(tmp_path)
            try:
                await scenario(bench)
            finally:
                bench.close()

        run(whole())

    return check_it


def test_the_name_comes_with_the_terminal_and_goes_with_the_port(
    check: Check, tmp_path: Path
) -> None:
    async def scenario(bench: UsbBench) -> None:
        bench.kernel.where = None
        bench.port.open()
        await turns()
        assert bench.port.path is None
        bench.kernel.where = NODE
        await until(lambda: bench.port.path is not None)
        assert bench.port.path == str(tmp_path / "virtual")
        assert os.path.samefile(bench.port.path, NODE)
        bench.port.close()
        assert list(tmp_path.iterdir()) == []

    check(scenario)


@pytest.mark.parametrize("asked", [False, True])
def test_without_a_terminal_the_port_is_lost(
    check: Check, monkeypatch: pytest.MonkeyPatch, asked: bool
) -> None:
    """What counts is how long the kernel has asked nothing, and whether it has begun to."""
    monkeypatch.setattr(module, "NODE_LIMIT", 0.05 if asked else 600.0)
    monkeypatch.setattr(module, "FIRST_LIMIT", 600.0 if asked else 0.05)

    async def scenario(bench: UsbBench) -> None:
        bench.kernel.where = None
        bench.port.open()
        if asked:
            assert bench.kernel.driver is not None
            bench.kernel.driver.set(LineSettings())
            bench.kernel.turn()
        await until(lambda: bench.owner.lost)
        assert "has made no terminal of the adapter" in str(bench.owner.lost[0])
        bench.kernel.where = NODE
        bench.port.open()
        await until(lambda: bench.port.path is not None)

    check(scenario)


def test_a_name_that_is_taken_loses_the_port_and_stays(check: Check, tmp_path: Path) -> None:
    async def scenario(bench: UsbBench) -> None:
        (tmp_path / "virtual").write_text("somebody's")
        with pytest.raises(PortBusy, match="is a real file or device"):
            bench.port.open()
        assert bench.kernel.driver is None
        (tmp_path / "virtual").unlink()
        bench.kernel.where = None
        bench.port.open()
        (tmp_path / "virtual").write_text("somebody's")  # who came in between
        bench.kernel.where = NODE
        await until(lambda: bench.owner.lost)
        assert isinstance(bench.owner.lost[0], PortBusy)
        assert (tmp_path / "virtual").read_text() == "somebody's"

    check(scenario)


def test_the_kernel_lets_go(check: Check, tmp_path: Path) -> None:
    async def scenario(bench: UsbBench) -> None:
        await bench.open()
        bench.kernel.unplug()
        await until(lambda: bench.owner.lost)
        await turns()
        [error] = bench.owner.lost
        assert isinstance(error, PortError)
        assert bench.owner.used == [True, False]
        assert list(tmp_path.iterdir()) == []
        bench.port.open()
        await until(lambda: bench.port.path is not None)
        assert len(bench.owner.lost) == 1

    check(scenario)


def test_what_is_no_usbip_loses_the_port(check: Check) -> None:
    async def scenario(bench: UsbBench) -> None:
        await bench.open()
        assert bench.kernel.socket is not None
        bench.kernel.socket.send(b"nonsense" * 100)
        await until(lambda: bench.owner.lost)
        assert "no command of USB/IP" in str(bench.owner.lost[0])

    check(scenario)


def test_what_the_application_does_is_reported(check: Check) -> None:
    async def scenario(bench: UsbBench) -> None:
        far = await bench.open()
        driver = far.driver
        assert bench.owner.lines == [ModemLines(cts=True, dsr=True, dcd=True)]
        settings = LineSettings(57600, 7, Parity.EVEN, StopBits.TWO)
        driver.set(settings)
        driver.hold_break(True)
        driver.hold_break(False)
        driver.drive(dtr=True, rts=False)
        far.kernel.turn()
        await until(lambda: bench.owner.lines[-1] == ModemLines(dsr=True, dcd=True))
        assert bench.virtual.application.settings == settings
        changes = [each for each in bench.owner.reports if isinstance(each, LineChange)]
        breaks = [each.on for each in bench.owner.reports if isinstance(each, BreakChange)]
        assert changes[-1].settings == settings
        assert breaks == [True, False]
        far.close()
        await until(lambda: bench.owner.used == [True, False])
        assert bench.owner.lines[-1] == ModemLines()

    check(scenario)


def test_cts_holds_the_line_where_the_application_asked_for_it(check: Check) -> None:
    async def scenario(bench: UsbBench) -> None:
        far = await bench.open()
        if bench.adapter == "cdc-acm":
            return  # the class tells nothing of it
        far.driver.set(LineSettings(115200, flow_control=FlowControl.HARDWARE))
        far.kernel.turn()
        application = bench.virtual.application
        await until(lambda: application.settings.flow_control is FlowControl.HARDWARE)
        await far.write(b"held")
        await turns()
        assert bench.owner.received == b""
        bench.port.submit(SetInputs(ModemLines(cts=True)))
        await until(lambda: bench.owner.received == b"held")

    check(scenario)


def test_a_write_lasts_until_it_has_left(check: Check) -> None:
    """The driver of an FTDI asks, the others wait for their transfers."""

    async def scenario(bench: UsbBench) -> None:
        far = await bench.open()
        driver: Any = far.driver
        await far.write(b"x" * 3000)
        await until(lambda: bench.owner.received == b"x" * 3000)

        async def empty() -> bool:
            if bench.adapter != "ftdi":
                return driver.drained
            driver.empty = None
            driver.ask()
            far.kernel.turn()
            await until(lambda: driver.empty is not None)
            return driver.empty

        await until(lambda: not driver.unsent)
        await turns()
        for _ in range(3):
            assert not await empty()
        while bench.owner.draining:
            bench.owner.draining.pop(0)()
            await turns()
        assert await empty()

    check(scenario)


def test_many_small_writes_do_not_wait_for_each_other(check: Check) -> None:
    async def scenario(bench: UsbBench) -> None:
        far = await bench.open()
        expected = b""
        for number in range(20):
            await far.write(b"%d," % number)
            expected += b"%d," % number
            await until(lambda expected=expected: bench.owner.received == expected)
        assert len(bench.owner.draining) <= 1

    check(scenario)


def test_faults_and_breaks_come_after_the_data_before_them(check: Check) -> None:
    async def scenario(bench: UsbBench) -> None:
        far = await bench.open()
        if bench.adapter == "cdc-acm":
            return  # marks no characters: test_device.py counts its faults
        bench.port.write(b"before")
        bench.port.show_fault(LineFault(parity=True))
        bench.port.write(b"Xafter")
        bench.port.submit(SetBreak(on=True))
        await far.expect(b"beforeXafter\0")
        assert [data for _, data in far.driver.marked] == [b"X", b"\0"]

    check(scenario)
