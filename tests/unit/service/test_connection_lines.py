"""The signal lines of a virtual port: its application, its peers, and what each of them sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from portline.hub.lines import InputRules, Level, LineRule, crossed
from portline.line import (
    BreakChange,
    Item,
    LineFault,
    LineSettings,
    ModemChange,
    ModemLines,
    Query,
    SetBreak,
    SetInputs,
    SetModem,
)
from tests.peers import AccessServer
from tests.waiting import until

if TYPE_CHECKING:
    from tests.conftest import Run
    from tests.unit.service.conftest import Play, Stage

UP = ModemLines(cts=True, dsr=True, dcd=True)
OFF = ModemLines()


def virtual(stage: Play, **options: object) -> Stage:
    return stage(virtual="ttyV0", protocol="rfc2217", **options)


def drives(meter: Stage, *, dtr: bool, rts: bool) -> None:
    """Let the application drive its outputs."""
    meter.port.say(ModemChange(crossed(dtr=dtr, rts=rts)))


async def shows(meter: Stage, *lines: ModemLines) -> None:
    """Wait until the application has read exactly these since the last call."""
    await until(lambda: len(shown(meter)) >= len(lines))
    assert shown(meter) == list(lines)
    meter.port.happened.clear()


def shown(meter: Stage) -> list[ModemLines]:
    return [each.lines for each in meter.port.happened if isinstance(each, SetInputs)]


async def server(meter: Stage) -> AccessServer:
    """Connect an access server, and wait until it has been asked for its lines."""
    peer = meter.peers.enter_context(AccessServer(meter.tcp_port()))
    asked = [Query(Item.MODEM_LINES)] * 2  # the first is the wire's own way of telling them
    await until(lambda: (peer.look(), [q for q in peer.asked if q in asked] == asked)[1])
    return peer


def test_an_application_sends_breaks(
    run: Run, stage: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        breaks = [SetBreak(True), SetBreak(False)]
        async with virtual(stage) as meter:
            peer = await server(meter)
            for on in (True, False):
                meter.port.say(BreakChange(on))
            await until(lambda: (peer.look(), [q for q in peer.asked if q in breaks] == breaks)[1])
        async with virtual(stage) as meter:
            client = await meter.asker()
            client.send(b"\xff\xfa\x2c\x0a\xff\xff\xff\xf0")  # SET-LINESTATE-MASK: everything
            await until(lambda: meter.port.watched == (True, True))
            for on in (True, False):
                meter.port.say(BreakChange(on))
            meter.connection.port_data(b"after")
            await client.hears(b"after")
            assert client.reports[1:] == [LineFault(break_received=True)]  # after its answer
        assert "the application begins a break" in caplog.text
        assert "the application ends a break" in caplog.text

    run(scenario())


def test_an_access_server_and_an_application_see_each_other(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with virtual(stage) as meter:
            drives(meter, dtr=True, rts=True)
            await shows(meter, UP)
            peer = await server(meter)
            await peer.sees(dtr=True, rts=True)
            await shows(meter, OFF)  # its device's lines, which are off
            peer.reads(ModemLines(cts=True, ri=True))
            await shows(meter, ModemLines(cts=True, ri=True))
            drives(meter, dtr=True, rts=False)
            await peer.sees(dtr=True, rts=False)
            drives(meter, dtr=False, rts=False)
            await peer.sees(dtr=False, rts=False)
            assert shown(meter) == []
            drives(meter, dtr=True, rts=True)
            peer.close()
            await shows(meter, UP)

    run(scenario())


def test_an_application_is_shown_the_faults_of_the_line(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with virtual(stage) as meter:
            peer = await server(meter)
            meter.happened()
            peer.send(b"\xff\xfa\x2c\x6a\x14\xff\xf0")  # NOTIFY-LINESTATE: parity, break
            fault = LineFault(parity=True, break_received=True)
            await until(lambda: fault in meter.port.happened)

    run(scenario())


def test_settings_come_before_lines(run: Run, stage: Play) -> None:
    """So a device that acts when DTR rises finds the line as it is to be."""

    async def scenario() -> None:
        async with virtual(stage) as meter:
            meter.port.use(True)
            assert meter.port.application is not None
            meter.port.application.set(LineSettings(1200))
            drives(meter, dtr=True, rts=False)
            peer = await server(meter)
            asked = [type(request).__name__ for request in peer.asked]
            lines = asked.index("SetModem")
            assert "SetLine" in asked[:lines]
            assert "SetLine" not in asked[lines:]
            assert peer.asked[-3:] == [
                SetModem(dtr=True),
                SetModem(rts=False),
                Query(Item.MODEM_LINES),
            ]

    run(scenario())


def test_a_client_is_the_other_end_of_a_null_modem_cable(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with virtual(stage) as meter:
            asker = await meter.asker()
            await asker.asks(SetModem(dtr=True, rts=False))
            await shows(meter, ModemLines(dsr=True, dcd=True))
            drives(meter, dtr=False, rts=True)
            await until(lambda: (asker.look(), asker.reports)[1])
            assert asker.reports == [ModemChange(ModemLines(cts=True))]
            assert shown(meter) == []
            asker.close()
            await meter.alone()
            await shows(meter, ModemLines(cts=True))
            assert (meter.port.state.dtr, meter.port.state.rts) == (False, False)

    run(scenario())


@pytest.mark.parametrize(
    ("denied", "answer", "read"),
    [
        ("allow_dtr", (False, True), ModemLines(cts=True)),
        ("allow_rts", (True, False), ModemLines(dsr=True, dcd=True)),
        ("allow_cts", (True, True), ModemLines(dsr=True, dcd=True)),
        ("allow_dsr", (True, True), ModemLines(cts=True, dcd=True)),
        ("allow_dcd", (True, True), ModemLines(cts=True, dsr=True)),
    ],
)
def test_each_line_may_be_denied_by_itself(
    run: Run, stage: Play, denied: str, answer: tuple[bool, bool], read: ModemLines
) -> None:
    async def scenario() -> None:
        async with virtual(stage, **{denied: False}) as meter:
            asker = await meter.asker()
            told = await asker.asks(SetModem(dtr=True), SetModem(rts=True))
            assert told == [(Item.DTR, answer[0]), (Item.RTS, answer[1])]
            assert shown(meter)[-1] == read

    run(scenario())


def test_ri_may_be_denied_too(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with virtual(stage, allow_ri=False) as meter:
            peer = await server(meter)
            peer.reads(ModemLines(cts=True, ri=True))
            await shows(meter, ModemLines(cts=True))

    run(scenario())


def test_the_last_peer_takes_what_it_told_along_in_one_step(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with virtual(stage, cts_disconnected="high", dsr_disconnected="leave") as meter:
            await shows(meter, ModemLines(cts=True))
            asker = await meter.asker()
            await asker.asks(SetModem(dtr=True), SetModem(rts=True))
            assert shown(meter)[-1] == UP
            meter.port.happened.clear()
            asker.close()
            await meter.alone()
            assert shown(meter) == [ModemLines(cts=True, dsr=True)]

    run(scenario())


def test_rules_can_be_replaced_while_somebody_is_connected(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with virtual(stage) as meter:
            await meter.asker()
            meter.connection.inputs.rules = InputRules(ri=LineRule(connected=Level.HIGH))
            await shows(meter, ModemLines(ri=True))

    run(scenario())


def test_raw_peers_tell_nothing_but_their_presence(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(virtual="ttyV0", dcd_connected="high", dcd_disconnected="low") as meter:
            drives(meter, dtr=True, rts=True)
            await shows(meter, ModemLines(cts=True, dsr=True))
            peer = await meter.peer()
            await shows(meter, UP)
            peer.close()
            await meter.alone()
            await shows(meter, ModemLines(cts=True, dsr=True))

    run(scenario())


def test_a_real_ports_lines_come_from_its_device(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(protocol="rfc2217") as meter:
            asker = await meter.asker()
            drives(meter, dtr=True, rts=True)
            await asker.asks(SetModem(dtr=True))
            assert shown(meter) == []

    run(scenario())


def test_who_asks_for_lines_is_told_who_can_see_them(
    run: Run, stage: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with virtual(stage, cts_connected="high", allow_ri=False, allow_dtr=False):
            pass
        async with virtual(stage, allow_dtr=False):
            pass

    run(scenario())
    (record,) = [each for each in caplog.records if "ENOTTY" in each.getMessage()]
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith("allow-ri, cts-connected: only programs")
