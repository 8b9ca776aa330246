"""Commands of programs that reset boards, as they come through a network, and any others."""

from __future__ import annotations

from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.hub.pulses import pulse
from portline.hub.recogniser import BOARDS, HOLD_LIMIT, REST_LIMIT, Recogniser
from portline.line import Hold, SetModem

TRIP = st.floats(0, HOLD_LIMIT - 0.01)
"""Seconds that the network delays a command by."""

DTR1, DTR0 = SetModem(dtr=True), SetModem(dtr=False)
RTS1, RTS0 = SetModem(rts=True), SetModem(rts=False)

# What the programs of each board ask for, one command at a time, and what then happens here.
ESPTOOL = [(DTR0, 0), (RTS1, 0.1), (DTR1, 0), (RTS0, 0.05), (DTR0, 0)]
USB_JTAG = [(RTS0, 0), (DTR0, 0.1), (DTR1, 0), (RTS0, 0.1), (RTS1, 0), (DTR0, 0), (RTS1, 0.1)]
USB_JTAG += [(DTR0, 0), (RTS0, 0)]


def played(
    recogniser: Recogniser, commands: list[tuple[SetModem, float]], trips: list[float]
) -> list[SetModem | Hold]:
    """Feed the commands, each with the pause behind it, one round trip after the other."""
    now, done = 1000.0, []
    for (command, pause), trip in zip(commands, trips, strict=True):
        if recogniser.deadline is not None and recogniser.deadline <= now:
            done += recogniser.tick(now)
        done += recogniser.feed(command, now)
        now += pause + trip
    done += recogniser.tick(now + REST_LIMIT + HOLD_LIMIT + 1)
    return done


@given(st.lists(TRIP, min_size=5, max_size=5))
def test_esptool_is_recognised_whatever_the_network_does(trips: list[float]) -> None:
    recogniser = Recogniser(BOARDS["esp32"], dtr=True, rts=True)
    boot = pulse("dtr=0 rts=1 dtr=1,rts=0 wait=0.05 dtr=0").steps
    assert played(recogniser, ESPTOOL, trips) == list(boot)
    assert recogniser.recognised == 1
    assert (recogniser.dtr, recogniser.rts, recogniser.deadline) == (False, False, None)


@given(st.lists(TRIP, min_size=len(USB_JTAG), max_size=len(USB_JTAG)))
def test_usb_jtag_is_recognised_whatever_the_network_does(trips: list[float]) -> None:
    recogniser = Recogniser(BOARDS["esp32-usb"], dtr=False, rts=False)
    done = played(recogniser, USB_JTAG, trips)
    assert done == [RTS0, DTR0, DTR1, RTS0, *pulse("rts=1 dtr=0 wait=0.1 rts=0").steps]
    assert recogniser.recognised == 1


@pytest.mark.parametrize(
    ("board", "first", "second", "shortest", "behind"),
    [
        ("esp32", RTS1, RTS0, 0.1, []),
        ("arduino", DTR0, DTR1, 0.05, [Hold(0.05)]),
        ("stm32", DTR1, DTR0, 0.1, [Hold(0.05)]),
        ("stm32-swapped", RTS1, RTS0, 0.1, [Hold(0.05)]),
    ],
)
@given(took=st.floats(0, 1))
def test_a_pulse_is_at_least_as_long_as_it_has_to_be(
    board: str, first: SetModem, second: SetModem, shortest: float, behind: list[Hold], took: float
) -> None:
    recogniser = Recogniser(BOARDS[board], dtr=first.dtr is False, rts=False)
    assert recogniser.feed(first, 5.0) == [first]
    done = recogniser.feed(second, 5.0 + took)
    held = sum(step.duration for step in done if isinstance(step, Hold)) - len(behind) * 0.05
    assert held + took == pytest.approx(max(shortest, took))
    assert done[-1 - len(behind) :] == [second, *behind]


def test_a_pulse_that_the_peer_has_not_begun_is_none() -> None:
    recogniser = Recogniser(BOARDS["arduino"], dtr=False, rts=False)
    assert recogniser.feed(DTR1, 1.0) == [DTR1]
    assert recogniser.recognised == 0


def test_a_command_that_nothing_confirms_is_done_late() -> None:
    recogniser = Recogniser(BOARDS["esp32"], dtr=False, rts=True)
    assert recogniser.feed(DTR1, 1.0) == []
    assert recogniser.deadline == 1.0 + HOLD_LIMIT
    assert recogniser.feed(DTR1, 1.1) == []  # said twice
    assert recogniser.tick(1.2) == []
    assert recogniser.tick(1.0 + HOLD_LIMIT) == [DTR1]
    assert recogniser.feed(RTS0, 2.0) == [RTS0]
    assert recogniser.recognised == 0


def test_another_command_than_the_confirming_one() -> None:
    recogniser = Recogniser(BOARDS["esp32"], dtr=False, rts=True)
    assert recogniser.feed(DTR1, 1.0) == []
    assert recogniser.feed(DTR0, 1.1) == [DTR1, DTR0]


def test_a_peer_that_does_not_finish_gets_its_lines() -> None:
    recogniser = Recogniser(BOARDS["esp32"], dtr=False, rts=True)
    recogniser.feed(DTR1, 1.0)
    assert recogniser.feed(RTS0, 1.1) != []
    assert recogniser.deadline == pytest.approx(1.15 + REST_LIMIT)
    assert recogniser.tick(1.15 + REST_LIMIT + 0.001) == [DTR1]


def test_both_lines_at_once_need_no_help() -> None:
    recogniser = Recogniser(BOARDS["esp32"], dtr=False, rts=True)
    both = SetModem(dtr=True, rts=False)
    assert recogniser.feed(both, 1.0) == [both]
    assert (recogniser.dtr, recogniser.rts) == (True, False)


Level = TypeVar("Level", bool, bool | None)


def moved(levels: tuple[Level, Level], step: SetModem) -> tuple[Level, Level]:
    """Return what the lines are after a step."""
    return (
        levels[0] if step.dtr is None else step.dtr,
        levels[1] if step.rts is None else step.rts,
    )


def agree(lines: tuple[bool, bool], asked: tuple[bool | None, bool | None]) -> bool:
    """Tell whether the lines are as asked, where something was asked."""
    return all(wanted in (None, line) for line, wanted in zip(lines, asked, strict=True))


commands = st.builds(
    SetModem, dtr=st.sampled_from([None, True, False]), rts=st.sampled_from([None, True, False])
)


@given(
    board=st.sampled_from(sorted(BOARDS)),
    stream=st.lists(
        st.tuples(st.one_of(st.sampled_from([DTR0, DTR1, RTS0, RTS1]), commands), st.floats(0, 3))
    ),
    dtr=st.booleans(),
    rts=st.booleans(),
    true=st.tuples(st.booleans(), st.booleans()),
    begins=st.lists(st.booleans(), min_size=1),
)
def test_the_lines_end_as_the_peer_has_asked(
    board: str,
    stream: list[tuple[SetModem, float]],
    dtr: bool,
    rts: bool,
    true: tuple[bool, bool],
    begins: list[bool],
) -> None:
    """Whatever it says, and whenever, also when something else was on its way to the lines."""
    recogniser = Recogniser(BOARDS[board], dtr, rts)
    now = 0.0
    lines = true
    asked: tuple[bool | None, bool | None] = (None, None)
    held = 0.0

    for number, (command, pause) in enumerate(stream):
        may = begins[number % len(begins)]
        done = [*recogniser.tick(now), *recogniser.feed(command, now, begins=may)]
        asked = moved(asked, command)
        for step in done:
            if isinstance(step, SetModem):
                lines = moved(lines, step)
            else:
                held += step.duration
        assert agree((recogniser.dtr, recogniser.rts), asked)
        if recogniser.deadline is None:
            assert agree(lines, asked)
        else:
            assert recogniser.deadline <= now + REST_LIMIT + 0.2
        now += pause
    for step in recogniser.tick(now + 10):
        assert isinstance(step, SetModem)
        lines = moved(lines, step)
    assert agree(lines, asked)
    assert recogniser.deadline is None
    assert held <= 0.25 * len(stream)


@given(st.lists(st.tuples(commands, st.floats(0, 3))))
def test_without_patterns_everything_passes(stream: list[tuple[SetModem, float]]) -> None:
    recogniser = Recogniser((), dtr=False, rts=False)
    for command, now in stream:
        assert recogniser.feed(command, now) == [command]
        assert recogniser.deadline is None
