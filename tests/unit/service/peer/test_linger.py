"""Who lingers, and that no byte of that time is lost or heard twice."""

from __future__ import annotations

import asyncio

import pytest

from portline.service.peer import linger
from tests.conftest import Run
from tests.peers import Peer
from tests.unit.service.conftest import Play, Stage
from tests.waiting import until


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linger, "LINGER", 0.2)


async def asks(meter: Stage) -> Peer:
    """Connect a peer that asks, and has nothing more to say."""
    count = len(meter.port.written)
    peer = await meter.peer()
    peer.send(b"?")
    await until(lambda: len(meter.port.written) > count)
    peer.finish()
    sessions = len(meter.sessions)
    await until(lambda: len(meter.sessions) < sessions)
    return peer


def counted(meter: Stage) -> dict[str, int]:
    hub = meter.connection.hub
    return {
        "heard": hub.heard,
        "kept": len(hub.keep),
        "discarded": hub.keep.discarded,
        "dropped": meter.connection.peers.departures.dropped,
    }


def test_the_answer_is_not_kept_for_the_next_peer_too(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(buffer_size=100) as meter:
            peer = await asks(meter)
            meter.connection.port_data(b"answer")
            assert await peer.hears_end() == b"answer"
            meter.connection.port_data(b"news")
            await (await meter.peer()).hears(b"news")
            assert counted(meter) == {"heard": 10, "kept": 0, "discarded": 0, "dropped": 0}

    run(scenario())


def test_the_answer_is_not_discarded_where_nothing_is_kept(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage() as meter:
            peer = await asks(meter)
            meter.connection.port_data(b"answer")
            assert await peer.hears_end() == b"answer"
            meter.connection.port_data(b"news")
            assert counted(meter) == {"heard": 10, "kept": 0, "discarded": 4, "dropped": 0}

    run(scenario())


@pytest.mark.parametrize("size", [0, 100])
def test_what_came_too_late_is_for_the_next_peer(run: Run, stage: Play, size: int) -> None:
    async def scenario() -> None:
        async with stage(buffer_size=size) as meter:
            peer = await asks(meter)
            peer.close()
            for _ in range(3):  # the first brings an RST, the others hear of it
                meter.connection.port_data(b"late ")
                await asyncio.sleep(0)
            assert counted(meter)["kept"] == min(size, 15)
            await (await meter.peer()).hears((b"late " * 3)[:size])
            after = {"heard": 15, "kept": 0, "discarded": 0 if size else 15, "dropped": 0}
            assert counted(meter) == after

    run(scenario())


def test_who_comes_meanwhile_gets_what_the_other_did_not(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(buffer_size=100) as meter:
            old = await asks(meter)
            meter.connection.port_data(b"one ")
            new = await meter.peer()
            meter.connection.port_data(b"two ")
            await new.hears(b"two ")
            new.close()
            await meter.alone()
            meter.connection.port_data(b"three ")
            assert await old.hears_end() == b"one two three "
            meter.connection.port_data(b"four")
            await (await meter.peer()).hears(b"four")
            assert counted(meter)["dropped"] == 0

    run(scenario())


def test_who_was_not_chosen_to_hear_does_not_linger(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(send_to="none", receive_from="all", buffer_size=100) as meter:
            peer = await asks(meter)
            meter.connection.port_data(b"answer")
            assert await peer.hears_end() == b""
            assert counted(meter)["kept"] == 6

    run(scenario())


def test_packet_rules_hold_and_what_is_gathered_in_the_end_is_kept(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(buffer_size=100, packet_delimiter=["\\n"], packet_strip=True) as meter:
            peer = await asks(meter)
            meter.connection.port_data(b"21.5\n21.6\n21")
            assert await peer.hears_end() == b"21.521.6"
            assert counted(meter) == {"heard": 10, "kept": 2, "discarded": 0, "dropped": 0}
            meter.connection.port_data(b".7\n")
            await (await meter.peer()).hears(b"21.7\n")

    run(scenario())


def test_what_a_dead_peer_was_sent_is_counted(
    run: Run, stage: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with stage() as meter:
            peer = await meter.peer()
            peer.close()
            meter.connection.port_data(b"lost")
            await meter.alone()
            assert counted(meter) == {"heard": 4, "kept": 0, "discarded": 0, "dropped": 4}
        assert "dropped=4 " in caplog.text

    run(scenario())


def test_only_so_many_linger(
    run: Run, stage: Play, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        monkeypatch.setattr(linger, "LINGER", 60.0)
        monkeypatch.setattr(linger, "LINGERERS", 1)
        async with stage() as meter:
            first, second = await asks(meter), await asks(meter)
            assert await first.hears_end() == b""
            meter.connection.port_data(b"answer")
            await second.hears(b"answer")
        assert 'reason="others linger, too"' in caplog.text

    run(scenario())
