from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.recording.choice import Choice
from portline.recording.page import Page, Stamp, View
from portline.recording.record import Kind, Record, Source
from portline.recording.writing import HexWriter, JsonWriter, RawWriter
from tests.unit.recording.test_record import records

AT = 1732720000.25


def local(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def heard(data: bytes, at: float = AT) -> Record:
    return Record(at, Source.PORT, Kind.DATA, "", data)


def spoke(data: bytes, at: float = AT) -> Record:
    return Record(at, Source.PEER, Kind.DATA, "192.0.2.1:4", data)


def page(record: Record, **options: object) -> list[str]:
    return list(Page(local=local, **options).lines(record))  # type: ignore[arg-type]


def test_hex_and_text_beside_each_other() -> None:
    assert page(heard(b"Hello, world 1234\r\n\xff")) == [
        "15:06:40.250000 <- 48 65 6c 6c 6f 2c 20 77 6f 72 6c 64 20 31 32 33  Hello, world 123",
        "                <- 34 0d 0a ff                                      4...",
    ]
    assert page(spoke(b"?"), view=View.HEX) == ["15:06:40.250000 -> 3f   192.0.2.1:4"]


def test_text_alone() -> None:
    assert page(spoke(b"one\r\ntwo\\\t\x1b[2J\x80\n"), view=View.TEXT) == [
        "15:06:40.250000 -> one\\r\\n   192.0.2.1:4",
        "                -> two\\\\\\t\\x1b[2J\\x80\\n",
    ]
    assert page(heard(b"x" * 170), view=View.TEXT)[2].endswith("<- " + "x" * 10)


def test_what_happens() -> None:
    record = Record(AT, Source.PEER, Kind.SETTINGS, "192.0.2.1:4", text="1200-8N1\x1b[2J")
    assert page(record) == ["15:06:40.250000 -> settings: 1200-8N1\\x1b[2J   192.0.2.1:4"]


@pytest.mark.parametrize(
    ("stamp", "times"),
    [
        (Stamp.ABSOLUTE, ["15:06:40.250000", "15:06:40.500000", "15:06:41.000000"]),
        (Stamp.RELATIVE, ["     0.000000", "     0.250000", "     0.750000"]),
        (Stamp.DELTA, ["    +0.000000", "    +0.250000", "    +0.500000"]),
    ],
)
def test_times(stamp: Stamp, times: list[str]) -> None:
    made = Page(local=local, stamp=stamp)
    lines = [next(made.lines(heard(b"x", at))) for at in (AT, AT + 0.25, AT + 0.75)]
    assert [line.partition(" <-")[0] for line in lines] == times


@given(records, st.sampled_from(View), st.sampled_from(Stamp))
def test_every_line_is_printable_and_all_of_the_data_is_there(
    record: Record, view: View, stamp: Stamp
) -> None:
    lines = list(Page(view, stamp, local).lines(record))
    assert all(line.isprintable() for line in lines)
    if record.kind is Kind.DATA and view is View.HEX and not record.peer:
        words = [word for line in lines for word in line.split("<-" if "<-" in line else "->")[1:]]
        assert bytes.fromhex("".join(words)) == record.data


def test_choices() -> None:
    choice = Choice(kinds={Kind.DATA}, source=Source.PORT)
    assert choice.wants(heard(b"x"))
    assert not choice.wants(spoke(b"x"))
    assert not choice.wants(Record(AT, Source.PORT, Kind.LINES))
    assert choice.wants(Record(AT, Source.PORT, Kind.SKIPPED))
    gone = Record(AT, Source.PORT, Kind.CLOSED, value={"what": "connection"})
    assert choice.wants(gone)
    assert not choice.wants(Record(AT, Source.PORT, Kind.CLOSED, value={"what": "port"}))


def test_a_text_is_found_in_pieces() -> None:
    choice = Choice(match=b"error")
    assert not choice.wants(heard(b"no er"))
    assert not choice.wants(spoke(b"ror"))  # the other direction
    assert choice.wants(heard(b"ror 5"))
    assert not choice.wants(heard(b"ror"))
    assert choice.wants(Record(AT, Source.PORT, Kind.FAULT, text="parity error"))
    assert not choice.wants(Record(AT, Source.PORT, Kind.FAULT, text="overrun"))
    assert not choice.wants(heard(b"err"))
    assert choice.wants(Record(AT, Source.PORT, Kind.SKIPPED))
    assert not choice.wants(heard(b"or"))  # something is missing between


@given(st.lists(st.binary(max_size=6)), st.binary(min_size=1, max_size=4))
def test_a_text_is_found_where_it_ends(pieces: list[bytes], match: bytes) -> None:
    choice = Choice(match=match)
    whole = b""
    for piece in pieces:
        ends = [
            end
            for end in range(len(match), len(whole + piece) + 1)
            if (whole + piece)[end - len(match) : end] == match and end > len(whole)
        ]
        whole += piece
        assert choice.wants(heard(piece)) is bool(ends)


def test_plain_formats() -> None:
    what = (heard(b"Hi"), spoke(b"?", AT + 86400), Record(AT, Source.PORT, Kind.BREAK, text="b"))

    def written(writer: HexWriter | JsonWriter | RawWriter) -> bytes:
        return writer.begin() + b"".join(map(writer.encode, what)) + writer.end(AT)

    assert written(RawWriter()) == b"Hi?"
    assert written(HexWriter("meter", local=local)).decode().splitlines() == [
        "# meter: <- from the port   -> to the port",
        "# 2024-11-27",
        f"15:06:40.250000 <- 48 69{'':43} Hi",
        "# 2024-11-28",
        f"15:06:40.250000 -> 3f{'':46} ?   192.0.2.1:4",
        "# 2024-11-27",
        "15:06:40.250000 <- break: b",
    ]
    assert written(JsonWriter()).splitlines()[0] == (
        b'{"at":1732720000.25,"source":"port","peer":"","kind":"data","data":"SGk="}'
    )
