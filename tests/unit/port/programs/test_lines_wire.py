"""What serving sides and supervisors say to each other."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.line import ModemLines, Parity, PortState, SetBreak, SetLine, SetModem
from portline.port.programs.lines_wire import (
    LINE_MAX,
    Asked,
    Done,
    DrainFirst,
    Splitter,
    address,
    decode,
    encode,
)
from tests.unit.port.tty.test_termios2 import lines as settings

levels = st.none() | st.booleans()
numbers = st.integers(0, 2**53)
changes = st.one_of(
    st.builds(SetLine.everything, settings),
    st.builds(SetLine, baudrate=st.none(), parity=st.none() | st.sampled_from(Parity)),
    st.builds(SetModem, levels, levels),
    st.builds(SetBreak, st.booleans()),
    st.just(DrainFirst()),
)
states = st.builds(
    PortState,
    settings,
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.builds(ModemLines, *[st.booleans()] * 4),
)
messages = st.one_of(st.builds(Asked, numbers, changes), st.builds(Done, numbers), states)

values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**40) | st.sampled_from(["E", "none", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "number",
                    "done",
                    "line",
                    "modem",
                    "break",
                    "drain",
                    "state",
                    "dtr",
                    "parity",
                    "cts",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(messages)
def test_every_message_arrives_as_it_was_sent(message: Asked | Done | PortState) -> None:
    line = encode(message)
    assert line.endswith(b"\n")
    assert len(line) < LINE_MAX
    assert decode(line[:-1]) == message


@given(values)
def test_anything_else_is_refused_in_one_way(said: object) -> None:
    try:
        found = decode(json.dumps(said).encode())
    except ValueError:
        return
    assert decode(encode(found)[:-1]) == found


@given(st.binary(max_size=50))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(ValueError, match="not understood"):
        decode(noise + b"{")


@pytest.mark.parametrize(
    "line",
    [
        b'{"number": 1, "line": {"data_bits": 9}}',
        b'{"number": 1, "line": {"data_bits": true}}',
        b'{"number": 1, "line": {"baudrate": -1}}',
        b'{"number": 1, "line": {"parity": "X"}}',
        b'{"number": 1, "line": {"colour": 1}}',
        b'{"number": 1, "modem": {"rts": 1}}',
        b'{"number": 1, "break": 1}',
        b'{"state": {}}',
        b'{"state": {"settings": 1}}',
        b'{"hello": 1}',
        b"[" * 900,
    ],
)
def test_values_have_their_ranges(line: bytes) -> None:
    with pytest.raises(ValueError, match="not understood"):
        decode(line)


@given(st.lists(messages, max_size=5), st.data())
def test_lines_come_in_any_pieces(
    said: list[Asked | Done | PortState], data: st.DataObject
) -> None:
    stream = b"".join(map(encode, said))
    splitter = Splitter()
    found = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += [decode(line) for line in splitter.feed(stream[:size])]
        stream = stream[size:]
    assert found == said


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_line_has_an_end(end: bytes) -> None:
    splitter = Splitter()
    splitter.feed(b"x" * (LINE_MAX - 1))
    with pytest.raises(ValueError, match="more than 1024 bytes"):
        splitter.feed(b"x" + end)


def test_each_terminal_has_its_own_address() -> None:
    assert address(23, 34817) == b"\0portline-lines-23-34817"
