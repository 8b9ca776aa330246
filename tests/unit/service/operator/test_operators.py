"""Operators beside the peers of one connection."""

from __future__ import annotations

import pytest

from portline.errors import PortAbsent, UsageError
from portline.line import LineChange, LineSettings, ModemChange, ModemLines, SetLine, SetModem
from portline.remote.port import RemotePort
from portline.service.operator import operators as module
from portline.service.operator.terminal import open_terminal
from portline.service.survey import survey
from tests.conftest import Run
from tests.unit.service.conftest import Play, Stage
from tests.waiting import until


async def at(stage: Stage) -> RemotePort:
    return await open_terminal(stage.connection)


async def hears(port: RemotePort, data: bytes) -> None:
    assert await port.read_exactly(len(data)) == data


async def gone(stage: Stage, count: int = 0) -> None:
    await until(lambda: len(stage.connection.operators) == count)


def test_an_operator_hears_and_speaks_and_is_no_peer(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(max_connections=1) as meter:
            terminal = await at(meter)
            peer = await meter.peer()  # the only one there may be
            meter.connection.port_data(b"\xff from the port\r\n")
            await hears(terminal, b"\xff from the port\r\n")
            await peer.hears(b"\xff from the port\r\n")
            terminal.write(b"typed\xff")
            await until(lambda: meter.port.written == b"typed\xff")
            peer.send(b"sent")
            await until(lambda: meter.port.written == b"typed\xffsent")
            status = survey(meter.connection, 0.0)
            assert [each.address for each in status.peers] == [peer.address, "operator"]
            assert status.spoken == 10
            await terminal.close()
            await gone(meter)
            meter.connection.port_data(b"more")
            await peer.hears(b"more")

    run(scenario())


@pytest.mark.parametrize("selection", ["none", "first", "last", "last-active"])
def test_policies_for_peers_are_not_for_operators(run: Run, stage: Play, selection: str) -> None:
    async def scenario() -> None:
        async with stage(receive_from=selection, send_to=selection) as meter:
            terminal = await at(meter)
            peer = await meter.peer()
            peer.send(b"p")
            await until(lambda: meter.connection.hub.spoken + meter.connection.hub.unspoken)
            terminal.write(b"t")
            await until(lambda: meter.port.written.endswith(b"t"))
            meter.connection.port_data(b"heard")
            await hears(terminal, b"heard")
            await peer.hears(b"" if selection == "none" else b"heard")
            await terminal.close()

    run(scenario())


def test_what_is_kept_for_the_next_peer_stays_for_it(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(buffer_size=1000) as meter:
            meter.connection.port_data(b"before,")
            terminal = await at(meter)
            meter.connection.port_data(b"during")
            await hears(terminal, b"during")
            await terminal.close()
            await gone(meter)
            peer = await meter.peer()
            await peer.hears(b"before,during")

    run(scenario())


def test_packets_are_for_peers_and_characters_for_operators(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(packet_size=4) as meter:
            terminal = await at(meter)
            peer = await meter.peer()
            meter.connection.port_data(b"abc")
            await hears(terminal, b"abc")
            meter.connection.port_data(b"d")
            await peer.hears(b"abcd")
            await terminal.close()

    run(scenario())


def test_the_port_is_open_and_the_lines_are_as_with_a_peer(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        options = {"dtr_connected": "high", "dtr_disconnected": "low"}
        async with stage(open_when_connected=True, **options) as meter:
            assert not meter.connection.keeper.open
            terminal = await at(meter)
            assert meter.port.opened
            assert meter.port.state.dtr
            assert terminal.dtr
            peer = await meter.peer()
            await terminal.close()
            await gone(meter)
            assert meter.port.opened
            assert meter.port.state.dtr
            peer.close()
            await until(lambda: not meter.port.opened)
            assert not meter.port.state.dtr
            terminal = await at(meter)
            await terminal.close()
            await until(lambda: not meter.port.opened)

    run(scenario())


def test_an_operator_may_do_what_peers_may_not(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        denied = dict.fromkeys(("allow_settings", "allow_dtr", "allow_rts", "allow_break"), False)
        async with stage(protocol="rfc2217", **denied) as meter:
            terminal = await at(meter)
            settings = await terminal.set(baudrate=1200, parity="even")
            assert str(settings) == "1200-8E1"
            await terminal.set_lines(dtr=True, rts=False)
            assert (meter.port.state.dtr, meter.port.state.rts) == (True, False)
            await terminal.set_break(True)
            assert meter.port.state.break_on
            await terminal.close()
            await until(lambda: str(meter.port.state.settings) == "9600-8N1")
            assert not meter.port.state.break_on

    run(scenario())


def test_an_operator_who_has_changed_nothing_changes_nothing_by_leaving(
    run: Run, stage: Play
) -> None:
    async def scenario() -> None:
        async with stage() as meter:
            meter.port.submit(SetLine(baudrate=300))
            terminal = await at(meter)
            meter.happened()
            await terminal.close()
            await gone(meter)
            assert SetLine.everything(LineSettings()) not in meter.happened()
            assert meter.port.state.settings.baudrate == 300

    run(scenario())


def test_two_who_control_are_told_of_each_other(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(protocol="rfc2217") as meter:
            terminal = await at(meter)
            asker = await meter.asker()
            events = terminal.events()
            await asker.asks(SetLine(baudrate=1200))
            assert (await anext(events)).settings.baudrate == 1200
            asker.reports.clear()
            await terminal.set(baudrate=2400)
            await until(lambda: (asker.look(), asker.reports)[1])
            told = [(told.item.value, told.value) for told in asker.reports]
            assert told[0] == ("baudrate", 2400)  # the rest is what it has never asked for
            # The peer is left with what it finds: it may have asked for it since.
            await terminal.close()
            await gone(meter)
            assert meter.port.state.settings.baudrate == 2400
            asker.close()
            await until(lambda: meter.port.state.settings.baudrate == 9600)

    run(scenario())


def test_lines_and_settings_are_told_whatever_peers_are(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(notify=False, protocol="rfc2217") as meter:
            terminal = await at(meter)
            assert meter.port.watched == (True, True)
            events = terminal.events()
            meter.port.say(ModemChange(ModemLines(cts=True)))
            assert await anext(events) == ModemChange(ModemLines(cts=True))
            meter.port.say(LineChange(LineSettings(baudrate=1200)))
            assert (await anext(events)).settings.baudrate == 1200
            await terminal.close()
            await until(lambda: meter.port.watched == (False, False))

    run(scenario())


def test_an_operator_who_does_not_read_never_holds_the_port(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage() as meter:
            terminal = await at(meter)
            peer = await meter.peer()
            for _ in range(40):
                meter.connection.port_data(b"x" * 65536)
                await until(lambda: len(peer.look()) >= 65536)
                peer.received.clear()
                assert not meter.port.paused
            # The socket, and what the terminal reads ahead, hold some of it.
            assert survey(meter.connection, 0.0).counts["operators_dropped"] > 0
            (session,) = meter.connection.operators.sessions
            assert session.outbox.size <= module.BACKLOG + 65536 + 64
            await terminal.close()
            await gone(meter)
            assert survey(meter.connection, 0.0).counts["operators_dropped"] > 0

    run(scenario())


def test_an_operator_waits_for_a_port_that_takes_no_more(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage() as meter:
            terminal = await at(meter)
            meter.connection.port_full(True)
            for _ in range(64):
                terminal.write(b"x" * 65536)
            await terminal.purge()
            assert terminal.unsent > 0
            meter.connection.port_full(False)
            await terminal.drain()
            await until(lambda: len(meter.port.written) == 64 * 65536)
            await terminal.close()

    run(scenario())


def test_a_device_that_is_away_is_told_and_one_that_goes_ends_it(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage() as meter:
            terminal = await at(meter)
            error = PortAbsent("/dev/ttyNONE0", "was pulled")
            meter.port.failure = error
            meter.connection.port_lost(error)
            assert await terminal.read() == b""
            assert terminal.ended
            with pytest.raises(PortAbsent, match="was pulled"):
                await at(meter)
            await gone(meter)
            terminal.abort()

    run(scenario())


def test_a_device_that_is_opened_for_the_operator_and_is_not_there(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(open_when_connected=True) as meter:
            meter.port.failure = PortAbsent("/dev/ttyNONE0", "is not there")
            with pytest.raises(PortAbsent, match="is not there"):
                await at(meter)
            await gone(meter)
            assert meter.connection.keeper.error is None  # nobody wants it any more

    run(scenario())


def test_a_connection_that_does_not_run_has_no_terminal(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        meter = stage()
        meter.connection.rests = "stopped by hand"
        with pytest.raises(UsageError, match=r"meter: does not run \(stopped by hand\); `portline"):
            await at(meter)
        assert not meter.port.opened

    run(scenario())


def test_there_is_a_limit_to_terminals(
    run: Run, stage: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OPERATORS_MAX", 2)

    async def scenario() -> None:
        async with stage() as meter:
            first = await at(meter)
            place = await meter.connection.operators.admit()
            with pytest.raises(UsageError, match="meter: 2 terminals are open at it"):
                await at(meter)
            place.withdraw()
            second = await at(meter)
            await first.close()
            await second.close()
            await gone(meter)

    run(scenario())


def test_the_end_of_the_connection_ends_it(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        meter = stage()
        async with meter:
            terminal = await at(meter)
            place = await meter.connection.operators.admit()
        assert await terminal.read() == b""
        assert len(meter.connection.operators) == 0
        terminal.abort()
        place.withdraw()

    run(scenario())


def test_a_full_house_is_not_full_for_an_operator(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(protocol="rfc2217") as meter:
            asker = await meter.asker()
            terminal = await at(meter)
            await terminal.set_lines(dtr=True)
            assert SetModem(dtr=True) in meter.happened()
            refused = meter.knock()
            assert b"in use" in await refused.hears_end()
            assert asker.end == ""
            await terminal.close()

    run(scenario())
