from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from portline.service.peer.session import Session
from portline.service.peer.sweep import ABSENCE_LIMIT, PERIOD, Sweep
from tests.unit.service.stand_ins import Clock, Listener


class Stage:
    def __init__(self, inactivity: float = 0.0, lasting: bool = False) -> None:
        self.clock = Clock()
        self.peers: list[Listener] = []
        self.absent: float | None = None
        self.sweep = Sweep(
            loop=cast("Any", self.clock),
            peers=lambda: cast("Sequence[Session]", tuple(self.peers)),
            absent_since=lambda: self.absent,
            silence=19.0,
            inactivity=inactivity,
            lasting=lasting,
        )

    def peer(self) -> Listener:
        peer = Listener(self.clock.now)
        self.peers.append(peer)
        peer.left = lambda: self.peers.remove(peer)
        self.sweep.schedule()
        return peer


def test_nobody_is_looked_at_where_nobody_is() -> None:
    stage = Stage()
    stage.sweep.schedule()
    assert stage.clock.waiting == []
    stage.peer()
    stage.peer()
    assert stage.clock.waiting == [PERIOD]
    stage.sweep.stop()
    stage.sweep.stop()
    assert stage.clock.waiting == []


def test_who_is_dead_is_aborted() -> None:
    stage = Stage()
    one, other = stage.peer(), stage.peer()
    one.owes = True
    stage.clock.pass_time(PERIOD)
    assert one.log == ["tick", "abort: the peer does not answer any more"]
    assert other.log == ["tick"]
    assert stage.clock.waiting == [PERIOD]


def test_who_answers_and_takes_nothing_for_too_long_is_aborted() -> None:
    stage = Stage()
    stuck, slow, patient = stage.peer(), stage.peer(), stage.peer()
    stuck.stuck, slow.stuck, patient.stuck = 5, 7, 9
    for number in range(20):
        assert "abort: the peer does not answer any more" not in stuck.log
        slow.stuck += number % 10 == 9
        if number == 15:
            patient.stuck = None
        stage.clock.pass_time(PERIOD)
    assert stuck.log[-1] == "abort: the peer does not answer any more"
    assert {slow.log[-1], patient.log[-1]} == {"tick"}
    stage.sweep.silence = 0.0
    stage.clock.pass_time(PERIOD * 40)
    assert slow.log[-1] == "tick"


def test_who_is_silent_is_sent_away_in_time() -> None:
    stage = Stage(inactivity=2.5)
    quiet, busy = stage.peer(), stage.peer()
    stage.clock.pass_time(2.4)
    busy.active_at = stage.clock.now
    assert stage.clock.waiting == [pytest.approx(0.1)]
    stage.clock.pass_time(0.1)
    assert quiet.log[-1] == "close: no activity for 2.5 s"
    assert busy.log[-1] == "tick"


def test_who_waits_for_the_device_in_vain_is_sent_away() -> None:
    stage = Stage()
    early = stage.peer()
    stage.absent = stage.clock.now
    stage.clock.pass_time(ABSENCE_LIMIT - 5)
    late = stage.peer()
    stage.clock.pass_time(5)
    assert early.log[-1] == f"close: the port is absent for {ABSENCE_LIMIT:g} s"
    assert late.log[-1] == "tick"


def test_who_is_there_for_ever_waits_for_the_device_for_ever() -> None:
    stage = Stage(lasting=True)
    one = stage.peer()
    stage.absent = stage.clock.now
    stage.clock.pass_time(3 * ABSENCE_LIMIT)
    assert set(one.log) == {"tick"}
