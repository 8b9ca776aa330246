"""A USB port that goes on in another process: left on purpose, or by a kill at any moment."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from portline.errors import PortError
from portline.line import (
    FlowControl,
    LineSettings,
    ModemLines,
    Parity,
    SetInputs,
    StopBits,
)
from portline.port.usbip import journal as journal_module
from portline.port.usbip import port as port_module
from portline.port.usbip.journal import Journal
from portline.port.usbip.plug import Plug
from portline.port.usbip.port import UsbipPort
from tests.conftest import Run
from tests.ports import turns, until
from tests.shelf import MemoryShelf
from tests.usb_bench import AcmBench, Application, FtdiBench, UsbBench

Scenario = Callable[[UsbBench, MemoryShelf], Coroutine[Any, Any, None]]
Check = Callable[[Scenario], None]

OUTPUTS = ModemLines(cts=True, dsr=True, dcd=True)
"""What a far end reads of DTR and RTS."""


@pytest.fixture(params=[UsbBench, FtdiBench, AcmBench], ids=["pl2303", "ftdi", "cdc-acm"])
def bench_type(request: pytest.FixtureRequest) -> type[UsbBench]:
    return request.param


@pytest.fixture
def check(bench_type: type[UsbBench], run: Run, tmp_path: Path) -> Check:
    def check_it(scenario: Scenario) -> None:
        async def whole() -> None:
            await turns(1)
            before = set(os.listdir("/proc/self/fd"))
            shelf = MemoryShelf()
            bench = bench_type(tmp_path, shelf)
            try:
                await scenario(bench, shelf)
            finally:
                bench.close()
                shelf.forget()
            await until(lambda: set(os.listdir("/proc/self/fd")) <= before)

        run(whole())

    return check_it


def kill(port: UsbipPort) -> None:
    """Let go of everything as the kernel does for a process that ends."""
    wiring = port._wiring
    assert wiring is not None
    journal = wiring._journal
    assert journal is not None
    port._forget_timers()
    wiring.intake.close()
    wiring.outlet.close()
    wiring.plug.release()
    wiring.supply.close()
    journal.close()
    port._wiring = None
    port._naming.forget(leave=True)


async def let_go(bench: UsbBench) -> None:
    """Let everything that was written have left."""
    while bench.owner.draining:
        bench.owner.draining.pop(0)()
        await turns(1)


async def is_whole(bench: UsbBench, far: Application) -> None:
    """Check that nothing is missing: data both ways, a drain, a close, and another application."""
    before = len(bench.owner.received)
    await far.write(b"still there")
    await until(lambda: bench.owner.received[before:] == b"still there")
    bench.port.write(b"here, too")
    await far.expect(b"here, too")
    await let_go(bench)
    driver: Any = far.driver
    if bench.adapter != "ftdi":
        await until(lambda: driver.drained)
    assert not bench.owner.lost
    far.close()
    await until(lambda: bench.owner.used[-1:] == [False])
    await until(lambda: not driver.host._victims)
    again = await bench.application()
    await again.write(b"another application")
    await until(lambda: bench.owner.received.endswith(b"another application"))


def test_another_port_goes_on_with_what_one_has_left(check: Check) -> None:
    async def scenario(bench: UsbBench, shelf: MemoryShelf) -> None:
        far = await bench.open()
        settings = LineSettings(57600, 7, Parity.EVEN, StopBits.TWO)
        far.driver.set(settings)
        far.driver.hold_break(True)
        bench.port.submit(SetInputs(ModemLines(dsr=True)))
        await until(lambda: far.driver.lines.dsr)
        await far.write(b"held by the first")
        await until(lambda: bench.owner.received == b"held by the first")
        path, first = bench.port.path, bench.owner
        bench.port.write(b"on its way")
        assert bench.port.leave(b"unheard, ", named=True)
        assert os.path.lexists(str(path))
        assert (first.lost, first.used) == ([], [True])
        await far.write(b"while nobody is there")
        bench.begin(shelf)
        bench.port.open()
        assert bench.port.path == path
        assert bench.virtual.application.settings == settings
        assert bench.virtual.application.state.break_on
        assert (bench.owner.used, bench.owner.lines) == ([True], [OUTPUTS])
        await until(lambda: bench.owner.received == b"unheard, while nobody is there")
        await far.expect(b"on its way")
        await is_whole(bench, far)

    check(scenario)


def test_without_its_name_it_is_found_again_afterwards(check: Check, tmp_path: Path) -> None:
    async def scenario(bench: UsbBench, shelf: MemoryShelf) -> None:
        far = await bench.open()
        assert bench.port.leave(b"", named=False)
        assert list(tmp_path.iterdir()) == []
        bench.begin(shelf)
        bench.port.open()
        assert bench.port.path == str(tmp_path / "virtual")
        await is_whole(bench, far)

    check(scenario)


def test_a_port_without_a_shelf_is_not_left(check: Check) -> None:
    async def scenario(bench: UsbBench, shelf: MemoryShelf) -> None:
        bench.begin(None)
        assert not bench.port.leave(b"", named=True)
        await bench.open()
        assert not bench.port.leave(b"", named=True)
        assert shelf.kept == []

    check(scenario)


def test_closing_a_port_unplugs_it_whoever_else_has_the_socket(check: Check) -> None:
    async def scenario(bench: UsbBench, shelf: MemoryShelf) -> None:
        await bench.open()
        copies = shelf.copies()
        bench.port.close()
        await until(lambda: bench.kernel.socket is None)
        assert shelf.kept == []
        for each in copies:
            os.close(each)

    check(scenario)


def test_lines_stay_until_the_peers_are_back(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    """What follows from nobody being connected yet is not shown."""

    async def scenario(bench: UsbBench, shelf: MemoryShelf) -> None:
        far = await bench.open()
        told = ModemLines(dsr=True)
        for limit, lines in ((100.0, told), (0.05, OUTPUTS)):
            monkeypatch.setattr(port_module, "LINES_HELD", limit)
            bench.port.submit(SetInputs(told))
            await until(lambda: far.driver.lines == told)
            await turns()
            far.driver.states.clear()
            bench.port.leave(b"", named=True)
            bench.begin(shelf)
            bench.port.submit(SetInputs(OUTPUTS))
            bench.port.open()
            if limit < 1:
                await until(lambda: far.driver.lines.dcd)
            else:
                await turns()
                assert all(state == told for state in far.driver.states)
                bench.port.submit(SetInputs(told))
                bench.port.submit(SetInputs(lines))
                await until(lambda: far.driver.lines == told)
        far.driver.states.clear()

    check(scenario)


def test_cts_that_is_held_back_holds_the_line(check: Check) -> None:
    async def scenario(bench: UsbBench, shelf: MemoryShelf) -> None:
        far = await bench.open()
        if bench.adapter == "cdc-acm":
            return  # the class tells nothing of it
        far.driver.set(LineSettings(115200, flow_control=FlowControl.HARDWARE))
        far.kernel.turn()
        await far.write(b"waits")
        await turns()
        assert bench.port.leave(b"", named=True)
        bench.begin(shelf)
        bench.port.submit(SetInputs(OUTPUTS))
        bench.port.open()
        await turns()
        assert bench.owner.received == b""
        bench.port.submit(SetInputs(ModemLines()))
        bench.port.submit(SetInputs(OUTPUTS))
        await until(lambda: bench.owner.received == b"waits")

    check(scenario)


def test_another_adapter_is_plugged_in_and_the_old_one_out(
    check: Check, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    async def scenario(bench: UsbBench, shelf: MemoryShelf) -> None:
        far = await bench.open()
        bench.port.leave(b"", named=True)
        old = bench.kernel.socket
        other = "ftdi" if bench.adapter != "ftdi" else "pl2303"
        bench.begin(shelf, adapter=other)
        bench.port.open()
        await until(lambda: bench.kernel.socket is not old)
        assert bench.kernel.chip == other
        assert f"it is {bench.adapter}, and {other} is configured" in caplog.text
        assert bench.owner.used == []
        far._open = False  # its terminal is gone
        os.close(far.fd)
        far._inner.close()
        bench.far = None
        await until(lambda: bench.port.path is not None)
        assert [each.name for each in tmp_path.iterdir()] == ["virtual"]

    check(scenario)


def test_what_is_of_no_use_is_refused_in_one_line(
    check: Check, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(bench: UsbBench, shelf: MemoryShelf) -> None:
        one, two = os.pipe()
        shelf.kept = [one, two]
        await bench.open()
        [message] = [each.message for each in caplog.records if "of no use" in each.message]
        assert "\n" not in message
        assert len(shelf.kept) == 2

    check(scenario)


def test_a_name_that_somebody_has_taken_unplugs_it(check: Check, tmp_path: Path) -> None:
    async def scenario(bench: UsbBench, shelf: MemoryShelf) -> None:
        await bench.open()
        bench.port.leave(b"", named=False)
        (tmp_path / "virtual").write_text("somebody's")
        bench.begin(shelf)
        with pytest.raises(PortError, match="is a real file or device"):
            bench.port.open()
        await until(lambda: bench.kernel.socket is None)
        (tmp_path / "virtual").unlink()

    check(scenario)


class Killed(BaseException):
    """The process has ended at this point."""


class Fate:
    """Ends the process after so many steps."""

    def __init__(self, steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = steps
        self.armed = True
        for owner, name in (
            (Journal, "receive"),
            (Plug, "flush"),
            (UsbipPort, "received"),
            (Journal, "checkpoint"),
        ):
            monkeypatch.setattr(owner, name, self._step_after(getattr(owner, name)))

    def _step_after(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*arguments: Any, **more: Any) -> Any:
            result = real(*arguments, **more)
            if self.armed:
                self.left -= 1
                if self.left == 0:
                    raise Killed
            return result

        return stepped


@pytest.mark.parametrize("steps", range(1, 24))
def test_killed_at_any_moment_it_goes_on(
    check: Check, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is answered twice (the host sees to it), and nothing that was written is missing."""
    monkeypatch.setattr(journal_module, "RECEIVE_SIZE", 16 * 1024)
    text = b"".join(b"%05d," % number for number in range(600))
    mark = b"the end"

    async def scenario(bench: UsbBench, shelf: MemoryShelf) -> None:
        far = await bench.open()
        loop = asyncio.get_running_loop()
        killed: list[object] = []
        loop.set_exception_handler(lambda loop, context: killed.append(context["exception"]))
        fate = Fate(steps * 3, monkeypatch)
        writing = loop.create_task(far.write(text))
        first = bench.owner
        while not killed and len(first.received) < len(text):
            await asyncio.sleep(0)
            if first.draining:
                try:
                    first.draining.pop(0)()
                except Killed as error:
                    killed.append(error)
        fate.armed = False
        loop.set_exception_handler(None)
        assert all(isinstance(each, Killed) for each in killed)
        kill(bench.virtual)
        bench.begin(shelf)
        bench.port.open()
        await writing
        # Where the first had heard everything, some of it may still come again: up to a mark.
        await far.write(mark)
        await until(lambda: bench.owner.received.endswith(mark))
        heard = bytes(first.received)
        again = len(heard) + len(bench.owner.received) - len(text + mark)
        assert 0 <= again <= 64 * 1024
        assert heard[: len(heard) - again] + bytes(bench.owner.received) == text + mark
        assert bench.virtual.application.settings.baudrate == 115200
        assert bench.owner.lines == [OUTPUTS]
        bench.owner.received.clear()
        await is_whole(bench, far)

    check(scenario)


def test_killed_while_unused_it_is_unused(check: Check) -> None:
    async def scenario(bench: UsbBench, shelf: MemoryShelf) -> None:
        far = await bench.open()
        far.close()
        await until(lambda: bench.owner.used == [True, False])
        kill(bench.virtual)
        bench.begin(shelf)
        bench.port.open()
        await turns()
        assert (bench.owner.used, bench.owner.lost) == ([], [])
        await is_whole(bench, await bench.application())

    check(scenario)


def test_what_was_asked_for_before_a_kill_and_after_it_is_in_force(check: Check) -> None:
    async def scenario(bench: UsbBench, shelf: MemoryShelf) -> None:
        far = await bench.open()
        before = LineSettings(57600, 7, Parity.EVEN, StopBits.TWO)
        far.driver.set(before)
        far.driver.drive(dtr=True, rts=False)
        far.driver.hold_break(True)
        far.kernel.turn()
        await until(lambda: bench.virtual.application.state.break_on)
        kill(bench.virtual)
        after = replace(before, baudrate=9600)
        far.driver.set(after)
        far.kernel.turn()
        await turns()
        bench.begin(shelf)
        bench.port.open()
        state = bench.virtual.application.state
        assert (state.settings, state.dtr, state.rts, state.break_on) == (before, True, False, True)
        await until(lambda: bench.virtual.application.settings == after)
        await is_whole(bench, far)

    check(scenario)
