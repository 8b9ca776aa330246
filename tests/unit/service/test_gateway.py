from __future__ import annotations

import asyncio
import socket

import pytest

from portline.config.models import GatewayConfig
from portline.errors import PortAbsent
from portline.line import LineSettings, ModemLines, Purge
from portline.service import retirement as module
from portline.service.gateway import Gateway
from portline.service.status import ConnectionStatus, PortStatus, State
from tests.conftest import Run
from tests.memory import MemoryPort
from tests.peers import Peer
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("stage")

UNPLUGGED = PortAbsent("/dev/ttyNONE0", "the device was unplugged")


def gateway(**connections: dict[str, object]) -> Gateway:
    """Make a gateway; each connection has a device and listens on any port unless it says more."""
    tables = {
        name: ({} if "virtual" in table else {"port": f"/dev/tty{name}"})
        | {"listen": "127.0.0.1:0"}
        | table
        for name, table in connections.items()
    }
    return Gateway(GatewayConfig.model_validate({"connections": tables}))


def port_of(made: Gateway, name: str = "meter") -> MemoryPort:
    port = made.connections[name].port
    assert isinstance(port, MemoryPort)
    return port


def peer_of(made: Gateway, name: str = "meter", listener: int = 0) -> Peer:
    address = made.connections[name].network.entrance.listeners[listener].address
    return Peer(int(address.rpartition(":")[2]))


def test_the_status_of_a_connection_nobody_uses(run: Run) -> None:
    async def scenario() -> None:
        made = gateway(meter={})
        made.start()
        (address,) = (
            listener.address for listener in made.connections["meter"].network.entrance.listeners
        )
        assert made.status() == [
            ConnectionStatus(
                name="meter",
                config=made.connections["meter"].config,
                state=State.LISTENING,
                reason="",
                places=(f"{address} (raw)",),
                port=PortStatus(
                    name="memory",
                    path="/dev/memory",
                    open=True,
                    reason="",
                    settings=LineSettings(),
                    lines=ModemLines(),
                    dtr=False,
                    rts=False,
                    in_use=None,
                    inputs=None,
                    hardware=None,
                    waiting=0,
                    refused=0,
                    discarded=0,
                ),
                peers=(),
                heard=0,
                spoken=0,
                kept=0,
                keep_discarded=0,
                unheard=0,
                unspoken=0,
                dropped=0,
                turned_away=0,
                replaced=0,
                recognised=0,
            )
        ]
        await made.stop()
        assert made.status()[0].state is State.STOPPED

    run(scenario())


def test_the_status_counts(run: Run) -> None:
    async def scenario() -> None:
        made = gateway(
            meter={"max_connections": 2, "receive_from": "first", "buffer_size": 4},
            other={"send_to": "none"},
        )
        made.start()
        meter, other = made.connections.values()
        meter.port_data(b"kept, or not")
        assert (made.status()[0].kept, made.status()[0].keep_discarded) == (4, 8)
        with peer_of(made) as first, peer_of(made) as second, peer_of(made) as third:
            await until(lambda: made.status()[0].turned_away)
            first.send(b"123")
            second.send(b"45")
            await until(lambda: made.status()[0].unspoken == 2)
            await first.hears(b"kept")
            await third.hears_end()
            status = made.status()[0]
            assert (status.state, status.heard, status.spoken) == (State.FULL, 12, 3)
            one, two = status.peers
            assert (one.number, one.address, one.protocol) == (1, first.address, "raw")
            assert (one.received, one.sent, one.waiting, one.dropped) == (3, 4, 0, 0)
            assert (two.number, two.received, two.sent) == (2, 2, 0)
            assert one.connected_for >= two.connected_for >= 0
            with peer_of(made, "other"):
                await until(lambda: other.hub.peers)
                other.port_data(b"unheard")
                assert made.status()[1].unheard == 7
                assert made.status()[1].state is State.CONNECTED
        meter.departures.dropped = 5  # of a peer that has gone
        meter.hub.peers[0].outbox.dropped = 2
        assert made.status()[0].dropped == 7
        await made.stop()

    run(scenario())


def test_what_is_wrong_with_a_connection_is_its_state(run: Run) -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            number = taken.getsockname()[1]
            made = gateway(
                taken={"listen": [f"127.0.0.1:{number}", "127.0.0.1:0"]},
                absent={},
                virtual={"virtual": "ttyV0", "listen_when_open": True},
            )
            made.start()
            made.connections["absent"].port_lost(UNPLUGGED)
            taken_status, absent, waiting = made.status()
            assert taken_status.state is State.ERROR
            assert "the TCP port is in use by" in taken_status.reason
            assert (absent.state, absent.reason) == (State.PORT_ABSENT, str(UNPLUGGED))
            assert (absent.port.open, absent.port.reason) == (False, str(UNPLUGGED))
            assert waiting.state is State.WAITING
            assert waiting.reason == "no application has the virtual port open"
            assert waiting.port.in_use is False
            port_of(made, "virtual").use(True)
            assert made.status()[2].state is State.LISTENING
            await made.stop()

    run(scenario())


def test_only_one_of_two_protocols_is_not_full(run: Run) -> None:
    async def scenario() -> None:
        listen = ["raw://127.0.0.1:0", "rfc2217://127.0.0.1:0"]
        made = gateway(meter={"listen": listen, "max_connections": 1})
        made.start()
        with peer_of(made, listener=0):
            await until(lambda: made.status()[0].state is State.CONNECTED)
            with peer_of(made, listener=1) as controlling:
                await until(lambda: made.status()[0].state is State.FULL)
                controlling.send(b"\xff\x01")  # IAC and no command
                await until(lambda: made.status()[0].peers[1].malformed)
        await made.stop()

    run(scenario())


# --- another configuration ------------------------------------------------------------------------


def table(*names: str, **options: object) -> GatewayConfig:
    """Make a configuration of these connections, each with its device and the same options."""
    return GatewayConfig.model_validate(
        {
            "connections": {
                name: {"port": f"/dev/tty{name}", "listen": "127.0.0.1:0"} | options
                for name in names
            }
        }
    )


def test_a_connection_that_nothing_changes_notices_nothing(run: Run) -> None:
    async def scenario() -> None:
        made = Gateway(table("meter", "other"))
        made.start()
        with peer_of(made) as peer:
            await until(lambda: made.connections["meter"].hub.peers)
            port_of(made).happened.clear()
            meter = made.connections["meter"]
            found = made.apply(table("meter", "third"))
            assert found.lines() == ["other: removed", "third: added"]
            assert list(made.connections) == ["meter", "third"]
            assert made.connections["meter"] is meter
            await until(lambda: made.status()[1].state is State.LISTENING)
            meter.port_data(b"not a byte is lost")
            await peer.hears(b"not a byte is lost")
            assert port_of(made).happened == []
        assert made.apply(table("meter", "third")).lines() == []
        await made.stop()

    run(scenario())


def test_a_connection_may_get_another_name(run: Run) -> None:
    async def scenario() -> None:
        made = Gateway(table("meter"))
        made.start()
        with peer_of(made) as peer:
            await until(lambda: made.connections["meter"].hub.peers)
            config = {"connections": {"gauge": {"port": "/dev/ttymeter", "listen": "127.0.0.1:0"}}}
            found = made.apply(GatewayConfig.model_validate(config))
            assert found.lines() == ["meter: is called gauge now"]
            assert made.status()[0].name == "gauge"
            made.connections["gauge"].port_data(b"x")
            await peer.hears(b"x")
        await made.stop()

    run(scenario())


def test_a_connection_goes_on_when_another_one_gets_its_name(run: Run) -> None:
    async def scenario() -> None:
        made = Gateway(table("meter"))
        made.start()
        meter = made.connections["meter"]
        with peer_of(made) as peer:
            await until(lambda: meter.hub.peers)
            gauge = {"port": "/dev/ttymeter", "listen": "127.0.0.1:0"}
            for name, other in (("gauge", "meter"), ("meter", "gauge")):  # back by a swap
                tables = {other: gauge | {"port": "/dev/ttyother"}, name: gauge}
                made.apply(GatewayConfig.model_validate({"connections": tables}))
                assert made.connections[name] is meter
                assert meter.name == name
                await until(lambda: made.status()[0].state is State.LISTENING)
                meter.port_data(b"x")
                await peer.hears(b"x")
        await made.stop()

    run(scenario())


def test_another_port_begins_when_the_old_one_is_closed(run: Run) -> None:
    async def scenario() -> None:
        made = Gateway(table("meter"))
        made.start()
        old = port_of(made)
        with peer_of(made) as peer:
            await until(lambda: made.connections["meter"].hub.peers)
            old.queued = 100
            made.apply(table("meter", exclusive=False))
            new = port_of(made)
            assert new is not old
            assert await peer.hears_end() == b""
            assert (old.opened, new.opened) == (True, False)
            old.queued = 0
            await until(lambda: new.opened)
            assert not old.opened
        await made.stop()

    run(scenario())


def test_what_waits_to_begin_does_not_when_it_is_removed_or_all_stops(run: Run) -> None:
    async def scenario() -> None:
        made = Gateway(table("meter"))
        made.start()
        ports = [port_of(made)]
        ports[0].queued = 100
        for options in ({"exclusive": False}, {"exclusive": True}, {"exclusive": False}):
            made.apply(table("meter", **options))
            ports.append(port_of(made))
        ports[0].queued = 0
        await made.stop()
        for _ in range(5):
            await asyncio.sleep(module.POLL)
        assert ["open" in port.happened for port in ports] == [True, False, False, False]

    run(scenario())


# --- the end --------------------------------------------------------------------------------------


def test_a_stop_lets_the_ports_send_what_they_have(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        monkeypatch.setattr(module, "GOODBYE_LIMIT", 30.0)
        made = gateway(meter={}, other={})
        made.start()
        port = port_of(made)
        port.queued = 100
        with peer_of(made) as peer:
            await until(lambda: made.status()[0].peers)
            async with asyncio.TaskGroup() as group:
                stop = group.create_task(made.stop())
                assert await peer.hears_end() == b""
                peer.close()
                for _ in range(5):
                    await asyncio.sleep(0.001)
                assert not stop.done()
                assert port.opened
                port.queued = 0
        assert [port_of(made, name).happened for name in ("meter", "other")] == [
            ["open", "close"]
        ] * 2

    run(scenario())


def test_a_stop_waits_for_nobody_for_long(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        monkeypatch.setattr(module, "GOODBYE_LIMIT", 0.02)
        made = gateway(meter={})
        made.start()
        port = port_of(made)
        port.queued = 100
        with peer_of(made):  # and it does not end when it is told goodbye
            await until(lambda: made.status()[0].peers)
            await made.stop()
            assert port.happened == ["open", Purge(unsent=True), "close"]

    run(scenario())


def test_a_stop_that_is_cancelled_closes_everything_at_once(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        monkeypatch.setattr(module, "GOODBYE_LIMIT", 30.0)
        made = gateway(meter={})
        made.start()
        port_of(made).queued = 100
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await made.stop()
        assert not port_of(made).opened

    run(scenario())
