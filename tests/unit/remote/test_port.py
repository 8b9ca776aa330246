from __future__ import annotations

import asyncio
import logging
import socket
from struct import pack
from typing import TYPE_CHECKING

import pytest

import portline.remote.inbox as inbox
import portline.remote.port as module
from portline.errors import NetworkError, PeerError, SettingRefused, UsageError
from portline.line import (
    LineFault,
    LineSettings,
    ModemChange,
    ModemLines,
    Parity,
    Purge,
    Query,
    SendBreak,
    SetBreak,
    SetLine,
    SetModem,
)
from portline.remote.inbox import RECEIVE_LIMIT
from portline.remote.opening import open as open_port
from portline.wire.rfc2217_codes import ANSWER, command
from tests.unit.remote.played import Played
from tests.waiting import until

if TYPE_CHECKING:
    from tests.conftest import Run


@pytest.mark.parametrize("raw", [False, True])
def test_data_goes_both_ways(run: Run, raw: bool) -> None:
    async def scenario() -> None:
        async with Played(raw=raw) as server, open_port(server.url) as port:
            assert (port.name, port.raw) == (server.url, raw)
            port.write(b"hello \xff")
            port.write(b"")
            await port.drain()
            await until(lambda: server.received == b"hello \xff")
            server.say(b"world \xff!")
            assert await port.read_exactly(3) == b"wor"
            await until(lambda: port.waiting == 5)
            assert await port.read() == b"ld \xff!"

    run(scenario())


def test_settings_are_asked_for_and_known(run: Run) -> None:
    async def scenario() -> None:
        async with (
            Played() as server,
            open_port(server.url, baudrate=115200, parity="even", rts=True) as port,
        ):
            assert server.done == [
                SetLine(baudrate=115200),
                SetLine(parity=Parity.EVEN),
                SetModem(rts=True),
            ]
            assert port.settings == LineSettings(115200, parity=Parity.EVEN)
            assert (port.dtr, port.rts, port.signature) == (False, True, "played")
            assert (port.cts, port.dsr, port.dcd, port.ri) == (True, False, False, False)
            assert await port.set(data_bits=7) == port.settings
            assert port.settings.data_bits == 7
            await port.set_lines(dtr=True)
            await port.set_break(True)
            assert (port.dtr, server.state.break_on) == (True, True)
            await port.set_break(False)
            await port.send_break()
            await until(lambda: isinstance(server.done[-1], SendBreak))
            assert server.done[-2] == SetBreak(False)

    run(scenario())


def test_purging_throws_away_what_lies_here_too(run: Run) -> None:
    async def scenario() -> None:
        async with Played() as server, open_port(server.url) as port:
            server.say(b"old")
            await until(lambda: port.waiting)
            await port.purge(unsent=True)
            assert port.waiting == 3
            await port.purge(received=True)
            assert port.waiting == 0
            assert server.done == [Purge(unsent=True), Purge(received=True)]

    run(scenario())


def test_what_is_not_confirmed_is_a_warning(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with Played(obeys=lambda request: request != SetLine(data_bits=5)) as server:
            async with open_port(server.url) as port:
                assert (await port.set(data_bits=5)).data_bits == 8
            server.close()

    caplog.set_level(logging.WARNING, logger="portline.remote")
    run(scenario())
    assert "data-bits is now 8, asked for 5; check what the port can do" in caplog.text


@pytest.mark.parametrize("queries", [True, False])
def test_what_is_not_answered_is_a_warning_after_a_while(
    run: Run, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, queries: bool
) -> None:
    silent = (SetModem,) if queries else (SetModem, Query)

    async def scenario() -> None:
        async with (
            Played(answers=lambda request: not isinstance(request, silent)) as server,
            open_port(server.url) as port,
        ):
            await port.set_lines(dtr=True)
            await port.set(baudrate=300)

    if queries:
        monkeypatch.setattr(module, "GRACE", 0.05)
    else:
        monkeypatch.setattr("portline.wire.rfc2217_client.ANSWER_TIMEOUT", 0.1)
    run(scenario())
    assert "dtr was not confirmed, asked for True" in caplog.text


def test_if_strict_it_is_an_error(run: Run) -> None:
    async def scenario() -> None:
        async with Played(obeys=lambda request: False) as server:
            with pytest.raises(SettingRefused) as refused:
                await open_port(server.url, baudrate=300, strict=True)
            assert (refused.value.port, refused.value.setting) == (server.url, "baudrate")
            assert refused.value.value == 300
            await until(lambda: server.link.closed)

    run(scenario())


def test_events_come_to_each_who_wants_them(run: Run) -> None:
    async def scenario() -> None:
        async with Played() as server:
            async with open_port(server.url) as port:
                one, other = port.events(), port.events()
                server.tell(ModemChange(ModemLines(dcd=True)))
                server.link.write(command(6 + ANSWER, b"\x08"))
                for events in (one, other):
                    assert await anext(events) == ModemChange(ModemLines(dcd=True))
                    assert await anext(events) == LineFault(framing=True)
                assert port.lines == ModemLines(dcd=True)
            assert [event async for event in one] == []
            assert [event async for event in port.events()] == []

    run(scenario())


def test_a_server_can_hold_data_back(run: Run) -> None:
    async def scenario() -> None:
        async with Played() as server, open_port(server.url) as port:
            server.link.write(command(8 + ANSWER))
            await until(lambda: port._known.suspended)
            port.write(b"later")
            await port.set(baudrate=300)  # which the server hears all the same
            assert (port.unsent, server.received) == (5, b"")
            server.link.write(command(9 + ANSWER))
            await port.drain()
            await until(lambda: server.received == b"later")

    run(scenario())


def test_a_program_that_does_not_read_holds_the_server_back(run: Run) -> None:
    async def scenario() -> None:
        async with Played() as server, open_port(server.url) as port:
            size = 64 * RECEIVE_LIMIT
            server.say(bytes(size))
            await until(lambda: port.waiting >= RECEIVE_LIMIT)
            await asyncio.sleep(0.02)
            assert port.waiting < 2 * RECEIVE_LIMIT
            await port.set(baudrate=300)  # its answer comes behind all of that
            assert port.waiting == size
            assert await port.read_exactly(size) == bytes(size)
            server.say(b"more")
            assert await port.read() == b"more"

    run(scenario())


def test_a_flood_is_held_back_while_an_answer_is_waited_for(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "ASKING_LIMIT", 4 * RECEIVE_LIMIT)
    monkeypatch.setattr("portline.wire.rfc2217_client.ANSWER_TIMEOUT", 0.2)

    async def scenario() -> None:
        async with Played() as server, open_port(server.url) as port:
            size = 64 * RECEIVE_LIMIT
            server.say(bytes(size))
            while port.waiting < 4 * RECEIVE_LIMIT:  # as long as this machine takes for so much
                await port.set(baudrate=300)  # its answer lies behind more than that
            await port.set(baudrate=300)
            assert 4 * RECEIVE_LIMIT <= port.waiting < 5 * RECEIVE_LIMIT
            assert await port.read_exactly(size) == bytes(size)

    run(scenario())


# --- ends -----------------------------------------------------------------------------------------


def test_an_orderly_end(run: Run) -> None:
    async def scenario() -> None:
        async with Played() as server, open_port(server.url) as port:
            server.say(b"bye")
            server.link.finish()
            await until(lambda: port.ended)
            assert await port.read() == b"bye"
            assert await port.read() == b""
            assert port.error is None
            with pytest.raises(NetworkError, match="server closed the connection; open it again"):
                port.write(b"x")
            with pytest.raises(NetworkError, match="ended after 0 of 3 bytes"):
                await port.read_exactly(3)

    run(scenario())


def test_after_a_loss_what_has_come_is_read_and_the_rest_is_an_error(run: Run) -> None:
    async def scenario() -> None:
        async with Played() as server, open_port(server.url) as port:
            server.say(b"last words")
            await until(lambda: port.waiting)
            port.write(b"never read")
            port._link.abort()
            port.link_lost("connection reset by the peer")
            assert await port.read() == b"last words"
            for _ in range(2):
                with pytest.raises(NetworkError, match=r"connection is lost \(connection reset"):
                    await port.read()
            with pytest.raises(NetworkError, match=r"is lost"):
                await port.drain()
            with pytest.raises(NetworkError, match=r"is lost"):
                await port.set(baudrate=300)

    run(scenario())


def test_who_waits_for_an_answer_hears_of_the_end(run: Run) -> None:
    async def scenario() -> None:
        async with Played(answers=lambda request: False) as server:
            port = None
            task = asyncio.get_running_loop().create_task(_open(server.url))
            await until(lambda: server.asked)
            server.link.abort()
            with pytest.raises(NetworkError):
                port = await task
            assert port is None

    run(scenario())


async def _open(url: str) -> object:
    return await open_port(url)


def test_after_a_close_it_is_of_no_use(run: Run) -> None:
    async def scenario() -> None:
        async with Played() as server:
            port = await open_port(server.url)
            async with port:
                port.write(b"last")
            await port.close()
            await until(lambda: server.received == b"last")
            assert await port.read() == b""
            with pytest.raises(UsageError, match="is closed; open it again"):
                port.write(b"x")

    run(scenario())


def test_a_server_that_does_not_speak_rfc_2217(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        monkeypatch.setattr(module, "AGREEMENT", 0.05)
        async with Played(silent=True) as server:
            with pytest.raises(PeerError, match=r"does not speak RFC 2217 .*raw://"):
                await open_port(server.url)

    run(scenario())


@pytest.mark.parametrize(
    ("farewell", "words"),
    [(b"portline: in use\r\n", "saying: portline: in use$"), (b"", "look into its log$")],
)
def test_a_server_that_closes_at_once_is_quoted(run: Run, farewell: bytes, words: str) -> None:
    async def scenario() -> None:
        async with Played(farewell=farewell) as server:
            with pytest.raises(PeerError, match=words):
                await open_port(server.url)

    run(scenario())


def test_the_kernel_taking_more_is_no_news_of_the_end(run: Run) -> None:
    async def scenario() -> None:
        async with Played() as server, open_port(server.url) as port:
            server.link.pause()
            size = 32 << 20
            port.write(bytes(size))
            assert port.unsent > 0
            task = asyncio.get_running_loop().create_task(port.drain())
            await asyncio.sleep(0.01)
            assert not task.done()
            server.link.resume()
            await task
            await until(lambda: len(server.received) == size)

    run(scenario())


def test_what_comes_with_a_reset_is_read_and_then_the_reset(run: Run) -> None:
    async def scenario() -> None:
        async with Played() as server, open_port(server.url) as port:
            port._link.pause()
            server.say(b"before")
            await until(lambda: server.link.acked == server.link.sent)
            server.link.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, pack("ii", 1, 0))
            server.link.abort()
            await until(lambda: port._link.dead(0))
            port._link.resume()
            assert await port.read_exactly(6) == b"before"
            with pytest.raises(NetworkError, match="connection reset by the peer"):
                await port.read()

    run(scenario())


def test_a_server_that_asks_whether_we_are_there_is_answered(run: Run) -> None:
    async def scenario() -> None:
        async with Played() as server, open_port(server.url):
            server.link.write(b"\xff\xf6")
            await until(lambda: server.received == b"\r\n[Yes]\r\n")

    run(scenario())


def test_a_callback_that_fails_keeps_it_neither_from_work_nor_from_closing(run: Run) -> None:
    async def scenario() -> None:
        told: list[str] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: told.append(context["message"]))

        def fail() -> None:
            raise ZeroDivisionError

        async with Played() as server:
            port = await open_port(server.url)
            port.happened = fail
            server.say(b"abc")
            assert await port.read_exactly(3) == b"abc"
            await port.set(baudrate=300)
            await port.close()
            assert port._link.closed
        assert set(told) == {f"{server.url}: the callback 'happened' failed"}

    run(scenario())
