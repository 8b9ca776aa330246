from __future__ import annotations

import logging
from typing import Any, cast

import pytest

from portline.frame.rules import Packetizer
from portline.hub.policy import Permissions
from portline.line import Item, LineSettings, PortState, Purge, Query, Request, SetLine, SetModem
from portline.service.local.inputs import Inputs
from portline.service.local.packets import PacketFlow
from portline.service.local.requests import Requests
from tests.memory import MemoryPort
from tests.ports import Recorder
from tests.unit.service.stand_ins import Clock


class Asker:
    """A session of which only the answers are looked at, in their order with ``settled``."""

    name = "127.0.0.1:50000"
    closed = False

    def __init__(self) -> None:
        self.log: list[str] = []

    def answered(self, request: Request, state: PortState) -> None:
        self.log.append(f"{request}: {state.settings} dtr={state.dtr}")


class Desk:
    def __init__(self, **permissions: bool) -> None:
        allowed = {"settings": True, "dtr": True, "rts": True, "send_break": True} | permissions
        log = logging.LoggerAdapter(logging.getLogger("portline.connection"), {})
        self.asker = Asker()
        self.port = MemoryPort(cast("Any", Recorder()))
        self.packets = PacketFlow(
            Packetizer(block=100),
            loop=cast("Any", Clock()),
            send=lambda packet: None,
            full=lambda full: None,
        )
        self.told: list[object] = []
        self.requests = Requests(
            self.port,
            Permissions(**allowed),
            inputs=Inputs(None, self.port, told=self.told.append),
            packets=self.packets,
            log=log,
            settled=lambda _: self.asker.log.append("settled"),
            told=lambda *facts: self.told.append(facts),
        )

    def ask(self, request: Request) -> list[str]:
        self.requests.carry_out(cast("Any", self.asker), request)
        return self.asker.log


def test_a_request_is_carried_out_and_answered_when_the_rest_knows_of_it() -> None:
    desk = Desk()
    assert desk.ask(SetLine(baudrate=1200)) == ["settled", "baudrate=1200: 1200-8N1 dtr=False"]
    assert desk.port.state.settings == LineSettings(1200)


def test_what_is_not_allowed_is_answered_with_what_is_in_force(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="portline.connection")
    desk = Desk(dtr=False)
    assert desk.ask(SetModem(dtr=True)) == ["dtr=on: 9600-8N1 dtr=False"]
    assert desk.port.happened == [Query(Item.LINE_STATE)]
    assert desk.told == [(SetModem(dtr=True), desk.port.state, desk.asker.name, False)]
    assert 'asked="dtr=on" (not allowed)' in caplog.text


def test_an_answer_waits_for_its_turn_at_the_port() -> None:
    desk = Desk()
    desk.port.hold = True
    assert desk.ask(Query(Item.BAUDRATE)) == []
    desk.port.carry_out()
    assert len(desk.asker.log) == 1


def test_a_purge_of_what_was_received_takes_what_is_gathered() -> None:
    desk = Desk()
    desk.packets.feed(b"stale")
    desk.ask(Purge(unsent=True))
    assert desk.packets.rest() == b"stale"
    desk.packets.feed(b"stale")
    desk.ask(Purge(received=True))
    assert desk.packets.rest() == b""
