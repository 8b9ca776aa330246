"""When a write is over: at once, at the speed of a line, or when the other side has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.frame.throttle import TICK
from portline.line import LineSettings
from portline.port.usbip import intake as module
from portline.port.usbip.intake import Intake
from tests.ports import SlowLoop

if TYPE_CHECKING:
    import asyncio

CHARACTER = LineSettings(9600).character_time


class Bench:
    """An intake on a loop turned by hand, and its owner; drains wait for ``let_go``."""

    def __init__(self, *, strict: bool = False, asked: bool = False) -> None:
        self.loop = SlowLoop()
        self.data = b""
        self.times: list[float] = []
        """When each character was passed on."""
        self.over: list[int] = []
        self.draining: list[Callable[[], None]] = []
        self.intake = Intake(
            self,
            cast("asyncio.AbstractEventLoop", self.loop),
            character_time=CHARACTER if strict else None,
            asked=asked,
        )

    def write(self, number: int, data: bytes) -> None:
        self.intake.add(number, data)
        self.intake.run()

    def let_go(self) -> None:
        draining, self.draining = self.draining, []
        for done in draining:
            done()

    # --- the owner of the intake ----------------------------------------------------------------

    def received(self, data: bytes) -> None:
        assert data
        self.data += data
        self.times += [self.loop.now] * len(data)

    def drain(self, done: Callable[[], None]) -> None:
        self.draining.append(done)

    def complete(self, number: int) -> None:
        self.over.append(number)


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench(strict=True)
    monkeypatch.setattr(module, "monotonic", bench.loop.time)
    return bench


def test_a_write_is_passed_on_at_once_and_over_when_it_has_left() -> None:
    bench = Bench()
    bench.write(1, b"abc")
    assert (bench.data, bench.over, bench.intake.empty) == (b"abc", [], False)
    bench.let_go()
    assert (bench.over, bench.intake.empty) == ([1], True)


def test_only_the_last_one_is_held() -> None:
    bench = Bench()
    for number in range(1, 6):
        bench.write(number, b"%d" % number)
    assert bench.over == [1, 2, 3, 4]
    assert len(bench.draining) == 1
    bench.let_go()  # it was asked for before the last one came
    assert bench.over == [1, 2, 3, 4]
    bench.let_go()
    assert bench.over == [1, 2, 3, 4, 5]


def test_one_that_is_asked_ends_writes_at_once_and_drains_when_asked() -> None:
    bench = Bench(asked=True)
    bench.write(1, b"abc")
    assert (bench.over, bench.draining, bench.intake.empty) == ([1], [], False)
    bench.intake.ask()
    bench.intake.ask()
    assert len(bench.draining) == 1
    bench.write(2, b"d")
    bench.let_go()
    assert not bench.intake.empty
    bench.intake.ask()
    bench.let_go()
    assert bench.intake.empty
    bench.intake.ask()
    assert bench.draining == []


def test_a_line_that_is_held_takes_nothing() -> None:
    bench = Bench()
    bench.intake.block(True)
    bench.write(1, b"abc")
    assert (bench.data, bench.over) == (b"", [])
    bench.intake.block(False)
    assert bench.data == b"abc"


def test_what_was_not_passed_on_is_dropped_and_over() -> None:
    bench = Bench()
    bench.intake.block(True)
    bench.write(1, b"abc")
    bench.write(2, b"de")
    assert bench.intake.drop() == 5
    bench.intake.block(False)
    bench.let_go()
    assert (bench.data, bench.over) == (b"", [1, 2])


def test_what_the_kernel_ended_is_forgotten() -> None:
    bench = Bench()
    bench.write(1, b"abc")
    bench.intake.cancel(1)
    bench.let_go()
    bench.intake.block(True)
    bench.write(2, b"de")
    bench.intake.cancel(2)
    bench.intake.block(False)
    assert (bench.data, bench.over) == (b"abc", [])


def test_nothing_happens_after_the_end(strict: Bench) -> None:
    strict.write(1, b"abc")
    strict.intake.close()
    strict.loop.pass_time(1.0)
    strict.let_go()
    assert (strict.data, strict.over) == (b"", [])


def test_characters_pass_at_the_speed_of_the_line(strict: Bench) -> None:
    began = strict.loop.now
    strict.write(1, b"x" * 300)
    strict.write(2, b"y" * 200)
    strict.loop.pass_time(300 * CHARACTER - 2 * TICK)
    assert strict.over == []
    strict.loop.pass_time(4 * TICK)
    assert strict.over == [1]
    strict.loop.pass_time(200 * CHARACTER)
    assert strict.data == b"x" * 300 + b"y" * 200
    assert strict.over == [1]
    for position, time in enumerate(strict.times, start=1):
        assert -1e-6 <= time - began - position * CHARACTER <= TICK + 2 * CHARACTER
    while strict.draining:
        strict.let_go()
    assert strict.over == [1, 2]


def test_another_speed_counts_at_once(strict: Bench) -> None:
    strict.write(1, b"x" * 100)
    strict.loop.pass_time(10 * CHARACTER)
    strict.intake.set_character_time(CHARACTER / 100)
    strict.loop.pass_time(2 * CHARACTER)
    assert len(strict.data) == 100


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.binary(min_size=1, max_size=50)),
        st.tuples(st.just("block"), st.booleans()),
        st.tuples(st.just("time"), st.floats(0, 0.05)),
        st.tuples(st.just("speed"), st.sampled_from([CHARACTER, CHARACTER / 12])),
        st.tuples(st.just("let go"), st.none()),
    ),
    max_size=30,
)


@given(steps=STEPS, strict_=st.booleans(), asked=st.booleans())
def test_everything_passes_once_in_order_and_each_write_ends_once(
    steps: list, strict_: bool, asked: bool
) -> None:
    bench = Bench(strict=strict_, asked=asked)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "monotonic", bench.loop.time)
        written, number = b"", 0
        for what, value in steps:
            match what:
                case "write":
                    number += 1
                    written += value
                    bench.write(number, value)
                case "block":
                    bench.intake.block(value)
                case "time":
                    bench.loop.pass_time(value)
                case "speed":
                    bench.intake.set_character_time(value)
                case _:
                    bench.let_go()
            assert written.startswith(bench.data)
            assert len(bench.draining) <= 1
        bench.intake.block(False)
        bench.loop.pass_time(10.0)
        while bench.draining:
            bench.let_go()
    assert bench.data == written
    assert bench.over == list(range(1, number + 1))
