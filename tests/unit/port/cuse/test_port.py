"""CUSE ports, with the test as the kernel and as the applications; the terminal is a true one."""

from __future__ import annotations

import asyncio
import errno
import os
import struct
from typing import TYPE_CHECKING

import pytest

from portline.errors import PortBusy, PortError
from portline.line import (
    BreakChange,
    FlowControl,
    LineFault,
    LineSettings,
    ModemLines,
    Parity,
    SendBreak,
    SetInputs,
    StopBits,
)
from portline.port.cuse.channel import Kernel, obstacle
from portline.port.cuse.front import HANDLES_MAX
from portline.port.cuse.ledger import HELD_MAX
from portline.port.cuse.pollers import HUNG_UP, IN, OUT
from portline.port.cuse.port import CusePort
from portline.port.cuse.writers import BUFFER
from portline.port.tty.termios2 import unpack
from tests.cuse_kernel import Caller, CuseBench
from tests.ports import PATIENCE, until

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path
    from typing import Any

    from tests.conftest import Run

    Scenario = Callable[[CuseBench], Coroutine[Any, Any, None]]
    Check = Callable[[Scenario], None]

TCGETS2, TCSETS2, TCSETSW2, TCSETSF2 = 0x802C542A, 0x402C542B, 0x402C542C, 0x402C542D
TCGETS, TCSETS, TCSBRK, TCSBRKP, TCXONC, TCFLSH = 0x5401, 0x5402, 0x5409, 0x5425, 0x540A, 0x540B
TIOCEXCL, TIOCNXCL, TIOCGEXCL = 0x540C, 0x540D, 0x80045440
TIOCOUTQ, FIONREAD, TIOCMGET, TIOCMBIC, TIOCMSET = 0x5411, 0x541B, 0x5415, 0x5417, 0x5418
TIOCSBRK, TIOCCBRK, TIOCMIWAIT, TIOCGICOUNT = 0x5427, 0x5428, 0x545C, 0x545D
TIOCGSERIAL, TIOCSSERIAL, TIOCGETD, TIOCSETD, TIOCSCTTY = 0x541E, 0x541F, 0x5424, 0x5423, 0x540E
TIOCSERGETLSR, TIOCGWINSZ, TIOCSWINSZ = 0x5459, 0x5413, 0x5414
TIOCGSOFTCAR, TIOCSSOFTCAR = 0x5419, 0x541A
NONBLOCK = os.O_NONBLOCK
CLOCAL, HUPCL, CRTSCTS, CREAD = 0x800, 0x400, 0x80000000, 0x80
ICANON, ECHO, PARMRK, INPCK, ICRNL = 2, 8, 8, 0x10, 0x100
SEVEN_E2 = 0x20 | 0x100 | 0x40


@pytest.fixture
def check(run: Run, tmp_path: Path) -> Check:
    def check_it(scenario: Scenario) -> None:
        async def whole() -> None:
            bench = CuseBench(tmp_path)
            bench.port.open()
            bench.channel = bench.virtual._device.channel
            try:
                await scenario(bench)
            finally:
                bench.close()

        run(whole())

    return check_it


def packed(
    *,
    cflag: int = 0o2277 | CLOCAL | 0x1000,
    iflag: int = 0,
    lflag: int = 0,
    oflag: int = 0,
    vmin: int = 1,
    vtime: int = 0,
    rate: int = 9600,
) -> bytes:
    """Return a struct termios2."""
    cc = bytearray(19)
    cc[5], cc[6], cc[8], cc[9], cc[2], cc[4] = vtime, vmin, 17, 19, 127, 4
    return struct.pack("=4IB19s2I", iflag, oflag, cflag, lflag, 0, bytes(cc), rate, rate)


async def settings(caller: Caller, **fields: int) -> None:
    """Put settings in force."""
    assert not (await caller.ioctl(TCSETS2, 1, packed(**fields))).error


async def word(caller: Caller, request: int) -> int:
    answer = await caller.ioctl(request, 1)
    assert not answer.error
    return int(struct.unpack("=i", answer.body)[0])


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


# --- settings -------------------------------------------------------------------------------------


def test_every_setting_is_reported_and_told_again(check: Check) -> None:
    async def scenario(bench: CuseBench) -> None:
        caller = await bench.caller()
        cflag = 0x1000 | SEVEN_E2 | CRTSCTS | CLOCAL
        await settings(caller, cflag=cflag, iflag=PARMRK, rate=250000, vmin=7, vtime=3)
        wanted = LineSettings(250000, 7, Parity.EVEN, StopBits.TWO, FlowControl.HARDWARE)
        assert bench.virtual.application.settings == wanted
        told = unpack((await caller.ioctl(TCGETS2, 1)).body)
        assert (told.cflag & ~0x100F0000, told.iflag, told.ospeed) == (cflag, PARMRK, 250000)
        assert (told.cc[5], told.cc[6]) == (3, 7)
        assert (await caller.ioctl(TCGETS, 1)).body == (await caller.ioctl(TCGETS2, 1)).body[:36]

    check(scenario)


def test_settings_stay_for_the_next_application(check: Check) -> None:
    async def scenario(bench: CuseBench) -> None:
        caller = await bench.caller()
        await settings(caller, cflag=0x1000 | SEVEN_E2 | CLOCAL, rate=12345)
        before = (await caller.ioctl(TCGETS2, 1)).body
        await caller.close()
        again = await bench.caller()
        assert (await again.ioctl(TCGETS2, 1)).body == before
        assert bench.virtual.application.settings.baudrate == 12345

    check(scenario)


def test_what_was_written_comes_before_the_settings_after_it(check: Check) -> None:
    async def scenario(bench: CuseBench) -> None:
        caller = await bench.caller()
        seen: list[object] = []
        bench.owner.port_data = lambda data: seen.append(data)  # type: ignore[method-assign]  # one test's owner
        bench.owner.port_report = lambda report: seen.append(type(report).__name__)  # type: ignore[method-assign]
        await caller.write(b"before")
        _, setting = caller.controlling(TCSETSW2, 1, packed(rate=300))
        await until(lambda: bench.owner.draining)
        assert seen == [b"before"]
        bench.owner.draining.pop()()
        assert not (await setting).error
        assert seen == [b"before", "LineChange"]

    check(scenario)


def test_a_rate_of_0_hangs_up(check: Check) -> None:
    async def scenario(bench: CuseBench) -> None:
        caller = await bench.caller()
        assert bench.owner.lines[-1] == ModemLines(cts=True, dsr=True, dcd=True)
        await settings(caller, cflag=0x30 | CLOCAL)
        assert bench.owner.lines[-1] == ModemLines()
        await settings(caller)
        assert bench.owner.lines[-1] == ModemLines(cts=True, dsr=True, dcd=True)

    check(scenario)


@pytest.mark.parametrize("kept", [False, True])
def test_the_last_close_drops_the_lines_unless_hupcl_is_off(check: Check, kept: bool) -> None:
    async def scenario(bench: CuseBench) -> None:
        caller = await bench.caller()
        await settings(caller, cflag=0x1000 | 0x30 | CLOCAL | (0 if kept else HUPCL))
        await caller.close()
        assert bench.owner.used == [True, False]
        assert bench.virtual.application.outputs.dsr is kept

    check(scenario)


# --- lines, breaks, counters ----------------------------------------------------------------------


def test_lines_are_driven_and_read(check: Check) -> None:
    async def scenario(bench: CuseBench) -> None:
        caller = await bench.caller()
        assert await word(caller, TIOCMGET) == 0x006
        bench.port.submit(SetInputs(ModemLines(cts=True, ri=True)))
        assert await word(caller, TIOCMGET) == 0x006 | 0x020 | 0x080
        await caller.ioctl(TIOCMBIC, 1, struct.pack("=i", 4))
        assert await word(caller, TIOCMGET) == 0x002 | 0x020 | 0x080
        assert not bench.virtual.application.outputs.cts
        await caller.ioctl(TIOCMSET, 1, struct.pack("=i", 4))
        assert bench.virtual.application.outputs == ModemLines(cts=True)

    check(scenario)


def test_a_wait_for_lines(check: Check) -> None:
    async def scenario(bench: CuseBench) -> None:
        caller = await bench.caller()
        _, waiting = caller.controlling(TIOCMIWAIT, 0x100)
        number, interrupted = caller.controlling(TIOCMIWAIT, 0x080)
        await turns()
        bench.port.submit(SetInputs(ModemLines(cts=True)))
        await turns()
        assert not waiting.done()
        bench.port.submit(SetInputs(ModemLines(cts=True, dsr=True)))
        assert not (await waiting).error
        caller.interrupt(number)
        assert (await interrupted).error == errno.EINTR
        counts = struct.unpack_from("=4i", (await caller.ioctl(TIOCGICOUNT, 1)).body)
        assert counts == (1, 1, 0, 0)

    check(scenario)


def test_a_break_lasts_and_ends_early_with_a_signal(check: Check) -> None:
    async def scenario(bench: CuseBench) -> None:
        bench.owner.port_drain = lambda done: done()  # type: ignore[method-assign]  # one test's owner
        caller = await bench.caller()
        assert not (await caller.ioctl(TCSBRKP, 1)).error
        assert bench.owner.reports == [BreakChange(True), BreakChange(False)]
        number, breaking = caller.controlling(TCSBRKP, 600)
        await until(lambda: bench.owner.reports[2:] == [BreakChange(True)])
        caller.interrupt(number)
        assert (await breaking).error == errno.EINTR
        assert bench.owner.reports[3:] == [BreakChange(False)]
        await caller.ioctl(TIOCSBRK)
        await caller.close()
        assert bench.owner.reports[4:] == [BreakChange(True), BreakChange(False)]

    check(scenario)


def test_breaks_and_faults_are_marked_and_counted(check: Check) -> None:
    async def scenario(bench: CuseBench) -> None:
        caller = await bench.caller()
        await settings(caller, iflag=PARMRK | INPCK)
        bench.port.write(b"\xff")
        bench.port.submit(SendBreak())
        bench.virtual.show_fault(LineFault(framing=True))
        bench.port.write(b"Xy")
        await until(lambda: bench.virtual.sent == 2 + 3 + 4)
        # The kernel takes what is written through its line discipline in the background.
        read = b""
        while len(read) < 2 + 3 + 4:
            read += (await caller.read(100)).body
        assert read == b"\xff\xff\xff\x00\x00\xff\x00Xy"
        counts = struct.unpack_from("=10i", (await caller.ioctl(TIOCGICOUNT, 1)).body)
        assert counts[6:] == (1, 0, 0, 1)

    check(scenario)


# --- data -----------------------------------------------------------------------------------------


def test_the_line_discipline_is_the_kernels(check: Check) -> None:
    async def scenario(bench: CuseBench) -> None:
        caller = await bench.caller()
        await settings(caller, iflag=ICRNL, lflag=ICANON | ECHO | 0x10, vmin=0)
        _, reading = caller.reading(100)
        bench.port.write(b"ab\x7fc")
        await until(lambda: bench.owner.received == b"ab\b \bc")
        assert not reading.done()
        bench.port.write(b"\rnext")
        assert (await reading).body == b"ac\n"
        bench.port.write(b"\x04")
        assert (await caller.read(100)).body == b"next"
        bench.port.write(b"\x04")
        assert (await caller.read(100)).body == b""

    check(scenario)


def test_reads_gather_what_vmin_asks_and_keep_it_when_interrupted(check: Check) -> None:
    async def scenario(bench: CuseBench) -> None:
        caller = await bench.caller()
        await settings(caller, vmin=3)
        number, reading = caller.reading(10)
        bench.port.write(b"ab")
        await until(lambda: bench.virtual.sent == 2)
        await asyncio.sleep(0.02)
        assert not reading.done()
        caller.interrupt(number)
        assert (await reading).body == b"ab"
        _, reading = caller.reading(10)
        bench.port.write(b"cde")
        assert (await reading).body == b"cde"
        _, reading = caller.reading(2)
        bench.port.write(b"fg")
        assert (await reading).body == b"fg"

    check(scenario)


def test_reads_that_do_not_wait(check: Check) -> None:
    async def scenario(bench: CuseBench) -> None:
        waits, hurries = await bench.caller(), await bench.caller(NONBLOCK)
        assert (await hurries.read(10)).error == errno.EAGAIN
        await settings(waits, vmin=0)
        assert (await hurries.read(10)).body == b""
        assert (await waits.read(10)).body == b""
        await settings(waits, vmin=0, vtime=1)
        assert (await waits.read(10)).body == b""
        await settings(waits, vmin=1)
        _, first = waits.reading(10)
        assert (await hurries.read(10)).error == errno.EAGAIN
        _, second = waits.reading(10)
        bench.port.write(b"a")
        assert (await first).body == b"a"
        bench.port.write(b"b")
        assert (await second).body == b"b"

    check(scenario)


def test_a_change_of_vmin_sets_a_reader_free(check: Check) -> None:
    async def scenario(bench: CuseBench) -> None:
        caller = await bench.caller()
        await settings(caller, vmin=5)
        _, reading = caller.reading(10)
        bench.port.write(b"ab")
        await until(lambda: bench.virtual.sent == 2)
        await asyncio.sleep(0.02)
        await settings(caller, vmin=2)
        assert (await reading).body == b"ab"

    check(scenario)


def test_writes_wait_for_room_and_a_signal_tells_how_far_they_came(check: Check) -> None:
    async def scenario(bench: CuseBench) -> None:
        caller, hurries = await bench.caller(), await bench.caller(NONBLOCK)
        bench.port.pause_reading()
        number, writing = caller.writing(bytes(BUFFER + 1000))
        await turns()
        assert not writing.done()
        assert (await hurries.write(b"x")).error == errno.EAGAIN
        assert await word(caller, TIOCOUTQ) == BUFFER
        assert await word(caller, TIOCSERGETLSR) == 0
        caller.interrupt(number)
        assert struct.unpack("=II", (await writing).body) == (BUFFER, 0)
        number, writing = caller.writing(b"nothing fits")
        caller.interrupt(number)
        assert (await writing).error == errno.EINTR
        bench.port.resume_reading()
        await until(lambda: len(bench.owner.received) == BUFFER)
        assert await word(caller, TIOCOUTQ) == 0
        assert await word(caller, TIOCSERGETLSR) == 1

    check(scenario)


def test_counts_are_put_right_where_the_discipline_adds_characters(check: Check) -> None:
    async def scenario(bench: CuseBench) -> None:
        caller = await bench.caller()
        await settings(caller, oflag=1 | 0x10)  # OPOST, ONOCR: no return at the first column
        await caller.write(b"\r\r\rabc")
        await until(lambda: bench.owner.received == b"abc")
        _, draining = caller.controlling(TCSBRK, 1)
        await until(lambda: bench.owner.draining)
        bench.owner.draining.pop()()
        assert not (await draining).error
        assert await word(caller, TIOCOUTQ) == 0

    check(scenario)


def test_a_drain_waits_for_the_other_side(check: Check) -> None:
    async def scenario(bench: CuseBench) -> None:
        caller = await bench.caller()
        await caller.write(b"leaving")
        _, draining = caller.controlling(TCSBRK, 1)
        number, given_up = caller.controlling(TCSBRK, 1)
        await until(lambda: bench.owner.draining)
        assert bench.owner.received == b"leaving"
        caller.interrupt(number)
        assert (await given_up).error == errno.EINTR
        assert not draining.done()
        while not draining.done():
            await until(lambda: bench.owner.draining or draining.done())
            while bench.owner.draining:
                bench.owner.draining.pop()()
        assert not draining.result().error

    check(scenario)


def test_cts_holds_what_was_written(check: Check) -> None:
    async def scenario(bench: CuseBench) -> None:
        caller = await bench.caller()
        await settings(caller, cflag=0x1000 | 0x30 | CLOCAL | CRTSCTS)
        await caller.write(b"held")
        assert await word(caller, TIOCOUTQ) == 4
        await caller.close()  # what was written waits on
        bench.port.submit(SetInputs(ModemLines(cts=True)))
        await until(lambda: bench.owner.received == b"held")
        await until(lambda: bench.owner.used == [True, False])

    check(scenario)


def test_flushing_each_way(check: Check) -> None:
    async def scenario(bench: CuseBench) -> None:
        caller = await bench.caller()
        bench.port.write(b"x" * 100_000)
        await until(lambda: bench.virtual.sent > 4000)
        await caller.ioctl(TCFLSH, 0)
        await until(lambda: bench.port.queued == 0)
        bench.port.pause_reading()
        await caller.write(b"dropped")
        await caller.ioctl(TCFLSH, 1)
        assert await word(caller, TIOCOUTQ) == 0
        bench.port.resume_reading()
        await caller.write(b"kept")
        await until(lambda: bench.owner.received == b"kept")
        assert (await caller.ioctl(TCFLSH, 7)).error == errno.EINVAL

    check(scenario)


def test_output_that_is_stopped(check: Check) -> None:
    async def scenario(bench: CuseBench) -> None:
        caller = await bench.caller()
        await caller.ioctl(TCXONC, 0)
        assert await caller.poll() == 0
        _, writing = caller.writing(b"later")
        await turns()
        assert not writing.done()
        await caller.ioctl(TCXONC, 1)
        assert not (await writing).error
        await until(lambda: bench.owner.received == b"later")

    check(scenario)


# --- polls ----------------------------------------------------------------------------------------


def test_who_polls_is_woken(check: Check) -> None:
    async def scenario(bench: CuseBench) -> None:
        caller = await bench.caller()
        assert await caller.poll(77, IN) == OUT
        bench.port.write(b"a")
        await until(lambda: bench.kernel.woken == [77])
        assert await caller.poll(77, IN) == IN | OUT
        bench.port.write(b"b")
        await until(lambda: bench.kernel.woken == [77, 77])
        assert await caller.poll() == IN | OUT
        bench.port.pause_reading()
        await caller.write(bytes(BUFFER))
        assert await caller.poll(77, OUT) == IN
        bench.port.resume_reading()
        await until(lambda: len(bench.kernel.woken) == 3)
        await settings(caller, vmin=10)
        assert await caller.poll(77, IN) == OUT
        bench.port.write(b"12345678")
        await until(lambda: len(bench.kernel.woken) == 4)

    check(scenario)


# --- opening, hanging up --------------------------------------------------------------------------


def test_exclusive_use(check: Check) -> None:
    async def scenario(bench: CuseBench) -> None:
        caller = await bench.caller()
        await caller.ioctl(TIOCEXCL)
        assert await word(caller, TIOCGEXCL) == 1
        other = Caller(bench.kernel)
        assert (await other.open(user=1000)).error == errno.EBUSY
        assert not (await other.open(user=0)).error
        await other.close()
        await caller.close()
        assert not (await other.open(user=1000)).error

    check(scenario)


def test_opening_waits_for_the_carrier_and_its_loss_hangs_up(check: Check) -> None:
    async def scenario(bench: CuseBench) -> None:
        setter = await bench.caller(NONBLOCK)
        await settings(setter, cflag=0x1000 | 0x30)
        waits, gives_up = Caller(bench.kernel), Caller(bench.kernel)
        _, opening = waits.start(14, struct.pack("=II", 0, 0))
        number, other = gives_up.start(14, struct.pack("=II", 0, 0))
        await turns()
        assert not opening.done()
        gives_up.interrupt(number)
        assert (await other).error == errno.EINTR
        bench.port.submit(SetInputs(ModemLines(dcd=True)))
        waits.handle = struct.unpack_from("=Q", (await opening).body)[0]
        _, reading = waits.reading(10)
        _, waiting = waits.controlling(TIOCMIWAIT, 0x100)
        await turns()
        bench.port.submit(SetInputs(ModemLines()))
        assert (await reading).body == b""
        assert (await waiting).error == errno.EIO
        assert (await waits.read(10)).body == b""
        assert (await waits.write(b"x")).error == errno.EIO
        assert (await waits.ioctl(TIOCMGET, 1)).error == errno.EIO
        assert await waits.poll() == HUNG_UP
        await until(lambda: bench.owner.used == [True, False])
        again = await bench.caller(NONBLOCK)
        await waits.close()
        assert not (await again.ioctl(TIOCSSOFTCAR, 1, struct.pack("=i", 1))).error
        assert await word(again, TIOCGSOFTCAR) == 1
        assert bench.owner.used == [True, False, True]

    check(scenario)


def test_a_quick_successor_is_somebody_new(check: Check) -> None:
    async def scenario(bench: CuseBench) -> None:
        caller = await bench.caller()
        await caller.write(b"last words")
        await caller.close()
        assert bench.owner.received == b"last words"
        await bench.caller()
        assert bench.owner.used == [True, False, True]

    check(scenario)


# --- what is told of a port -----------------------------------------------------------------------


def test_what_programs_ask_of_a_port(check: Check) -> None:
    async def scenario(bench: CuseBench) -> None:
        caller = await bench.caller()
        info = (await caller.ioctl(TIOCGSERIAL, 1)).body
        assert struct.unpack_from("=i", info)[0] == 4
        changed = bytearray(info)
        struct.pack_into("=i", changed, 16, 0x2000)  # ASYNC_LOW_LATENCY
        await caller.ioctl(TIOCSSERIAL, 1, bytes(changed))
        assert (await caller.ioctl(TIOCGSERIAL, 1)).body == changed
        assert await word(caller, TIOCGETD) == 0
        assert (await caller.ioctl(TIOCSETD, 1, struct.pack("=i", 3))).error == errno.EINVAL
        assert (await caller.ioctl(TIOCSCTTY)).error == errno.ENOTTY
        await caller.ioctl(TIOCSWINSZ, 1, struct.pack("=4H", 24, 80, 0, 0))
        assert (await caller.ioctl(TIOCGWINSZ, 1)).body == struct.pack("=4H", 24, 80, 0, 0)
        bench.port.write(b"abc")
        await until(lambda: bench.virtual.sent == 3)
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while await word(caller, FIONREAD) < 3:  # in the background, as above
            assert asyncio.get_running_loop().time() < deadline
        assert await word(caller, FIONREAD) == 3
        assert (await caller.start(4711, b"")[1]).error == errno.ENOSYS
        stranger = Caller(bench.kernel)
        stranger.handle = 4711
        assert (await stranger.read(1)).error == errno.EBADF

    check(scenario)


# --- bounds and ends ------------------------------------------------------------------------------


def test_what_is_too_much_is_refused(check: Check) -> None:
    async def scenario(bench: CuseBench) -> None:
        caller = await bench.caller()
        waiting = [caller.reading(1)[1] for _ in range(HELD_MAX)]
        one_more = caller.reading(1)[1]
        assert (await one_more).error == errno.ENOMEM
        assert not any(each.done() for each in waiting)
        callers = [Caller(bench.kernel, NONBLOCK) for _ in range(HANDLES_MAX)]
        errors = [(await each.open()).error for each in callers]
        assert errors == [0] * (HANDLES_MAX - 1) + [errno.ENFILE]

    check(scenario)


@pytest.mark.parametrize("how", ["close", "loss"])
def test_everything_that_waits_is_answered_at_the_end(check: Check, how: str) -> None:
    async def scenario(bench: CuseBench) -> None:
        caller, waits = await bench.caller(), Caller(bench.kernel)
        await settings(caller, cflag=0x1000 | 0x30)
        bench.port.pause_reading()
        calls = [
            waits.start(14, struct.pack("=II", 0, 0))[1],
            caller.reading(1)[1],
            caller.writing(bytes(2 * BUFFER))[1],
            caller.controlling(TIOCMIWAIT, 0x20)[1],
            caller.controlling(TCSBRK, 1)[1],
            caller.controlling(TCSBRKP, 600)[1],
        ]
        await until(lambda: bench.virtual._front is not None and bench.virtual._front.held == 6)
        if how == "close":
            bench.port.close()
        else:
            bench.virtual._device_lost("in a test")
            assert bench.owner.lost
        answers = await asyncio.gather(*calls)
        assert [each.error for each in answers] == [5, 5, 0, 5, 5, 5]
        assert bench.port.path is None

    check(scenario)


def test_without_the_module_it_says_what_to_do(run: Run) -> None:
    async def scenario() -> None:
        port = CusePort("plc", owner=None, loop=asyncio.get_running_loop())  # type: ignore[arg-type]  # never called
        with pytest.raises(PortError, match=r"modprobe cuse|run as root"):
            port.open()
        port.close()

    if os.path.exists("/dev/cuse"):
        pytest.skip("this machine has /dev/cuse")
    run(scenario())


def test_what_stands_in_the_way(tmp_path: Path) -> None:
    device = tmp_path / "cuse"
    assert "modprobe cuse" in obstacle(str(device), str(tmp_path))
    device.touch()
    assert "the module cuse is not there" in obstacle(str(device), str(tmp_path / "no"))
    assert obstacle(str(device), str(tmp_path)) == ""


class _NoKernel(Kernel):
    def __init__(self, dev: Path) -> None:
        self.dev = dev

    def connect(self, port: str) -> int:
        raise AssertionError("the name is looked at first")


@pytest.mark.parametrize("name", ["taken", "a!b", "x" * 300, "tab\t"])
def test_names_that_cannot_be(run: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / "taken").touch()

    async def scenario() -> None:
        port = CusePort(
            name,
            owner=None,  # type: ignore[arg-type]  # never called
            loop=asyncio.get_running_loop(),
            kernel=_NoKernel(tmp_path),
        )
        with pytest.raises(PortBusy if name == "taken" else PortError):
            port.open()

    run(scenario())
