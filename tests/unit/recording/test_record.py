from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.recording.record import Kind, Record, Source

records = st.one_of(
    st.builds(
        Record,
        at=st.floats(0, 4e9).map(lambda at: round(at, 6)),
        source=st.sampled_from(Source),
        kind=st.just(Kind.DATA),
        peer=st.text(),
        data=st.binary(),
    ),
    st.builds(
        Record,
        at=st.floats(0, 4e9).map(lambda at: round(at, 6)),
        source=st.sampled_from(Source),
        kind=st.sampled_from([kind for kind in Kind if kind is not Kind.DATA]),
        peer=st.text(),
        text=st.text(),
        value=st.dictionaries(st.text(), st.booleans() | st.integers() | st.text()),
    ),
)


@given(records)
def test_what_is_written_as_json_is_read_again(record: Record) -> None:
    assert Record.of(json.loads(json.dumps(record.plain()))) == record


def test_data_is_base64() -> None:
    plain = Record(1.5, Source.PEER, Kind.DATA, "192.0.2.1:4", b"\xff\xfe?").plain()
    assert plain == {
        "at": 1.5,
        "source": "peer",
        "peer": "192.0.2.1:4",
        "kind": "data",
        "data": "//4/",
    }


GOOD = {"at": 1, "source": "port", "peer": "", "kind": "data", "data": "AA=="}


@pytest.mark.parametrize(
    "change",
    [
        {"at": "1"},
        {"at": -1},
        {"at": float("nan")},
        {"at": float("inf")},
        {"at": 10**400},
        {"source": "moon"},
        {"kind": "noise"},
        {"kind": "lines"},
        {"data": "A"},
        {"data": 5},
        {"peer": None},
    ],
)
def test_nonsense_is_refused(change: dict[str, object]) -> None:
    assert Record.of(GOOD).data == b"\0"
    with pytest.raises(ValueError, match=r".+"):
        Record.of(GOOD | change)
    with pytest.raises(ValueError, match="no record"):
        Record.of([])
