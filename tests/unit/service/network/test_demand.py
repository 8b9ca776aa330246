from __future__ import annotations

from typing import Any, cast

from portline.service.network.demand import HANG_UP, Demand
from tests.unit.service.stand_ins import Clock


class Wish:
    """A demand with the times at which it was over."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.over: list[float] = []
        self.demand = Demand(
            cast("Any", self.clock), lambda: self.over.append(self.clock.now - 100.0)
        )


def test_it_is_there_at_once_and_over_a_moment_after_nobody_wants_it() -> None:
    wish = Wish()
    wish.demand.want(True)
    assert wish.demand.there
    wish.demand.want(False)
    wish.clock.pass_time(HANG_UP / 2)
    assert wish.demand.there
    assert wish.over == []
    wish.clock.pass_time(HANG_UP)
    assert wish.over == [HANG_UP]


def test_whoever_comes_back_in_time_notices_nothing() -> None:
    wish = Wish()
    for _ in range(3):
        wish.demand.want(True)
        wish.demand.want(False)
        wish.clock.pass_time(HANG_UP / 2)
    wish.demand.want(True)
    wish.clock.pass_time(10 * HANG_UP)
    assert wish.demand.there
    assert wish.over == []


def test_what_was_never_wanted_is_never_over() -> None:
    wish = Wish()
    wish.demand.want(False)
    assert wish.clock.waiting == []


def test_nothing_is_told_after_the_end() -> None:
    wish = Wish()
    wish.demand.want(True)
    wish.demand.want(False)
    wish.demand.end()
    assert not wish.demand.there
    assert wish.clock.waiting == []
