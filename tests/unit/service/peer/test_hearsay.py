from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from portline.line import (
    FlowControl,
    Item,
    LineFault,
    ModemChange,
    ModemLines,
    Parity,
    Report,
    StopBits,
    Told,
)
from portline.service.peer.hearsay import GATHER, PERIOD, Hearsay
from tests.unit.service.stand_ins import Clock


class Peer:
    name = "far:4001"


PEER: Any = Peer()


class Scene:
    """A remote port that tells something, and the lines that are written of it."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self.clock = Clock()
        loop: Any = self.clock
        self.hearsay = Hearsay(logging.LoggerAdapter(logging.getLogger("test"), {}), loop)
        self.caplog = caplog

    def tells(self, *reports: Report) -> None:
        for report in reports:
            self.hearsay.told(PEER, report)

    def lines(self, seconds: float = GATHER) -> list[str]:
        self.clock.pass_time(seconds)
        lines = [record.getMessage() for record in self.caplog.records]
        self.caplog.clear()
        return [line.removeprefix("remote port peer=far:4001: ") for line in lines]


@pytest.fixture
def scene(caplog: pytest.LogCaptureFixture) -> Callable[[int], Scene]:
    def made(level: int) -> Scene:
        caplog.set_level(level)
        return Scene(caplog)

    return made


def settings(baudrate: int, parity: Parity = Parity.NONE) -> list[Report]:
    return [
        Told(Item.BAUDRATE, baudrate),
        Told(Item.DATA_BITS, 8),
        Told(Item.PARITY, parity),
        Told(Item.STOP_BITS, StopBits.ONE),
        Told(Item.FLOW_CONTROL, FlowControl.NONE),
    ]


def test_a_remote_port_that_connects_is_one_line(scene: Callable[[int], Scene]) -> None:
    play = scene(logging.INFO)
    play.tells(ModemChange(ModemLines()), Told(Item.LINE_MASK, 0), Told(Item.MODEM_MASK, 251))
    play.tells(Told(Item.SIGNATURE, "Portline"), Told(Item.LINE_STATE, 96), *settings(9600))
    play.tells(Told(Item.DTR, False), Told(Item.RTS, False), Told(Item.INBOUND_FLOW, None))
    assert play.lines() == [
        '"Portline", 9600-8N1, DTR off, RTS off, CTS off, DSR off, DCD off, RI off, '
        "no answer about inbound-flow"
    ]


def test_what_is_the_same_is_not_told_again(scene: Callable[[int], Scene]) -> None:
    play = scene(logging.INFO)
    play.tells(*settings(9600), Told(Item.DTR, False))
    play.lines()
    play.tells(*settings(9600), Told(Item.DTR, False), Told(Item.LINE_STATE, 0))
    assert play.lines(2 * PERIOD) == []
    play.tells(*settings(9600, Parity.EVEN), Told(Item.DTR, True), ModemChange(ModemLines(ri=True)))
    assert play.lines() == ["9600-8E1, DTR on, CTS off, DSR off, DCD off, RI on"]
    play.tells(LineFault(break_received=True), Told(Item.BREAK, True))
    assert play.lines(PERIOD) == ["break on, break received"]
    play.tells(LineFault(break_received=True))
    assert play.lines(PERIOD) == ["break received"]


def test_what_is_known_of_settings_is_told_by_itself(scene: Callable[[int], Scene]) -> None:
    play = scene(logging.INFO)
    play.tells(Told(Item.BAUDRATE, 9600), Told(Item.PARITY, Parity.ODD))
    assert play.lines() == ["baudrate 9600, parity odd"]


def test_chatter_is_bounded_and_counted(scene: Callable[[int], Scene]) -> None:
    play = scene(logging.INFO)
    written = []
    for number in range(1000):
        play.tells(Told(Item.BAUDRATE, 9600 + number))
        written += play.lines(0.01)  # ten seconds in all
    assert 10 <= len(written) <= 11
    assert written[-1].endswith(" changes in between left out)")


def test_the_last_word_of_a_peer_is_written(scene: Callable[[int], Scene]) -> None:
    play = scene(logging.INFO)
    play.tells(Told(Item.DTR, True))
    play.hearsay.left(PEER)
    play.hearsay.left(PEER)
    assert play.lines(10) == ["DTR on"]


def test_everything_is_told_only_to_who_wants_everything(scene: Callable[[int], Scene]) -> None:
    play = scene(logging.DEBUG)
    play.tells(Told(Item.LINE_STATE, 96))
    assert play.lines() == ["peer tells peer=far:4001 line-state=96"]
    play = scene(logging.WARNING)
    play.tells(Told(Item.DTR, True))
    assert (play.lines(), play.clock.waiting) == ([], [])
