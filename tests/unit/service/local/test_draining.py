from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from portline.hub.drain import HAND_LOOK, STALL_LIMIT, Answering
from portline.line import Item, LineSettings, PortState, Query, Request, Told
from portline.service.local.draining import Draining
from portline.service.peer.remote import RemoteState
from portline.service.peer.session import Session
from tests.conftest import Run
from tests.unit.service.conftest import Play
from tests.unit.service.network.test_calling import Host, Server, read, stage_of
from tests.unit.service.stand_ins import Clock
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterable


class Peer:
    """A session, of which only the way to its peer is looked at."""

    def __init__(self, *, asking: bool = False) -> None:
        self.closed = False
        self.remote = RemoteState()
        self.asking = asking
        self.link = self.outbox = self.wire = self
        self.size = self.unsent = self.handed = self.acked = 0
        self.asked: list[Query] = []
        self.patience = 0.0

    def ask(self, request: Request, *, patience: float) -> None:
        assert isinstance(request, Query)
        self.asked.append(request)
        self.patience = patience
        self.handed += 7


class Bench:
    def __init__(self, *peers: Peer) -> None:
        self.clock = Clock()
        self.peers = peers
        self.gathering = False
        self.over: list[str] = []
        self.draining = Draining(
            loop=self.clock,  # type: ignore[arg-type]  # it tells the time and keeps timers
            peers=lambda: cast("Iterable[Session]", self.peers),
            gathering=lambda: self.gathering,
            character_time=lambda: 0.001,
        )

    def wait(self, name: str) -> None:
        self.draining.wait(lambda: self.over.append(name))

    def answer(self, peer: Peer, value: int) -> None:
        told = Told(Item.LINE_STATE, value, peer.asked.pop(0))
        peer.remote.told(told)
        self.draining.told(cast("Session", peer), told)


def test_without_peers_it_is_over_at_once() -> None:
    bench = Bench()
    bench.wait("one")
    bench.wait("two")
    assert bench.over == ["one", "two"]
    assert bench.clock.timers == []


def test_all_peers_are_waited_for() -> None:
    one, two = Peer(), Peer()
    one.handed = two.handed = 10
    bench = Bench(one, two)
    bench.wait("all")
    one.acked = 10
    bench.clock.pass_time(HAND_LOOK)
    assert bench.over == []
    two.acked = 10
    bench.clock.pass_time(HAND_LOOK)
    assert bench.over == ["all"]
    assert bench.clock.timers == []


def test_who_comes_later_waits_for_what_was_handed_over_later() -> None:
    peer = Peer()
    peer.handed = 10
    bench = Bench(peer)
    bench.wait("one")
    bench.clock.pass_time(HAND_LOOK)
    peer.handed = 20
    bench.wait("two")
    bench.wait("three")
    peer.acked = 10
    bench.clock.pass_time(HAND_LOOK)
    assert bench.over == ["one"]
    peer.acked = 20
    bench.clock.pass_time(HAND_LOOK)
    assert bench.over == ["one", "two", "three"]


def test_an_access_server_is_asked_again_and_answers_count_at_once() -> None:
    peer = Peer(asking=True)
    peer.remote.transmitter.answering = Answering.EMPTY
    peer.handed = 50
    bench = Bench(peer)
    bench.wait("empty")
    assert peer.patience == STALL_LIMIT + 0.05
    bench.answer(peer, 0)
    bench.clock.pass_time(0.06)
    bench.answer(peer, 0x60)
    assert bench.over == []  # not in the middle of the session's turn
    bench.clock.pass_time(0.0)
    assert bench.over == ["empty"]
    assert bench.clock.timers == []
    bench.draining.told(cast("Session", peer), Told(Item.BAUDRATE, 9600))
    assert bench.clock.timers == []


def test_a_peer_that_goes_is_not_waited_for() -> None:
    peer = Peer(asking=True)
    peer.handed = 10
    bench = Bench(peer)
    bench.wait("gone")
    peer.closed = True
    bench.clock.pass_time(1.0)
    assert bench.over == ["gone"]


def test_packets_that_time_completes_are_waited_for() -> None:
    peer = Peer()
    bench = Bench(peer)
    bench.gathering = True
    bench.wait("packet")
    bench.clock.pass_time(1.0)
    assert bench.over == []
    peer.handed = 10
    bench.gathering = False
    bench.clock.pass_time(1.0)
    assert bench.over == []
    peer.acked = 10
    bench.clock.pass_time(1.0)
    assert bench.over == ["packet"]
    bench.gathering = True
    bench.wait("never sent")
    bench.clock.pass_time(STALL_LIMIT + 1.0)
    assert bench.over == ["packet", "never sent"]


def test_stopping_forgets_everybody() -> None:
    peer = Peer()
    peer.handed = 10
    bench = Bench(peer)
    bench.wait("one")
    bench.wait("two")
    bench.draining.stop()
    bench.draining.stop()
    bench.clock.pass_time(100.0)
    assert bench.over == []


# --- a whole connection ---------------------------------------------------------------------------


class Device(Server):
    """An access server that says what its transmitter does, when it is asked."""

    idle = False
    answers = True

    def look(self) -> list[bytes | Request]:
        known = len(self.heard)
        super().look()
        for event in self.heard[known:]:
            if event == Query(Item.LINE_STATE) and not self.answers:
                continue
            if isinstance(event, Query):
                state = PortState(LineSettings(9600), idle=self.idle)
                self.call.send(self.wire.answer(event, state))
        return self.heard


def test_a_connection_waits_for_the_transmitter_of_its_access_server(run: Run, stage: Play) -> None:
    async def main() -> None:
        host = Host()
        async with stage_of(stage, host, protocol="rfc2217") as play:
            server = Device(await host.call())
            server.idle = True
            server.starts()
            await server.hears(Query(Item.MODEM_LINES))
            (session,) = play.sessions
            known = session.remote.transmitter
            await until(lambda: (server.look(), known.answering is Answering.EMPTY)[1])
            server.idle = False
            over: list[bool] = []
            play.connection.port_data(b"data")
            play.connection.port_drain(lambda: over.append(True))
            for _ in range(3):  # however often it is asked
                heard = await server.hears(Query(Item.LINE_STATE))
                assert not over
            assert b"data" not in heard
            server.idle = True
            await until(lambda: (server.look(), over)[1])
        host.close()

    run(main())


def test_a_connection_waits_until_a_server_that_tells_less_has_received_it(
    run: Run, stage: Play
) -> None:
    async def main() -> None:
        host = Host()
        async with stage_of(stage, host, protocol="rfc2217") as play:
            server = Device(await host.call())
            server.answers = False
            server.starts()
            await server.hears(Query(Item.MODEM_LINES))
            over: list[bool] = []
            play.connection.port_data(b"data")
            play.connection.port_drain(lambda: over.append(True))
            assert not over
            heard = await server.hears(Query(Item.BAUDRATE))
            assert heard.index(b"data") < heard.index(Query(Item.BAUDRATE))
            await until(lambda: over)
            (session,) = play.sessions
            assert session.remote.transmitter.answering is Answering.RECEIVED
        host.close()

    run(main())


def test_what_is_kept_is_drained(run: Run, stage: Play) -> None:
    async def main() -> None:
        host = Host(there=False)
        async with stage_of(stage, host) as play:
            over: list[bool] = []
            play.connection.port_data(b"later")
            play.connection.port_drain(lambda: over.append(True))
            assert over
            host.returns()
            call = await host.call()
            assert await read(call, 5) == b"later"
            play.connection.port_drain(lambda: over.append(True))
            await until(lambda: len(over) == 2)
        host.close()

    run(main())


def test_a_packet_that_is_due_is_waited_for(run: Run, stage: Play) -> None:
    async def main() -> None:
        async with stage(virtual="v", packet_wait=0.2) as play:
            peer = await play.peer()
            over: list[bool] = []
            play.connection.port_data(b"packet")
            play.connection.port_drain(lambda: over.append(True))
            await asyncio.sleep(0)
            assert not over
            await until(lambda: over)
            peer.socket.setblocking(False)
            assert peer.socket.recv(100) == b"packet"

    run(main())
