"""Whatever the line brings, with marks or without: the same data, and every fault in its place."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from portline.line import LineFault
from portline.port.tty.marks import Marks

Heard = bytes | tuple[str, int]

heard = st.lists(
    st.one_of(
        st.binary(min_size=1, max_size=20),
        st.lists(st.sampled_from([0x00, 0xFF, 0x41]), min_size=1, max_size=8).map(bytes),
        st.tuples(st.just("fault"), st.integers(0, 255)),
    ),
    max_size=20,
)
cuts = st.lists(st.integers(0, 400), max_size=10)


def as_the_kernel_writes_it(line: list[Heard]) -> bytes:
    """n_tty.c: n_tty_receive_parity_error, n_tty_receive_char_fast's doubling of 0377."""
    return b"".join(
        part.replace(b"\xff", b"\xff\xff") if isinstance(part, bytes) else bytes((0xFF, 0, part[1]))
        for part in line
    )


def as_it_was_meant(line: list[Heard]) -> list[bytes | LineFault]:
    meant: list[bytes | LineFault] = []
    for part in line:
        if isinstance(part, bytes):
            meant.append(part)
        else:
            broken = part[1] == 0
            meant += [LineFault(framing=not broken, break_received=broken), bytes((part[1],))]
    return joined(meant)


def joined(events: list[bytes | LineFault]) -> list[bytes | LineFault]:
    """Put neighbouring data together."""
    found: list[bytes | LineFault] = []
    for event in events:
        if isinstance(event, bytes) and found and isinstance(found[-1], bytes):
            found[-1] += event
        else:
            found.append(event)
    return found


@given(heard, cuts)
def test_any_division_gives_what_was_meant(line: list[Heard], places: list[int]) -> None:
    raw = as_the_kernel_writes_it(line)
    marks = Marks()
    events: list[bytes | LineFault] = []
    edges = sorted({0, len(raw), *(place for place in places if place < len(raw))})
    for start, end in itertools.pairwise(edges):
        chunk = list(marks.feed(raw[start:end]))
        assert chunk == joined(chunk)
        assert b"" not in chunk
        events += chunk
    assert joined(events) == as_it_was_meant(line)
    assert marks.flush() == b""


@given(st.binary(max_size=200), cuts)
def test_nothing_that_arrives_is_too_strange(raw: bytes, places: list[int]) -> None:
    marks = Marks()
    edges = sorted({0, len(raw), *(place for place in places if place < len(raw))})
    events: list[bytes | LineFault] = []
    for start, end in itertools.pairwise(edges):
        events += marks.feed(raw[start:end])
    whole = Marks()
    assert joined(events) == list(whole.feed(raw))
    assert marks.flush() == whole.flush()
