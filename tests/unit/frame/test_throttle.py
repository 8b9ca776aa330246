from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.frame.throttle import FIRST_TICK, LATE_LIMIT, TICK, Throttle
from portline.line import BAUDRATE_MAX, BAUDRATE_MIN, LineSettings, Parity, StopBits

lines = st.builds(
    LineSettings,
    baudrate=st.integers(BAUDRATE_MIN, BAUDRATE_MAX),
    data_bits=st.sampled_from([5, 6, 7, 8]),
    parity=st.sampled_from(Parity),
    stop_bits=st.sampled_from(StopBits),
)
late = st.lists(st.floats(0, LATE_LIMIT / 2), min_size=1, max_size=60)
SLOW = LineSettings(300).character_time
FAST = LineSettings(115200).character_time


# --- rules ----------------------------------------------------------------------------------------


@given(lines, st.floats(0, 1e7), late)
def test_a_busy_line_is_neither_faster_nor_slower_than_it_should_be(
    line: LineSettings, begin: float, delays: list[float]
) -> None:
    time = line.character_time
    throttle = Throttle(time)
    throttle.begin(begin)
    looks: list[tuple[float, int]] = [(begin, 0)]
    for delay in delays:
        now = max(looks[-1][0], throttle.deadline()) + delay
        allowed = throttle.allowance(now)
        throttle.took(allowed, now)
        looks.append((now, looks[-1][1] + allowed))
        assert looks[-1][1] == pytest.approx((now - begin) / time, abs=1.1)
    for first, before in looks:
        for last, after in looks:
            assert after - before <= max(0.0, last - first) / time + 1.1


@given(lines, st.lists(st.tuples(st.floats(0, 0.05), st.integers(0, 400)), max_size=60))
def test_pauses_earn_no_more_than_a_tick(
    line: LineSettings, looks: list[tuple[float, int]]
) -> None:
    time = line.character_time
    throttle = Throttle(time)
    now = 1000.0
    passed: list[tuple[float, int]] = []
    for wait, waiting in looks:
        now += wait
        throttle.begin(now)
        if (due := throttle.deadline(waiting)) > now:
            now = due
        count = min(waiting, throttle.allowance(now))
        throttle.took(count, now)
        passed.append((now, count))
    for index, (first, _) in enumerate(passed):
        total = 0
        for last, count in passed[index:]:
            total += count
            # What passed at the beginning took a tick, or a character, before it.
            assert total <= (last - first + 2 * TICK) / time + 2.02


@given(lines, st.floats(0, 1e8))
def test_a_look_is_due_after_a_character_or_a_tick(line: LineSettings, begin: float) -> None:
    throttle = Throttle(line.character_time)
    throttle.begin(begin)
    for _ in range(10):
        due = throttle.deadline()
        allowed = throttle.allowance(due)
        assert allowed >= 1
        assert due - begin <= max(TICK, line.character_time) * 1.01 + 1e-6
        throttle.took(allowed, due)
        begin = due


# --- one after the other --------------------------------------------------------------------------


def test_a_character_passes_at_the_end_of_its_time() -> None:
    throttle = Throttle(SLOW)
    throttle.begin(50.0)
    assert throttle.deadline() == 50.0 + SLOW
    assert throttle.allowance(50.0 + SLOW * 0.99) == 0
    assert throttle.allowance(50.0 + SLOW) == 1
    throttle.took(1, 50.0 + SLOW)
    assert throttle.deadline() == pytest.approx(50.0 + 2 * SLOW)


def test_lateness_does_not_add_up() -> None:
    throttle = Throttle(SLOW)
    throttle.begin(50.0)
    throttle.took(1, 50.0 + SLOW * 1.4)
    assert throttle.deadline() == pytest.approx(50.0 + 2 * SLOW)


def test_idle_time_earns_nothing() -> None:
    throttle = Throttle(FAST)
    throttle.begin(50.0)
    throttle.took(1, 50.1)
    throttle.begin(60.0)
    assert throttle.allowance(60.0) == 0


def test_a_gap_of_a_tick_is_not_idle() -> None:
    throttle = Throttle(FAST)
    throttle.begin(50.0)
    throttle.took(throttle.allowance(50.0 + TICK), 50.0 + TICK)
    throttle.begin(50.0 + 1.9 * TICK)
    assert throttle.allowance(50.0 + 2 * TICK) in (57, 58)


def test_a_process_that_was_stopped_does_not_make_up_for_it() -> None:
    throttle = Throttle(FAST)
    throttle.begin(50.0)
    assert throttle.allowance(500.0) == int(LATE_LIMIT / FAST) + 1


def test_portions_begin_small() -> None:
    throttle = Throttle(FAST)
    throttle.begin(50.0)
    steps, now = [], 50.0
    for _ in range(5):
        due = throttle.deadline()
        steps.append(due - now)
        throttle.took(throttle.allowance(due), due)
        now = due
    assert steps == pytest.approx(
        [FIRST_TICK, 2 * FIRST_TICK, 4 * FIRST_TICK, TICK, TICK], abs=FAST
    )


def test_what_is_known_to_be_short_is_not_waited_for_longer() -> None:
    throttle = Throttle(FAST)
    throttle.begin(50.0)
    assert throttle.deadline(3) == pytest.approx(50.0 + 3 * FAST)
    assert throttle.deadline(0) == pytest.approx(50.0 + FAST)


def test_another_speed_counts_at_once() -> None:
    throttle = Throttle(SLOW)
    throttle.begin(50.0)
    throttle.change(FAST, 50.0 + SLOW / 2)
    assert throttle.deadline() == pytest.approx(50.0 + SLOW / 2 + FIRST_TICK - FAST / 2, abs=FAST)
    throttle.took(throttle.allowance(50.0 + SLOW), 50.0 + SLOW)
    throttle.change(SLOW, 50.0 + SLOW + TICK)
    assert throttle.allowance(50.0 + SLOW + TICK) <= 1
    assert throttle.allowance(50.0 + 2 * SLOW + TICK) <= 2


def test_stop_bits_count() -> None:
    one = LineSettings(300)
    assert Throttle(one.character_time).deadline() == pytest.approx(10 / 300)
    two = replace(one, stop_bits=StopBits.TWO)
    assert Throttle(two.character_time).deadline() == pytest.approx(11 / 300)
