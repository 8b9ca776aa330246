"""Reset sequences through a connection: a peer's commands, and those asked for by name."""

from __future__ import annotations

import asyncio

import pytest

from portline.errors import PortAbsent, PortError, UsageError
from portline.hub.pulses import pulse
from portline.hub.recogniser import HOLD_LIMIT
from portline.line import Hold, Query, SetLine, SetModem
from portline.port.hardware import Hardware
from tests.conftest import Run
from tests.peers import Asker
from tests.unit.service.conftest import Play, Stage
from tests.waiting import until

DTR1, DTR0 = SetModem(dtr=True), SetModem(dtr=False)
RTS1, RTS0 = SetModem(rts=True), SetModem(rts=False)


async def asks(asker: Asker, *requests: SetModem | SetLine) -> list[object]:
    """Ask one after the other, each when the one before has been answered; return the answers."""
    asker.told.clear()
    for request in requests:
        before = len(asker.told)
        asker.send(asker.wire.ask(request, 0.0))
        await until(lambda: (asker.look(), len(asker.told) > before)[1])  # noqa: B023
    return [told.value for told in asker.told]


def moves(stage: Stage) -> list[object]:
    return [each for each in stage.happened() if isinstance(each, SetModem | Hold | SetLine)]


async def ready(meter: Stage) -> Asker:
    """Return a client whose port has both lines off."""
    asker = await meter.asker()
    await asks(asker, DTR0, RTS0)
    meter.happened()
    return asker


def test_esptool_from_afar(run: Run, stage: Play, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with stage(protocol="rfc2217", reset_sequences="esp32") as meter:
            asker = await ready(meter)
            answers = await asks(asker, RTS1, DTR1, RTS0, DTR0)
            assert answers == [True, True, False, False]
            assert moves(meter) == [RTS1, *pulse("dtr=1,rts=0 wait=0.05 dtr=0").steps]
            assert meter.connection.resets.recognised == 1
            assert "reset sequence recognised" in caplog.text

    run(scenario())


def test_without_the_option_commands_are_carried_out_as_they_come(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(protocol="rfc2217") as meter:
            asker = await ready(meter)
            await asks(asker, RTS1, DTR1, RTS0, DTR0)
            assert moves(meter) == [RTS1, DTR1, RTS0, DTR0]

    run(scenario())


def test_a_command_that_nothing_confirms_is_carried_out(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(protocol="rfc2217", reset_sequences="esp32") as meter:
            asker = await ready(meter)
            before = asyncio.get_running_loop().time()
            assert await asks(asker, RTS1, DTR1) == [True, True]
            assert moves(meter) == [RTS1]
            await until(lambda: meter.port.state.dtr)
            assert asyncio.get_running_loop().time() - before >= HOLD_LIMIT - 0.1
            assert moves(meter) == [DTR1]

    run(scenario())


@pytest.mark.parametrize("other", ["data", "settings"])
def test_nothing_overtakes_what_is_held_back(run: Run, stage: Play, other: str) -> None:
    async def scenario() -> None:
        async with stage(protocol="rfc2217", reset_sequences="esp32") as meter:
            asker = await ready(meter)
            await asks(asker, RTS1, DTR1)
            assert not meter.port.state.dtr
            if other == "data":
                asker.send(b"x")
                await until(lambda: meter.port.written)
            else:
                await asks(asker, SetLine(baudrate=1200))
            assert moves(meter)[:2] == [RTS1, DTR1]
            assert meter.port.state.dtr
            assert not meter.connection.resets.holds

    run(scenario())


def test_who_leaves_takes_its_commands_along(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(protocol="rfc2217", reset_sequences="esp32") as meter:
            asker = await ready(meter)
            await asks(asker, RTS1, DTR1)
            asker.close()
            await meter.alone()
            assert not meter.connection.resets.holds
            assert not meter.port.state.dtr

    run(scenario())


def test_what_is_denied_is_no_part_of_a_sequence(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        options = {"protocol": "rfc2217", "reset_sequences": "esp32", "allow_rts": False}
        async with stage(**options) as meter:
            asker = await meter.asker()
            await asks(asker, DTR0, RTS1, DTR1, RTS0, DTR0)
            assert RTS1 not in moves(meter)
            assert meter.connection.resets.recognised == 0

    run(scenario())


def test_a_pulse_by_name(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage() as meter:
            meter.happened()
            await meter.connection.resets.pulse(pulse("esp32"), is_open=True)
            done = [each for each in meter.happened() if not isinstance(each, Query)]
            assert done == list(pulse("esp32").steps)

    run(scenario())


def test_two_pulses_at_once_are_run_one_after_the_other(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage() as meter:
            meter.happened()
            meter.port.hold = True
            both = asyncio.gather(
                meter.connection.resets.pulse(pulse("esp32"), is_open=True),
                meter.connection.resets.pulse(pulse("arduino"), is_open=True),
            )
            await asyncio.sleep(0)
            meter.port.hold = False
            meter.port.carry_out()
            await both
            done = [each for each in meter.happened() if not isinstance(each, Query)]
            assert done == [*pulse("esp32").steps, *pulse("arduino").steps]

    run(scenario())


def test_a_peer_cannot_have_the_data_of_others_wait_for_many_sequences(
    run: Run, stage: Play
) -> None:
    """Those that it asks for while one is run are carried out as they come."""

    async def scenario() -> None:
        async with stage(protocol="rfc2217", reset_sequences="stm32-swapped") as meter:
            asker = await ready(meter)
            meter.port.hold = True
            requests = [RTS1, RTS0] * 50
            asker.told.clear()
            asker.send(b"".join(asker.wire.ask(each, 0.0) for each in requests))
            await until(lambda: len(meter.port.waiting) >= len(requests))
            meter.port.hold = False
            meter.port.carry_out()
            await until(lambda: (asker.look(), len(asker.told) == len(requests))[1])
            assert [told.value for told in asker.told] == [True, False] * 50
            done = moves(meter)
            assert sum(isinstance(each, Hold) for each in done) <= 2
            assert [each for each in done if isinstance(each, SetModem)] == requests
            assert meter.connection.resets.recognised == 1
            await asks(asker, RTS1, RTS0)  # and when it is over, the next one
            assert meter.connection.resets.recognised == 2

    run(scenario())


def test_where_no_pulse_is_possible(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(virtual="ttyNONE0") as meter:
            with pytest.raises(UsageError, match="pulse the real port at the other end"):
                await meter.connection.resets.pulse(pulse("esp32"), is_open=True)
        async with stage(rs485="on") as meter:
            with pytest.raises(UsageError, match="RS-485"):
                await meter.connection.resets.pulse(pulse("esp32"), is_open=True)
        async with stage() as meter:
            with pytest.raises(PortError, match="not open now"):
                await meter.connection.resets.pulse(pulse("esp32"), is_open=False)
            meter.port.hardware = Hardware("x", (), "none", None)
            with pytest.raises(PortError, match="has no DTR and RTS"):
                await meter.connection.resets.pulse(pulse("esp32"), is_open=True)
            meter.port.hardware = None
            meter.port.hold = True
            work = asyncio.get_running_loop().create_task(
                meter.connection.resets.pulse(pulse("arduino"), is_open=True)
            )
            await until(lambda: meter.port.waiting)
            meter.port.refused += 1
            meter.port.hold = False
            meter.port.carry_out()
            with pytest.raises(PortError, match="refused to move"):
                await work
            meter.connection.port_lost(PortAbsent("x", "y"))

    run(scenario())
