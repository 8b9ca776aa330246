from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

from portline.control.rates import PERIOD, SPAN, Rates


class Clock:
    """A loop whose time is what the test says."""

    def __init__(self) -> None:
        self.now = 100.0
        self.due: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, call: Callable[[], None]) -> SimpleNamespace:
        entry = (self.now + delay, call)
        self.due.append(entry)
        return SimpleNamespace(cancel=lambda: self.due.remove(entry))

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while self.due and self.due[0][0] <= end:
            self.now, call = self.due.pop(0)
            call()
        self.now = end


class Hubs(dict[str, SimpleNamespace]):
    def count(self, name: str, heard: int, spoken: int = 0) -> None:
        self[name] = SimpleNamespace(hub=SimpleNamespace(heard=heard, spoken=spoken))


def stage() -> tuple[Clock, Hubs, Rates]:
    clock, hubs = Clock(), Hubs()
    hubs.count("meter", 0)
    return clock, hubs, Rates(clock, lambda: hubs)  # type: ignore[arg-type]  # stand-ins


def test_a_rate_is_what_moved_since_the_oldest_note() -> None:
    clock, hubs, rates = stage()
    rates.start()
    assert rates.of("meter", 0, 0) is None
    clock.pass_time(0.5)
    assert rates.of("meter", 50, 5) == (100.0, 10.0)
    hubs.count("meter", 1000)
    clock.pass_time(20.5)
    assert rates.of("meter", 1000, 0) == (0.0, 0.0)
    assert rates.of("meter", 1400, 0) == (400 / (SPAN - PERIOD), 0.0)


def test_one_that_is_new_has_no_rate_and_one_that_begins_anew_none_below_zero() -> None:
    clock, hubs, rates = stage()
    hubs.count("meter", 1000, 1000)
    rates.start()
    clock.pass_time(0.5)
    assert rates.of("scale", 5, 5) is None
    assert rates.of("meter", 5, 1001) == (0.0, 2.0)


def test_nothing_is_looked_at_after_a_stop() -> None:
    clock, _, rates = stage()
    rates.stop()
    rates.start()
    rates.stop()
    assert clock.due == []
