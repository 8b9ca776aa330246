from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.auth.throttle import ADDRESSES, FORGET, FREE, LONGEST, Throttle, origin

HOST = "192.0.2.7"


def test_a_few_mistakes_cost_nothing_and_more_cost_more() -> None:
    throttle, now = Throttle(), 100.0
    costs = [throttle.failed(HOST, now) for _ in range(FREE + 6)]
    assert costs[:FREE] == [0.0] * FREE
    assert costs[FREE:] == [1.0, 2.0, 4.0, 8.0, LONGEST, LONGEST]
    assert throttle.wait(HOST, now) == LONGEST
    assert throttle.wait(HOST, now + LONGEST - 1) == 1.0
    assert throttle.wait(HOST, now + LONGEST) == 0.0
    assert throttle.slowed(now) == 1
    assert throttle.wait("192.0.2.8", now) == 0.0


def test_it_is_forgotten_by_time_and_by_a_login() -> None:
    throttle = Throttle()
    for _ in range(FREE + 1):
        throttle.failed(HOST, 0.0)
    throttle.succeeded(HOST)
    assert throttle.wait(HOST, 0.0) == 0.0
    for _ in range(FREE + 1):
        throttle.failed(HOST, 0.0)
    assert throttle.failed(HOST, FORGET) == 0.0


@given(st.lists(st.integers(0, 3 * ADDRESSES), max_size=50))
def test_the_addresses_are_bounded(more: list[int]) -> None:
    throttle = Throttle()
    for number in [*range(ADDRESSES + 1), *more]:
        throttle.failed(f"host{number}", float(number))
    assert len(throttle._failed) == ADDRESSES


@given(st.integers(1, 10**6), st.floats(0, 1e9))
def test_no_number_of_failures_is_too_many(count: int, now: float) -> None:
    throttle = Throttle()
    throttle._failed[origin(HOST)] = (count, now)
    assert 0.0 <= throttle.failed(HOST, now) <= LONGEST


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
