from __future__ import annotations

import socket

import pytest

from portline.errors import PortAbsent, PortError
from portline.line import LineSettings, ModemLines
from portline.service.status import ConnectionStatus, PortStatus, State
from tests.conftest import Run
from tests.unit.service.gateways import gateway, peer_of, port_of
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("stage")

UNPLUGGED = PortAbsent("/dev/ttyNONE0", "the device was unplugged")


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
                    has_lines=True,
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
                watchers=0,
                watch_skipped=0,
                access="everybody on this machine",
                counts={"operators_dropped": 0},
            )
        ]
        await made.stop()
        assert made.status()[0].state is State.STOPPED

    run(scenario())


def test_the_status_tells_of_a_port_that_is_open_and_not_found(run: Run) -> None:
    async def scenario() -> None:
        made = gateway(meter={})
        made.start()
        (connection,) = made.connections.values()
        trouble = PortError("/dev/ttyS1", "was taken away")
        connection.port.trouble = trouble
        (status,) = made.status()
        assert (status.state, status.reason) == (State.ERROR, str(trouble))
        assert (status.port.open, status.port.reason) == (True, str(trouble))
        await made.stop()

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
        meter.peers.departures.dropped = 5  # of a peer that has gone
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
