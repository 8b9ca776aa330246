"""Settings and the kernel's structure."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.errors import PortError
from portline.line import FlowControl, LineSettings, Parity, StopBits
from portline.port.tty import termios2
from portline.port.tty.termios2 import Attributes, decode, encode, granted, marked, pack, unpack

NONE, SOFT, HARD = FlowControl.NONE, FlowControl.XON_XOFF, FlowControl.HARDWARE

BOTH_WAYS = [
    (NONE, None),
    (SOFT, None),
    (HARD, None),
    (NONE, SOFT),
    (SOFT, NONE),
    (HARD, SOFT),
]
"""What Linux can say: CRTSCTS is one bit for both directions."""

LENGTHS = [
    *((bits, stop) for bits in (6, 7, 8) for stop in (StopBits.ONE, StopBits.TWO)),
    (5, StopBits.ONE),
    (5, StopBits.ONE_AND_A_HALF),
]

lines = st.builds(
    lambda baudrate, length, parity, flow: LineSettings(
        baudrate, length[0], parity, length[1], *flow
    ),
    st.one_of(st.sampled_from(sorted(termios2.TABLE)), st.integers(50, 4_000_000)),
    st.sampled_from(LENGTHS),
    st.sampled_from(list(Parity)),
    st.sampled_from(BOTH_WAYS),
)

words = st.integers(0, 2**32 - 1)
attributes = st.builds(
    Attributes,
    words,
    words,
    words,
    words,
    st.integers(0, 255),
    st.binary(min_size=19, max_size=19),
    words,
    words,
)


@given(lines, attributes)
def test_what_linux_can_say_reads_back_as_it_was_written(
    line: LineSettings, base: Attributes
) -> None:
    assert decode(encode(line, base)) == line


@given(attributes)
def test_packing_keeps_every_field(given_attributes: Attributes) -> None:
    raw = pack(given_attributes)
    assert len(raw) == 44
    assert unpack(raw) == given_attributes


@given(lines, attributes)
def test_a_line_is_raw_and_blind_to_the_carrier(line: LineSettings, base: Attributes) -> None:
    found = encode(line, base)
    assert found.lflag == found.oflag == 0
    assert found.iflag & ~(termios2.IXON | termios2.IXOFF) == base.iflag & 0x18
    assert found.cflag & termios2.CLOCAL
    assert found.cflag & termios2.CREAD
    assert not found.cflag & termios2.HUPCL
    assert (found.cc[termios2.VMIN], found.cc[termios2.VTIME]) == (1, 0)


def test_standard_rates_have_their_code_and_others_go_by_number() -> None:
    assert encode(LineSettings(9600), Attributes()).cflag & termios2.CBAUD == 0xD
    odd = encode(LineSettings(12345), Attributes())
    assert odd.cflag & termios2.CBAUD == termios2.BOTHER
    assert (odd.ispeed, odd.ospeed) == (12345, 12345)


@pytest.mark.parametrize(
    "asked",
    [
        LineSettings(data_bits=8, stop_bits=StopBits.ONE_AND_A_HALF),
        LineSettings(data_bits=5, stop_bits=StopBits.TWO),
        LineSettings(flow_control=NONE, inbound_flow=HARD),
        LineSettings(flow_control=HARD, inbound_flow=NONE),
        LineSettings(flow_control=SOFT, inbound_flow=HARD),
    ],
)
def test_what_linux_cannot_say_reads_back_differently(asked: LineSettings) -> None:
    assert decode(encode(asked, Attributes())) != asked


@pytest.mark.parametrize(
    ("bits", "parity"),
    [
        (0, Parity.NONE),
        (termios2.PARODD, Parity.ODD),
        (termios2.CMSPAR | termios2.PARODD, Parity.MARK),
        (termios2.CMSPAR, Parity.SPACE),
    ],
)
def test_a_pty_keeps_leftovers_of_parity(bits: int, parity: Parity) -> None:
    found = Attributes(cflag=bits | 0x30 | 0xD, ospeed=9600)
    assert decode(found, leftovers=True).parity is parity
    assert decode(found).parity is Parity.NONE


def test_hanging_up_is_a_rate_of_zero() -> None:
    assert decode(Attributes(cflag=0, ospeed=9600)).baudrate == 0


def test_a_rate_within_two_per_cent_counts_as_granted() -> None:
    asked = LineSettings(12345)
    assert granted(asked, LineSettings(12346)) == asked
    assert granted(asked, LineSettings(12591)) == asked
    assert granted(asked, LineSettings(12600)) == LineSettings(12600)
    assert granted(LineSettings(12345, 7), LineSettings(12346)) == asked


def test_marking_faults_touches_two_bits() -> None:
    base = Attributes(iflag=termios2.IXON)
    on = marked(base, True)
    assert on.iflag == termios2.IXON | termios2.PARMRK | termios2.INPCK
    assert marked(on, False) == base


@pytest.mark.parametrize("machine", ["x86_64", "aarch64", "armv7l", "riscv64", "i686", "s390x"])
def test_generic_machines_are_fine(machine: str) -> None:
    termios2.require_layout("port", machine)


@pytest.mark.parametrize("machine", ["ppc64le", "mips", "sparc64", "alpha", "parisc"])
def test_other_machines_are_refused_in_words(machine: str) -> None:
    with pytest.raises(PortError, match=machine):
        termios2.require_layout("port", machine)


def test_a_real_terminal_takes_and_gives_them() -> None:
    termios2.require_layout("port")
    master, slave = os.openpty()
    try:
        base = termios2.read_attributes(slave)
        termios2.write_attributes(
            slave, encode(LineSettings(250_000, stop_bits=StopBits.TWO), base)
        )
        found = termios2.read_attributes(slave)
        assert decode(found) == LineSettings(250_000, stop_bits=StopBits.TWO)
        assert termios2.read_raw(slave) == pack(found)
    finally:
        os.close(master)
        os.close(slave)
