"""A client connection and the hosts that it calls, on real loopback sockets."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack

import pytest

from portline.line import (
    BreakChange,
    Item,
    LineChange,
    LineSettings,
    ModemChange,
    ModemLines,
    Query,
    Request,
    SetBreak,
    SetLine,
    SetModem,
)
from portline.service.network.calling import Calling
from portline.service.peer.refusal import NOT_A_WORD
from portline.service.process.log import NOTICE
from portline.service.status import State
from portline.wire.rfc2217 import Rfc2217Wire
from tests.conftest import Run
from tests.unit.service.conftest import Play, Stage
from tests.unit.service.test_adoption import adopt
from tests.waiting import until


class Host:
    """A host that is called; ``calls`` are the connections that it has accepted."""

    def __init__(self, *, there: bool = True) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.calls: list[socket.socket] = []
        self.socket.setblocking(False)
        if not there:
            self.socket.close()

    def returns(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", self.port))
        self.socket.setblocking(False)

    def answered(self) -> bool:
        """Accept whoever has called; tell whether anybody ever has."""
        try:
            call, _ = self.socket.accept()
        except BlockingIOError:
            return bool(self.calls)
        call.setblocking(False)
        self.calls.append(call)
        return True

    async def call(self, count: int = 1) -> socket.socket:
        """Wait until it has been called ``count`` times; return the last connection."""
        await until(lambda: self.answered() and len(self.calls) >= count)
        return self.calls[-1]

    def close(self) -> None:
        for each in (self.socket, *self.calls):
            each.close()


class Server:
    """An access server on an accepted connection; ``asked`` is what it is asked for."""

    def __init__(self, call: socket.socket) -> None:
        self.call = call
        self.wire = Rfc2217Wire(serves=True, asks=False)
        self.heard: list[bytes | Request] = []

    def starts(self) -> None:
        self.call.send(self.wire.start(0.0))

    def look(self) -> list[bytes | Request]:
        try:
            data = self.call.recv(65536)
        except BlockingIOError:
            return self.heard
        for event in self.wire.feed(data, 0.0):
            if isinstance(event, bytes | SetLine | SetModem | SetBreak | Query):
                self.heard.append(event)
        self.call.send(self.wire.outgoing())
        return self.heard

    async def hears(self, last: bytes | Request) -> list[bytes | Request]:
        await until(lambda: last in self.look())
        heard, self.heard = self.heard, []
        return heard


async def read(call: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size:
        got += await asyncio.get_running_loop().sock_recv(call, size - len(got))
    return got


@pytest.fixture(autouse=True)
def notices(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(NOTICE)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what the connection has warned of, and when that was over."""
    return [
        each.getMessage()
        for each in caplog.records
        if each.levelno >= NOTICE and each.name == "portline.connection"
    ]


def stage_of(stage: Play, *hosts: Host, **options: object) -> Stage:
    places = [host.address for host in hosts]
    quick = {"retry": 0.05, "retry_max": 0.05}
    table = {"virtual": "v", "connect": places} | quick | options
    return stage(kind="client", **{key: value for key, value in table.items() if value is not None})


def calling(play: Stage) -> Calling:
    network = play.connection.network
    assert isinstance(network, Calling)
    return network


def state(play: Stage) -> State:
    return play.connection.network.state[0]


def test_a_host_is_called_and_called_again(run: Run, stage: Play) -> None:
    async def main() -> None:
        host = Host()
        async with stage_of(stage, host) as play:
            assert state(play) is State.CONNECTING
            assert play.connection.network.places == (f"{host.address} (raw)",)
            call = await host.call()
            await until(lambda: state(play) is State.CONNECTED)
            play.connection.port_data(b"hello")
            assert await read(call, 5) == b"hello"
            call.send(b"world")
            await until(lambda: play.port.written == b"world")
            call.close()
            await host.call(2)
            await until(lambda: state(play) is State.CONNECTED)
        host.close()

    run(main())


def test_the_first_that_answers_is_taken_and_the_reason_for_none_is_told(
    run: Run, stage: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        away, spare = Host(there=False), Host(there=False)
        async with stage_of(stage, away, spare) as play:
            await until(lambda: "attempt 2" in play.connection.network.state[1])
            reason = play.connection.network.state[1]
            assert away.address in reason
            assert spare.address in reason
            spare.returns()
            await spare.call()
            await until(lambda: state(play) is State.CONNECTED)
            assert play.sessions[0].name == spare.address
            assert play.connection.network.state == (State.CONNECTED, "")
        away.close()
        spare.close()

    run(main())
    assert sum("trying again" in each.getMessage() for each in caplog.records) == 1


@pytest.mark.parametrize(
    "local", [{"virtual": "v"}, {"port": "/dev/x"}, {"port": "/dev/x", "protocol": "rfc2217"}]
)
def test_a_server_of_ours_that_is_full_is_no_device(
    run: Run, stage: Play, caplog: pytest.LogCaptureFixture, local: dict[str, str]
) -> None:
    async def main() -> None:
        protocol = local.get("protocol", "raw")
        limit = {"max_connections": 1} if protocol == "raw" else {}
        async with Stage(protocol=protocol, **limit) as server, AsyncExitStack() as stack:
            first = await server.peer()
            address = f"127.0.0.1:{server.tcp_port()}"
            table = local | {"connect": address, "retry": 0.05, "retry_max": 0.05}
            client = await stack.enter_async_context(stage(kind="client", **table))
            client.connection.port_data(b"precious")
            await until(lambda: "is in use by" in client.connection.network.state[1])
            await until(lambda: server.connection.network.turned_away >= 3)
            first.close()
            await until(lambda: server.port.written == b"precious")
            server.connection.port_data(b"answer")
            await until(lambda: client.port.written == b"answer")
            assert client.connection.peers.departures.dropped == 0

    run(main())
    told = warnings(caplog)
    assert len(told) == 2
    assert 'the peer does not serve us: "portline: meter is in use by' in told[0]
    assert told[1].endswith(": serves us now")


def test_what_a_server_took_that_ends_without_a_word_is_counted(
    run: Run, stage: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        host = Host()
        async with stage_of(stage, host, virtual="v", retry=30, retry_max=30) as play:
            call = await host.call()
            await until(lambda: state(play) is State.CONNECTED)
            play.connection.port_data(b"precious")
            assert await read(call, 8) == b"precious"
            call.close()  # as one does whose list of networks we are not on
            await until(lambda: not play.sessions)
            await until(lambda: play.connection.peers.departures.dropped == 8)
        host.close()

    run(main())
    assert NOT_A_WORD in warnings(caplog)[0]


def test_what_a_server_took_that_has_answered_is_not_lost(run: Run, stage: Play) -> None:
    async def main() -> None:
        host = Host()
        async with stage_of(stage, host, virtual="v", retry=30, retry_max=30) as play:
            call = await host.call()
            await until(lambda: state(play) is State.CONNECTED)
            play.connection.port_data(b"question")
            assert await read(call, 8) == b"question"
            call.send(b"answer")
            await until(lambda: play.port.written == b"answer")
            call.close()
            await until(lambda: not play.sessions)
            assert play.connection.peers.departures.dropped == 0
        host.close()

    run(main())


def test_who_calls_an_access_server_as_raw_is_told_once(
    run: Run, stage: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        host = Host()
        async with stage_of(stage, host) as play:
            for count in (1, 2):
                Server(await host.call(count)).starts()
                await until(lambda: b"\xff\xfd\x2c" in play.port.written)
                play.port.written = b""
                host.calls[-1].close()
        host.close()

    run(main())
    (told,) = warnings(caplog)
    assert (
        ": speaks RFC 2217, and is called as raw: its commands arrive as data; connect to" in told
    )


def test_who_hangs_up_is_not_refused(
    run: Run, stage: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        host = Host()
        async with stage_of(stage, host, protocol="rfc2217") as play:
            call = await host.call()
            call.send(b"hello")
            await until(lambda: bool(play.sessions) and play.sessions[0].refusal != "")
        host.close()

    run(main())
    assert warnings(caplog) == []


def test_a_host_that_is_back_is_told_where_its_absence_was(
    run: Run, stage: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        host = Host(there=False)
        async with stage_of(stage, host) as play:
            await until(lambda: "refused" in play.connection.network.state[1])
            host.returns()
            (await host.call()).close()
            await host.call(2)
            await until(lambda: state(play) is State.CONNECTED)
        host.close()

    run(main())
    told = warnings(caplog)
    assert [each.partition(": ")[2] for each in told] == [
        "connection refused, nothing listens there; start the server or check the port; "
        "trying again",
        "is connected",
        f"{NOT_A_WORD}; trying again",
    ]


def test_all_hosts_may_be_peers_at_once(run: Run, stage: Play) -> None:
    async def main() -> None:
        one, two = Host(), Host()
        async with stage_of(stage, one, two, connect_to="all") as play:
            calls = [await one.call(), await two.call()]
            await until(lambda: len(play.sessions) == 2)
            play.connection.port_data(b"both")
            assert [await read(call, 4) for call in calls] == [b"both", b"both"]
            two.socket.close()
            calls[1].close()
            await until(lambda: two.address in play.connection.network.state[1])
            assert state(play) is State.CONNECTED
        one.close()
        two.close()

    run(main())


def test_what_is_sent_meanwhile_arrives_after_it(run: Run, stage: Play) -> None:
    async def main() -> None:
        host = Host(there=False)
        async with stage_of(stage, host, buffer_size=8) as play:
            play.connection.port_data(b"12345")
            play.connection.port_data(b"67890")
            host.returns()
            assert await read(await host.call(), 8) == b"12345678"
            assert play.connection.hub.keep.discarded == 2
        host.close()

    run(main())


def test_what_a_vanished_host_did_not_get_goes_to_it_when_it_is_back(run: Run, stage: Play) -> None:
    async def main() -> None:
        host = Host()
        sent = bytes(range(256)) * 40_000
        async with stage_of(stage, host, buffer_size="64MiB", backlog_size="64MiB") as play:
            call = await host.call()
            await until(lambda: bool(play.sessions))
            call.send(b"!")  # it serves
            await until(lambda: play.port.written == b"!")
            play.connection.port_data(sent)
            got = await read(call, 300_000)
            (session,) = play.sessions
            session.link.socket.shutdown(socket.SHUT_RD)  # whatever it is that ends it
            await until(lambda: not play.sessions)
            acknowledged = session.link.acked
            rest = await read(await host.call(2), len(sent) - acknowledged)
            assert got == sent[:300_000]
            assert rest == sent[acknowledged:]
            assert play.connection.peers.departures.dropped == 0
        host.close()

    run(main())


def test_the_port_may_be_held_instead_of_dropping(run: Run, stage: Play) -> None:
    async def main() -> None:
        host = Host(there=False)
        overflow = {"buffer_size": 4, "buffer_overflow": "hold"}
        async with stage_of(stage, host, **overflow) as play:
            assert not play.port.paused
            play.connection.port_data(b"123456")
            assert play.port.paused
            host.returns()
            assert await read(await host.call(), 6) == b"123456"
            await until(lambda: not play.port.paused)
            assert play.connection.hub.keep.discarded == 0
        host.close()

    run(main())


def test_hosts_are_called_only_while_an_application_is_there(
    run: Run, stage: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portline.service.network.demand.HANG_UP", 0.0)

    async def main() -> None:
        host = Host()
        async with stage_of(stage, host, connect_when_open=True) as play:
            waits = (State.WAITING, "no application has the virtual port open")
            assert play.connection.network.state == waits
            play.port.use(True)
            await host.call()
            await until(lambda: state(play) is State.CONNECTED)
            play.port.use(False)
            play.port.use(True)  # at once: nothing happens
            await asyncio.sleep(0)
            assert state(play) is State.CONNECTED
            play.port.use(False)
            await until(lambda: play.connection.network.state == waits)
            assert len(host.calls) == 1
        host.close()

    run(main())


# --- RFC 2217 -------------------------------------------------------------------------------------


def opened(play: Stage, settings: LineSettings, *, break_on: bool = False) -> None:
    """Let an application open the port and set it, before anybody is connected."""
    application = play.port.application
    assert application is not None
    play.port.use(True)
    application.raise_outputs()
    application.set(settings)
    application.hold_break(break_on)


def test_settings_lines_and_break_are_asked_for_before_the_first_byte_each_time(
    run: Run, stage: Play
) -> None:
    fast = LineSettings(115200)

    async def main() -> None:
        host = Host(there=False)
        async with stage_of(stage, host, protocol="rfc2217") as play:
            opened(play, fast, break_on=True)
            play.connection.port_data(b"data")
            host.returns()
            for count in (1, 2):
                server = Server(await host.call(count))
                server.starts()
                heard = await server.hears(b"data" if count == 1 else SetBreak(True))
                asked = [each for each in heard if not isinstance(each, bytes | Query)]
                assert asked == [
                    SetLine(baudrate=115200),
                    SetLine(data_bits=8),
                    SetLine(parity=fast.parity),
                    SetLine(stop_bits=fast.stop_bits),
                    SetLine(flow_control=fast.flow_control),
                    SetModem(dtr=True),
                    SetModem(rts=True),
                    SetBreak(True),
                ]
                assert heard[-1] == (b"data" if count == 1 else SetBreak(True))
                server.call.close()
        host.close()

    run(main())


def test_each_change_is_asked_for(run: Run, stage: Play) -> None:
    async def main() -> None:
        host = Host()
        async with stage_of(stage, host, protocol="rfc2217") as play:
            server = Server(await host.call())
            server.starts()
            await server.hears(Query(Item.MODEM_LINES))
            opened(play, LineSettings(300))
            assert SetLine(baudrate=300) in await server.hears(SetLine(baudrate=300))
            play.port.say(LineChange(LineSettings(600)))
            await server.hears(SetLine(baudrate=600))
            play.port.say(BreakChange(True))
            await server.hears(SetBreak(True))
        host.close()

    run(main())


def test_data_goes_to_a_host_that_is_no_access_server_after_it_has_said_so(
    run: Run, stage: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        host = Host(there=False)
        async with stage_of(stage, host, protocol="rfc2217") as play:
            play.connection.port_data(b"data")
            host.returns()
            call = await host.call()
            await until(lambda: bool(play.sessions))
            assert play.sessions[0].outbox.waiting >= 4
            call.send(bytes((255, 254, 44)))  # DONT COM-PORT-OPTION
            got = b""
            while not got.endswith(b"data"):
                got += await read(call, 1)
        host.close()

    run(main())
    assert "does not share a serial port by RFC 2217" in caplog.text


def test_a_silent_host_gets_the_data_after_a_while(
    run: Run, stage: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portline.service.peer.holding.HOLD_LIMIT", 0.0)

    async def main() -> None:
        host = Host()
        async with stage_of(stage, host, protocol="rfc2217") as play:
            call = await host.call()
            await until(lambda: bool(play.sessions))
            play.connection.port_data(b"data")
            await Server(call).hears(b"data")
        host.close()

    run(main())


@pytest.mark.parametrize(("answers", "calls"), [("lenient", 1), ("strict", 2)])
def test_a_remote_port_that_differs(
    run: Run, stage: Play, caplog: pytest.LogCaptureFixture, answers: str, calls: int
) -> None:
    async def main() -> None:
        host = Host()
        async with stage_of(stage, host, protocol="rfc2217", answers=answers) as play:
            opened(play, LineSettings(115200))
            server = Server(await host.call())
            server.starts()
            await server.hears(SetLine(baudrate=115200))
            server.call.send(bytes((255, 250, 44, 101, 0, 0, 37, 128, 255, 240)))  # 9600
            await until(lambda: "baudrate is 9600 and not 115200" in caplog.text)
            if answers == "strict":
                server.call.close()
                await host.call(2)
            else:
                remote = {each.item: each.in_force for each in play.sessions[0].remote.settings}
                assert remote[Item.BAUDRATE] == 9600
            assert len(host.calls) == calls
        host.close()

    run(main())


def test_what_the_remote_port_tells_is_what_the_application_reads(run: Run, stage: Play) -> None:
    async def main() -> None:
        host = Host()
        async with stage_of(stage, host, protocol="rfc2217", dcd_disconnected="low") as play:
            opened(play, LineSettings())
            server = Server(await host.call())
            server.starts()
            await server.hears(Query(Item.MODEM_LINES))
            server.call.send(bytes((255, 250, 44, 107, 0x90, 255, 240)))
            await until(lambda: play.connection.inputs.lines == ModemLines(cts=True, dcd=True))
            host.socket.close()
            server.call.close()
            await until(lambda: not play.connection.inputs.lines.dcd)
        host.close()

    run(main())


# --- another configuration ------------------------------------------------------------------------


def test_a_host_that_stays_keeps_its_connection(run: Run, stage: Play) -> None:
    async def main() -> None:
        one, two = Host(), Host()
        async with stage_of(stage, one) as play:
            call = await one.call()
            await until(lambda: bool(play.sessions))
            before = play.sessions
            adopt(play, connect=[two.address, one.address])
            assert play.sessions == before
            call.close()
            one.close()
            await two.call()
            await until(lambda: bool(play.sessions))
            adopt(play, retry_max=1)
            assert len(two.calls) == 1
        two.close()

    run(main())


def test_a_host_that_is_not_called_any_more_is_left(run: Run, stage: Play) -> None:
    async def main() -> None:
        one, two = Host(), Host()
        async with stage_of(stage, one) as play:
            await one.call()
            await until(lambda: bool(play.sessions))
            adopt(play, connect=two.address)
            await two.call()
            await until(lambda: [each.name for each in play.sessions] == [two.address])
        one.close()
        two.close()

    run(main())


# --- two real ports -------------------------------------------------------------------------------


def test_the_lines_of_two_real_ports_may_be_crossed(run: Run, stage: Play) -> None:
    async def main() -> None:
        host = Host()
        real = {"virtual": None, "port": "/dev/ttyNONE0", "protocol": "rfc2217"}
        async with stage_of(stage, host, **real, cross_lines=True) as play:
            server = Server(await host.call())
            server.starts()
            await until(lambda: (server.look(), server.wire.serving)[1])
            server.call.send(server.wire.report(ModemChange(ModemLines(cts=True)), 0.0))
            await until(lambda: (play.port.state.rts, play.port.state.dtr) == (True, False))
            server.call.send(server.wire.report(ModemChange(ModemLines(dsr=True)), 0.0))
            await until(lambda: (play.port.state.rts, play.port.state.dtr) == (False, True))
            host.socket.close()
            server.call.close()
            await until(lambda: not play.port.state.dtr)
            assert not any(isinstance(each, SetLine) for each in server.heard)
        host.close()

    run(main())
