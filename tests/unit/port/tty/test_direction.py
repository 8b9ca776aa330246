"""RTS around what is written: an outlet and a clock turned by hand, and echoes of any shape."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.line import FlowControl, PortState, Request, SetBreak, SetLine, SetModem
from portline.port.tty.direction import (
    LOOK_MAX,
    LOOK_MIN,
    STUCK_LIMIT,
    Direction,
    Echo,
    Turn,
    without_rts,
)
from portline.port.tty.rs485 import Rs485
from tests.ports import SlowLoop

if TYPE_CHECKING:
    import asyncio

    from portline.port.outlet import Done


class Line:
    """An outlet that carries out at once; ``happened`` is the order of things."""

    character_time = 0.001

    def __init__(self, rs485: Rs485) -> None:
        self.loop = SlowLoop()
        self.happened: list[object] = []
        self.queued = 0
        self.holding = False
        self.kernel = 0
        self.idle = True
        self.direction = Direction(
            rs485,
            self,
            cast("asyncio.AbstractEventLoop", self.loop),
            drive=lambda request: self.happened.append("high" if request.rts else "low"),
            unsent=lambda: self.kernel,
        )

    def submit(self, request: Request, done: Done) -> None:
        assert isinstance(request, Turn)
        held = self.direction.turn(request)
        if held:
            self.happened.append(held)
        done(PortState())

    def write(self, data: bytes) -> None:
        self.happened.append(data)
        self.kernel += len(data)
        self.idle = False

    def sent(self) -> None:
        self.kernel = 0
        self.idle = True

    def events(self) -> list[object]:
        happened, self.happened = self.happened, []
        return happened


def test_rts_is_high_from_before_the_first_bit_until_after_the_last() -> None:
    line = Line(Rs485())
    assert line.events() == ["low"]
    line.direction.write(b"question")
    assert line.events() == ["high", b"question"]
    line.loop.pass_time(1)
    assert line.events() == []
    line.sent()
    line.loop.pass_time(LOOK_MAX)
    assert line.events() == ["low"]
    assert line.loop.waiting == []


def test_delays_and_the_other_level() -> None:
    line = Line(Rs485(rts_on_send=False, before=0.01, after=0.05))
    line.direction.write(b"a")
    assert line.events() == ["high", "low", 0.01, b"a"]
    line.sent()
    line.loop.pass_time(LOOK_MIN)
    assert line.loop.waiting == pytest.approx([0.05])
    line.direction.write(b"b")  # keeps the direction
    assert line.events() == [b"b"]
    line.sent()
    line.loop.pass_time(LOOK_MIN + 0.05)
    assert line.events() == ["high"]


def test_the_last_look_comes_in_time() -> None:
    line = Line(Rs485())
    line.direction.write(bytes(10))
    assert line.loop.waiting == pytest.approx([0.005])
    line.kernel = 1
    line.loop.pass_time(0.005)
    assert line.loop.waiting == pytest.approx([LOOK_MIN])
    line.kernel = 1000
    line.loop.pass_time(LOOK_MIN)
    assert line.loop.waiting == pytest.approx([LOOK_MAX])


def test_a_transmitter_that_never_becomes_empty_does_not_keep_the_pair() -> None:
    line = Line(Rs485())
    line.direction.write(b"question")
    line.kernel = 0  # but the driver says for ever that the last character is on its way
    line.events()
    line.loop.pass_time(STUCK_LIMIT - 2 * LOOK_MAX)
    assert line.events() == []
    line.loop.pass_time(3 * LOOK_MAX)
    assert line.events() == ["low"]
    assert line.direction.stuck == 1
    assert line.direction.heard(b"answer") == b"answer"
    line.loop.pass_time(20 * STUCK_LIMIT)
    assert (line.events(), line.direction.stuck) == ([], 1)
    line.direction.write(b"again")
    assert line.events() == ["high", b"again"]
    line.sent()
    line.loop.pass_time(LOOK_MAX)
    assert line.events() == ["low"]
    assert line.loop.waiting == []


def test_what_moves_again_has_the_direction_again() -> None:
    line = Line(Rs485())
    line.direction.write(bytes(100))
    line.events()
    line.loop.pass_time(STUCK_LIMIT + 2 * LOOK_MAX)  # XOFF
    assert line.events() == ["low"]
    line.kernel = 99  # XON
    line.loop.pass_time(LOOK_MAX)
    assert line.events() == ["high"]
    for left in range(98, 0, -1):  # slow, but it moves
        line.kernel = left
        line.loop.pass_time(STUCK_LIMIT / 2)
    assert line.events() == []
    line.sent()
    line.loop.pass_time(LOOK_MAX)
    assert (line.events(), line.direction.stuck) == (["low"], 1)


def test_a_pause_is_not_a_line_that_stands_still() -> None:
    line = Line(Rs485())
    line.direction.write(b"a")
    line.events()
    line.queued, line.holding = 64, True
    line.loop.pass_time(3 * STUCK_LIMIT)
    assert (line.events(), line.direction.stuck) == ([], 0)


def test_closing_switches_to_receiving() -> None:
    line = Line(Rs485())
    line.direction.write(b"a")
    line.events()
    line.direction.close()
    assert line.events() == ["low"]
    assert line.loop.waiting == []


def test_a_turn_is_a_request_that_waits_for_the_data_before_it() -> None:
    assert isinstance(Turn(rts=True), SetModem)


@pytest.mark.parametrize(
    ("request_", "left"),
    [
        (SetModem(dtr=True, rts=False), SetModem(dtr=True)),
        (SetModem(dtr=True), SetModem(dtr=True)),
        (SetLine(1200, flow_control=FlowControl.HARDWARE), SetLine(1200)),
        (SetLine(flow_control=FlowControl.XON_XOFF), SetLine(flow_control=FlowControl.XON_XOFF)),
        (SetLine(inbound_flow=FlowControl.HARDWARE), SetLine()),
        (SetBreak(True), SetBreak(True)),
    ],
)
def test_rts_is_nobody_elses(request_: Request, left: Request) -> None:
    assert without_rts(request_) == left


def test_what_is_heard_while_sending_is_dropped_unless_it_is_wanted() -> None:
    line = Line(Rs485())
    line.direction.write(b"abc")
    assert line.direction.heard(b"abc") == b""
    line.sent()
    line.loop.pass_time(1)
    assert line.direction.heard(b"answer") == b"answer"
    assert Line(Rs485(rx_during_tx=True)).direction.heard(b"abc") == b"abc"


def test_a_line_without_echo_is_not_robbed_of_an_answer_like_the_question() -> None:
    echo = Echo()
    for _ in range(3):
        echo.sent(b"\x01\x06\x00")
        assert echo.heard(b"\x01\x06\x00", sending=False) == b"\x01\x06\x00"


@given(
    question=st.binary(min_size=1, max_size=40),
    answer=st.binary(max_size=40),
    early=st.integers(1, 40),
    cuts=st.lists(st.integers(0, 80)),
)
def test_the_late_part_of_an_echo_is_dropped_and_the_answer_is_not(
    question: bytes, answer: bytes, early: int, cuts: list[int]
) -> None:
    echo = Echo()
    echo.sent(question)
    early = min(early, len(question))
    assert echo.heard(question[:early], sending=True) == b""
    late = question[early:] + answer
    places = sorted({0, len(late), *(cut for cut in cuts if cut < len(late))})
    passed = b"".join(echo.heard(late[a:b], sending=False) for a, b in pairwise(places))
    assert passed == answer
