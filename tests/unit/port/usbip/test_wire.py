"""USB/IP in any pieces, and what is not USB/IP."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.port.usbip.wire import (
    HEADER_SIZE,
    TRANSFER_MAX,
    Splitter,
    Submit,
    Unlink,
    answered,
    completed,
    recorded,
    stalled,
    unlinked,
)
from tests.model.streams import cut
from tests.usb_host import Host, Result

NUMBERS = st.integers(1, 2**32 - 1)
ENDPOINTS = st.integers(0, 15)

SUBMITS = st.one_of(
    st.builds(
        lambda number, endpoint, length, setup: Submit(number, endpoint, True, length, setup),
        NUMBERS,
        ENDPOINTS,
        st.integers(0, TRANSFER_MAX),
        st.binary(min_size=8, max_size=8),
    ),
    st.builds(
        lambda number, endpoint, data, setup: Submit(
            number, endpoint, False, len(data), setup, data
        ),
        NUMBERS,
        ENDPOINTS,
        st.binary(max_size=300),
        st.binary(min_size=8, max_size=8),
    ),
)
COMMANDS = st.lists(SUBMITS | st.builds(Unlink, NUMBERS, NUMBERS), max_size=12)


def written(command: Submit | Unlink) -> bytes:
    if isinstance(command, Unlink):
        return struct.pack(">5II24x", 2, command.number, 0x10002, 0, 0, command.victim)
    head = struct.pack(">5I", 1, command.number, 0x10002, int(command.into), command.endpoint)
    rest = struct.pack(">I4i8s", 0x200, command.length, 0, 0, 0, command.setup)
    return head + rest + command.data


@given(COMMANDS, st.data())
def test_commands_arrive_whole_in_whatever_pieces(commands: list, data: st.DataObject) -> None:
    stream = b"".join(map(written, commands))
    splitter = Splitter()
    found = [command for piece in data.draw(cut(stream)) for command in splitter.feed(piece)]
    assert found == commands
    assert splitter.rest == b""


@given(COMMANDS, st.data())
def test_another_splitter_goes_on_from_the_rest(commands: list, data: st.DataObject) -> None:
    stream = b"".join(map(written, commands))
    cut = data.draw(st.integers(0, len(stream)))
    first = Splitter()
    found = first.feed(stream[:cut])
    found += Splitter(first.rest).feed(stream[cut:])
    assert found == commands


@given(st.binary(max_size=200))
def test_anything_else_is_refused_and_never_crashes(noise: bytes) -> None:
    splitter = Splitter()
    try:
        splitter.feed(noise)
    except ValueError:
        return
    assert len(splitter.rest) <= TRANSFER_MAX + HEADER_SIZE


@pytest.mark.parametrize(
    ("at", "value"),
    [(0, 3), (24, TRANSFER_MAX + 1), (24, 2**32 - 1), (32, 1), (16, 16)],
    ids=["a result", "too long", "a negative length", "isochronous", "no such endpoint"],
)
def test_a_command_for_no_serial_adapter_is_refused(at: int, value: int) -> None:
    command = bytearray(written(Submit(1, 2, False, 3, bytes(8), b"abc")))
    struct.pack_into(">I", command, at, value)
    with pytest.raises(ValueError, match=r"USB/IP|not in 0|serial adapter|no endpoint"):
        Splitter().feed(bytes(command))


def test_results_are_what_the_kernel_reads() -> None:
    host = Host()
    into = host.submit(1, into=True, length=64)
    out = host.submit(2, into=False, data=b"abc")
    odd = host.submit(0, into=True, length=8)
    first, second = host.submit(1, into=True, length=8), host.submit(1, into=True, length=8)
    host.feed(completed(into, b"data") + completed(out, length=3) + stalled(odd))
    assert host.results[into] == Result(0, 4, b"data")
    assert host.results[out] == Result(0, 3)
    assert host.results[odd] == Result(-32)
    a, b = host.unlink(first), host.unlink(second)
    host.feed(unlinked(a, pending=True))
    host.feed(completed(second) + unlinked(b, pending=False))
    assert host.unlinked == {first: -104, second: 0}


@given(COMMANDS, st.integers(0, 200))
def test_a_log_of_commands_ends_with_zeros(commands: list, zeros: int) -> None:
    log = b"".join(map(written, commands)) + bytes(zeros)
    assert recorded(log) == (commands, b"")


def test_a_log_may_end_within_a_command() -> None:
    one = written(Submit(1, 2, False, 3, bytes(8), b"abc"))
    assert recorded(one + one[:-1]) == ([Submit(1, 2, False, 3, bytes(8), b"abc")], one[:-1])
    with pytest.raises(ValueError, match="no command of USB/IP"):
        recorded(b"nonsense" * 20)


@given(st.lists(st.tuples(NUMBERS, st.none() | st.binary(max_size=60))), st.integers(0, 200))
def test_a_log_of_answers_ends_with_zeros(answers: list, zeros: int) -> None:
    """Whose answer brings data is only known by what was asked."""
    log = b""
    into = {number for number, data in answers if data is not None}
    for number, data in answers:
        log += completed(number, data or b"") if number in into else completed(number, length=9)
    log += unlinked(7, pending=True)
    assert answered(log + bytes(zeros), into) == ({7, *(number for number, _ in answers)}, len(log))


def test_what_is_no_answer_is_refused() -> None:
    with pytest.raises(ValueError, match="no answer of USB/IP"):
        answered(b"nonsense" * 20, ())
