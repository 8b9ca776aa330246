from __future__ import annotations

import pytest

from portline.net.backoff import FIRST, HIGHEST, SMALLEST_PART, Backoff


def always(number: float) -> Backoff:
    return Backoff(0.2, 5.0, random=lambda: number)


def test_delays_double_up_to_the_highest() -> None:
    backoff = always(1.0)
    delays = [backoff.delay() for _ in range(8)]
    assert delays == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0])


def test_chance_makes_them_shorter_but_not_by_much() -> None:
    backoff = always(0.0)
    assert [backoff.delay() for _ in range(7)][-1] == SMALLEST_PART * 5.0


def test_chance_is_drawn_anew_each_time() -> None:
    numbers = iter([0.0, 1.0])
    backoff = Backoff(1.0, 1.0, random=lambda: next(numbers))
    assert (backoff.delay(), backoff.delay()) == (SMALLEST_PART, 1.0)


def test_after_a_reset_they_begin_again() -> None:
    backoff = always(1.0)
    first = [backoff.delay() for _ in range(5)]
    backoff.reset()
    assert [backoff.delay() for _ in range(5)] == first


def test_without_arguments_they_are_within_the_usual_bounds() -> None:
    backoff = Backoff()
    assert backoff.highest == HIGHEST
    assert SMALLEST_PART * FIRST <= backoff.delay() <= FIRST
    assert all(SMALLEST_PART * FIRST <= backoff.delay() <= HIGHEST for _ in range(1000))


@pytest.mark.parametrize(("first", "highest"), [(0.0, 5.0), (-1.0, 5.0), (2.0, 1.0)])
def test_delays_that_cannot_grow_are_refused(first: float, highest: float) -> None:
    with pytest.raises(ValueError, match="do not grow"):
        Backoff(first, highest)
