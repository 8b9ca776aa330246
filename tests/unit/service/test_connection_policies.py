"""Who speaks, who hears, what is kept for later, and who is left behind."""

from __future__ import annotations

import asyncio
import socket

import pytest

from portline.net import tcp
from tests.conftest import Run
from tests.peers import Peer
from tests.unit.service.conftest import Play, Stage
from tests.waiting import until


async def named(meter: Stage, names: str = "abc") -> dict[str, Peer]:
    """Connect peers, one after the other."""
    return {name: await meter.peer() for name in names}


async def speak(meter: Stage, peers: dict[str, Peer], names: str) -> None:
    """Let peers send their names, one after the other."""
    hub = meter.connection.hub
    for name in names:
        before = hub.spoken + hub.unspoken
        peers[name].send(name.encode())
        await until(lambda before=before: hub.spoken + hub.unspoken > before)


SPEAKERS = [
    ("all", "abcab"),
    ("first", "aa"),
    ("last", "c"),
    ("last-active", "abcab"),
    ("none", ""),
]


@pytest.mark.parametrize(("chosen", "written"), SPEAKERS)
def test_who_may_speak(run: Run, stage: Play, chosen: str, written: str) -> None:
    async def scenario() -> None:
        async with stage(receive_from=chosen) as meter:
            await speak(meter, await named(meter), "abcab")
            assert meter.port.written.decode() == written
            assert meter.connection.hub.spoken == len(written)
            assert meter.connection.hub.unspoken == 5 - len(written)

    run(scenario())


HEARERS = [
    ("all", "abc"),
    ("first", "a"),
    ("last", "c"),
    ("last-active", "b"),
    ("none", ""),
]


@pytest.mark.parametrize(("chosen", "hearers"), HEARERS)
def test_who_hears(run: Run, stage: Play, chosen: str, hearers: str) -> None:
    async def scenario() -> None:
        async with stage(send_to=chosen) as meter:
            peers = await named(meter)
            await speak(meter, peers, "cab")
            meter.connection.port_data(b"21.5")
            for name in hearers:
                await peers[name].hears(b"21.5")
            assert {name for name, peer in peers.items() if peer.look()} == set()
            assert meter.connection.hub.unheard == (0 if hearers else 4)

    run(scenario())


def test_the_next_in_line_takes_over(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(receive_from="first", send_to="first") as meter:
            peers = await named(meter)
            peers["a"].close()
            await until(lambda: len(meter.sessions) == 2)
            await speak(meter, peers, "bc")
            assert meter.port.written == b"b"
            meter.connection.port_data(b"x")
            await peers["b"].hears(b"x")
            assert peers["c"].look() == b""

    run(scenario())


# --- while nobody is connected -------------------------------------------------------------------


def test_the_first_bytes_are_kept_for_the_next_peer(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(buffer_size=5) as meter:
            for data in (b"abc", b"def", b"ghi"):
                meter.connection.port_data(data)
            first, second = await meter.peer(), await meter.peer()
            meter.connection.port_data(b"!")
            await first.hears(b"abcde!")
            await second.hears(b"!")
            keep = meter.connection.hub.keep
            assert (len(keep), keep.discarded) == (0, 4)

    run(scenario())


def test_what_was_kept_waits_for_somebody_who_may_hear_it(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(buffer_size=100, send_to="last-active") as meter:
            meter.connection.port_data(b"kept")
            quiet, talker = await meter.peer(), await meter.peer()
            assert len(meter.connection.hub.keep) == 4
            talker.send(b"hello")
            await talker.hears(b"kept")
            assert quiet.look() == b""

    run(scenario())


def test_what_is_kept_for_nobody_is_told_at_the_end(
    run: Run, stage: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with stage(buffer_size=4) as meter:
            meter.connection.port_data(b"early")
        assert "lost 4 bytes kept for the next peer" in caplog.text

    run(scenario())


def test_by_default_nothing_is_kept(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage() as meter:
            meter.connection.port_data(b"old")
            peer = await meter.peer()
            meter.connection.port_data(b"new")
            await peer.hears(b"new")
            assert meter.connection.hub.keep.discarded == 3

    run(scenario())


# --- who does not read ---------------------------------------------------------------------------

CHUNK = bytes(range(256)) * 64


async def sluggish(meter: Stage) -> Peer:
    """Connect a peer with small buffers in the kernel, on both sides."""
    count = len(meter.sessions)
    peer = meter.peers.enter_context(Peer(meter.tcp_port(), window=4096))
    await until(lambda: len(meter.sessions) > count)
    meter.sessions[-1].link.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    return peer


async def chatter(meter: Stage, chunks: int, *readers: Peer) -> None:
    """Let the port deliver, when it is read, while ``readers`` read."""
    while chunks:
        if not meter.port.paused:
            meter.connection.port_data(CHUNK)
            chunks -= 1
        await asyncio.sleep(0.0005)
        for reader in readers:
            reader.look()


def test_the_port_waits_for_a_single_peer_that_does_not_read(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(backlog_size=65536) as meter:
            peer = await sluggish(meter)
            (session,) = meter.sessions
            sent = 0
            while not meter.port.paused:
                meter.connection.port_data(CHUNK)
                sent += 1
            await until(lambda: meter.connection.hub.deadline() is None)
            assert (meter.port.paused, session.outbox.dropped) == (True, 0)
            await peer.hears(CHUNK * sent)
            await until(lambda: not meter.port.paused)

    run(scenario())


def test_who_does_not_read_loses_its_oldest_data_and_nobody_else_does(
    run: Run, stage: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with stage(backlog_size=65536) as meter:
            quick, slow = await meter.peer(), await sluggish(meter)
            session = meter.sessions[1]
            chunks = 64
            await chatter(meter, chunks, quick)
            await quick.hears(CHUNK * chunks)
            dropped = session.outbox.dropped
            assert dropped > 0
            assert dropped % len(CHUNK) == 0
            slow.received.clear()
            await until(lambda: len(slow.look()) == len(CHUNK) * chunks - dropped)
            assert slow.look().endswith(CHUNK)
            meter.connection.port_data(b"caught up")
            await until(lambda: slow.look().endswith(b"caught up"))
            slow.close()
            await until(lambda: len(meter.sessions) == 1)
            assert meter.connection.peers.departures.dropped == dropped
        assert f"peer left behind peer={slow.address} waiting=" in caplog.text

    run(scenario())


def test_who_does_not_read_is_disconnected_where_that_is_wanted(
    run: Run, stage: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with stage(backlog_size=65536, overflow="disconnect") as meter:
            quick, slow = await meter.peer(), await sluggish(meter)
            await chatter(meter, 64, quick)
            await quick.hears(CHUNK * 64)
            assert [session.name for session in meter.sessions] == [quick.address]
            await slow.hears_end()
        reasons = [record for record in caplog.records if "reason=" in record.getMessage()]
        assert "it did not read fast enough (overflow = disconnect)" in reasons[0].getMessage()

    run(scenario())


def test_when_all_are_behind_and_one_leaves_the_others_are_still_waited_for(
    run: Run, stage: Play
) -> None:
    async def scenario() -> None:
        async with stage(backlog_size=65536) as meter:
            first, second = await sluggish(meter), await sluggish(meter)
            while not meter.port.paused:
                meter.connection.port_data(CHUNK)
            await until(lambda: meter.connection.hub.deadline() is None)
            first.reset()
            await until(lambda: len(meter.sessions) == 1)
            assert meter.port.paused
            second.reset()
            await meter.alone()
            assert not meter.port.paused

    run(scenario())


# --- options of the socket -----------------------------------------------------------------------


def test_sockets_are_set_as_configured(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(nodelay=False, keepalive=20, keepalive_retry=5) as meter:
            await meter.peer()
            sock = meter.sessions[0].link.socket
            options = (
                socket.TCP_NODELAY,
                socket.TCP_KEEPIDLE,
                socket.TCP_KEEPINTVL,
                socket.TCP_KEEPCNT,
            )
            values = [sock.getsockopt(socket.IPPROTO_TCP, option) for option in options]
            assert values == [0, 20, 5, tcp.KEEPALIVE_PROBES]

    run(scenario())
