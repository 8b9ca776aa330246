from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.config.models import GatewayConfig, UdpConnection
from portline.line import PortState
from portline.net.udp.endpoint import Endpoint
from portline.service import adoption
from portline.service import connection as module
from portline.service.connection import Connection
from portline.service.gateway import Gateway
from portline.service.network.datagrams import ANYBODY, Datagrams
from portline.service.status import State
from tests.interop.server import free_port
from tests.memory import MemoryPort
from tests.waiting import unread, until

if TYPE_CHECKING:
    from portline.port.base import PortOwner
    from portline.service.peer.session import Session
    from portline.service.status import ConnectionStatus
    from tests.conftest import Run


class Far:
    """A program with a UDP socket."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.bind((host, 0))
        self.socket.setblocking(False)
        self.place = "{}:{}".format(*self.socket.getsockname())
        self.heard: list[bytes] = []

    def look(self) -> list[bytes]:
        try:
            while True:
                self.heard.append(self.socket.recv(65536))
        except BlockingIOError:
            return self.heard

    async def hears(self, *datagrams: bytes) -> None:
        await until(lambda: len(self.look()) >= len(datagrams))
        assert self.heard == list(datagrams)
        self.heard = []


class Stage:
    """A udp connection named "meter", within ``async with``; the test plays device and peers."""

    def __init__(self, *far: Far, **options: object) -> None:
        table: dict[str, object] = {"kind": "udp", "listen": "127.0.0.1:0"}
        if "virtual" not in options:
            table["port"] = "/dev/ttyNONE0"
        if far:
            table["connect"] = [each.place for each in far]
        table |= options
        self.table = table
        self.far = far
        config = GatewayConfig.model_validate({"connections": {"meter": table}})
        self.gateway = Gateway(config)
        self.connection: Connection = self.gateway.connections["meter"]
        assert isinstance(self.connection.port, MemoryPort)
        assert isinstance(self.connection.network, Datagrams)
        self.port = self.connection.port
        self.network = self.connection.network

    async def __aenter__(self) -> Stage:
        self.gateway.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        endpoint = self.network.endpoint
        await self.gateway.stop()
        for far in self.far:
            far.socket.close()
        assert endpoint.ways == []

    @property
    def names(self) -> list[str]:
        return [session.name for session in self.sessions]

    @property
    def sessions(self) -> tuple[Session, ...]:
        return self.connection.hub.peers

    @property
    def status(self) -> ConnectionStatus:
        return self.gateway.status()[0]

    def says(self, far: Far, data: bytes) -> None:
        far.socket.sendto(data, ("127.0.0.1", self.network.endpoint.ways[0].port))

    async def gets(self, data: bytes) -> None:
        await until(lambda: len(self.port.written) >= len(data))
        assert self.port.written == data
        self.port.written = b""

    def adopt(self, **options: object) -> None:
        config = UdpConnection.model_validate(self.table | options)
        adoption.adopt(self.connection, "meter", config, frozenset(options))


@pytest.fixture(autouse=True)
def memory_ports(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="portline.connection")
    monkeypatch.setattr(module, "make_port", memory_port)


def memory_port(config: Any, *, owner: PortOwner, loop: object, **_: object) -> MemoryPort:
    return MemoryPort(owner, PortState(settings=config.line_settings()), virtual=config.is_virtual)


def test_every_host_is_sent_to_and_heard(run: Run) -> None:
    async def scenario() -> None:
        async with Stage(Far(), Far()) as meter:
            one, other = meter.far
            assert meter.names == [one.place, other.place]
            assert meter.status.state is State.CONNECTED
            meter.connection.port_data(b"to all")
            await one.hears(b"to all")
            await other.hears(b"to all")
            meter.says(other, b"hello")
            await meter.gets(b"hello")
            assert [peer.received for peer in meter.status.peers] == [0, 5]
            assert {peer.protocol for peer in meter.status.peers} == {"udp"}
            assert meter.status.places == (
                f"to {one.place} (udp)",
                f"to {other.place} (udp)",
                f"on 127.0.0.1:{meter.network.endpoint.ways[0].port} (udp)",
            )

    run(scenario())


def test_policies_choose_among_the_hosts(run: Run) -> None:
    async def scenario() -> None:
        async with Stage(Far(), Far(), send_to="last-active", receive_from="last") as meter:
            one, other = meter.far
            meter.connection.port_data(b"lost")
            meter.says(one, b"not let through")
            await until(lambda: meter.status.unspoken)
            meter.says(other, b"heard")
            await meter.gets(b"heard")
            meter.connection.port_data(b"answer")
            await other.hears(b"answer")
            assert (meter.status.unheard, meter.status.unspoken) == (4, 15)

    run(scenario())


def test_packet_rules_decide_what_a_datagram_is(run: Run) -> None:
    async def scenario() -> None:
        async with Stage(Far(), packet_delimiter="\n", datagram_size=64) as meter:
            for chunk in (b"on", b"e\ntwo\nth", bytes(70), b"\n"):
                meter.connection.port_data(chunk)
            await meter.far[0].hears(b"one\n", b"two\n", b"th" + bytes(62), bytes(8) + b"\n")
            assert meter.status.counts["divided"] == 1

    run(scenario())


def test_packets_that_waited_stay_apart(run: Run) -> None:
    async def scenario() -> None:
        async with Stage(Far()) as meter:
            session = meter.sessions[0]
            session._clear = False  # as if the kernel had no room
            for word in (b"one", b"two"):
                meter.connection.port_data(word)
            session.link_ready()
            await meter.far[0].hears(b"one", b"two")

    run(scenario())


def test_the_end_sends_what_waits_as_it_was_cut(run: Run) -> None:
    async def scenario() -> None:
        far = Far()
        async with Stage(far) as meter:
            meter.sessions[0]._clear = False
            for word in (b"three", b"four"):
                meter.connection.port_data(word)
            meter.sessions[0].close("test")
            await far.hears(b"three", b"four")

    run(scenario())


def test_a_host_may_send_from_another_port_and_a_stranger_not_at_all(run: Run) -> None:
    async def scenario() -> None:
        known, stranger = Far("127.0.0.2"), Far("127.0.0.3")
        async with Stage(Far("127.0.0.2"), listen="*:0") as meter:
            meter.says(stranger, b"no")
            await until(lambda: meter.status.counts["strangers"] == 1)
            meter.says(known, b"yes")
            await meter.gets(b"yes")
            assert meter.names == [meter.far[0].place]
        known.socket.close()
        stranger.socket.close()

    run(scenario())


def test_a_group_stands_for_everybody(run: Run) -> None:
    async def scenario() -> None:
        far = Far()
        group = f"239.255.11.7:{free_port()}"
        async with Stage(connect=group, listen="*:0", open=True, interface="lo") as meter:
            meter.says(far, b"yes")
            await meter.gets(b"yes")
            assert meter.names == [group]
        far.socket.close()

    run(scenario())


def test_anybody_is_heard_and_not_sent_to(run: Run) -> None:
    async def scenario() -> None:
        one, other = Far(), Far()
        async with Stage(accept="any") as meter:
            assert meter.status.state is State.LISTENING
            meter.says(one, b"one")
            await meter.gets(b"one")
            meter.says(other, b"other")
            await meter.gets(b"other")
            meter.connection.port_data(b"nobody hears this")
            assert meter.names == [ANYBODY]
            assert (meter.status.unheard, meter.status.peers[0].sent) == (17, 0)
            meter.sessions[0].close("test")
            meter.says(one, b"again")
            await meter.gets(b"again")
        for far in (one, other):
            far.socket.close()

    run(scenario())


def test_who_has_sent_something_is_sent_to_until_it_is_silent(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        one, other = Far(), Far()
        async with Stage(accept="learn", forget_after=1.0, buffer_size=10) as meter:
            meter.connection.port_data(b"kept")
            meter.says(one, b"")
            await one.hears(b"kept")
            meter.says(other, b"other")
            await meter.gets(b"other")
            meter.connection.port_data(b"to both")
            await one.hears(b"to both")
            await other.hears(b"to both")
            meter.says(other, b"still here")
            await until(lambda: meter.names == [])
            assert meter.status.state is State.LISTENING
            gone = [
                each.getMessage() for each in caplog.records if "silent for 1 s" in each.message
            ]
            assert [one.place in gone[0], other.place in gone[1]] == [True, True]
        for far in (one, other):
            far.socket.close()

    run(scenario())


def test_there_are_bounds_to_learning(run: Run) -> None:
    async def scenario() -> None:
        one, other = Far(), Far()
        async with Stage(accept="learn", max_learned=1) as meter:
            meter.says(one, b"one")
            await meter.gets(b"one")
            meter.says(other, b"other")
            await until(lambda: meter.status.turned_away == 1)
            assert meter.names == [one.place]
        for far in (one, other):
            far.socket.close()

    run(scenario())


def test_a_host_that_is_not_there_is_told_and_stays(run: Run) -> None:
    async def scenario() -> None:
        async with Stage(connect=f"127.0.0.1:{free_port()}") as meter:
            meter.connection.port_data(b"data")
            await until(lambda: meter.status.counts["returned"] == 1)
            assert (meter.status.state, meter.status.reason) == (
                State.CONNECTED,
                f"{meter.names[0]}: Connection refused",
            )
            assert meter.status.dropped == 0

    run(scenario())


def test_a_port_that_is_taken_is_an_error_with_a_reason(
    run: Run, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portline.net.udp.endpoint.RETRY", 0.01)

    async def scenario() -> None:
        holder = Far()
        async with Stage(Far(), listen=holder.place) as meter:
            assert meter.status.state is State.ERROR
            assert "the UDP port is in use" in meter.status.reason
            assert meter.network.state == (State.CONNECTING, "")
            assert meter.names == []
            holder.socket.close()
            await until(lambda: meter.names)
            assert caplog.text.count("trying again") == 1
            assert "as they should be" in caplog.text

    run(scenario())


def test_peers_wait_for_the_application(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portline.service.network.demand.HANG_UP", 0.01)

    async def scenario() -> None:
        far = Far()
        async with Stage(far, virtual="v", connect_when_open=True) as meter:
            waiting = (State.WAITING, "no application has the virtual port open")
            assert (meter.network.state, meter.names) == (waiting, [])
            meter.port.use(True)
            meter.connection.port_data(b"data")
            await far.hears(b"data")
            meter.port.use(False)
            meter.port.use(True)
            meter.port.use(False)
            await until(lambda: not meter.sessions)
            assert meter.network.endpoint.ways == []
            assert meter.network.state == waiting
            meter.port.use(True)
            assert meter.names == [far.place]
            meter.port.use(False)
        assert meter.network.state == waiting

    run(scenario())


def test_the_end_is_the_end(run: Run) -> None:
    async def scenario() -> None:
        async with Stage(Far()) as meter:
            pass
        assert meter.network.state == (State.STOPPED, "")

    run(scenario())


def test_other_hosts_and_the_same(run: Run) -> None:
    async def scenario() -> None:
        one, other = Far(), Far()
        async with Stage(one) as meter:
            before = meter.network.endpoint
            meter.adopt(datagram_size=100)
            assert (meter.network.endpoint, before.size) == (before, 100)
            meter.adopt(connect=[one.place, other.place], datagram_size=100)
            assert before.ways == []
            assert meter.names == [one.place, other.place]
            meter.connection.port_data(b"data")
            await other.hears(b"data")
        other.socket.close()

    run(scenario())


def test_another_way_to_accept_is_for_who_comes(run: Run) -> None:
    async def scenario() -> None:
        stranger = Far("127.0.0.2")
        async with Stage(Far(), accept="learn", listen="*:0", open=True) as meter:
            meter.says(stranger, b"one")
            await meter.gets(b"one")
            meter.adopt(max_learned=2)
            assert meter.names == [meter.far[0].place, stranger.place]
            meter.adopt(accept="any")
            assert meter.names == [meter.far[0].place]
            meter.says(stranger, b"two")
            await meter.gets(b"two")
            assert meter.names == [meter.far[0].place, ANYBODY]
            meter.adopt(accept="known")
            assert meter.names == [meter.far[0].place]
        stranger.socket.close()

    run(scenario())


def test_while_it_waits_another_configuration_waits_too(run: Run) -> None:
    async def scenario() -> None:
        async with Stage(Far(), virtual="v", connect_when_open=True) as meter:
            meter.adopt(listen="127.0.0.2:0")
            assert meter.sessions == ()
            meter.adopt(connect_when_open=False)
            assert len(meter.sessions) == 1

    run(scenario())


def test_a_full_port_holds_the_peers_back(run: Run) -> None:
    async def scenario() -> None:
        async with Stage(Far()) as meter:
            meter.connection.port_full(True)
            meter.says(meter.far[0], b"data")
            await unread(meter.sessions[0].link.way.sock)
            assert meter.port.written == b""
            meter.connection.port_full(False)
            await meter.gets(b"data")

    run(scenario())


# --- every byte of the port is somewhere ----------------------------------------------------------


@given(
    chunks=st.lists(st.binary(min_size=1, max_size=300), max_size=10),
    hosts=st.integers(1, 3),
    send_to=st.sampled_from(["all", "first", "last", "last-active", "none"]),
    size=st.integers(64, 200),
    block=st.sampled_from([0, 1, 50, 100]),
    away=st.booleans(),
)
def test_every_byte_is_sent_or_counted(
    chunks: list[bytes], hosts: int, send_to: str, size: int, block: int, away: bool
) -> None:
    async def scenario() -> None:
        far = [Far() for _ in range(hosts)]
        async with Stage(*far, send_to=send_to, datagram_size=size, packet_size=block) as meter:
            if away:
                far[0].socket.close()
            for chunk in chunks:
                meter.connection.port_data(chunk)
            waiting = (
                0 if meter.connection.packets is None else len(meter.connection.packets.rest())
            )
            status = meter.status
            hearing = {"all": hosts, "first": 1, "last": 1, "last-active": 0, "none": 0}[send_to]
            total = sum(map(len, chunks))
            assert status.heard + waiting == total
            out = sum(peer.sent + peer.waiting + peer.dropped for peer in status.peers)
            assert out == hearing * status.heard
            assert status.unheard == (0 if hearing else status.heard)
            for each, peer in zip(far, status.peers, strict=True):
                if each.socket.fileno() >= 0:
                    await until(lambda e=each, p=peer: sum(map(len, e.look())) == p.sent)
                    assert all(len(datagram) <= size for datagram in each.heard)
                    assert b"".join(each.heard) == b"".join(chunks)[: peer.sent]
        assert isinstance(meter.network.endpoint, Endpoint)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "make_port", memory_port)
        asyncio.run(scenario())
