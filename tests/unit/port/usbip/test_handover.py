"""What is saved is read back, and is taken over with its socket."""

from __future__ import annotations

import os
import socket
from collections import deque
from dataclasses import replace
from pathlib import Path

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
from portline.port.usbip.handover import Saved, taken_over
from portline.port.usbip.journal import Journal

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
    name=st.text(max_size=5),
    path=st.none() | st.just("/dev/plc"),
    kept=BYTES,
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


def left(text: bytes) -> tuple[list[int], socket.socket]:
    """Return what lies on a shelf with such a text, and the kernel's end."""
    kernel, ours = socket.socketpair()
    journal = Journal.create()
    journal.checkpoint(text, unsent=0, lines=ModemLines(dcd=True))
    descriptors = [ours.detach(), os.dup(journal.descriptor)]
    journal.close()
    return descriptors, kernel


@given(SAVED)
def test_it_is_taken_over_with_its_socket(saved: Saved) -> None:
    descriptors, kernel = left(saved.to_json())
    with kernel:
        taken = taken_over(descriptors[::-1])
        assert taken.saved == replace(saved, lines=ModemLines(dcd=True))
        taken.socket.send(b"from another process")
        assert kernel.recv(100) == b"from another process"
        taken.close()
        assert kernel.recv(1) == b""


PLAIN = Saved(
    name="virtual",
    adapter="pl2303",
    slot=0,
    path=None,
    node=None,
    settings=LineSettings(),
    lines=ModemLines(),
    dtr=False,
    rts=False,
    break_on=False,
    registers={},
    pending=Pending(),
    rest=b"",
    unsent=b"",
    writes=(),
    held=None,
)


@pytest.mark.parametrize(
    "text",
    [
        b"{}",
        b"[]",
        b"nonsense",
        b"\xff\0",
        b'{"adapter": 1}',
        replace(PLAIN, adapter="another").to_json(),
        replace(PLAIN, slot=-1).to_json(),
        replace(PLAIN, held=1 << 32).to_json(),
        replace(PLAIN, registers={1: 256}).to_json(),
        replace(PLAIN, settings=LineSettings(data_bits=9)).to_json(),
        replace(PLAIN, pending=Pending(out={1: -1})).to_json(),
        replace(PLAIN, pending=Pending(into=deque([(1, 1 << 20)]))).to_json(),
        PLAIN.to_json().replace(b'"virtual"', b"7"),
        PLAIN.to_json().replace(b'"kept"', b'"more":1,"kept"'),
    ],
)
def test_any_other_text_is_refused_in_one_line(text: bytes) -> None:
    before = open_descriptors()
    descriptors, kernel = left(text)
    with kernel, pytest.raises(ValueError, match=r"another version") as error:
        taken_over(descriptors)
    assert "\n" not in str(error.value)
    assert open_descriptors() == before


def test_other_descriptors_are_refused_and_closed(tmp_path: Path) -> None:
    before = open_descriptors()

    def a_file(size: int = 0) -> int:
        path = tmp_path / "file"
        path.write_bytes(b"x" * size)
        return os.open(path, os.O_RDWR)

    def a_socket(kind: int = socket.SOCK_STREAM) -> int:
        return socket.socket(socket.AF_UNIX, kind).detach()

    def a_journal() -> int:
        journal = Journal.create()
        journal.checkpoint(PLAIN.to_json(), unsent=0, lines=ModemLines())
        copy = os.dup(journal.descriptor)
        journal.close()
        return copy

    def too_small() -> int:
        descriptor = os.memfd_create("small")
        os.write(descriptor, b"PORTLINE")
        return descriptor

    def unsealed() -> int:
        descriptor = os.memfd_create("unsealed")
        os.ftruncate(descriptor, os.fstat(journal := a_journal()).st_size)
        os.close(journal)
        return descriptor

    def another_version() -> int:
        descriptor = a_journal()
        os.pwrite(descriptor, b"portline", 0)
        return descriptor

    cases: list[tuple[list[int], str]] = [
        ([a_file()], "1 descriptors are no adapter"),
        ([a_file(), a_file(), a_file()], "3 descriptors"),
        ([a_file(), a_file()], "no journal"),
        ([a_socket(), a_socket()], "no journal"),
        ([a_socket(), a_file(100)], "no journal"),
        ([a_socket(), too_small()], "no journal"),
        ([a_socket(), unsealed()], "cut off"),
        ([a_socket(), another_version()], "another version"),
        ([a_socket(), a_journal()], "not connected"),
        ([a_journal(), a_journal()], "operation on non-socket"),
    ]
    for descriptors, text in cases:
        with pytest.raises(ValueError, match=text):
            taken_over(descriptors)
    assert open_descriptors() == before


def test_one_that_the_kernel_has_unplugged_is_refused() -> None:
    descriptors, kernel = left(PLAIN.to_json())
    kernel.close()
    with pytest.raises(ValueError, match="the kernel has unplugged it"):
        taken_over(descriptors)


def open_descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))
