from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.hub.keep import Keep
from portline.hub.policy import BufferOverflow


def test_it_keeps_the_first_bytes_and_counts_the_rest() -> None:
    keep = Keep(5)
    keep.add(b"abc")
    keep.add(b"defg")
    keep.add(b"h")
    assert len(keep) == 5
    assert keep.discarded == 3
    assert keep.empty() == b"abcde"
    assert len(keep) == 0
    assert keep.empty() == b""


def test_a_limit_of_zero_keeps_nothing() -> None:
    keep = Keep(0)
    keep.add(b"abc")
    assert keep.empty() == b""
    assert keep.discarded == 3


# --- what is lent --------------------------------------------------------------------------------


def lent(limit: int, *pieces: bytes) -> Keep:
    keep = Keep(limit)
    keep.lend()
    for piece in pieces:
        keep.add(piece)
    return keep


def test_what_was_got_is_not_kept_as_well() -> None:
    keep = lent(100, b"abc", b"def", b"ghi")
    keep.got(3)
    assert len(keep) == 6
    keep.got(5)
    assert len(keep) == 4
    assert keep.empty() == b""  # nobody knows yet
    keep.settle()
    assert (keep.empty(), keep.discarded) == (b"fghi", 0)


def test_all_of_it_was_got() -> None:
    keep = lent(0, b"abc", b"def")
    keep.got(6)
    keep.settle()
    assert (len(keep), keep.discarded) == (0, 0)


def test_nothing_of_it_was_got() -> None:
    keep = lent(4, b"abc", b"def")
    keep.settle()
    assert (keep.empty(), keep.discarded) == (b"abcd", 2)


def test_what_was_got_makes_room_for_more() -> None:
    keep = lent(4, b"abcdef")
    keep.got(3)
    keep.add(b"ghijk")
    keep.got(5)
    keep.settle()  # of f, which did not fit at its time, and ghijk
    assert (keep.empty(), keep.discarded) == (b"ghi", 3)


def test_what_was_kept_before_stays_in_front_and_counts() -> None:
    keep = Keep(5)
    keep.add(b"ab")
    keep.lend()
    keep.add(b"cdef")
    keep.got(1)
    assert keep.empty() == b"ab"
    keep.settle()
    keep.add(b"ghijk")
    assert (keep.empty(), keep.discarded) == (b"deghi", 3)


def test_settling_twice_or_telling_too_much_changes_nothing() -> None:
    keep = lent(5, b"abc")
    keep.got(-1)
    keep.got(7)
    keep.settle()
    keep.settle()
    keep.add(b"x")
    assert (keep.empty(), keep.discarded) == (b"x", 0)


def test_a_smaller_size_discards_the_newest_and_counts_them() -> None:
    keep = Keep(5)
    keep.add(b"abcde")
    keep.resize(3, BufferOverflow.DROP_NEWEST)
    keep.add(b"x")
    assert (len(keep), keep.discarded) == (3, 3)
    keep.resize(10, BufferOverflow.DROP_NEWEST)
    keep.lend()
    keep.add(b"fghijkl")
    keep.resize(4, BufferOverflow.DROP_NEWEST)
    keep.got(1)
    keep.settle()
    assert (keep.empty(), keep.discarded) == (b"abcg", 8)


def test_the_oldest_may_go_instead() -> None:
    keep = Keep(4, BufferOverflow.DROP_OLDEST)
    keep.add(b"abcdef")
    keep.add(b"g")
    assert (keep.empty(), keep.discarded) == (b"defg", 3)


def test_the_oldest_that_was_lent_goes_and_is_counted_when_it_is_settled() -> None:
    keep = Keep(4, BufferOverflow.DROP_OLDEST)
    keep.add(b"ab")
    keep.lend()
    keep.add(b"cde")
    keep.add(b"fgh")
    assert keep.discarded == 2
    keep.got(1)
    keep.settle()
    assert (keep.empty(), keep.discarded) == (b"efgh", 3)


def test_what_is_held_back_in_the_port_is_never_discarded() -> None:
    keep = Keep(4, BufferOverflow.HOLD)
    assert not keep.full
    keep.add(b"abcdef")
    assert keep.full
    keep.add(b"g")
    assert (keep.empty(), keep.discarded, keep.full) == (b"abcdefg", 0, False)
    assert Keep(0, BufferOverflow.HOLD).full


@pytest.mark.parametrize(
    ("overflow", "kept", "discarded"),
    [
        (BufferOverflow.DROP_NEWEST, b"abcd", 2),
        (BufferOverflow.DROP_OLDEST, b"cdef", 2),
        (BufferOverflow.HOLD, b"abcdef", 0),
    ],
)
def test_what_is_put_back_comes_first(
    overflow: BufferOverflow, kept: bytes, discarded: int
) -> None:
    keep = Keep(4, overflow)
    keep.add(b"def")
    keep.put_back(b"abc")
    assert (keep.empty(), keep.discarded) == (kept, discarded)


PIECES = st.lists(st.tuples(st.binary(max_size=9), st.integers(0, 9)), max_size=20)


@given(
    st.integers(0, 20),
    st.sampled_from((BufferOverflow.DROP_NEWEST, BufferOverflow.DROP_OLDEST)),
    PIECES,
)
def test_every_byte_is_got_kept_or_discarded(
    limit: int, overflow: BufferOverflow, pieces: list[tuple[bytes, int]]
) -> None:
    keep = Keep(limit, overflow)
    keep.lend()
    end = got = 0
    for piece, more in pieces:
        keep.add(bytes(range(end, end + len(piece))))
        end += len(piece)
        got = min(end, got + more)
        keep.got(got)
        assert len(keep) <= limit
    keep.settle()
    kept = keep.empty()
    assert end == got + len(kept) + keep.discarded
    assert list(kept) == sorted(set(kept))
    assert all(number >= got for number in kept)
