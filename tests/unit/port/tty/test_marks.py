"""Examples of PARMRK's marks; the rules are in tests/model/test_marks.py."""

from __future__ import annotations

import pytest

from portline.line import LineFault
from portline.port.tty.marks import Marks

BREAK = LineFault(break_received=True)
FRAMING = LineFault(framing=True)
PARITY = LineFault(parity=True)


@pytest.mark.parametrize(
    ("chunk", "events"),
    [
        (b"", []),
        (b"plain", [b"plain"]),
        (b"\xff\xff", [b"\xff"]),
        (b"\xff\xff" * 3, [b"\xff" * 3]),
        (b"a\xff\xffb", [b"a\xffb"]),
        (b"\xff\x00\x00", [BREAK, b"\x00"]),
        (b"a\xff\x00bc", [b"a", FRAMING, b"bc"]),
        (b"\xff\x00\xff\xff\xff", [FRAMING, b"\xff\xff"]),
        (b"\xff\x00\xff\xff\x00A", [FRAMING, b"\xff", FRAMING, b"A"]),
        (b"\xffunmarked", [b"\xffunmarked"]),
        (b"\xff\xff\xff\x00\x00", [b"\xff", BREAK, b"\x00"]),
    ],
)
def test_marks(chunk: bytes, events: list[object]) -> None:
    assert list(Marks().feed(chunk)) == events


def test_a_mark_in_pieces() -> None:
    marks = Marks()
    assert list(marks.feed(b"a\xff")) == [b"a"]
    assert list(marks.feed(b"\x00")) == []
    assert list(marks.feed(b"\x00b")) == [BREAK, b"\x00b"]


def test_parity_where_the_line_has_parity() -> None:
    assert list(Marks(parity_in_use=True).feed(b"\xff\x00x")) == [PARITY, b"x"]


def test_an_unfinished_mark_is_data_after_all() -> None:
    marks = Marks()
    marks.feed(b"\xff\x00")
    assert marks.flush() == b"\xff\x00"
    assert marks.flush() == b""
