from __future__ import annotations

from typing import Any, cast

import pytest

from portline.config.models import ServerConnection
from portline.line import (
    LineSettings,
    ModemLines,
    PortState,
    SetBreak,
    SetInputs,
    SetLine,
    SetModem,
)
from portline.service.local.inputs import Inputs, input_rules
from portline.service.local.keeper import PortKeeper
from portline.service.local.tenancy import CLOSE_LIMIT, CLOSE_POLL, Tenancy
from tests.memory import MemoryPort
from tests.unit.service.stand_ins import Clock


class Stage:
    def __init__(self, **options: object) -> None:
        port = {} if "virtual" in options else {"port": "/dev/ttyX"}
        config = ServerConnection.model_validate(port | options)
        self.clock = Clock()
        self.port = MemoryPort(cast("Any", None), PortState(LineSettings(9600)))
        keeper = PortKeeper(cast("Any", self.clock), self.port, lambda: None)
        self.told: list[object] = []
        self.inputs = Inputs(input_rules(config), self.port, told=self.told.append)
        self.occupied = False
        self.tenancy = Tenancy(
            config,
            self.port,
            keeper,
            self.inputs,
            loop=cast("Any", self.clock),
            occupied=lambda: self.occupied,
            told=self.told.append,
        )

    def happened(self) -> list[object]:
        happened, self.port.happened = self.port.happened, []
        return happened


def test_lines_that_nobody_configured_are_left_alone() -> None:
    stage = Stage()
    stage.tenancy.start()
    stage.tenancy.begins()
    stage.tenancy.ends()
    assert stage.happened() == ["open"]


def test_lines_follow_the_tenants() -> None:
    stage = Stage(dtr_connected="high", dtr_disconnected="low", rts_connected="low")
    stage.tenancy.start()
    assert stage.happened() == [SetModem(dtr=False), "open"]
    stage.tenancy.begins()
    assert stage.happened() == [SetModem(dtr=True, rts=False)]
    assert stage.told == [SetModem(dtr=False), SetModem(dtr=True, rts=False)]
    stage.tenancy.ends()
    assert stage.happened() == [SetModem(dtr=False)]


def test_what_a_peer_changed_is_put_back() -> None:
    stage = Stage(baudrate=9600)
    stage.tenancy.restore()
    assert stage.happened() == []
    stage.port.state = PortState(LineSettings(1200), break_on=True)
    stage.tenancy.restore()
    assert stage.happened() == [SetBreak(False), SetLine.everything(LineSettings(9600))]


def test_what_still_waits_is_put_back_too() -> None:
    stage = Stage()
    stage.port.queued = 1
    stage.tenancy.restore()
    assert stage.happened() == [SetBreak(False), SetLine.everything(LineSettings(9600))]


def test_lines_are_put_back_too_while_others_stay() -> None:
    stage = Stage(dtr_connected="high", dtr_disconnected="low")
    stage.occupied = True
    stage.tenancy.restore()
    assert stage.happened() == [SetModem(dtr=True)]


def test_an_application_keeps_its_settings() -> None:
    stage = Stage(virtual="ttyV0")
    stage.port.state = PortState(LineSettings(1200))
    stage.tenancy.restore()
    assert stage.happened() == []


def test_the_other_end_of_a_virtual_ports_cable_is_gone() -> None:
    stage = Stage(virtual="ttyV0")
    stage.port.state = PortState(LineSettings(1200), rts=True, break_on=True)
    stage.tenancy.restore()
    assert stage.happened() == [SetBreak(False), SetModem(dtr=False, rts=False)]


def test_the_inputs_of_a_virtual_port_follow_the_tenants() -> None:
    stage = Stage(virtual="ttyV0", cts_connected="high", ri_disconnected="high")
    stage.tenancy.start()
    assert stage.happened() == [SetInputs(ModemLines(ri=True)), "open"]
    stage.tenancy.begins()
    assert stage.happened() == [SetInputs(ModemLines(cts=True))]
    stage.tenancy.ends()
    assert stage.happened() == [SetInputs(ModemLines(ri=True))]


def test_the_port_closes_when_what_was_sent_has_left_it() -> None:
    stage = Stage(open_when_connected=True)
    stage.tenancy.start()
    assert stage.happened() == []
    stage.tenancy.begins()
    stage.port.queued = 100
    stage.tenancy.ends()
    assert stage.happened() == ["open", SetLine()]
    stage.clock.pass_time(3 * CLOSE_POLL)
    assert stage.happened() == []
    stage.port.queued = 0
    stage.clock.pass_time(CLOSE_POLL)
    assert stage.happened() == ["close"]


@pytest.mark.parametrize("comes_back", [False, True])
def test_but_not_later_than_the_limit_and_not_under_a_new_peer(comes_back: bool) -> None:
    stage = Stage(open_when_connected=True)
    stage.tenancy.begins()
    stage.port.queued = 100
    stage.tenancy.ends()
    stage.occupied = comes_back
    stage.clock.pass_time(CLOSE_LIMIT + CLOSE_POLL)
    assert stage.happened() == ["open", SetLine(), *([] if comes_back else ["close"])]
