"""The contract of :mod:`portline.port.base`, held against every port there is, on every loop."""

from __future__ import annotations

import contextlib
import gc
import os
import random
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import pytest

from portline.errors import PortAbsent, UsageError
from portline.line import (
    Item,
    LineSettings,
    ModemLines,
    PortState,
    Purge,
    Query,
    Request,
    SendBreak,
    SetBreak,
    SetInputs,
    SetLine,
    SetModem,
)
from portline.port.base import QUEUE_HIGH, QUEUE_LOW, READ_LIMIT, REQUEST_COST
from portline.port.tty.port import PosixPort
from tests.cuse_kernel import CuseBench, StrictCuseBench
from tests.cuse_lab import KernelCuseBench
from tests.lab.uart import UartBench
from tests.ports import Bench as HostBench
from tests.ports import DeviceBench, StrictBench, VirtualBench, turns, until
from tests.usb_bench import AcmBench, FtdiBench, UsbBench
from tests.usb_lab import KernelAcmBench, KernelBench, KernelFtdiBench, KernelStrictBench

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Run

Bench = HostBench | UartBench
Scenario = Callable[[Bench], Coroutine[Any, Any, None]]
Check = Callable[[Scenario], None]


BENCHES = {
    "device": DeviceBench,
    "virtual": VirtualBench,
    "strict": StrictBench,
    "pl2303": UsbBench,
    "ftdi": FtdiBench,
    "cdc-acm": AcmBench,
    "cuse": CuseBench,
    "cuse-strict": StrictCuseBench,
}

LAB_BENCHES = {
    "uart": UartBench,
    "kernel-pl2303": KernelBench,
    "kernel-strict": KernelStrictBench,
    "kernel-ftdi": KernelFtdiBench,
    "kernel-cdc-acm": KernelAcmBench,
    "kernel-cuse": KernelCuseBench,
}

LONG = {"kernel-ftdi", "kernel-cdc-acm"}
"""Those whose own tests (tests/lab/test_usbip.py) are enough for each run of the lab."""


@pytest.fixture(
    params=[
        *(pytest.param(bench, id=name) for name, bench in BENCHES.items()),
        *(
            pytest.param(
                bench,
                id=name,
                marks=[pytest.mark.lab, *([pytest.mark.long] if name in LONG else [])],
            )
            for name, bench in LAB_BENCHES.items()
        ),
    ]
)
def check(request: pytest.FixtureRequest, run: Run, tmp_path: Path) -> Check:
    """Run a scenario with one kind of port on one kind of loop, and look for leaks."""

    def check_it(scenario: Scenario) -> None:
        async def whole() -> None:
            before = len(os.listdir("/proc/self/fd"))
            bench = request.param(tmp_path)
            try:
                await scenario(bench)
            finally:
                bench.close()
            gc.collect()
            assert len(os.listdir("/proc/self/fd")) == before

        run(whole())

    return check_it


def test_data_passes_in_both_directions(check: Check) -> None:
    async def scenario(bench: Bench) -> None:
        far = await bench.open()
        bench.port.write(b"to the line")
        await far.expect(b"to the line")
        await far.write(b"from the line")
        await until(lambda: bench.owner.received == b"from the line")

    check(scenario)


def test_every_byte_value_passes(check: Check) -> None:
    everything = bytes(range(256)) * 3

    async def scenario(bench: Bench) -> None:
        far = await bench.open()
        bench.port.write(everything)
        await far.expect(everything)
        await far.write(everything)
        await until(lambda: bench.owner.received == everything)

    check(scenario)


def test_much_data_passes_unchanged_both_ways_at_once(check: Check) -> None:
    async def scenario(bench: Bench) -> None:
        there, back = (random.Random(seed).randbytes(bench.much) for seed in (1, 2))
        far = await bench.open()
        bench.port.write(there)
        rest = memoryview(back)

        def done() -> bool:
            nonlocal rest
            far.read()
            with contextlib.suppress(BlockingIOError):
                rest = rest[os.write(far.fd, rest[:8192]) :]
            return len(far.received) == len(there) and bench.owner.received == back

        await until(done)
        assert far.received == there
        assert max(map(len, bench.owner.chunks)) <= READ_LIMIT
        assert bench.port.queued == 0

    check(scenario)


def test_requests_are_answered_in_order_and_at_once_when_nothing_waits(check: Check) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.open()
        answers: list[int] = []
        for number in range(100):
            rate = 1000 + number
            bench.port.submit(SetLine(baudrate=rate), lambda s: answers.append(s.settings.baudrate))
        assert answers == list(range(1000, 1100))
        assert bench.port.state.settings == LineSettings(baudrate=1099)
        assert bench.port.refused == 0

    check(scenario)


def test_every_request_is_answered_exactly_once(check: Check) -> None:
    requests: list[Request] = [
        SetLine(baudrate=19200),
        SetModem(dtr=False, rts=False),
        SetModem(dtr=True),
        SetBreak(on=True),
        SetBreak(on=False),
        SendBreak(0.01),
        SendBreak(0.0),
        Purge(received=True, unsent=True),
        Purge(),
        SetLine(),
        SetLine(baudrate=0),
        SetLine(data_bits=9),
        *map(Query, Item),
    ]

    async def scenario(bench: Bench) -> None:
        await bench.open()
        answers: list[Request] = []
        for request in requests:
            bench.port.submit(request, lambda _state, request=request: answers.append(request))
        await until(lambda: len(answers) == len(requests))
        assert answers == requests
        state = bench.port.state
        assert (state.dtr, state.rts, state.break_on) == (True, False, False)

    check(scenario)


def test_inputs_are_driven_or_refused_at_once_whatever_waits(check: Check) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.open()
        answers: list[str] = []
        bench.port.write(b"a" * 100_000)
        bench.port.submit(SetLine(baudrate=4800), lambda _: answers.append("line"))
        bench.port.submit(SetInputs(ModemLines(cts=True)), lambda _: answers.append("inputs"))
        assert answers == ["inputs"]
        assert bench.port.refused == (1 if isinstance(bench.port, PosixPort) else 0)

    check(scenario)


def test_a_request_waits_for_the_data_before_it_and_holds_what_follows(check: Check) -> None:
    async def scenario(bench: Bench) -> None:
        far = await bench.open()
        answers: list[PortState] = []
        before, after = b"a" * 50_000, b"b" * 50_000
        bench.port.write(before)
        bench.port.submit(SetLine(baudrate=4800), answers.append)
        bench.port.write(after)
        assert bench.port.queued > REQUEST_COST
        assert not bench.port.state.idle
        await turns()
        assert answers == []
        await far.expect(before + after)
        assert [state.settings.baudrate for state in answers] == [4800]

    check(scenario)


def test_writing_and_submitting_from_within_an_answer(check: Check) -> None:
    async def scenario(bench: Bench) -> None:
        far = await bench.open()
        answers: list[str] = []

        def first(_state: PortState) -> None:
            answers.append("first")
            bench.port.submit(SetModem(rts=False), lambda _: answers.append("third"))
            bench.port.write(b"written in between")

        bench.port.submit(SetModem(dtr=False), first)
        bench.port.submit(SetModem(dtr=True), lambda _: answers.append("second"))
        await far.expect(b"written in between")
        assert sorted(answers) == ["first", "second", "third"]
        assert answers[0] == "first"

    check(scenario)


def test_back_pressure_is_told_once_in_each_direction(check: Check) -> None:
    data = b"x" * 1000

    async def scenario(bench: Bench) -> None:
        far = await bench.open()
        written = 0
        while not bench.owner.full:
            bench.port.write(data)
            written += len(data)
        assert QUEUE_HIGH < bench.port.queued <= QUEUE_HIGH + len(data)
        bench.port.write(data)
        written += len(data)
        assert bench.owner.full == [True]
        while bench.port.queued > QUEUE_LOW:
            assert bench.owner.full == [True]
            far.read()
            await turns(1)
        await until(lambda: bench.owner.full == [True, False])
        await far.expect(b"x" * written)
        assert bench.owner.full == [True, False]

    check(scenario)


def test_nothing_is_read_while_paused_and_nothing_is_lost(check: Check) -> None:
    async def scenario(bench: Bench) -> None:
        far = await bench.open()
        bench.port.pause_reading()
        bench.port.pause_reading()
        await far.write(b"held")
        await turns()
        assert bench.owner.chunks == []
        bench.port.resume_reading()
        bench.port.resume_reading()
        await until(lambda: bench.owner.received == b"held")

    check(scenario)


def test_pausing_from_within_a_callback_holds_the_next_chunk(check: Check) -> None:
    async def scenario(bench: Bench) -> None:
        far = await bench.open()
        keep = bench.owner.port_data

        def pause(data: bytes) -> None:
            keep(data)
            bench.port.pause_reading()

        bench.owner.port_data = pause  # type: ignore[method-assign]  # this one test's owner
        await far.write(b"1")
        await until(lambda: bench.owner.received == b"1")
        await far.write(b"2")
        await turns()
        assert bench.owner.received == b"1"
        bench.port.resume_reading()
        await until(lambda: bench.owner.received == b"12")

    check(scenario)


def test_purging_unsent_data_drops_it_and_keeps_the_requests(check: Check) -> None:
    async def scenario(bench: Bench) -> None:
        far = await bench.open()
        answers: list[str] = []
        bench.port.write(b"a" * 100_000)
        bench.port.submit(SetLine(baudrate=2400), lambda _: answers.append("line"))
        bench.port.write(b"b" * 1000)
        bench.port.submit(Purge(unsent=True), lambda _: answers.append("purge"))
        bench.port.write(b"after")
        await until(lambda: answers == ["line", "purge"])
        assert bench.port.state.settings.baudrate == 2400
        assert bench.port.discarded > 70_000
        await until(lambda: far.read() == b"" and far.received.endswith(b"after"))
        assert b"b" not in far.received
        await until(lambda: bench.port.queued == 0)

    check(scenario)


def test_purging_received_data_empties_the_kernel(check: Check) -> None:
    async def scenario(bench: Bench) -> None:
        far = await bench.open()
        bench.port.pause_reading()
        await far.write(b"old")
        await turns()
        answers: list[PortState] = []
        bench.port.submit(Purge(received=True), answers.append)
        assert len(answers) == 1
        bench.port.resume_reading()
        await far.write(b"new")
        await until(lambda: bench.owner.received.endswith(b"new"))
        assert bench.owner.received == b"new"

    check(scenario)


def test_closing_answers_what_waits_and_calls_nobody_afterwards(check: Check) -> None:
    async def scenario(bench: Bench) -> None:
        far = await bench.open()
        answers: list[PortState] = []
        before = bench.port.state.settings
        bench.port.write(b"x" * 100_000)
        bench.port.submit(SetLine(baudrate=2400), answers.append)
        bench.port.submit(Query(Item.BAUDRATE), answers.append)
        bench.port.close()
        assert [state.settings for state in answers] == [before, before]
        assert bench.port.path is None
        assert bench.port.queued == 0
        assert bench.port.discarded > 70_000
        told = (list(bench.owner.full), list(bench.owner.used), list(bench.owner.lost))
        bench.port.close()
        await turns()
        assert (bench.owner.full, bench.owner.used, bench.owner.lost) == told
        assert len(answers) == 2
        far.close()

    check(scenario)


def test_a_closed_port_discards_data_and_remembers_requests(check: Check) -> None:
    async def scenario(bench: Bench) -> None:
        answers: list[PortState] = []
        bench.port.write(b"nobody hears")
        assert bench.port.discarded == len(b"nobody hears")
        bench.port.submit(SetLine(baudrate=4800), answers.append)
        bench.port.submit(SetModem(dtr=False, rts=True), answers.append)
        bench.port.submit(Purge(True, True), answers.append)
        assert [state.settings.baudrate for state in answers] == [4800, 4800, 4800]
        far = await bench.open()
        state = bench.port.state
        assert (state.settings.baudrate, state.dtr, state.rts) == (4800, False, True)
        bench.port.write(b"heard")
        await far.expect(b"heard")

    check(scenario)


def test_opening_twice_is_the_callers_mistake(check: Check) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.open()
        with pytest.raises(UsageError):
            bench.port.open()

    check(scenario)


def test_closing_from_within_each_callback(check: Check) -> None:
    async def scenario(bench: Bench) -> None:
        far = await bench.open()
        bench.owner.port_data = lambda data: bench.port.close()  # type: ignore[method-assign]  # one test's owner
        await far.write(b"x")
        await until(lambda: bench.port.path is None)
        far.close()
        await turns()
        assert bench.owner.lost == []

    check(scenario)


def test_closing_from_within_an_answer(check: Check) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.open()
        answers: list[PortState] = []
        bench.port.write(b"x" * 100_000)
        bench.port.submit(SetLine(baudrate=1200), answers.append)

        def close(state: PortState) -> None:
            answers.append(state)
            bench.port.close()

        bench.port.submit(Purge(unsent=True), close)
        await until(lambda: bench.port.path is None)
        assert len(answers) == 2

    check(scenario)


@pytest.mark.parametrize(
    "times",
    [pytest.param(50, marks=pytest.mark.covered), pytest.param(300, marks=pytest.mark.slow)],
)
def test_opening_and_closing_many_times_leaks_nothing(check: Check, times: int) -> None:
    async def scenario(bench: Bench) -> None:
        bench.port.open()
        bench.port.close()
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(min(times, bench.often)):
            bench.port.open()
            bench.port.close()
        assert len(os.listdir("/proc/self/fd")) == before
        far = await bench.open()
        bench.port.write(b"still fine")
        await far.expect(b"still fine")

    check(scenario)


def test_watching_does_not_change_the_data(check: Check) -> None:
    everything = bytes(range(256)) + b"\xff" * 5 + b"\xff\x00\xff\x00A\x00" * 3

    async def scenario(bench: Bench) -> None:
        far = await bench.open()
        expected = b""
        for faults in (False, True, True, False, True, False):
            bench.port.watch(modem_lines=faults, faults=faults)
            await turns()
            expected += everything
            await far.write(everything)
            await until(lambda expected=expected: len(bench.owner.received) >= len(expected))
            assert bench.owner.received == expected
        assert bench.owner.reports == []

    check(scenario)


# --- loss -----------------------------------------------------------------------------------------


def test_loss_is_told_once_and_answers_what_waits(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = DeviceBench(tmp_path)
        await bench.open()
        answers: list[PortState] = []
        bench.port.write(b"x" * 200_000)
        bench.port.submit(SetModem(dtr=False), answers.append)
        assert bench.owner.full == [True]
        bench.unplug()
        await until(lambda: bench.owner.lost)
        await turns()
        [error] = bench.owner.lost
        assert isinstance(error, PortAbsent)
        assert len(answers) == 1
        assert bench.port.path is None
        assert bench.owner.full == [True, False]
        bench.port.write(b"into the void")
        assert bench.port.discarded > 170_000
        bench.close()
        assert len(bench.owner.lost) == 1

    run(scenario())


def test_loss_is_noticed_by_writing_but_not_told_from_within_the_write(
    run: Run, tmp_path: Path
) -> None:
    async def scenario() -> None:
        bench = DeviceBench(tmp_path)
        await bench.open()
        bench.port.pause_reading()
        bench.unplug()
        bench.port.write(b"x")
        bench.port.write(b"y")
        assert bench.owner.lost == []
        await until(lambda: bench.owner.lost)
        assert bench.port.discarded == 2
        bench.close()

    run(scenario())


def test_loss_is_noticed_while_nobody_reads(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = DeviceBench(tmp_path)
        await bench.open()
        bench.port.pause_reading()
        bench.unplug()
        await until(lambda: bench.owner.lost)
        bench.close()

    run(scenario())


def test_a_device_that_comes_back_has_the_last_settings(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = DeviceBench(tmp_path)
        await bench.open()
        bench.port.submit(SetLine(baudrate=57600), lambda _: None)
        bench.unplug()
        await until(lambda: bench.owner.lost)
        with pytest.raises(PortAbsent):
            bench.port.open()
        bench.plug_in()
        far = await bench.open()
        assert bench.port.state.settings.baudrate == 57600
        await far.write(b"hello again")
        await until(lambda: bench.owner.received == b"hello again")
        assert len(bench.owner.lost) == 1
        bench.close()

    run(scenario())
