from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.hub.drain import (
    HAND_LOOK,
    POLL_MAX,
    POLL_MIN,
    SERVER_HOLDS,
    STALL_LIMIT,
    Answering,
    Ask,
    Drain,
    Step,
    Transmitter,
    Way,
)
from portline.line import Item, Query, Told

CHARACTER = 1 / 960
EMPTY, BUSY = 0x60, 0x00
LINE, FENCE = Item.LINE_STATE, Item.BAUDRATE


class Bench:
    """A drain, what its peer is like, and the time."""

    def __init__(
        self, *, asking: bool = True, handed: int = 0, answering: Answering = Answering.UNKNOWN
    ) -> None:
        self.now = 50.0
        self.way = Way(0, handed, handed, asking)
        self.transmitter = Transmitter()
        self.transmitter.answering = answering
        self.asked: list[Query] = []
        self.patience = 0.0
        self.again()

    def again(self) -> None:
        self.drain = Drain(self.transmitter, CHARACTER, self.now)

    def look(self) -> Step:
        """Look, ask if that is the step, and return what is next."""
        step = self.drain.look(self.way, self.now)
        if isinstance(step, Ask):
            self.asked += step.queries
            self.patience = step.patience
            self.way = replace(self.way, handed=self.way.handed + 7)
            self.drain.asked(self.way.handed)
            step = self.drain.look(self.way, self.now)
            assert not isinstance(step, Ask)
        return step

    @property
    def items(self) -> list[Item]:
        return [query.item for query in self.asked]

    def answer(self, item: Item, value: int | None) -> None:
        """Answer the oldest question about this."""
        query = next(query for query in self.asked if query.item is item)
        self.asked = [each for each in self.asked if each is not query]
        self.drain.told(Told(item, value, query), self.now)
        if value is not None and item is LINE:
            self.transmitter.told(value)


def test_a_raw_peer_has_everything_when_its_machine_has_acknowledged_it() -> None:
    bench = Bench(asking=False)
    bench.way = Way(waiting=50, handed=150, acked=80, asking=False)
    assert bench.look() == HAND_LOOK
    bench.way = Way(waiting=0, handed=150, acked=149, asking=False)
    assert bench.look() == HAND_LOOK
    bench.way = Way(waiting=7, handed=157, acked=150, asking=False)  # written since
    assert bench.look() is None


def test_nothing_written_is_nothing_to_wait_for() -> None:
    assert Bench(asking=False, handed=100).look() is None


def test_an_access_server_says_when_its_transmitter_is_empty() -> None:
    bench = Bench(handed=960, answering=Answering.EMPTY)
    assert bench.look() == POLL_MAX
    assert bench.items == [LINE]
    assert bench.patience == pytest.approx(STALL_LIMIT + 1.0)
    bench.answer(LINE, BUSY)
    assert bench.look() == pytest.approx(POLL_MAX)
    bench.now += 0.95
    bench.look()
    bench.answer(LINE, BUSY)
    assert bench.look() == pytest.approx(0.05)  # when the line should be done
    bench.now += 0.05
    bench.look()
    bench.answer(LINE, EMPTY)
    assert bench.look() is None
    bench.again()
    assert bench.look() is None  # nothing was written since
    bench.way = replace(bench.way, handed=bench.way.handed + 1)
    bench.again()
    assert bench.look() == POLL_MAX
    assert bench.patience == pytest.approx(STALL_LIMIT + CHARACTER)


def test_a_line_that_is_slower_than_it_should_be_is_asked_less_and_less() -> None:
    bench = Bench(answering=Answering.EMPTY, handed=1)
    pauses = []
    for _ in range(7):
        bench.look()
        bench.answer(LINE, BUSY)
        pause = bench.look()
        assert isinstance(pause, float)
        pauses.append(pause)
        bench.now += pause
    assert pauses[0] == pytest.approx(POLL_MIN)
    assert pauses == sorted(pauses)
    assert pauses[-1] == pytest.approx(POLL_MAX)


def test_whether_a_server_tells_is_found_out() -> None:
    bench = Bench(handed=10)
    bench.look()
    assert bench.items == [LINE, FENCE]
    bench.answer(LINE, EMPTY)
    assert bench.look() is None
    assert bench.transmitter.answering is Answering.EMPTY


def test_a_server_that_always_says_busy_has_at_least_received_it() -> None:
    bench = Bench(handed=10)
    for _ in range(2):
        bench.again()
        bench.look()
        assert bench.items == [LINE, FENCE]
        bench.answer(LINE, BUSY)
        assert bench.look() == POLL_MAX
        bench.answer(FENCE, 9600)
        assert bench.look() is None
        assert bench.transmitter.answering is Answering.UNKNOWN
    bench.again()
    bench.look()
    bench.answer(LINE, EMPTY)  # it was busy indeed
    assert bench.look() is None
    assert bench.transmitter.answering is Answering.EMPTY


def test_a_server_that_passes_the_line_state_over_is_not_asked_for_it_again() -> None:
    bench = Bench(handed=10)
    bench.look()
    bench.answer(FENCE, 9600)
    assert bench.look() is None
    assert bench.transmitter.answering is Answering.RECEIVED
    bench.asked.clear()
    bench.again()
    assert bench.look() == POLL_MAX
    assert bench.items == [FENCE]
    bench.answer(FENCE, 9600)
    assert bench.look() is None
    assert bench.transmitter.answering is Answering.RECEIVED


def test_a_server_that_answers_nothing_is_as_good_as_a_raw_peer() -> None:
    bench = Bench(handed=10)
    bench.look()
    bench.answer(LINE, None)
    assert bench.look() == POLL_MAX  # the fence may come yet
    bench.answer(FENCE, None)
    assert bench.look() == HAND_LOOK
    bench.way = replace(bench.way, acked=bench.way.handed)
    assert bench.look() is None
    assert bench.transmitter.answering is Answering.NOTHING
    bench.asked.clear()
    bench.again()
    assert bench.look() is None
    assert bench.asked == []


def test_one_that_told_and_is_silent_for_once_is_asked_the_next_time() -> None:
    bench = Bench(handed=10, answering=Answering.EMPTY)
    bench.look()
    bench.answer(LINE, None)
    assert bench.look() is None
    bench.again()
    bench.look()
    assert bench.items == [LINE]


def test_one_that_turns_out_to_tell_is_asked_again() -> None:
    bench = Bench(handed=10)
    bench.look()
    bench.transmitter.told(EMPTY)  # of its own accord
    bench.answer(LINE, BUSY)
    bench.answer(FENCE, 9600)
    bench.now += POLL_MAX
    assert bench.look() == POLL_MAX
    assert bench.items == [LINE]


def test_one_that_no_longer_is_an_access_server_only_acknowledges() -> None:
    bench = Bench(handed=10)
    bench.look()
    bench.way = Way(0, 24, 24, asking=False)
    assert bench.look() is None


def test_the_answers_of_others_are_not_ours() -> None:
    bench = Bench(handed=10, answering=Answering.EMPTY)
    bench.look()
    for request in (None, Query(LINE)):
        bench.drain.told(Told(LINE, EMPTY, request), bench.now)
    assert bench.look() == POLL_MAX


@pytest.mark.parametrize(
    ("waiting", "acked", "asking"), [(5, 5, False), (0, 5, False), (5, 5, True)]
)
def test_a_way_that_stands_still_is_given_up(waiting: int, acked: int, asking: bool) -> None:
    bench = Bench()
    bench.way = Way(waiting, 10, acked, asking)
    assert bench.look() == HAND_LOOK
    bench.now += 0.9 * STALL_LIMIT
    bench.way = replace(bench.way, acked=acked + 1)
    assert bench.look() == HAND_LOOK
    bench.now += 0.9 * STALL_LIMIT
    assert bench.look() == HAND_LOOK
    bench.now += 0.2 * STALL_LIMIT
    assert bench.look() is None


def test_a_line_that_is_held_is_given_up_after_the_time_it_needs() -> None:
    bench = Bench(handed=10 * SERVER_HOLDS, answering=Answering.EMPTY)
    bench.look()
    assert bench.patience == STALL_LIMIT + SERVER_HOLDS * CHARACTER
    bench.answer(LINE, BUSY)
    end = bench.now + bench.patience
    bench.now = end - 0.01
    assert bench.look() is not None
    bench.now = end
    assert bench.look() is None


steps = st.lists(
    st.tuples(
        st.floats(0.0, 10.0),
        st.integers(0, 100),
        st.integers(0, 100),
        st.booleans(),
        st.sampled_from([None, BUSY, EMPTY, 9600]),
    ),
    max_size=30,
)


@given(steps, st.sampled_from(Answering))
def test_whatever_the_peer_does_a_drain_ends(
    given_steps: list[tuple[float, int, int, bool, int | None]], answering: Answering
) -> None:
    """And no more questions wait for an answer than one of each kind."""
    bench = Bench(answering=answering)
    for wait, waiting, acked, asking, value in given_steps:
        bench.now += wait
        bench.way = Way(waiting, max(bench.way.handed, acked), acked, asking)
        step = bench.look()
        assert len(set(bench.items)) == len(bench.items)
        assert step is None or step > 0
        if bench.asked and value is not None:
            bench.answer(bench.asked[0].item, value)
    bench.now += STALL_LIMIT + SERVER_HOLDS * CHARACTER
    bench.look()
    bench.now += STALL_LIMIT + SERVER_HOLDS * CHARACTER
    assert bench.look() is None
