from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from portline.recording.record import Kind, Record, Source
from portline.service.monitor.watcher import RECORD_COST, Watcher


def data(text: bytes, at: float = 0.0) -> Record:
    return Record(at, Source.PORT, Kind.DATA, data=text)


class Stage:
    def __init__(self, limit: int = 4 * RECORD_COST + 40) -> None:
        self.called = 0
        self.left: list[Watcher] = []
        self.watcher = Watcher(self.call, self.left.append, limit=limit)

    def call(self) -> None:
        self.called += 1


def test_records_come_in_order_and_who_watches_is_called_once() -> None:
    stage = Stage()
    assert not stage.watcher.waiting
    assert stage.watcher.take() == []
    for text in (b"a", b"b", b"c"):
        assert stage.watcher.put(data(text)) == 0
    assert stage.called == 1
    assert stage.watcher.waiting
    assert [each.data for each in stage.watcher.take(2 * RECORD_COST + 2)] == [b"a", b"b"]
    stage.watcher.put(data(b"d"))
    assert stage.called == 1  # something was left behind: who takes knows
    assert [each.data for each in stage.watcher.take()] == [b"c", b"d"]
    assert not stage.watcher.waiting
    stage.watcher.put(data(b"e"))
    assert stage.called == 2


def test_a_record_larger_than_what_is_taken_at_once_is_taken_alone() -> None:
    stage = Stage()
    stage.watcher.put(data(b"x" * 30))
    stage.watcher.put(data(b"y"))
    assert [each.data for each in stage.watcher.take(1)] == [b"x" * 30]


def test_who_stays_behind_is_told_how_much_is_missing() -> None:
    stage = Stage(limit=2 * RECORD_COST + 2)
    for number, text in enumerate((b"a", b"b", b"lost", b"too", b"")):
        stage.watcher.put(data(text, at=number))
    first = stage.watcher.take(RECORD_COST + 1)
    assert [each.data for each in first] == [b"a"]
    assert stage.watcher.put(data(b"there is room, but a gap is one gap")) == 35
    *some, skipped = stage.watcher.take()
    assert [each.data for each in some] == [b"b"]
    assert skipped.kind is Kind.SKIPPED
    assert skipped.value == {"bytes": 42, "records": 4}
    assert "skipped 4 records with 42 bytes" in skipped.text
    assert (stage.watcher.skipped_bytes, stage.watcher.skipped_records) == (42, 4)
    stage.watcher.put(data(b"on"))
    assert [each.data for each in stage.watcher.take()] == [b"on"]


def test_the_last_record_is_never_skipped() -> None:
    stage = Stage(limit=0)
    stage.watcher.put(data(b"no room"))
    last = Record(9.0, Source.PORT, Kind.CLOSED, text="removed")
    stage.watcher.end(last)
    assert not stage.watcher.ended
    skipped, end = stage.watcher.take()
    assert skipped.kind is Kind.SKIPPED
    assert end is last
    assert stage.watcher.ended


def test_who_leaves_is_called_no_more() -> None:
    stage = Stage()
    stage.watcher.close()
    stage.watcher.put(data(b"x"))
    assert stage.called == 0
    assert stage.watcher.take(0) == [data(b"x")]  # nobody asks; but nothing breaks
    stage.watcher.close()
    assert stage.left == [stage.watcher] * 2
    assert stage.watcher.ended


steps = st.lists(
    st.one_of(st.binary(min_size=1, max_size=30), st.integers(1, 4 * RECORD_COST)), max_size=60
)


@given(steps, st.integers(RECORD_COST, 6 * RECORD_COST))
def test_nothing_is_lost_doubled_or_moved_but_what_is_told(
    what: list[bytes | int], limit: int
) -> None:
    stage = Stage(limit)
    sent: list[bytes] = []
    seen: list[Record] = []
    skipped = 0
    for step in what:
        if isinstance(step, int):
            seen += stage.watcher.take(step)
        else:
            sent.append(step)
            skipped += stage.watcher.put(data(step, at=len(sent) - 1))
        assert stage.watcher._size <= limit
        assert stage.watcher.waiting <= bool(stage.called)
    while stage.watcher.waiting:
        seen += stage.watcher.take()
    told = 0
    position = 0
    for record in seen:
        if record.kind is Kind.SKIPPED:
            records = record.value["records"]
            assert isinstance(records, int)
            gap = b"".join(sent[position : position + records])
            assert record.value["bytes"] == len(gap)
            told += len(gap)
            position += records
        else:
            assert (record.at, record.data) == (position, sent[position])
            position += 1
    assert position == len(sent)
    assert told == skipped == stage.watcher.skipped_bytes
