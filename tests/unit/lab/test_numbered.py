"""What the tests of kills make of what came: lost, twice, wrong, out of order."""

from __future__ import annotations

import pytest

from tests.lab.numbered import RECORD, Heard, Numbers, Reader


@pytest.fixture
def numbers() -> Numbers:
    return Numbers("/dev/port", "n")


def heard(heard: Heard, *pieces: bytes) -> dict[str, int]:
    reader = Reader(heard)
    for piece in pieces:
        reader.take(piece)
    reader.cut()
    return {name: heard[name] for name in Heard.NAMES if heard[name]}


def test_what_comes_in_any_pieces_is_heard_once(numbers: Numbers) -> None:
    sent = numbers.issue(20)
    assert heard(numbers.far, *(sent[n : n + 7] for n in range(0, len(sent), 7))) == {}
    assert bytes(numbers.far.times[:21]) == b"\1" * 20 + b"\0"


@pytest.mark.parametrize(
    ("cut", "found"),
    [
        ((15, 15), {}),
        ((10, 20), {}),
        ((14, 36), {"pieces": 7}),  # the beginning of one, and the end of another
        ((14, 30), {"pieces": 4}),
        ((20, 26), {"pieces": 3}),
        ((36, 50), {"pieces": 6}),
    ],
)
def test_a_gap_leaves_pieces_and_nothing_wrong(
    numbers: Numbers, cut: tuple[int, int], found: dict[str, int]
) -> None:
    sent = numbers.issue(5)
    assert heard(numbers.far, sent[: cut[0]] + sent[cut[1] :]) == found


@pytest.mark.parametrize(
    ("came", "found"),
    [
        (b"n00000000;n00000000;", {"twice": RECORD}),
        (b"n00000001;n00000000;", {"disorder": RECORD}),
        (b"n00000000;n00000009;", {"wrong": 9}),  # not written yet
        (b"n00000000;l00000001;", {"wrong": 9}),  # another port's
        (b"n0000\xff000;", {"wrong": 9}),
        (b"n00000000;\rn00000001;", {"wrong": 1}),
    ],
)
def test_what_should_not_come_is_told(numbers: Numbers, came: bytes, found: dict[str, int]) -> None:
    numbers.issue(2)
    assert heard(numbers.far, came) == found


def test_the_fates_tell_where_it_was_lost_and_when(numbers: Numbers) -> None:
    numbers.issue(7)
    heard(numbers.far, b"n00000000;n00000001;n00000002;n00000003;")
    heard(numbers.near, b"n00000000;")
    numbers.end(0, 1, 0)
    numbers.end(1, 2, 0)
    numbers.killed()
    numbers.end(2, 3, 0)
    numbers.end(4, 5, 0)
    numbers.end(6, 7, 1, gone=True)
    heard(numbers.near, b"n00000001;")
    fates = numbers.fates()
    assert (fates.issued, fates.came, fates.late) == (7, 2, 1)
    assert str(fates).startswith(
        "70 bytes written, 20 came back (10 late); "
        "lost on the way out: 10 across a kill, 10 into a killed one, 10 with the program killed, "
        "0 otherwise; "
        "on the way back: 10 across a kill, 0 into a killed one, 10 with the program killed, "
        "0 otherwise; "
    )
