"""Peers and ports come and go."""

from __future__ import annotations

import asyncio
import socket

import pytest

from portline.errors import PortAbsent
from portline.line import (
    Item,
    LineChange,
    LineFault,
    LineSettings,
    ModemChange,
    ModemLines,
    Parity,
    SetLine,
    SetModem,
    StopBits,
    Told,
    Watch,
)
from portline.net import tcp
from portline.service.local import keeper
from portline.service.peer import linger, sweep
from tests.conftest import Run
from tests.unit.service.conftest import Play
from tests.waiting import unread, until

UNPLUGGED = PortAbsent("/dev/ttyNONE0", "the device was unplugged")

Patch = pytest.MonkeyPatch


def test_bytes_go_both_ways_to_and_from_everybody(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage() as meter:
            peers = [await meter.peer() for _ in range(3)]
            meter.connection.port_data(b"21.5 C\r\n")
            for peer in peers:
                await peer.hears(b"21.5 C\r\n")
            for peer in peers:
                peer.send(b"?")
            await until(lambda: meter.port.written == b"???")

    run(scenario())


def test_who_has_connected_hears_what_comes_before_the_loop_knows_of_it(
    run: Run, stage: Play
) -> None:
    async def scenario() -> None:
        async with stage() as meter:
            peer = meter.knock()
            meter.connection.port_data(b"21.5 C\r\n")
            await peer.hears(b"21.5 C\r\n")
            assert meter.connection.hub.keep.discarded == 0

    run(scenario())


def test_the_log_tells_a_life(run: Run, stage: Play, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with stage() as meter:
            peer = await meter.peer()
            peer.send(b"abc")
            await until(lambda: meter.port.written == b"abc")
            peer.reset()
            await meter.alone()
            who = peer.address
            assert [record.getMessage() for record in caplog.records] == [
                "/dev/memory: is open with 9600-8N1",
                f"listening on 127.0.0.1:{meter.tcp_port()}",
                f"peer connected peer={who} protocol=raw",
                f"peer gone peer={who} received=3 sent=0 dropped=0 "
                'reason="connection reset by the peer"',
            ]
            assert {record.__dict__["connection"] for record in caplog.records} == {"meter"}

    run(scenario())


def test_an_address_that_is_taken_is_a_warning_and_the_rest_goes_on(
    run: Run, stage: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            taken = other.getsockname()[1]
            async with stage(listen=[f"127.0.0.1:{taken}", "127.0.0.1:0"]) as meter:
                await meter.peer(1)
        assert f"127.0.0.1:{taken}: the TCP port is in use by " in caplog.text

    run(scenario())


# --- the first peer, the last peer ---------------------------------------------------------------


def test_lines_follow_the_first_peer_and_the_last(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        lines = {"dtr-connected": "high", "dtr-disconnected": "low", "rts-disconnected": "low"}
        async with stage(**lines) as meter:
            assert meter.happened() == [SetModem(dtr=False, rts=False), "open"]
            first, second = await meter.peer(), await meter.peer()
            assert meter.happened() == [SetModem(dtr=True)]
            first.close()
            await until(lambda: len(meter.sessions) == 1)
            assert meter.happened() == []
            second.close()
            await meter.alone()
            assert meter.happened() == [SetModem(dtr=False, rts=False)]

    run(scenario())


def test_the_port_is_open_only_while_somebody_is_connected(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(open_when_connected=True, dtr_connected="high") as meter:
            assert meter.happened() == []
            first, second = await meter.peer(), await meter.peer()
            assert meter.happened() == [SetModem(dtr=True), "open"]
            for peer in (first, second):
                assert meter.port.opened
                peer.close()
            await meter.alone()
            assert meter.happened() == [SetLine(), "close"]
            await meter.peer()
            assert meter.happened() == [SetModem(dtr=True), "open"]

    run(scenario())


def test_a_raw_peer_that_has_just_asked_hears_its_answer(
    run: Run, stage: Play, monkeypatch: Patch, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        monkeypatch.setattr(linger, "LINGER", 0.5)
        async with stage(open_when_connected=True) as meter:
            asker = await meter.peer()
            asker.send(b"*IDN?\n")
            asker.finish()
            await meter.alone()
            assert meter.port.opened
            meter.connection.port_data(b"Portline,1\r\n")
            await asker.hears(b"Portline,1\r\n")
            assert await asker.hears_end() == b""
            assert not meter.port.opened
        assert 'reason="the peer closed the connection"' in caplog.text

    run(scenario())


def test_who_lingers_and_dies_is_forgotten(run: Run, stage: Play, monkeypatch: Patch) -> None:
    async def scenario() -> None:
        monkeypatch.setattr(linger, "LINGER", 60.0)
        async with stage(open_when_connected=True) as meter:
            asker = await meter.peer()
            asker.send(b"*IDN?\n")
            await until(lambda: meter.port.written)
            asker.close()
            await meter.alone()
            assert meter.port.opened
            while meter.port.opened:  # the first answer brings an RST, the second hears of it
                meter.connection.port_data(b"Portline,1\r\n")
                await asyncio.sleep(0.001)

    run(scenario())


def test_who_lingers_and_reads_nothing_is_not_collected_for_without_end(
    run: Run, stage: Play, monkeypatch: Patch
) -> None:
    async def scenario() -> None:
        monkeypatch.setattr(linger, "LINGER", 60.0)
        async with stage(backlog_size=65536) as meter:
            asker = await meter.peer()
            (session,) = meter.sessions
            asker.send(b"*IDN?\n")
            asker.finish()
            await meter.alone()
            while not session.closed:
                assert session.outbox.size < 3 * 65536
                meter.connection.port_data(b"x" * 65536)
            keep = meter.connection.hub.keep
            # What it got may be acknowledged late, and is found out by the time that has passed.
            got = meter.connection.hub.heard - keep.discarded
            assert session.link.acked <= got <= session.link.sent
            assert meter.connection.peers.departures.dropped == 0

    run(scenario())


def test_a_stop_says_goodbye_to_all_and_leaves_the_port_open_until_the_close(
    run: Run, stage: Play, monkeypatch: Patch
) -> None:
    async def scenario() -> None:
        monkeypatch.setattr(linger, "LINGER", 60.0)
        async with stage(dtr_disconnected="low") as meter:
            lingering = await meter.peer()
            lingering.send(b"?")
            lingering.finish()
            await meter.alone()
            peer = await meter.peer()
            meter.happened()
            links = meter.connection.stop(5.0)
            assert len(links) == 1  # the one that lingered has got everything and is closed
            assert await peer.hears_end() == b""
            assert await lingering.hears_end() == b""
            assert meter.happened() == [SetModem(dtr=False)]
            peer.close()
            await until(lambda: all(link.closed for link in links))
            meter.connection.close()
            assert meter.happened() == ["close"]
            with pytest.raises(ConnectionRefusedError):
                meter.knock()

    run(scenario())


# --- who is sent away ----------------------------------------------------------------------------


def test_who_is_silent_for_too_long_is_sent_away(
    run: Run, stage: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with stage(inactivity=0.1) as meter:
            assert await meter.knock().hears_end() == b""
        assert 'reason="no activity for 0.1 s"' in caplog.text

    run(scenario())


def test_who_waits_for_the_device_is_sent_away_in_the_end(
    run: Run, stage: Play, monkeypatch: Patch, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        monkeypatch.setattr(sweep, "ABSENCE_LIMIT", 0.1)
        monkeypatch.setattr(sweep, "PERIOD", 0.01)
        async with stage() as meter:
            peer = await meter.peer()
            meter.port.failure = UNPLUGGED
            meter.connection.port_lost(UNPLUGGED)
            assert await peer.hears_end() == b""
        assert 'reason="the port is absent for 0.1 s"' in caplog.text

    run(scenario())


def test_who_is_dead_is_sent_away(
    run: Run, stage: Play, monkeypatch: Patch, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        silences: list[float] = []

        def is_dead(sock: socket.socket, silence: float) -> bool:
            silences.append(silence)
            return len(silences) > 1

        monkeypatch.setattr(tcp, "is_dead", is_dead)
        monkeypatch.setattr(sweep, "PERIOD", 0.01)
        async with stage(keepalive=20, keepalive_retry=5) as meter:
            await meter.knock().hears_end()
            assert silences == [35.0, 35.0]
        assert 'reason="the peer does not answer any more"' in caplog.text

    run(scenario())


def test_who_is_gone_before_it_is_let_in(run: Run, stage: Play, monkeypatch: Patch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(22, "Invalid argument")

    async def scenario() -> None:
        monkeypatch.setattr(tcp, "configure", fail)
        async with stage() as meter:
            (await meter.peer()).reset()
            await meter.alone()

    run(scenario())


# --- the device comes and goes -------------------------------------------------------------------


def test_peers_stay_while_the_device_is_away_for_a_moment(
    run: Run, stage: Play, monkeypatch: Patch, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        monkeypatch.setattr(keeper, "RETRY", 0.01)
        async with stage() as meter:
            peer = await meter.peer()
            meter.connection.port_full(True)
            meter.connection.port_lost(UNPLUGGED)
            await until(lambda: meter.port.happened == ["open", "open"])
            peer.send(b"still here")  # read again, as the full port is another one now
            await until(lambda: meter.port.written == b"still here")
        warnings = [record.getMessage() for record in caplog.records if record.levelno > 20]
        assert warnings == [
            "/dev/ttyNONE0: the device was unplugged",
            "/dev/memory: is open with 9600-8N1",
        ]

    run(scenario())


def test_a_full_port_holds_back_who_has_written_to_it(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage() as meter:
            early = await meter.peer()
            meter.connection.port_full(True)
            late = await meter.peer()
            early.send(b"early")
            late.send(b"late")
            for peer in meter.connection.hub.peers:
                await unread(peer.link.socket)
            assert meter.port.written == b""
            meter.connection.port_full(False)
            await until(lambda: len(meter.port.written) == len(b"earlylate"))

    run(scenario())


def test_applications_come_and_go_at_a_virtual_port(
    run: Run, stage: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with stage(virtual="ttyV0", listen_when_open=True) as meter:
            (listener,) = meter.connection.network.entrance.listeners
            assert (listener.listening, meter.port.application.there) == (False, False)
            meter.port.use(True)
            assert (listener.listening, meter.port.application.there) == (True, True)
            await meter.peer()
            meter.port.use(False)
            assert (listener.listening, len(meter.sessions)) == (False, 1)
        assert "an application opened the port" in caplog.text
        assert "an application closed the port" in caplog.text

    run(scenario())


# --- what is told --------------------------------------------------------------------------------


def test_the_peers_are_told_what_happens_at_the_port(
    run: Run, stage: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with stage(protocol="rfc2217") as meter:
            asker = await meter.asker()
            assert meter.port.watched == (True, False)
            meter.connection.port_report(ModemChange(ModemLines(cts=True)))
            meter.connection.port_report(LineFault(parity=True))
            meter.connection.port_report(LineChange(LineSettings(19200)))
            await until(lambda: (asker.look(), len(asker.reports) == 5)[1])
            assert asker.reports == [
                ModemChange(ModemLines(cts=True)),
                Told(Item.BAUDRATE, 19200),
                Told(Item.DATA_BITS, 8),  # this and what follows: it has not been told before
                Told(Item.PARITY, Parity.NONE),
                Told(Item.STOP_BITS, StopBits.ONE),
            ]
        assert "lines=CTS" in caplog.text
        assert "the application set 19200-8N1" in caplog.text
        assert "LineFault(overrun=False, parity=True" in caplog.text

    run(scenario())


def test_changes_are_not_told_where_that_is_switched_off(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(protocol="rfc2217", notify=False) as meter:
            asker = await meter.asker()
            meter.connection.port_report(ModemChange(ModemLines(cts=True)))
            meter.connection.port_report(LineChange(LineSettings(19200)))
            meter.connection.port_data(b"data")
            await asker.hears(b"data")
            assert asker.reports == []

    run(scenario())


def test_the_port_watches_what_somebody_wants_to_be_told_of(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(protocol="rfc2217") as meter:
            asker = await meter.asker()
            meter.sessions[0].watch = Watch(modem_lines=False, faults=True)
            meter.connection.watch()
            assert meter.port.watched == (False, True)
            asker.close()
            await meter.alone()
            assert meter.port.watched == (False, False)

    run(scenario())


def test_what_the_other_access_server_tells_is_logged(
    run: Run, stage: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with stage(virtual="ttyV0", protocol="rfc2217") as meter:
            await meter.asker()
            meter.connection.peers.peer_report(meter.sessions[0], Told(Item.BAUDRATE, 300))
            await until(lambda: "remote port peer=127.0.0.1:" in caplog.text)
        assert ": baudrate 300" in caplog.text

    run(scenario())
