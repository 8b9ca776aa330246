from __future__ import annotations

import logging
from typing import cast

from portline.hub.core import PATIENCE, Hub
from portline.hub.policy import Overflow
from portline.service.local.pace import Pace
from portline.service.peer.session import Session
from tests.unit.service.stand_ins import Clock, Listener, Valve


class Stage:
    def __init__(self, overflow: Overflow = Overflow.DROP_OLDEST) -> None:
        self.clock = Clock()
        self.port = Valve()
        self.hub: Hub[Session] = Hub()
        log = logging.LoggerAdapter(logging.getLogger("test"), {})
        self.pace = Pace(
            self.hub,
            self.port,  # type: ignore[arg-type]  # it can be paused, which is all that is asked for
            overflow=overflow,
            loop=self.clock,  # type: ignore[arg-type]  # it tells the time and keeps timers
            log=log,
        )

    def peer(self) -> Listener:
        listener = Listener()
        self.hub.join(cast("Session", listener))
        return listener

    def behind(self, listener: Listener) -> None:
        self.pace.behind(cast("Session", listener))


def test_a_peer_is_waited_for_and_then_loses_its_oldest_data() -> None:
    stage = Stage()
    slow, _ = stage.peer(), stage.peer()
    stage.behind(slow)
    assert stage.port.paused
    stage.clock.pass_time(PATIENCE)
    assert not stage.port.paused
    assert slow.log == ["shrink"]
    stage.behind(slow)
    assert slow.log == ["shrink", "shrink"]
    assert stage.clock.waiting == []


def test_or_is_disconnected() -> None:
    stage = Stage(Overflow.DISCONNECT)
    slow, _ = stage.peer(), stage.peer()
    stage.behind(slow)
    stage.clock.pass_time(PATIENCE)
    assert slow.log == ["abort: it did not read fast enough (overflow = disconnect)"]


def test_who_catches_up_releases_the_port() -> None:
    stage = Stage()
    alone = stage.peer()
    stage.behind(alone)
    stage.clock.pass_time(10 * PATIENCE)
    assert stage.port.paused
    stage.pace.caught_up(cast("Session", alone))
    assert not stage.port.paused


def test_packets_that_wait_hold_the_port_too() -> None:
    stage = Stage()
    stage.pace.packets_full(True)
    stage.pace.packets_full(True)
    assert stage.port.paused
    stage.pace.packets_full(False)
    assert not stage.port.paused


def test_stopping_forgets_the_timer() -> None:
    stage = Stage()
    stage.behind(stage.peer())
    stage.pace.stop()
    stage.pace.stop()
    assert stage.clock.waiting == []
