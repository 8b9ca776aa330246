from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.auth.throttle import ADDRESSES, PACE, TRIES, Throttle, origin
from portline.net.backoff import Backoff

HOST = "192.0.2.7"


def test_a_few_mistakes_cost_nothing_and_more_wait_for_their_turn() -> None:
    throttle, now = Throttle(), 100.0
    costs = [throttle.failed(HOST, now) for _ in range(TRIES)]
    assert costs == [0.0] * (TRIES - 1) + [PACE]
    assert throttle.wait(HOST, now) == PACE
    assert throttle.slowed(now) == 1
    assert throttle.wait(HOST, now + PACE - 1) == 1.0
    assert throttle.wait(HOST, now + PACE) == 0.0
    assert throttle.slowed(now + PACE) == 0
    assert throttle.wait("192.0.2.8", now) == 0.0
    # That was one turn, and the next comes after as long.
    assert throttle.failed(HOST, now + PACE) == PACE
    assert throttle.failed(HOST, now + 1000) == 0.0


def test_a_program_with_the_wrong_password_keeps_nobody_beside_it_out() -> None:
    backoff, throttle, now = Backoff(random=random.Random(7).random), Throttle(), 0.0
    for _ in range(1000):
        now += backoff.delay()
        assert throttle.wait(HOST, now) == 0.0
        throttle.failed(HOST, now)


def test_who_guesses_as_fast_as_he_can_has_a_turn_each_pace() -> None:
    throttle, guesses, now = Throttle(), 0, 0.0
    while now < 1000 * PACE:
        wait = throttle.wait(HOST, now)
        assert wait <= PACE  # nobody beside him waits longer for a turn
        if wait == 0:
            throttle.failed(HOST, now)
            guesses += 1
        now += 0.1
    assert guesses <= 1000 + TRIES


@given(st.lists(st.integers(0, 3 * ADDRESSES), max_size=50))
def test_the_addresses_are_bounded(more: list[int]) -> None:
    throttle = Throttle()
    for number in [*range(ADDRESSES + 1), *more]:
        throttle.failed(f"host{number}", float(number))
    assert len(throttle._paid_at) == ADDRESSES


@pytest.mark.parametrize(
    ("host", "place"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("[::ffff:192.0.2.7]", "192.0.2.7"),
        ("[2001:db8:1:2:3:4:5:6]", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unix", "unix"),
    ],
)
def test_what_is_one_place(host: str, place: str) -> None:
    assert origin(host) == place
