"""When a read of a terminal is over (n_tty_read, termios(3))."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.port.cuse.pollers import IN, OUT, Pollers
from portline.port.cuse.reading import Manner, Reading


@pytest.mark.parametrize(
    ("manner", "size", "chunks", "over_after"),
    [
        (Manner(vmin=1), 10, [b"a"], 1),
        (Manner(vmin=3), 10, [b"a", b"b", b"c"], 3),
        (Manner(vmin=3), 10, [b"ab", b"cd"], 2),
        (Manner(vmin=200), 2, [b"a", b"b"], 2),
        (Manner(vmin=0, vtime=5), 10, [b"a"], 1),
        (Manner(vmin=0), 10, [], 0),
        (Manner(lines=True, vmin=9), 10, [b"a\n"], 1),
    ],
)
def test_a_read_is_over_with_enough(
    manner: Manner, size: int, chunks: list[bytes], over_after: int
) -> None:
    reading = Reading(2, size, 0.0)
    seen = [reading.over(manner, 0.0)]
    for chunk in chunks:
        reading.add(chunk, 0.0)
        seen.append(reading.over(manner, 0.0))
    assert seen.index(True) == over_after


def test_a_read_without_vmin_ends_after_vtime() -> None:
    reading, manner = Reading(2, 10, 100.0), Manner(vmin=0, vtime=7)
    assert reading.deadline(manner) == pytest.approx(100.7)
    assert not reading.over(manner, 100.6)
    assert reading.over(manner, 100.71)


def test_the_time_between_characters_begins_with_the_first_one() -> None:
    reading, manner = Reading(2, 10, 100.0), Manner(vmin=5, vtime=7)
    assert reading.deadline(manner) is None
    assert not reading.over(manner, 500.0)
    reading.add(b"a", 600.0)
    reading.add(b"b", 600.5)
    assert reading.deadline(manner) == pytest.approx(601.2)
    assert not reading.over(manner, 601.1)
    assert reading.over(manner, 601.21)


def test_what_a_poll_calls_readable() -> None:
    assert Manner(vmin=7).polls == 7
    assert Manner(vmin=0).polls == 1
    assert Manner(vmin=7, vtime=1).polls == 1
    assert Manner(lines=True, vmin=7).polls == 1


@given(
    wants=st.integers(0, 0x1FF),
    told=st.integers(0, 0x1FF),
    now=st.integers(0, 0x1FF),
)
def test_a_poller_is_woken_by_what_is_news_and_once(wants: int, told: int, now: int) -> None:
    pollers = Pollers()
    pollers.add(1, 77, wants, told)
    news = (wants | 0x18) & ~told & now
    assert pollers.ready(now) == ([77] if news else [])
    assert pollers.ready(0x1FF) == ([] if news or not (wants | 0x18) & ~told else [77])


def test_several_who_poll_one_handle_are_one() -> None:
    pollers = Pollers()
    pollers.add(1, 77, IN, IN)
    pollers.add(1, 77, OUT, 0)
    assert pollers.missing & (IN | OUT) == IN | OUT
    assert pollers.more(IN) == [77]
    assert pollers.hang_up() == []


def test_more_of_the_same_wakes_too() -> None:
    pollers = Pollers()
    pollers.add(1, 77, IN, IN)
    assert pollers.ready(IN) == []
    assert pollers.more(OUT) == []
    assert pollers.more(IN) == [77]
    pollers.add(2, 78, IN, 0)
    pollers.forget(2)
    assert pollers.hang_up() == []
