"""What is particular to a port of this machine; the rest is in tests/contract/test_port.py."""

from __future__ import annotations

import asyncio
import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from portline.errors import PortAbsent, PortBusy, PortError, SettingRefused
from portline.line import (
    FlowControl,
    Item,
    LineFault,
    LineSettings,
    ModemChange,
    ModemLines,
    Parity,
    PortState,
    Query,
    SendBreak,
    SetBreak,
    SetInputs,
    SetLine,
    SetModem,
)
from portline.port.tty import device as tty
from portline.port.tty import orders, reader
from portline.port.tty import port as module
from portline.port.tty.features import Features
from portline.port.tty.port import PosixPort
from portline.port.tty.reader import FULL_READ
from portline.port.tty.rs485 import Rs485
from portline.port.tty.termios2 import VMIN, read_attributes, write_attributes
from tests.ports import SETTINGS, DeviceBench, Uart, turns, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Run


def port_with(bench: DeviceBench, settings: LineSettings = SETTINGS, **options: Any) -> PosixPort:
    bench.port = PosixPort(
        str(bench.link),
        settings,
        owner=bench.owner,
        loop=asyncio.get_running_loop(),
        **options,
    )
    return bench.port


async def chip(bench: DeviceBench, monkeypatch: pytest.MonkeyPatch) -> Uart:
    """Open the bench's port as one with modem lines."""
    monkeypatch.setattr(tty, "is_pty", lambda fd: False)
    slave = os.open(bench.link, os.O_RDWR | os.O_NOCTTY)
    found = os.dup(slave)  # the number that the port's open gets next
    os.close(found)
    uart = Uart(found, monkeypatch)
    await bench.open()
    os.close(slave)
    return uart


def test_a_configured_setting_that_the_driver_refuses(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = DeviceBench(tmp_path)
        port = port_with(bench, LineSettings(9600, 7, Parity.EVEN))
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(
            SettingRefused, match=r"data-bits = 7; it offers data-bits = 8; parity = none"
        ) as caught:
            port.open()
        assert (caught.value.setting, caught.value.value) == ("data_bits", 7)
        assert len(os.listdir("/proc/self/fd")) == before
        port = port_with(
            bench, LineSettings(flow_control=FlowControl.NONE, inbound_flow=FlowControl.HARDWARE)
        )
        with pytest.raises(SettingRefused, match="inbound-flow = hardware"):
            port.open()
        bench.close()

    run(scenario())


def test_a_refused_open_leaves_the_device_as_it_was(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = DeviceBench(tmp_path)
        before = read_attributes(bench.far.fd)
        with pytest.raises(SettingRefused):
            port_with(bench, LineSettings(4800, 7)).open()
        assert read_attributes(bench.far.fd) == before
        bench.close()

    run(scenario())


def test_a_submitted_setting_that_is_refused_is_counted_and_answered(
    run: Run, tmp_path: Path
) -> None:
    async def scenario() -> None:
        bench = DeviceBench(tmp_path)
        await bench.open()
        answers: list[PortState] = []
        bench.port.submit(SetLine(baudrate=4800, parity=Parity.EVEN), answers.append)
        assert answers[0].settings == LineSettings(4800)
        assert bench.port.refused == 1
        bench.port.submit(SetLine(data_bits=7), answers.append)
        assert bench.port.refused == 2
        bench.close()
        assert bench.port.refused == 2

    run(scenario())


def test_settings_submitted_while_absent_do_not_keep_it_absent(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = DeviceBench(tmp_path)
        bench.port.submit(SetLine(baudrate=4800, data_bits=7), lambda _: None)
        await bench.open()
        assert bench.port.state.settings == LineSettings(4800)
        assert bench.port.refused == 1
        bench.close()

    run(scenario())


def test_the_second_of_two_is_refused(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = DeviceBench(tmp_path)
        first = bench.port
        await bench.open()
        with pytest.raises(PortBusy):
            port_with(bench).open()
        shared = port_with(bench, exclusive=False)
        shared.open()
        shared.close()
        first.close()
        bench.close()

    run(scenario())


def test_a_link_that_leads_elsewhere_after_a_loss(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = DeviceBench(tmp_path)
        await bench.open()
        first = os.path.realpath(bench.link)
        occupied = os.openpty()
        bench.plug_in()
        await until(lambda: bench.owner.lost)
        far = await bench.open()
        assert (bench.port.path, os.path.realpath(bench.link) != first) == (str(bench.link), True)
        await far.write(b"new device")
        await until(lambda: bench.owner.received == b"new device")
        bench.close()
        for fd in occupied:
            os.close(fd)

    run(scenario())


def test_vmin_zero_is_not_the_end(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = DeviceBench(tmp_path)
        far = await bench.open()
        found = read_attributes(far.fd)
        cc = bytearray(found.cc)
        cc[VMIN] = 0
        other = type(found)(found.iflag, 0, found.cflag, 0, found.line, bytes(cc), 9600, 9600)
        write_attributes(far.fd, other)
        # What a read of b"" leads to; the kernel makes it rarely.
        bench.port._reader._nothing_read()
        assert read_attributes(far.fd).cc[VMIN] == 1
        await far.write(b"alive")
        await until(lambda: bench.owner.received == b"alive")
        assert bench.owner.lost == []
        bench.close()

    run(scenario())


def test_outputs_as_configured(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        bench = DeviceBench(tmp_path)
        port = port_with(bench, dtr=False, rts=True)
        assert (port.state.dtr, port.state.rts) == (False, True)
        uart = await chip(bench, monkeypatch)
        assert uart.lines == 0x004
        port.submit(SetModem(dtr=True), lambda _: None)
        assert uart.lines == 0x006
        port.close()
        assert (port.state.dtr, port.state.rts) == (True, True)
        bench.close()

    run(scenario())


def test_modem_lines_are_asked_for_and_watched(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        bench = DeviceBench(tmp_path)
        bench.port.watch(modem_lines=True, faults=False)
        uart = await chip(bench, monkeypatch)
        uart.lines |= 0x20
        answers: list[PortState] = []
        bench.port.submit(Query(Item.MODEM_LINES), answers.append)
        assert answers[0].lines == ModemLines(cts=True)
        assert bench.owner.reports == []
        await until(lambda: bench.owner.reports == [ModemChange(ModemLines(cts=True))])
        bench.port.watch(modem_lines=False, faults=True)
        uart.counters[7] += 1
        await until(lambda: bench.owner.reports[1:] == [LineFault(overrun=True)])
        bench.close()

    run(scenario())


def test_marked_faults_come_in_their_place(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        bench = DeviceBench(tmp_path)
        await bench.open()
        bench.port._tty.drains = True  # marks are for what has a line, which this pty plays
        bench.port.watch(modem_lines=False, faults=True)
        happened: list[object] = []
        bench.owner.port_data = happened.append  # type: ignore[method-assign]  # one test's owner
        bench.owner.port_report = happened.append  # type: ignore[method-assign]  # one test's owner
        monkeypatch.setattr(reader.os, "read", lambda fd, size: b"a\xff\x00bc\xff\x00\x00\xff\xff")
        bench.port._reader._readable()  # a pty cannot be made to receive a fault
        monkeypatch.undo()
        assert happened == [
            b"a",
            LineFault(framing=True),
            b"bc",
            LineFault(break_received=True),
            b"\x00\xff",
        ]
        bench.owner.port_data = lambda data: bench.port.close()  # type: ignore[method-assign]  # one test's owner
        monkeypatch.setattr(reader.os, "read", lambda fd, size: b"a\xff\x00bc")
        bench.port._reader._readable()
        monkeypatch.undo()
        assert len(happened) == 5
        bench.close()

    run(scenario())


def test_a_break_ends_by_itself(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "BREAK_LIMIT", 0.02)

    async def scenario() -> None:
        bench = DeviceBench(tmp_path)
        uart = await chip(bench, monkeypatch)
        uart.took()
        bench.port.submit(SetBreak(on=True), lambda _: None)
        assert bench.port.state.break_on
        await until(lambda: not bench.port.state.break_on)
        answers: list[PortState] = []
        bench.port.submit(SendBreak(60.0), answers.append)
        assert bench.port.state.break_on
        await until(lambda: answers)
        bench.port.submit(SetBreak(on=True), answers.append)
        bench.port.close()
        assert uart.took() == ["TIOCSBRK", "TIOCCBRK"] * 3
        bench.close()

    run(scenario())


def test_a_driver_without_breaks(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        bench = DeviceBench(tmp_path)
        uart = await chip(bench, monkeypatch)
        uart.broken = {"TIOCSBRK"}
        answers: list[PortState] = []
        bench.port.submit(SendBreak(60.0), answers.append)
        bench.port.submit(SetBreak(on=True), answers.append)
        assert [state.break_on for state in answers] == [False, False]
        assert bench.port.refused == 2
        bench.close()

    run(scenario())


def test_a_chip_is_idle_when_its_transmitter_says_so(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        bench = DeviceBench(tmp_path)
        uart = await chip(bench, monkeypatch)
        uart.unsent = 10
        bench.port.write(b"x")
        assert not bench.port.state.idle
        answers: list[PortState] = []
        bench.port.submit(SetModem(rts=False), answers.append)
        await turns()
        assert answers == []
        uart.unsent, uart.transmitter_empty = 0, True
        await until(lambda: answers)
        assert bench.port.state.idle
        bench.close()

    run(scenario())


def test_a_device_that_goes_while_it_is_configured(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(fd: int) -> None:
        raise OSError(5, "Input/output error")

    async def scenario() -> None:
        bench = DeviceBench(tmp_path)
        monkeypatch.setattr(module, "read_attributes", fail)
        with pytest.raises(PortAbsent, match="went away"):
            bench.port.open()
        bench.close()

    run(scenario())


def test_a_loop_that_cannot_watch_one_more(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(fd: int, callback: object) -> None:
        raise OSError(28, "No space left on device")

    async def scenario() -> None:
        bench = DeviceBench(tmp_path)
        port = port_with(bench)
        port._loop = SimpleNamespace(add_reader=fail, remove_reader=lambda fd: None)
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(PortError, match="No space left"):
            port.open()
        assert (port.path, len(os.listdir("/proc/self/fd"))) == (None, before)
        bench.close()

    run(scenario())


def test_what_the_contract_leaves_to_nobody(run: Run, tmp_path: Path) -> None:
    """A port that is closed answers whoever asks late."""

    async def scenario() -> None:
        bench = DeviceBench(tmp_path)
        port = port_with(bench)
        assert (port.carry_out(SetLine()), port.unsent(), port.empty()) == (0.0, 0, None)
        port.drop_unsent()
        port.failed(OSError(5, "late"))
        await turns(1)
        assert bench.owner.lost == []
        bench.close()

    run(scenario())


def test_a_full_read_is_followed_by_more_until_one_is_not(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        bench = DeviceBench(tmp_path)
        await bench.open()
        full = b"x" * FULL_READ
        answers: list[bytes | OSError] = []

        def read(fd: int, size: int) -> bytes:
            answer = answers.pop(0)
            if isinstance(answer, OSError):
                raise answer
            return answer

        monkeypatch.setattr(reader.os, "read", read)
        empty = BlockingIOError(11, "Resource temporarily unavailable")
        for reads, size in (
            ([b"short"], 5),
            ([full, b"short"], FULL_READ + 5),
            ([full, full, empty], 2 * FULL_READ),
            ([full] * 16, 16 * FULL_READ),
            ([empty], 0),
        ):
            answers, bench.owner.chunks = list(reads), []
            bench.port._reader._readable()
            assert (answers, sum(map(len, bench.owner.chunks))) == ([], size)
            assert len(bench.owner.chunks) == (size > 0)
        answers = [OSError(5, "Input/output error")]
        bench.port._reader._readable()
        monkeypatch.undo()
        [error] = bench.owner.lost
        assert "Input/output error" in str(error)
        bench.close()

    run(scenario())


def test_pausing_outlives_the_device(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "PAUSED_POLL", 0.01)

    async def scenario() -> None:
        bench = DeviceBench(tmp_path)
        bench.port.pause_reading()
        bench.port.resume_reading()
        bench.port.pause_reading()
        far = await bench.open()
        await far.write(b"held")
        await turns(10)
        assert (bench.owner.chunks, bench.owner.lost) == ([], [])
        bench.unplug()
        await until(lambda: bench.owner.lost)
        bench.plug_in()
        far = await bench.open()
        await far.write(b"held again")
        await turns()
        assert bench.owner.chunks == []
        bench.port.resume_reading()
        await until(lambda: bench.owner.received == b"held again")
        bench.close()

    run(scenario())


def test_what_a_real_port_reads_comes_from_the_device(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = DeviceBench(tmp_path)
        answers: list[PortState] = []
        bench.port.submit(SetInputs(ModemLines(cts=True)), answers.append)
        await bench.open()
        bench.port.submit(SetInputs(ModemLines(cts=True)), answers.append)
        assert [state.lines for state in answers] == [ModemLines()] * 2
        assert bench.port.refused == 2
        bench.close()

    run(scenario())


def test_closing_leaves_the_outputs_as_they_were_asked_for_last(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the device takes nothing, so that the request never had its turn."""

    async def scenario() -> None:
        bench = DeviceBench(tmp_path)
        uart = await chip(bench, monkeypatch)
        bench.port.write(bytes(1 << 20))
        bench.port.submit(SetModem(dtr=False), lambda _: None)
        bench.port.submit(SetModem(rts=False), lambda _: None)
        bench.port.submit(SetModem(rts=True), lambda _: None)
        assert uart.took() == []
        bench.port.close()
        assert uart.took() == ["TIOCMBIC"]
        assert uart.lines == 0x004
        assert (bench.port.state.dtr, bench.port.state.rts) == (False, True)
        bench.close()

    run(scenario())


def test_a_device_tells_whether_it_has_lines(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(monkeypatch: pytest.MonkeyPatch, *, lines: bool) -> None:
        bench = DeviceBench(tmp_path)
        port = port_with(bench)
        assert port.has_lines  # until it is known better
        if lines:
            await chip(bench, monkeypatch)
        else:
            await bench.open()
        assert port.has_lines is lines
        port.close()
        assert port.has_lines is lines
        bench.close()

    run(scenario(monkeypatch, lines=False))
    with monkeypatch.context() as patched:
        run(scenario(patched, lines=True))


# --- features of the driver -----------------------------------------------------------------------


def test_rts_goes_up_and_down_around_what_is_written(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        bench = DeviceBench(tmp_path)
        bench.port = port_with(bench, features=Features(Rs485()))
        uart = await chip(bench, monkeypatch)
        uart.transmitter_empty = True
        assert uart.took() == ["TIOCMBIC"]
        assert not bench.port.state.rts
        assert bench.port.hardware is not None
        assert bench.port.hardware.features == ("RS-485 (software)",)
        uart.took()
        bench.port.write(b"question")
        uart.transmitter_empty = False
        assert uart.took() == ["TIOCMBIS"]
        await bench.far.expect(b"question")
        await turns()
        assert bench.port.state.rts
        uart.transmitter_empty = True
        await until(lambda: not bench.port.state.rts)
        await bench.far.write(b"answer")
        await until(lambda: bench.owner.received == b"answer")
        # RTS is not the peer's, DTR is.
        states: list[PortState] = []
        bench.port.submit(SetModem(dtr=False, rts=True), states.append)
        assert (states[0].dtr, states[0].rts, bench.port.refused) == (False, False, 1)
        bench.port.write(b"x")
        bench.close()
        assert uart.lines & 0x006 == 0
        assert bench.port.hardware is None

    run(scenario())


def test_a_delay_before_the_first_bit(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        bench = DeviceBench(tmp_path)
        bench.port = port_with(bench, features=Features(Rs485(before=0.03)))
        uart = await chip(bench, monkeypatch)
        uart.transmitter_empty = True
        bench.port.write(b"que")
        bench.port.write(b"stion")
        assert bench.port.state.rts
        assert bench.far.read() == b""
        await bench.far.expect(b"question")
        await until(lambda: not bench.port.state.rts)
        bench.close()

    run(scenario())


def test_a_feature_that_is_refused_leaves_the_port_closed(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = DeviceBench(tmp_path)
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(SettingRefused, match="no low latency"):
            port_with(bench, features=Features(low_latency=True)).open()
        with pytest.raises(SettingRefused, match="nor has the port an RTS"):
            port_with(bench, features=Features(Rs485())).open()
        assert len(os.listdir("/proc/self/fd")) == before
        bench.close()

    run(scenario())


def test_a_device_that_does_not_answer_is_told_of_once(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = [0.0]

    def late(self: tty.Tty, asked: LineSettings) -> list[str]:
        clock[0] += 5.0
        return []

    async def scenario() -> None:
        bench = DeviceBench(tmp_path)
        port = port_with(bench)
        await bench.open()
        monkeypatch.setattr(orders, "monotonic", lambda: clock[0])
        with monkeypatch.context() as patched:
            patched.setattr(tty.Tty, "configure", late)
            for rate in (1200, 2400):
                bench.port.submit(SetLine(baudrate=rate))
        bench.port.submit(SetLine(baudrate=4800))
        assert [record.getMessage() for record in caplog.records] == [
            f"{port.name}: the device took 5.0 s to answer its driver, and all other ports waited "
            "meanwhile; replug it, or share it from a Portline of its own"
        ]
        bench.close()

    run(scenario())
