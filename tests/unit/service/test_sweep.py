from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from portline.net import tcp
from portline.service.session import Session
from portline.service.sweep import ABSENCE_LIMIT, PERIOD, Sweep
from tests.unit.service.stand_ins import Clock, Listener


class Stage:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, inactivity: float = 0.0) -> None:
        self.clock = Clock()
        self.peers: list[Listener] = []
        self.dead: list[object] = []
        self.stuck: dict[object, int] = {}
        self.absent: float | None = None
        monkeypatch.setattr(tcp, "is_dead", lambda sock, silence: sock in self.dead)
        monkeypatch.setattr(tcp, "stuck_at", lambda sock: self.stuck.get(sock))
        self.sweep = Sweep(
            loop=cast("Any", self.clock),
            peers=lambda: cast("Sequence[Session]", tuple(self.peers)),
            absent_since=lambda: self.absent,
            silence=19.0,
            inactivity=inactivity,
        )

    def peer(self) -> Listener:
        peer = Listener(self.clock.now)
        self.peers.append(peer)
        peer.left = lambda: self.peers.remove(peer)
        self.sweep.schedule()
        return peer


def test_nobody_is_looked_at_where_nobody_is(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch)
    stage.sweep.schedule()
    assert stage.clock.waiting == []
    stage.peer()
    stage.peer()
    assert stage.clock.waiting == [PERIOD]
    stage.sweep.stop()
    stage.sweep.stop()
    assert stage.clock.waiting == []


def test_who_is_dead_is_aborted(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch)
    one, other = stage.peer(), stage.peer()
    stage.dead.append(one)
    stage.clock.pass_time(PERIOD)
    assert one.log == ["tick", "abort: the peer does not answer any more"]
    assert other.log == ["tick"]
    assert stage.clock.waiting == [PERIOD]


def test_who_answers_and_takes_nothing_for_too_long_is_aborted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage(monkeypatch)
    stuck, slow, patient = stage.peer(), stage.peer(), stage.peer()
    stage.stuck = {stuck: 5, slow: 7, patient: 9}
    for number in range(20):
        assert "abort: the peer does not answer any more" not in stuck.log
        stage.stuck[slow] += number % 10 == 9
        if number == 15:
            del stage.stuck[patient]
        stage.clock.pass_time(PERIOD)
    assert stuck.log[-1] == "abort: the peer does not answer any more"
    assert {slow.log[-1], patient.log[-1]} == {"tick"}
    stage.sweep.silence = 0.0
    stage.clock.pass_time(PERIOD * 40)
    assert slow.log[-1] == "tick"


def test_who_is_silent_is_sent_away_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, inactivity=2.5)
    quiet, busy = stage.peer(), stage.peer()
    stage.clock.pass_time(2.4)
    busy.active_at = stage.clock.now
    assert stage.clock.waiting == [pytest.approx(0.1)]
    stage.clock.pass_time(0.1)
    assert quiet.log[-1] == "close: no activity for 2.5 s"
    assert busy.log[-1] == "tick"


def test_who_waits_for_the_device_in_vain_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch)
    early = stage.peer()
    stage.absent = stage.clock.now
    stage.clock.pass_time(ABSENCE_LIMIT - 5)
    late = stage.peer()
    stage.clock.pass_time(5)
    assert early.log[-1] == f"close: the port is absent for {ABSENCE_LIMIT:g} s"
    assert late.log[-1] == "tick"
