"""A virtual port whose programs ``portline run`` has started."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from portline.line import (
    BreakChange,
    LineChange,
    LineSettings,
    ModemLines,
    Parity,
    PortState,
    SetBreak,
    SetInputs,
    SetLine,
    SetModem,
)
from portline.port.programs.lines_client import ServedTerminal, ServedTerminals
from tests.ports import SETTINGS, VirtualBench, turns, until
from tests.unit.port.far_end import UP, set_line

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Run


async def supervisor(bench: VirtualBench) -> tuple[ServedTerminals, ServedTerminal]:
    """Return what a supervisor of the application has."""
    terminals = ServedTerminals()
    terminal = await terminals.find(os.fstat(bench.far.fd))
    assert terminal is not None
    return terminals, terminal


def settings(bench: VirtualBench) -> list[LineSettings]:
    return [report.settings for report in bench.owner.reports if isinstance(report, LineChange)]


SEVEN_EVEN = LineSettings(SETTINGS.baudrate, 7, Parity.EVEN)


def test_a_supervisor_sees_what_the_application_reads_and_drives(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = VirtualBench(tmp_path)
        await bench.open()
        terminals, terminal = await supervisor(bench)
        assert terminal.state == PortState(SETTINGS, dtr=True, rts=True)
        bench.port.submit(SetInputs(UP), lambda state: None)
        await until(lambda: terminal.state.lines == UP)
        terminal.tell(SetModem(rts=False))
        await terminal.confirmed()
        assert bench.owner.lines == [UP, ModemLines(dsr=True, dcd=True)]
        assert terminal.state == PortState(SETTINGS, dtr=True, lines=UP)
        set_line(bench.far, LineSettings(1200))
        await until(lambda: terminal.state.settings.baudrate == 1200)
        bench.far.close()
        await until(lambda: not terminal.state.dtr)
        terminals.close()
        bench.close()

    run(scenario())


def test_what_a_pty_forgets_is_remembered_until_another_kind_of_program_comes(
    run: Run, tmp_path: Path
) -> None:
    async def scenario() -> None:
        bench = VirtualBench(tmp_path)
        far = await bench.open()
        terminals, terminal = await supervisor(bench)
        terminal.tell(SetLine.everything(SEVEN_EVEN))
        await terminal.confirmed()
        set_line(far, SEVEN_EVEN)  # what the kernel does with the program's call
        await turns(10)
        assert settings(bench) == [SEVEN_EVEN]
        faster = replace(SEVEN_EVEN, baudrate=230400)
        set_line(far, faster)
        await until(lambda: settings(bench) == [SEVEN_EVEN, faster])
        terminals.close()
        await until(lambda: not bench.virtual._lines.attended)
        set_line(far, SETTINGS)
        await until(lambda: settings(bench) == [SEVEN_EVEN, faster, SETTINGS])
        bench.close()

    run(scenario())


def test_a_break_ends_with_its_application(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = VirtualBench(tmp_path)
        far = await bench.open()
        terminals, terminal = await supervisor(bench)
        for on in (True, True, False, True):
            terminal.tell(SetBreak(on))
        await terminal.confirmed()
        assert terminal.state.break_on
        breaks = [BreakChange(True), BreakChange(False)] * 2
        assert bench.owner.reports == breaks[:3]
        far.close()
        await until(lambda: bench.owner.reports == breaks)
        terminals.close()
        bench.close()

    run(scenario())


def test_what_was_written_before_comes_before(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = VirtualBench(tmp_path)
        far = await bench.open()
        terminals, terminal = await supervisor(bench)
        order: list[object] = []
        bench.owner.port_data = order.append  # type: ignore[method-assign]  # one test's owner
        bench.owner.port_report = order.append  # type: ignore[method-assign]  # one test's owner
        for number in range(5):
            os.write(far.fd, b"%d" % number)
            terminal.tell(SetBreak(number % 2 == 0))
            await terminal.confirmed()
        assert order == [item for n in range(5) for item in (b"%d" % n, BreakChange(n % 2 == 0))]
        terminals.close()
        bench.close()

    run(scenario())


def test_draining_waits_until_everything_is_read_and_has_left(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = VirtualBench(tmp_path)
        far = await bench.open()
        terminals, terminal = await supervisor(bench)
        bench.port.pause_reading()
        await far.write(b"waits")
        assert not bench.virtual.all_read()
        async with asyncio.TaskGroup() as group:
            draining = group.create_task(terminal.drained())
            await turns()
            assert not bench.owner.draining
            bench.port.resume_reading()
            await until(lambda: bench.owner.draining)
            assert bench.owner.received == b"waits"
            assert bench.virtual.taken == len(b"waits")
            await turns()
            assert not draining.done()
            bench.owner.draining.pop()()
        terminals.close()
        bench.close()
        assert bench.virtual.all_read()

    run(scenario())
