"""What is particular to a virtual port; the rest is in tests/contract/test_port.py."""

from __future__ import annotations

import errno
import os
import random
import termios
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import serial

from portline.errors import PortBusy, PortError
from portline.line import (
    FlowControl,
    LineChange,
    LineSettings,
    ModemChange,
    ModemLines,
    Parity,
    PortState,
    SetBreak,
    SetInputs,
    SetLine,
    SetModem,
    StopBits,
)
from portline.port.pty.master import Master
from portline.port.pty.port import PtyPort
from portline.port.tty.termios2 import CBAUD, decode, read_attributes, write_attributes
from tests.ports import FLAGS, SETTINGS, FarEnd, VirtualBench, turns, until
from tests.unit.port.far_end import UP, set_line

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Run

OFF = ModemLines()


def test_applications_come_and_go(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = VirtualBench(tmp_path)
        bench.port.open()
        assert bench.port.path == str(tmp_path / "virtual")
        for count in range(1, 4):
            far = await bench.application()
            assert bench.virtual.application.there
            far.close()
            await until(lambda count=count: bench.owner.used == [True, False] * count)
        bench.close()
        assert not os.path.lexists(tmp_path / "virtual")

    run(scenario())


def test_a_name_that_is_taken_away_is_told(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = VirtualBench(tmp_path)
        assert bench.port.trouble is None
        far = await bench.open()
        assert bench.port.trouble is None
        os.unlink(str(bench.port.path))
        assert "does not lead to the virtual port any more" in str(bench.port.trouble)
        far.close()
        bench.close()
        assert bench.port.trouble is None

    run(scenario())


def test_the_port_is_in_use_until_the_last_one_closes(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = VirtualBench(tmp_path)
        far = await bench.open()
        second = os.open(str(bench.port.path), FLAGS)
        far.close()
        await turns()
        assert bench.owner.used == [True]
        os.close(second)
        await until(lambda: bench.owner.used == [True, False])
        bench.close()

    run(scenario())


def test_an_idle_port_costs_nothing(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = VirtualBench(tmp_path)
        far = await bench.open()
        far.close()
        await until(lambda: bench.owner.used == [True, False])
        looks: list[int] = []
        real = Master.look
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Master, "look", lambda self: looks.append(1) or real(self))
            await turns(2)  # the looks that our own preparation caused
            looks.clear()
            await turns(10)
            assert looks == []
        bench.close()

    run(scenario())


def test_an_application_that_writes_and_closes_at_once_loses_nothing(
    run: Run, tmp_path: Path
) -> None:
    data = random.Random(3).randbytes(8000)

    async def scenario() -> None:
        bench = VirtualBench(tmp_path)
        bench.port.open()
        for count in range(1, 4):
            fd = os.open(str(bench.port.path), FLAGS)
            written = 0
            while written < len(data):  # a signal may divide it (tty_io.c, iterate_tty_write)
                written += os.write(fd, data[written:])
            os.close(fd)
            await until(lambda count=count: bench.owner.used == [True, False] * count)
            assert bench.owner.received == data * count
        bench.close()

    run(scenario())


def test_last_words_wait_while_reading_is_paused(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = VirtualBench(tmp_path)
        far = await bench.open()
        bench.port.pause_reading()
        await far.write(b"last words")
        far.close()
        await turns()
        assert bench.owner.used == [True]
        bench.port.resume_reading()
        await until(lambda: bench.owner.used == [True, False])
        assert bench.owner.received == b"last words"
        bench.close()

    run(scenario())


def test_an_application_that_leaves_while_reading_is_paused(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = VirtualBench(tmp_path)
        far = await bench.open()
        bench.port.pause_reading()
        far.close()
        await until(lambda: bench.owner.used == [True, False])
        await bench.application()
        bench.close()

    run(scenario())


def test_nothing_stale_awaits_the_next_application(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = VirtualBench(tmp_path)
        far = await bench.open()
        bench.port.write(b"never read" * 10_000)
        assert bench.owner.full == [True]
        far.close()
        await until(lambda: bench.owner.used == [True, False])
        await until(lambda: bench.owner.full == [True, False])
        assert (bench.port.queued, bench.port.discarded > 70_000) == (0, True)
        before = bench.port.discarded
        bench.port.write(b"nobody")
        assert bench.port.discarded == before + len(b"nobody")
        far = await bench.application()
        bench.port.write(b"fresh")
        await far.expect(b"fresh")
        bench.close()

    run(scenario())


@pytest.mark.parametrize(
    ("asked", "seen"),
    [
        (LineSettings(9600), LineSettings(9600)),
        (LineSettings(12345), LineSettings(12345)),
        (LineSettings(stop_bits=StopBits.TWO), LineSettings(stop_bits=StopBits.TWO)),
        (LineSettings(parity=Parity.ODD), LineSettings(parity=Parity.ODD)),
        (LineSettings(parity=Parity.MARK), LineSettings(parity=Parity.MARK)),
        (LineSettings(parity=Parity.SPACE), LineSettings(parity=Parity.SPACE)),
        (LineSettings(parity=Parity.EVEN, data_bits=7), LineSettings()),
        (LineSettings(flow_control=FlowControl.HARDWARE),) * 2,
        (LineSettings(flow_control=FlowControl.XON_XOFF),) * 2,
    ],
)
def test_the_applications_settings_are_reported(
    run: Run, tmp_path: Path, asked: LineSettings, seen: LineSettings
) -> None:
    async def scenario() -> None:
        bench = VirtualBench(tmp_path)
        far = await bench.open()
        assert bench.virtual.application.settings == SETTINGS
        set_line(far, asked)
        await until(lambda: bench.owner.reports == [LineChange(seen)])
        assert bench.virtual.application.settings == seen
        far.close()
        await until(lambda: not bench.virtual.application.there)
        await bench.application()
        assert len(bench.owner.reports) == 1
        bench.close()

    run(scenario())


def test_settings_made_and_left_are_reported(run: Run, tmp_path: Path) -> None:
    """``stty -F`` is such an application."""

    async def scenario() -> None:
        bench = VirtualBench(tmp_path)
        bench.port.open()
        far = FarEnd(os.open(str(bench.port.path), FLAGS))
        set_line(far, LineSettings(1200))
        far.close()
        await until(lambda: bench.owner.reports == [LineChange(LineSettings(1200))])
        bench.close()

    run(scenario())


def test_data_never_runs_ahead_of_its_settings(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = VirtualBench(tmp_path)
        far = await bench.open()
        happened: list[object] = []
        bench.owner.port_data = happened.append  # type: ignore[method-assign]  # one test's owner
        bench.owner.port_report = happened.append  # type: ignore[method-assign]  # one test's owner
        for rate in (1200, 2400, 4800, 9600):
            set_line(far, LineSettings(rate))
            await far.write(str(rate).encode())
            await until(lambda rate=rate: str(rate).encode() in happened)
        assert happened == [
            LineChange(LineSettings(1200)),
            b"1200",
            LineChange(LineSettings(2400)),
            b"2400",
            LineChange(LineSettings(4800)),
            b"4800",
            LineChange(LineSettings(9600)),
            b"9600",
        ]
        bench.close()

    run(scenario())


def test_hanging_up_keeps_the_rate(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = VirtualBench(tmp_path)
        far = await bench.open()
        found = read_attributes(far.fd)
        cflag = found.cflag & ~CBAUD | termios.CSTOPB
        write_attributes(far.fd, type(found)(0, 0, cflag, 0, 0, found.cc, 0, 0))
        two = LineSettings(SETTINGS.baudrate, stop_bits=StopBits.TWO)
        await until(lambda: bench.owner.reports == [LineChange(two)])
        bench.close()

    run(scenario())


def hang_up(far: FarEnd) -> None:
    found = read_attributes(far.fd)
    write_attributes(far.fd, replace(found, cflag=found.cflag & ~CBAUD, ispeed=0, ospeed=0))


def test_opening_raises_the_applications_outputs_and_closing_drops_them(
    run: Run, tmp_path: Path
) -> None:
    async def scenario() -> None:
        bench = VirtualBench(tmp_path)
        bench.port.open()
        assert bench.port.state.lines == OFF
        for count in range(1, 3):
            far = await bench.application()
            assert bench.port.state.lines == UP
            far.close()
            await until(lambda count=count: bench.owner.used == [True, False] * count)
        assert bench.owner.lines == [UP, OFF] * 2
        bench.close()

    run(scenario())


def test_a_rate_of_zero_drops_the_outputs_until_another_is_set(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = VirtualBench(tmp_path)
        far = await bench.open()
        hang_up(far)
        await until(lambda: bench.owner.lines == [UP, OFF])
        set_line(far, LineSettings(1200))
        await until(lambda: bench.owner.lines == [UP, OFF, UP])
        hang_up(far)
        await until(lambda: bench.owner.lines == [UP, OFF, UP, OFF])
        far.close()
        await until(lambda: bench.owner.used == [True, False])
        far = await bench.application()  # which finds the rate of the last one, as on a real port
        await turns()
        assert bench.port.state.lines == OFF
        set_line(far, LineSettings(1200))
        await until(lambda: bench.owner.lines == [UP, OFF, UP, OFF, UP])
        bench.close()

    run(scenario())


def test_who_knows_the_outputs_exactly_tells_them(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = VirtualBench(tmp_path)
        await bench.open()
        bench.virtual.application.drive(dtr=True, rts=True)
        bench.virtual.application.drive(dtr=True, rts=False)
        bench.virtual.application.drive(dtr=False, rts=True)
        assert bench.owner.lines == [UP, ModemLines(dsr=True, dcd=True), ModemLines(cts=True)]
        bench.port.close()
        assert bench.port.state.lines == OFF
        bench.close()

    run(scenario())


def test_a_port_that_is_lost_drops_its_lines_first(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = VirtualBench(tmp_path)
        await bench.open()
        happened: list[object] = []
        bench.owner.port_report = happened.append  # type: ignore[method-assign]  # one test's owner
        bench.owner.port_lost = happened.append  # type: ignore[method-assign]  # one test's owner
        error = PortError("virtual", "gone")
        bench.virtual._lose(error)
        assert happened == [ModemChange(OFF), error]
        bench.close()

    run(scenario())


def test_the_inputs_are_driven_at_once_whatever_waits(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = VirtualBench(tmp_path)
        bench.port.submit(SetInputs(ModemLines(ri=True)), lambda _: None)
        assert bench.virtual.application.inputs == ModemLines(ri=True)
        await bench.open()
        bench.port.write(bytes(1 << 20))
        assert bench.port.queued
        answers: list[str] = []
        bench.port.submit(SetLine(baudrate=300), lambda _: answers.append("line"))
        bench.port.submit(SetInputs(UP), lambda _: answers.append("inputs"))
        assert bench.virtual.application.inputs == UP
        assert answers == ["inputs"]
        assert bench.port.refused == 0
        bench.close()

    run(scenario())


def test_what_is_submitted_never_changes_the_applications_settings(
    run: Run, tmp_path: Path
) -> None:
    async def scenario() -> None:
        bench = VirtualBench(tmp_path)
        far = await bench.open()
        answers: list[PortState] = []
        for request in (
            SetLine(baudrate=300, data_bits=7, parity=Parity.EVEN),
            SetModem(dtr=False, rts=True),
            SetBreak(on=True),
        ):
            bench.port.submit(request, answers.append)
        assert answers[-1] == PortState(
            LineSettings(300, 7, Parity.EVEN), dtr=False, rts=True, break_on=True, lines=UP
        )
        assert decode(read_attributes(far.fd)) == SETTINGS
        assert bench.virtual.application.settings == SETTINGS
        assert bench.port.refused == 0
        bench.close()

    run(scenario())


def test_an_application_that_flushes_gets_only_what_comes_later(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = VirtualBench(tmp_path)
        far = await bench.open()
        bench.port.write(b"old" * 20_000)
        termios.tcflush(far.fd, termios.TCIOFLUSH)
        await until(lambda: bench.port.queued == 0)
        bench.port.write(b"new")
        await until(lambda: far.read() == b"" and far.received.endswith(b"new"))
        bench.close()

    run(scenario())


def test_a_program_with_pyserial(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = VirtualBench(tmp_path)
        bench.port.open()
        with serial.Serial(bench.port.path, 19200, timeout=0) as program:
            program.write(b"\x11\x13\x00\xff\r\n")
            await until(lambda: bench.owner.received == b"\x11\x13\x00\xff\r\n")
            assert bench.virtual.application.settings == LineSettings(19200)
            bench.port.write(b"\x11\x13\x00\xff\r\n")
            await until(lambda: program.in_waiting == 6)
            assert program.read(10) == b"\x11\x13\x00\xff\r\n"
            program.baudrate = 38400
            await until(lambda: bench.virtual.application.settings == LineSettings(38400))
        await until(lambda: bench.owner.used == [True, False])
        bench.close()

    run(scenario())


# --- opening --------------------------------------------------------------------------------------


def test_two_ports_of_one_name(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        first, second = VirtualBench(tmp_path), VirtualBench(tmp_path)
        first.port.open()
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(PortBusy, match="another virtual port"):
            second.port.open()
        assert second.port.path is None
        assert len(os.listdir("/proc/self/fd")) == before
        first.close()
        second.port.open()
        second.close()

    run(scenario())


def test_a_terminal_that_fails_ends_the_port(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(fd: int, data: bytes) -> int:
        raise OSError(errno.EIO, "Input/output error")

    async def scenario() -> None:
        bench = VirtualBench(tmp_path)
        await bench.open()
        with monkeypatch.context() as patched:
            patched.setattr(os, "write", fail)
            bench.port.write(b"x" * 100_000)
        assert bench.owner.lost == []
        await until(lambda: bench.owner.lost)
        assert bench.owner.used == [True, False]
        assert bench.owner.full == [True, False]
        bench.virtual.failed(OSError(5, "late"))
        await turns(1)
        assert len(bench.owner.lost) == 1
        bench.close()

    run(scenario())


def test_a_port_that_was_just_made_has_a_plain_path_and_default_settings(
    run: Run, tmp_path: Path
) -> None:
    async def scenario() -> None:
        bench = VirtualBench(tmp_path)
        port = PtyPort(
            str(tmp_path / "sub" / ".." / "path"), owner=bench.owner, loop=bench.virtual._loop
        )
        port.watch(modem_lines=True, faults=True)
        (tmp_path / "sub").mkdir()
        port.open()
        assert port.path == str(tmp_path / "path")
        assert port.application.settings == LineSettings()
        assert (port.unsent(), port.empty()) == (0, True)
        port.close()
        bench.close()

    run(scenario())
