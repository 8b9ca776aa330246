"""Peers of a port that goes away and comes back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portline.config.models import ServerConnection
from portline.errors import PortAbsent
from portline.line import ModemLines, Watch
from portline.service.adoption import adopt
from portline.service.network.reception import Reception
from tests.conftest import Run
from tests.unit.service.conftest import Play, Stage
from tests.waiting import until

UNPLUGGED = PortAbsent("/dev/ttyUSB0", "the device hung up; was it unplugged?")


def pull(meter: Stage) -> None:
    meter.port.failure = UNPLUGGED
    meter.connection.port_lost(UNPLUGGED)


def plug(meter: Stage) -> None:
    meter.port.failure = None
    meter.connection.keeper.hurry()


def listens(meter: Stage) -> bool:
    assert isinstance(meter.connection.network, Reception)
    return any(each.listening for each in meter.connection.network.entrance.listeners)


def test_peers_stay_and_go_on(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage() as meter:
            peer = await meter.peer()
            pull(meter)
            assert listens(meter)
            newcomer = await meter.peer()
            plug(meter)
            meter.connection.port_data(b"here again")
            await peer.hears(b"here again")
            await newcomer.hears(b"here again")

    run(scenario())


def test_peers_are_disconnected_and_let_in_again(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(when_absent="disconnect") as meter:
            peer = await meter.peer()
            pull(meter)
            assert await peer.hears_end() == b""
            await until(lambda: not listens(meter))
            await meter.alone()
            plug(meter)
            await until(lambda: listens(meter))
            await meter.peer()

    run(scenario())


def test_nobody_is_let_in_before_the_port_has_come(
    run: Run, stage: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        meter = stage(when_absent="disconnect")
        meter.port.failure = UNPLUGGED
        async with meter:
            await until(lambda: meter.connection.absence._away)
            assert not listens(meter)
            plug(meter)
            await until(lambda: listens(meter))
            # Gone and back before the loop has turned: nobody notices.
            peer = await meter.peer()
            pull(meter)
            plug(meter)
            meter.connection.port_data(b"x")
            await peer.hears(b"x")

    run(scenario())


def test_a_port_that_is_opened_for_its_first_peer_only(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(when_absent="disconnect", open_when_connected=True) as meter:
            meter.port.failure = UNPLUGGED
            assert listens(meter)
            assert await meter.knock().hears_end() == b""
            await until(lambda: listens(meter) and not meter.sessions)
            assert meter.connection.keeper.error is None
            meter.port.failure = None
            await meter.peer()

    run(scenario())


def test_another_configuration_takes_effect_at_once(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage() as meter:
            peer = await meter.peer()
            pull(meter)
            table = {"port": "/dev/ttyNONE0", "listen": "127.0.0.1:0"}
            config = ServerConnection.model_validate({**table, "when_absent": "disconnect"})
            adopt(meter.connection, "meter", config, ("when_absent",))
            assert await peer.hears_end() == b""
            await until(lambda: not listens(meter))
            adopt(
                meter.connection, "meter", ServerConnection.model_validate(table), ("when_absent",)
            )
            await until(lambda: listens(meter))

    run(scenario())


def test_modem_lines_that_moved_with_the_device_are_told(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(protocol="rfc2217") as meter:
            asker = await meter.asker()
            told: list[object] = []
            session = meter.sessions[0]
            session.watch = Watch(modem_lines=True, faults=False)
            session.report = told.append  # type: ignore[method-assign]
            on = ModemLines(cts=True, dsr=True)
            pull(meter)
            meter.port.state = replace(meter.port.state, lines=on)
            plug(meter)
            meter.port.state = replace(meter.port.state, lines=ModemLines())
            pull(meter)
            assert [str(each) for each in told] == ["lines=CTS DSR", "lines=-"]
            pull(meter)
            assert len(told) == 2
            assert asker is not None

    run(scenario())
