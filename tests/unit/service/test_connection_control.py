"""What a controlling peer may do, and what is left of it."""

from __future__ import annotations

from portline.line import (
    FlowControl,
    Item,
    LineSettings,
    Parity,
    SetBreak,
    SetLine,
    SetModem,
    StopBits,
)
from tests.conftest import Run
from tests.unit.service.conftest import Play
from tests.waiting import until

ASKED = SetLine(
    baudrate=1200,
    data_bits=7,
    parity=Parity.EVEN,
    stop_bits=StopBits.TWO,
    flow_control=FlowControl.HARDWARE,
)


def test_a_controlling_peer_has_its_requests_carried_out(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(protocol="rfc2217") as meter:
            asker = await meter.asker()
            answers = await asker.asks(ASKED, SetModem(dtr=True, rts=True), SetBreak(True))
            assert answers == [
                (Item.BAUDRATE, 1200),
                (Item.DATA_BITS, 7),
                (Item.PARITY, Parity.EVEN),
                (Item.STOP_BITS, StopBits.TWO),
                (Item.FLOW_CONTROL, FlowControl.HARDWARE),
                (Item.DTR, True),
                (Item.RTS, True),
                (Item.BREAK, True),
            ]
            assert str(meter.port.state.settings) == "1200-7E2 hardware"

    run(scenario())


def test_what_is_denied_is_answered_with_what_is_in_force(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        denied = ("allow_settings", "allow_dtr", "allow_rts", "allow_break")
        async with stage(protocol="rfc2217", **dict.fromkeys(denied, False)) as meter:
            asker = await meter.asker()
            answers = await asker.asks(
                ASKED, SetModem(dtr=True), SetModem(rts=True), SetBreak(True)
            )
            assert answers == [
                (Item.BAUDRATE, 9600),
                (Item.DATA_BITS, 8),
                (Item.PARITY, Parity.NONE),
                (Item.STOP_BITS, StopBits.ONE),
                (Item.FLOW_CONTROL, FlowControl.NONE),
                (Item.DTR, False),
                (Item.RTS, False),
                (Item.BREAK, False),
            ]
            assert {type(item).__name__ for item in meter.happened()} == {"str", "Query"}

    run(scenario())


def test_what_a_controlling_peer_changed_is_put_back(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(protocol="rfc2217", baudrate=4800) as meter:
            asker = await meter.asker()
            await asker.asks(ASKED, SetBreak(True))
            meter.happened()
            asker.close()
            await meter.alone()
            assert meter.happened() == [
                SetBreak(False),
                SetLine.everything(LineSettings(baudrate=4800)),
            ]
            assert (await meter.asker()).end == ""

    run(scenario())


def test_where_nothing_was_changed_nothing_is_put_back(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(protocol="rfc2217") as meter:
            asker = await meter.asker()
            meter.happened()
            asker.close()
            await meter.alone()
            assert meter.happened() == []

    run(scenario())


def test_what_is_still_to_be_changed_is_put_back_too(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(protocol="rfc2217") as meter:
            asker = await meter.asker()
            meter.port.hold = True  # as while data before it is being sent
            asker.send(asker.wire.ask(SetLine(baudrate=300), 0.0))
            await until(lambda: meter.port.waiting)
            asker.close()
            await meter.alone()
            meter.port.carry_out()
            assert meter.port.state.settings == LineSettings(baudrate=9600)

    run(scenario())


def test_the_settings_of_a_virtual_port_are_its_applications(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(virtual="ttyV0", protocol="rfc2217") as meter:
            asker = await meter.asker()
            await asker.asks(SetLine(baudrate=300))
            asker.close()
            await meter.alone()
            assert meter.port.state.settings.baudrate == 300

    run(scenario())
