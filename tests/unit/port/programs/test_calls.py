"""The meaning of ioctl calls, and what is filled into their structures."""

from __future__ import annotations

import struct
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from portline.line import (
    LineSettings,
    ModemLines,
    Parity,
    PortState,
    SendBreak,
    SetBreak,
    SetLine,
    SetModem,
)
from portline.port.programs import calls
from portline.port.programs.calls import (
    BREAK_LIMIT,
    READS,
    REQUESTS,
    AwaitLines,
    Drain,
    LineCounts,
    ReadCounts,
    ReadLines,
    ReadSettings,
    WriteSettings,
    counts_block,
    is_plain,
    lines_word,
    meaning,
    settings_block,
)
from portline.port.tty import termios2
from portline.port.tty.modem import (
    CTS,
    DCD,
    DSR,
    DTR,
    RI,
    RTS,
    TIOCGICOUNT,
    TIOCMBIC,
    TIOCMBIS,
    TIOCMGET,
    TIOCMSET,
    lines_of,
    outputs_of,
)
from portline.port.tty.termios2 import (
    BOTHER,
    CBAUD,
    CSIZE,
    PARENB,
    Attributes,
    decode,
    pack,
    unpack,
)
from tests.unit.port.tty.test_termios2 import attributes
from tests.unit.port.tty.test_termios2 import lines as settings

LONG_WRITES = (calls.TCSETS2, calls.TCSETSW2, calls.TCSETSF2)
SHORT_WRITES = (calls.TCSETS, calls.TCSETSW, calls.TCSETSF)

arguments = st.integers(0, 2**64 - 1)
inputs = st.builds(ModemLines, *[st.booleans()] * 4)
states = st.builds(PortState, settings, *[st.booleans()] * 3, inputs)


# --- every request --------------------------------------------------------------------------------


@given(st.sampled_from(REQUESTS), arguments, st.data())
def test_whatever_a_program_passes_has_a_meaning(
    request: int, argument: int, data: st.DataObject
) -> None:
    size = READS.get(request, 0)
    assert meaning(request, argument, data.draw(st.binary(min_size=size, max_size=size)))


@given(st.integers(0, 2**32 - 1), arguments)
def test_other_requests_have_none(request: int, argument: int) -> None:
    assume(request not in REQUESTS)
    assert meaning(request, argument) is None


@pytest.mark.parametrize(
    ("request_number", "argument", "meant"),
    [
        (TIOCMGET, 0, ReadLines()),
        (TIOCGICOUNT, 0, ReadCounts()),
        (0x5427, 0, SetBreak(True)),
        (0x5428, 0, SetBreak(False)),
        (0x5409, 0, SendBreak(0.25)),
        (0x5409, 1, Drain()),
        (0x5425, 0, SendBreak(0.25)),
        (0x5425, 3, SendBreak(0.3)),
        (0x5425, 2**64 - 1, SendBreak(BREAK_LIMIT)),
        (0x5409, 2**32, SendBreak(0.25)),
        (0x545C, CTS | DCD, AwaitLines(ModemLines(cts=True, dcd=True))),
        (0x545C, DSR | RI, AwaitLines(ModemLines(dsr=True, ri=True))),
        (0x5401, 0, ReadSettings(36)),
        (0x802C542A, 0, ReadSettings(44)),
    ],
)
def test_what_is_passed_by_value(request_number: int, argument: int, meant: object) -> None:
    assert meaning(request_number, argument) == meant


# --- lines ----------------------------------------------------------------------------------------


@given(st.integers(-(2**31), 2**31 - 1), st.booleans(), st.booleans())
def test_outputs_move_as_the_kernel_moves_them(bits: int, dtr: bool, rts: bool) -> None:
    before = PortState(dtr=dtr, rts=rts)
    word = DTR * dtr | RTS * rts
    data = struct.pack("=i", bits)
    for request, after in (
        (TIOCMSET, bits),
        (TIOCMBIS, word | bits),
        (TIOCMBIC, word & ~bits),
    ):
        meant = meaning(request, 1, data)
        assert isinstance(meant, SetModem)
        found = meant.applied_to(before)
        assert (found.dtr, found.rts) == outputs_of(after)


@given(states)
def test_lines_read_as_they_are(state: PortState) -> None:
    (word,) = struct.unpack("=i", lines_word(state))
    assert lines_of(word) == state.lines
    assert outputs_of(word) == (state.dtr, state.rts)


@given(st.lists(inputs, min_size=1))
def test_moves_are_counted(levels: list[ModemLines]) -> None:
    counts = LineCounts()
    for before, now in pairwise(levels):
        after = counts.counting(before, now)
        for name in ("cts", "dsr", "dcd"):
            moved = getattr(before, name) != getattr(now, name)
            assert getattr(after, name) - getattr(counts, name) == moved
            assert after.moved(counts, replace(ModemLines(), **{name: True})) == moved
        assert after.ri - counts.ri == (before.ri and not now.ri)
        assert after.moved(counts, ModemLines(ri=True)) == (before.ri and not now.ri)
        assert not after.moved(counts, ModemLines())
        counts = after


def test_counts_are_laid_out_as_the_kernel_does() -> None:
    block = counts_block(LineCounts(cts=1, dsr=2, dcd=4, ri=2**31 + 3))
    assert struct.unpack("=20i", block) == (1, 2, 3, 4, *[0] * 16)


# --- settings -------------------------------------------------------------------------------------


@given(attributes)
def test_settings_are_written_as_they_are_read(given_attributes: Attributes) -> None:
    wanted = decode(given_attributes)
    for request in LONG_WRITES:
        meant = meaning(request, 1, pack(given_attributes))
        assert isinstance(meant, WriteSettings)
        assert meant.hang_up == (given_attributes.cflag & CBAUD == 0)
        found = meant.line.applied_to(replace(wanted, baudrate=4711))
        assert replace(found, baudrate=0) == replace(wanted, baudrate=0)
    for request in SHORT_WRITES:
        short = meaning(request, 1, pack(given_attributes)[:36])
        assert isinstance(short, WriteSettings)
        assert replace(short.line, baudrate=None) == replace(meant.line, baudrate=None)


@pytest.mark.parametrize("size", [36, 44])
@pytest.mark.parametrize("rate", [50, 9600, 115200, 4000000])
def test_usual_rates_are_told_by_their_code(size: int, rate: int) -> None:
    raw = pack(Attributes(cflag=termios2.TABLE[rate], ospeed=1))[:size]
    meant = meaning(calls.TCSETS if size == 36 else calls.TCSETS2, 1, raw)
    assert isinstance(meant, WriteSettings)
    assert meant.line.baudrate == rate


@pytest.mark.parametrize(
    ("cflag", "speed", "size", "rate", "hangs_up"),
    [
        (BOTHER, 12345, 44, 12345, False),
        (BOTHER, 0, 44, None, False),
        (BOTHER, 12345, 36, None, False),
        (0, 12345, 44, None, True),
        (0, 0, 36, None, True),
    ],
)
def test_unusual_rates(cflag: int, speed: int, size: int, rate: int, hangs_up: bool) -> None:
    raw = pack(Attributes(cflag=cflag, ospeed=speed))[:size]
    meant = meaning(calls.TCSETS if size == 36 else calls.TCSETS2, 1, raw)
    assert isinstance(meant, WriteSettings)
    assert (meant.line.baudrate, meant.hang_up) == (rate, hangs_up)


@given(attributes, settings, st.sampled_from([36, 44]))
def test_what_a_pty_forgets_is_put_right(kept: Attributes, told: LineSettings, size: int) -> None:
    block = settings_block(pack(kept), told, size)
    assert len(block) == size
    found = unpack(block.ljust(44, b"\0"))
    assert replace(found, cflag=0, ispeed=0, ospeed=0) == replace(kept, cflag=0, ispeed=0, ospeed=0)
    assert (found.cflag ^ kept.cflag) & ~(CSIZE | PARENB) == 0
    assert found.cflag & CSIZE == (told.data_bits - 5) << 4
    assert bool(found.cflag & PARENB) == (told.parity is not Parity.NONE)


@given(settings, attributes)
def test_a_program_reads_back_what_it_wrote(wanted: LineSettings, base: Attributes) -> None:
    wrote = termios2.encode(wanted, base)
    meant = meaning(calls.TCSETS2, 1, pack(wrote))
    assert isinstance(meant, WriteSettings)
    told = meant.line.applied_to(LineSettings())
    # The kernel's pty_set_termios: eight bits, no parity, and it always receives.
    kept = replace(wrote, cflag=wrote.cflag & ~(CSIZE | PARENB) | CSIZE | termios2.CREAD)
    assert unpack(settings_block(pack(kept), told, 44)) == wrote


def test_a_plain_line_needs_no_help() -> None:
    assert is_plain(LineSettings(115200))
    assert not is_plain(LineSettings(data_bits=7))
    assert not is_plain(LineSettings(parity=Parity.EVEN))


@pytest.mark.parametrize(
    ("request_number", "size", "drain"),
    [
        (calls.TCSETS, 36, False),
        (calls.TCSETSW, 36, True),
        (calls.TCSETSF, 36, True),
        (calls.TCSETS2, 44, False),
        (calls.TCSETSW2, 44, True),
        (calls.TCSETSF2, 44, True),
    ],
)
def test_some_settings_wait_for_the_data_before(
    request_number: int, size: int, drain: bool
) -> None:
    meant = meaning(request_number, 1, pack(Attributes())[:size])
    assert isinstance(meant, WriteSettings)
    assert meant.drain is drain


def test_a_setting_that_is_told_is_complete() -> None:
    raw = pack(termios2.encode(LineSettings(19200, 7, Parity.EVEN), Attributes()))
    meant = meaning(calls.TCSETS2, 1, raw)
    assert meant == WriteSettings(SetLine.everything(LineSettings(19200, 7, Parity.EVEN)))
