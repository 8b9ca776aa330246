from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.recording.gathering import ROW, TEXT_ROW, Gatherer
from portline.recording.record import Kind, Record, Source


def data(text: bytes, at: float = 0.0, source: Source = Source.PORT, peer: str = "") -> Record:
    return Record(at, source, Kind.DATA, peer, text)


def gathered(gatherer: Gatherer, *records: Record) -> list[tuple[float, bytes]]:
    found = [each for record in records for each in gatherer.feed(record)]
    found += gatherer.flush()
    return [(each.at, each.data) for each in found]


def test_pieces_fill_rows() -> None:
    pieces = [data(b"abcd", at / 1000) for at in range(5)]
    assert gathered(Gatherer(), *pieces) == [(0.0, b"abcd" * 4), (0.004, b"abcd")]


def test_lines_are_whole() -> None:
    pieces = (data(b"on"), data(b"e\ntwo\nth", 0.01), data(b"ree\n", 0.02))
    assert gathered(Gatherer(lines=True), *pieces) == [(0.0, b"one\ntwo\n"), (0.01, b"three\n")]
    long = data(b"x" * (TEXT_ROW + 5))
    assert gathered(Gatherer(lines=True), long) == [(0.0, b"x" * TEXT_ROW), (0.0, b"x" * 5)]


@pytest.mark.parametrize(
    "other",
    [
        data(b"b", 0.02, Source.PEER, "x"),
        data(b"b", 0.02, Source.PORT, "x"),
        data(b"b", 0.06),
    ],
)
def test_what_does_not_belong_together_is_parted(other: Record) -> None:
    gatherer = Gatherer()
    assert gatherer.feed(data(b"a")) == []
    assert gatherer.pending
    assert gatherer.feed(other) == [data(b"a")]
    assert gatherer.flush() == [other]
    assert not gatherer.pending


def test_silence_is_measured_from_the_last_piece() -> None:
    pieces = [data(b"a", 0.04 * turn) for turn in range(4)]
    assert gathered(Gatherer(), *pieces) == [(0.0, b"aaaa")]


def test_other_records_keep_their_place() -> None:
    line = Record(0.0, Source.PORT, Kind.LINES)
    gatherer = Gatherer()
    assert gatherer.feed(data(b"a")) == []
    assert gatherer.feed(line) == [data(b"a"), line]


@given(
    st.lists(
        st.builds(
            data,
            st.binary(max_size=40),
            st.integers(0, 1000).map(lambda at: at / 1000),
            st.sampled_from(Source),
        )
    ),
    st.booleans(),
)
def test_nothing_is_lost_doubled_or_moved(records: list[Record], lines: bool) -> None:
    records.sort(key=lambda record: record.at)
    gatherer = Gatherer(lines=lines)
    found = [each for record in records for each in gatherer.feed(record)] + gatherer.flush()

    def runs(what: list[Record]) -> list[tuple[Source, bytes]]:
        made: list[tuple[Source, bytes]] = []
        for record in what:
            if made and made[-1][0] is record.source:
                made[-1] = (record.source, made[-1][1] + record.data)
            elif record.data:
                made.append((record.source, record.data))
        return made

    assert runs(found) == runs(records)
    assert [each.at for each in found] == sorted(each.at for each in found)
    if not lines:
        assert all(len(each.data) % ROW == 0 or len(each.data) < ROW for each in found)
