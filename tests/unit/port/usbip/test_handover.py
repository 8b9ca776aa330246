"""What is saved is read back, and travels with its socket."""

from __future__ import annotations

import socket
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.line import (
    DATA_BITS,
    FlowControl,
    LineFault,
    LineSettings,
    ModemLines,
    Parity,
    StopBits,
)
from portline.port.usbip.device import Pending
from portline.port.usbip.handover import Handover, Saved, receive, send

FLAGS = st.booleans()
NUMBERS = st.integers(1, 2**32 - 1)
TRANSFERS = st.lists(st.tuples(NUMBERS, st.integers(0, 65536)), max_size=4).map(deque)
LINES = st.builds(ModemLines, FLAGS, FLAGS, FLAGS, FLAGS)
FAULTS = st.builds(LineFault, FLAGS, FLAGS, FLAGS, FLAGS)
BYTES = st.binary(max_size=60)
SETTINGS = st.builds(
    LineSettings,
    st.integers(50, 4_000_000),
    st.sampled_from(DATA_BITS),
    st.sampled_from(Parity),
    st.sampled_from(StopBits),
    st.sampled_from(FlowControl),
    st.none() | st.sampled_from(FlowControl),
)
SAVED = st.builds(
    Saved,
    adapter=st.sampled_from(["pl2303", "ftdi", "cdc-acm"]),
    slot=st.integers(0, 127),
    node=st.none() | st.just("/dev/ttyUSB0"),
    settings=SETTINGS,
    lines=LINES,
    dtr=FLAGS,
    rts=FLAGS,
    break_on=FLAGS,
    registers=st.dictionaries(st.integers(0, 255), st.integers(0, 255), max_size=3),
    pending=st.builds(
        Pending,
        into=TRANSFERS,
        interrupts=TRANSFERS,
        out=st.dictionaries(NUMBERS, st.integers(1, 65536), max_size=4),
        waiting=st.lists(BYTES | FAULTS, max_size=4).map(deque),
        states=st.lists(LINES, max_size=4).map(deque),
        fault=FAULTS,
        fault_told=FLAGS,
        in_use=FLAGS,
    ),
    rest=BYTES,
    unsent=BYTES,
    writes=st.lists(st.tuples(NUMBERS, BYTES), max_size=3).map(tuple),
    held=st.none() | NUMBERS,
)


@given(SAVED)
def test_what_is_saved_is_read_back(saved: Saved) -> None:
    assert Saved.from_json(saved.to_json()) == saved


@given(SAVED)
def test_it_travels_with_its_socket(saved: Saved) -> None:
    one, two = socket.socketpair()
    kernel, ours = socket.socketpair()
    with one, two, kernel:
        send(Handover(saved, ours), one)
        assert ours.fileno() == -1
        taken = receive(two)
        with taken.socket:
            assert taken.saved == saved
            taken.socket.send(b"from another process")
            assert kernel.recv(100) == b"from another process"


@pytest.mark.parametrize("text", ["{}", "[]", "nonsense", '{"adapter": 1}'])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Saved.from_json(text)


def test_half_a_port_is_refused() -> None:
    one, two = socket.socketpair()
    with two:
        with one, socket.socket() as some:
            socket.send_fds(one, [(100).to_bytes(4, "big")], [some.fileno()])
            one.send(b"{")
        with pytest.raises(ValueError, match="handed over in part"):
            receive(two)
