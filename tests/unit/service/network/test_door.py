from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable

import pytest

from portline.line import Item, Query, SetLine
from portline.service.network import door as module
from portline.service.network.door import FIGHT, FIGHT_SPAN
from tests.conftest import Run
from tests.unit.service.conftest import Play, Stage
from tests.waiting import until

SINCE = r"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d"

PatchDoor = Callable[[str, object], None]


@pytest.fixture
def patch(monkeypatch: pytest.MonkeyPatch) -> PatchDoor:
    return lambda name, value: monkeypatch.setattr(module, name, value)


def test_one_too_many_is_told_who_came_first(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(max_connections=2) as meter:
            first, second = await meter.peer(), await meter.peer()
            told = (await meter.knock().hears_end()).decode()
            assert re.fullmatch(
                r"portline: meter is full \(2 connections, the oldest from "
                rf"{re.escape(first.address)} {SINCE}\); try again later\r\n",
                told,
            )
            assert meter.connection.network.door.turned_away == 1
            second.close()
            await until(lambda: len(meter.sessions) == 1)
            await meter.peer()

    run(scenario())


@pytest.mark.parametrize(
    "options", [{"max_connections": 1}, {"protocol": "rfc2217"}], ids=["raw", "rfc2217"]
)
def test_a_port_for_one_names_who_uses_it(
    run: Run, stage: Play, options: dict[str, object]
) -> None:
    async def scenario() -> None:
        async with stage(**options) as meter:
            holder = await meter.peer()
            told = (await meter.knock().hears_end()).decode()
            assert re.fullmatch(
                rf"portline: meter is in use by {re.escape(holder.address)} {SINCE}; "
                r"try again later\r\n",
                told,
            )

    run(scenario())


def test_a_controlling_peer_does_not_take_the_place_of_a_raw_one(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        listen = ["raw://127.0.0.1:0", "rfc2217://127.0.0.1:0"]
        async with stage(listen=listen, max_connections=1) as meter:
            await meter.peer(0)
            await meter.asker(1)
            assert [peer.protocol for peer in meter.sessions] == ["raw", "rfc2217"]
            for listener in (0, 1):
                assert b"in use by" in await meter.knock(listener).hears_end()

    run(scenario())


def test_a_newcomer_waits_while_the_old_one_leaves(run: Run, stage: Play, patch: PatchDoor) -> None:
    async def scenario() -> None:
        patch("WAIT_LIMIT", 60.0)
        async with stage(max_connections=1) as meter:
            old = await meter.peer()
            meter.connection.port_full(True)
            old.send(b"last words")
            old.close()
            await until(lambda: module.has_left(meter.sessions[0]))
            new = meter.knock()
            await until(lambda: meter.connection.network.door._waiting)
            new.send(b" and first ones")
            meter.connection.port_full(False)
            await until(lambda: meter.port.written == b"last words and first ones")
            assert [peer.name for peer in meter.sessions] == [new.address]
            assert meter.connection.network.door.turned_away == 0

    run(scenario())


def test_who_has_left_a_stuck_port_loses_its_place(
    run: Run, stage: Play, patch: PatchDoor, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        patch("WAIT_LIMIT", 0.02)
        async with stage(max_connections=1) as meter:
            old = await meter.peer()
            meter.connection.port_full(True)
            old.send(b"never written")
            old.close()
            await until(lambda: module.has_left(meter.sessions[0]))
            new = meter.knock()
            await until(lambda: [peer.name for peer in meter.sessions] == [new.address])
            assert meter.port.written == b""
            meter.port.owner.port_data(b"welcome")
            await new.hears(b"welcome")
        assert 'reason="it has left, and the port does not take what it sent last"' in caplog.text

    run(scenario())


def test_of_two_who_wait_for_one_place_one_is_told_why_not(
    run: Run, stage: Play, patch: PatchDoor
) -> None:
    async def scenario() -> None:
        patch("WAIT_LIMIT", 0.02)
        async with stage(max_connections=1) as meter:
            old = await meter.peer()
            meter.connection.port_full(True)
            old.close()
            await until(lambda: module.has_left(meter.sessions[0]))
            first, second = meter.knock(), meter.knock()
            told = (await second.hears_end()).decode()
            assert told.startswith(f"portline: meter is in use by {first.address}")
            assert [peer.name for peer in meter.sessions] == [first.address]

    run(scenario())


def test_a_flood_is_closed_without_a_word(run: Run, stage: Play, patch: PatchDoor) -> None:
    async def scenario() -> None:
        patch("NEWCOMERS", 2)
        async with stage(max_connections=1) as meter:
            await meter.peer()
            flood = [meter.knock() for _ in range(4)]
            told = [await peer.hears_end() for peer in flood]
            assert [bool(text) for text in told] == [True, True, False, False]
            assert meter.connection.network.door.turned_away == 4
            for peer in flood:
                peer.close()
            await until(lambda: all(link.closed for link in meter.connection.network.door._leaving))
            assert await meter.knock().hears_end()  # there is time for a word again

    run(scenario())


def test_a_stop_closes_those_who_wait_and_those_who_are_told(
    run: Run, stage: Play, patch: PatchDoor
) -> None:
    async def scenario() -> None:
        patch("WAIT_LIMIT", 60.0)
        async with stage(max_connections=1) as meter:
            old = await meter.peer()
            refused = meter.knock()
            await until(lambda: meter.connection.network.door.turned_away)
            meter.connection.port_full(True)
            old.close()
            await until(lambda: module.has_left(meter.sessions[0]))
            waiting = meter.knock()
            await until(lambda: meter.connection.network.door._waiting)
            meter.connection.stop(0.1)
            assert b"in use by" in await refused.hears_end()
            assert await waiting.hears_end() == b""
            assert meter.sessions == ()

    run(scenario())


def test_it_is_full_as_long_as_somebody_is_in(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(max_connections=1) as meter:
            assert not meter.connection.network.door.full("raw")
            peer = await meter.peer()
            assert meter.connection.network.door.full("raw")
            peer.close()
            await meter.alone()
            assert not meter.connection.network.door.full("raw")

    run(scenario())


# --- who gives way --------------------------------------------------------------------------------


def age(meter: Stage, seconds: float, *places: int) -> None:
    """Let peers be older, and idle for longer, than they are."""
    for place in places or range(len(meter.sessions)):
        meter.sessions[place].connected_at -= seconds
        meter.sessions[place].active_at -= seconds


def names(meter: Stage) -> list[str]:
    return [peer.name for peer in meter.sessions]


@pytest.mark.parametrize(
    "options", [{"max_connections": 1}, {"protocol": "rfc2217"}], ids=["raw", "rfc2217"]
)
def test_a_newcomer_takes_the_place_of_the_oldest(
    run: Run, stage: Play, caplog: pytest.LogCaptureFixture, options: dict[str, object]
) -> None:
    async def scenario() -> None:
        async with stage(when_full="replace-oldest", **options) as meter:
            old = await meter.peer()
            age(meter, 10)
            new = meter.knock()
            farewell = await old.hears_end()
            assert old.end == "FIN"
            assert b"portline" not in farewell
            await until(lambda: names(meter) == [new.address])
            assert (
                meter.connection.network.door.replaced,
                meter.connection.network.door.turned_away,
            ) == (1, 0)
        gone = f"peer gone peer={old.address}"
        reason = f'reason="replaced by {new.address} (when-full = replace-oldest)"'
        lines = [line for line in caplog.messages if gone in line]
        assert [reason in line for line in lines] == [True]

    run(scenario())


def test_what_the_replaced_one_sent_reaches_the_port_and_what_waits_for_it_reaches_it(
    run: Run, stage: Play
) -> None:
    async def scenario() -> None:
        options = {"when_full": "replace-oldest", "max_connections": 1, "buffer_size": 100}
        async with stage(**options) as meter:
            old = await meter.peer()
            meter.connection.port_full(False)
            old.send(b"mine ")
            await until(lambda: meter.port.written)
            meter.connection.port_data(b"answer")
            age(meter, 10)
            new = meter.knock()
            assert await old.hears_end() == b"answer"
            await until(lambda: names(meter) == [new.address])
            new.send(b"yours")
            await until(lambda: meter.port.written == b"mine yours")
            meter.connection.port_data(b"next")
            await new.hears(b"next")

    run(scenario())


def test_the_settings_of_a_replaced_controlling_peer_go_with_it(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(protocol="rfc2217", when_full="replace-oldest") as meter:
            old = await meter.asker()
            await old.asks(SetLine(baudrate=115200))
            age(meter, 10)
            new = await meter.asker()
            assert await new.asks(Query(Item.BAUDRATE)) == [(Item.BAUDRATE, 9600)]

    run(scenario())


def test_newcomers_do_not_chase_each_other(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(max_connections=2, when_full="replace-oldest") as meter:
            await meter.peer()
            await meter.peer()
            crowd = [meter.knock() for _ in range(20)]
            door = meter.connection.network.door
            await until(lambda: door.replaced + door.turned_away == 20)
            assert (door.replaced, door.turned_away) == (FIGHT, 20 - FIGHT)
            told = (await crowd[-1].hears_end()).decode()
            assert "), and 10 peers were replaced within 10 s; try" in told
            door._replacements = deque(at - FIGHT_SPAN for at in door._replacements)
            meter.knock()
            await until(lambda: door.replaced == FIGHT + 1)

    run(scenario())


def test_who_is_idle_gives_way(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        options = {"max_connections": 2, "when_full": "replace-idle", "idle_after": 60}
        async with stage(**options) as meter:
            first, second = await meter.peer(), await meter.peer()
            age(meter, 59)
            told = (await meter.knock().hears_end()).decode()
            assert re.search(rf"{SINCE}\), and nobody has been idle for 60 s; try again", told)
            age(meter, 10)
            second.send(b"x")
            await until(lambda: meter.port.written)
            new = meter.knock()
            await until(lambda: names(meter) == [second.address, new.address])
            assert await first.hears_end() == b""

    run(scenario())


def test_who_comes_from_the_same_address_gives_way(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(max_connections=3, when_full="replace-same-address") as meter:
            _first, second, third = [await meter.peer() for _ in range(3)]
            age(meter, 10)
            meter.sessions[0].link.name = "192.0.2.7:50000"
            new = meter.knock()
            await until(lambda: names(meter)[1:] == [third.address, new.address])
            assert await second.hears_end() == b""
            for session in meter.sessions:
                session.link.name = "192.0.2.7:50000"
            told = (await meter.knock().hears_end()).decode()
            assert ", and nobody has your address 127.0.0.1; try again" in told

    run(scenario())


def test_the_place_of_who_is_leaving_comes_first(run: Run, stage: Play, patch: PatchDoor) -> None:
    async def scenario() -> None:
        patch("WAIT_LIMIT", 60.0)
        async with stage(max_connections=2, when_full="replace-oldest") as meter:
            oldest, leaver = await meter.peer(), await meter.peer()
            age(meter, 10)
            meter.connection.port_full(True)
            leaver.send(b"last words")
            leaver.close()
            await until(lambda: module.has_left(meter.sessions[1]))
            new = meter.knock()
            await until(lambda: meter.connection.network.door._waiting)
            meter.connection.port_full(False)
            await until(lambda: names(meter) == [oldest.address, new.address])
            assert meter.port.written == b"last words"
            assert meter.connection.network.door.replaced == 0

    run(scenario())


def test_who_is_leaving_for_too_long_gives_way_before_others(
    run: Run, stage: Play, patch: PatchDoor
) -> None:
    async def scenario() -> None:
        patch("WAIT_LIMIT", 0.5)
        async with stage(max_connections=2, when_full="replace-oldest") as meter:
            oldest, leaver = await meter.peer(), await meter.peer()
            age(meter, 10)
            meter.connection.port_full(True)
            leaver.close()
            await until(lambda: module.has_left(meter.sessions[1]))
            new = meter.knock()
            await until(lambda: meter.connection.network.door._waiting)
            meter.port.sent += 1  # the device takes data, if slowly
            await until(lambda: names(meter) == [oldest.address, new.address])
            assert meter.connection.network.door.replaced == 1

    run(scenario())


def test_where_more_are_inside_than_may_be_as_many_as_needed_give_way(
    run: Run, stage: Play
) -> None:
    async def scenario() -> None:
        async with stage(max_connections=3, when_full="replace-oldest") as meter:
            peers = [await meter.peer() for _ in range(3)]
            age(meter, 10)
            meter.connection.network.door.limit = 2
            new = meter.knock()
            await until(lambda: names(meter) == [peers[2].address, new.address])
            meter.connection.network.door.limit = 1
            last = meter.knock()
            await until(lambda: names(meter) == [last.address])
            assert not meter.connection.network.door._waiting

    run(scenario())
