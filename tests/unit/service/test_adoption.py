"""A connection that gets another configuration while it runs."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.cli.demo import free_port
from portline.config.changes import REMAKES, changes
from portline.config.models import ConnectionConfig, GatewayConfig, ServerConnection, options
from portline.line import LineSettings, PortState, SetLine, SetModem
from portline.service import adoption
from portline.service.connection import Connection
from portline.service.survey import survey
from tests.conftest import Run
from tests.unit.service.conftest import Play, Stage
from tests.waiting import until

NAME = "meter"


def adopt(stage: Stage, **options: object) -> None:
    """Give the connection another configuration, as a reload does."""
    before = stage.config
    table = {name: getattr(before, name) for name in before.model_fields_set} | options
    stage.config = type(before).model_validate(table)
    for change in changes(only(NAME, before), only(NAME, stage.config)).changed:
        assert not change.remakes
        adoption.adopt(stage.connection, change.name, stage.config, change.fields)


def only(name: str, connection: ConnectionConfig) -> GatewayConfig:
    return GatewayConfig(connections={name: connection})


# --- every option ---------------------------------------------------------------------------------

OTHER_VALUES: Mapping[str, object] = {
    "listen": "127.0.0.1:0",
    "protocol": "rfc2217",
    "baudrate": 1200,
    "data_bits": 7,
    "parity": "even",
    "stop_bits": "2",
    "flow_control": "hardware",
    "packet_size": 10,
    "packet_delimiter": "\n",
    "packet_strip": True,
    "packet_wait": 0.1,
    "packet_idle": 3.5,
    "packet_pause": 0.2,
    "keepalive": 20,
    "keepalive_retry": 5,
    "inactivity": 60,
    "when_absent": "disconnect",
    "max_connections": 2,
    "when_full": "replace-idle",
    "idle_after": 5,
    "open_when_connected": True,
    "listen_when_open": True,
    "receive_from": "first",
    "send_to": "last-active",
    "notify": False,
    "allow_settings": False,
    "answers": "strict",
    "cross_lines": True,
    "reset_sequences": "esp32",
    "buffer_size": 100,
    "backlog_size": 100_000,
    "buffer_overflow": "drop-oldest",
    "overflow": "disconnect",
    "nodelay": False,
    "allow": ["127.0.0.0/8"],
    "deny": "10.0.0.0/8",
    "open": True,
    "tls": True,
    "certificate": "/certificate.pem",
    "key": "/certificate.key",
    "tls_minimum": "1.2",
    "client_ca": "/ca.pem",
    "client_crl": "/ca.crl",
    "allow_dtr": False,
    "allow_rts": False,
    "allow_break": False,
    "dtr_connected": "low",
    "rts_connected": "low",
    "dtr_disconnected": "low",
    "rts_disconnected": "low",
    **{
        f"{line}_{moment}": "high"
        for line in ("cts", "dsr", "dcd", "ri")
        for moment in ("connected", "disconnected")
    },
    **{f"allow_{line}": False for line in ("cts", "dsr", "dcd", "ri")},
}
"""Another value for each option that a connection can adopt."""

PORTS = ({"port": "/dev/ttyNONE0"}, {"virtual": "ttyNONE0"})


def rules_of(connection: Connection) -> dict[str, object]:
    """Return everything that the configuration decides in the parts of a connection."""
    packets = connection.packets
    return {
        "config": connection.config,
        "policies": (connection.hub.receive_from, connection.hub.send_to),
        "keep": connection.hub.keep.limit,
        "door": [
            getattr(connection.network.door, name)
            for name in ("name", "limit", "when_full", "idle_after")
        ],
        "gate": connection.network.gate.networks,
        "permissions": connection.requests.permissions,
        "overflow": connection.pace.overflow,
        "sweep": (connection.sweep.silence, connection.sweep.inactivity),
        "packets": packets.rules and vars(packets.rules),
        "inputs": connection.inputs.rules,
        "settings": connection.port.state.settings,
        "tenancy": connection.tenancy._config,
        "places": [place for place, _ in connection.network.entrance._doors],
        "security": connection.network.encryption.security,
        "log": connection.log.extra,
    }


NEEDS = {
    **dict.fromkeys(("certificate", "tls_minimum", "client_ca"), "tls"),
    "key": "certificate",
    "client_crl": "client_ca",
}
"""Options that are refused without another one; each stands behind those that it needs."""


def without_loose_ends(table: dict[str, object]) -> dict[str, object]:
    """Return a table that is not refused as a whole because of a single option in it."""
    for name, needed in NEEDS.items():
        if needed not in table:
            table.pop(name, None)
    return table


tables = st.fixed_dictionaries(
    {}, optional={name: st.just(value) for name, value in OTHER_VALUES.items()}
).map(without_loose_ends)


def valid(table: dict[str, object]) -> list[ServerConnection]:
    """Return the connections that may have these options, one for each sort of port."""
    found = []
    for port in PORTS:
        with suppress(ValueError):
            found.append(ServerConnection.model_validate(port | {"listen": "127.0.0.1:0"} | table))
    return found


def test_there_is_another_value_for_every_option_that_can_be_adopted() -> None:
    # What a password needs beside a configuration is in tests/unit/service/test_gate.py.
    secret = {"password", "password_file", "password_prompt"}
    started = {"enabled"}  # by which the gateway starts and stops
    assert options(ServerConnection).keys() - REMAKES - secret - started == OTHER_VALUES.keys()


@given(tables, tables)
def test_adopting_a_configuration_is_like_beginning_with_it(
    before: dict[str, object], after: dict[str, object]
) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        for old in valid(before):
            for new in valid(after):
                if old.is_virtual is not new.is_virtual:
                    continue
                (change,) = changes(only("old", old), only("new", new)).changed
                adopted, fresh = Connection("old", old, loop), Connection("new", new, loop)
                adoption.adopt(adopted, "new", new, change.fields)
                assert rules_of(adopted) == rules_of(fresh)
                adopted.stop(0)
                adopted.close()

    asyncio.run(scenario())


# --- what one can see of it -----------------------------------------------------------------------


def test_peers_stay_and_lose_nothing(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage() as meter:
            peer = await meter.peer()
            meter.connection.port_data(b"before ")
            adopt(meter, max_connections=1, send_to="first", keepalive=77, buffer_size=10)
            meter.connection.port_data(b"after")
            await peer.hears(b"before after")
            peer.send(b"still here")
            await until(lambda: meter.port.written == b"still here")
            (session,) = meter.sessions
            idle = session.link.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
            assert idle == 77
            another = meter.knock()
            assert b"in use by" in await another.hears_end()

    run(scenario())


def test_new_settings_are_put_in_force(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(dtr_disconnected="high") as meter:
            meter.happened()
            adopt(meter, baudrate=1200)
            assert meter.happened() == [SetLine.everything(LineSettings(1200))]
            adopt(meter, dtr_disconnected="low", rts_connected="high")
            assert meter.happened() == [SetModem(dtr=False)]
            adopt(meter, nodelay=False)
            assert meter.happened() == []
            await meter.peer()
            assert meter.happened() == [SetModem(rts=True)]
            adopt(meter, rts_connected="low", dtr_disconnected="leave")
            assert meter.happened() == [SetModem(rts=False)]

    run(scenario())


def test_settings_that_the_device_does_not_take_are_told(
    run: Run, stage: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with stage() as meter:
            meter.port.hold = True
            adopt(meter, baudrate=1_000_000)
            ((_, done),) = meter.port.waiting
            done(PortState(LineSettings(9600)))
            told = "does not do 1000000-8N1; it stays at 9600-8N1"
            assert told in caplog.text
            assert told in survey(meter.connection, 0).reason
            adopt(meter, baudrate=9600)
            done = meter.port.waiting[-1][1]
            done(PortState(LineSettings(9600)))
            assert survey(meter.connection, 0).reason == ""

    run(scenario())


def test_what_was_gathered_under_the_old_rules_is_sent(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(packet_size=100) as meter:
            peer = await meter.peer()
            meter.connection.port_data(b"gathered")
            adopt(meter, packet_size=4)
            await peer.hears(b"gathered")
            meter.connection.port_data(b"12345")
            await peer.hears(b"1234")
            adopt(meter, packet_size=0)
            await peer.hears(b"5")

    run(scenario())


def test_less_room_in_the_buffer_discards_what_came_last(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(buffer_size=10) as meter:
            meter.connection.port_data(b"0123456789")
            adopt(meter, buffer_size=4)
            assert meter.connection.hub.keep.discarded == 6
            peer = await meter.peer()
            await peer.hears(b"0123")

    run(scenario())


def test_the_port_opens_and_closes_as_is_wanted_now(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage() as meter:
            adopt(meter, open_when_connected=True)
            assert not meter.port.opened
            adopt(meter, open_when_connected=False)
            assert meter.port.opened
            await meter.peer()
            adopt(meter, open_when_connected=True)
            assert meter.port.opened

    run(scenario())


def test_a_port_that_is_to_stay_open_again_is_not_closed(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage() as meter:
            meter.port.hold = True
            adopt(meter, open_when_connected=True)
            adopt(meter, open_when_connected=False)
            meter.port.carry_out()
            assert meter.port.opened

    run(scenario())


def test_it_listens_elsewhere_and_its_peers_stay(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(listen=["127.0.0.1:0", "rfc2217://127.0.0.1:0"]) as meter:
            first, second = meter.connection.network.entrance.listeners
            peer = await meter.peer()
            adopt(meter, listen=["rfc2217://127.0.0.1:0", "127.0.0.2:0"])
            assert meter.connection.network.entrance.listeners[0] is second
            assert not first.listening
            await until(lambda: meter.connection.network.entrance.listeners[1].listening)
            meter.connection.port_data(b"still here")
            await peer.hears(b"still here")

    run(scenario())


def test_a_protocol_that_is_not_offered_any_more_ends(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage() as meter:
            peer = await meter.peer()
            adopt(meter, protocol="rfc2217")
            assert await peer.hears_end() == b""
            await until(lambda: meter.connection.network.entrance.listeners[0].listening)
            await meter.asker()

    run(scenario())


def test_it_listens_only_while_the_port_is_open_from_now_on(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(virtual="ttyV0") as plc:
            (listener,) = plc.connection.network.entrance.listeners
            adopt(plc, listen_when_open=True)
            assert not listener.listening
            plc.port.use(True)
            assert listener.listening
            adopt(plc, listen_when_open=False)
            plc.port.use(False)
            assert listener.listening

    run(scenario())


def test_who_hears_what_was_kept_may_be_decided_later(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(send_to="none", buffer_size=10) as meter:
            meter.connection.port_data(b"kept")
            peer = await meter.peer()
            adopt(meter, send_to="all")
            await peer.hears(b"kept")

    run(scenario())


def test_two_connections_may_swap_their_addresses(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        ports = free_port(20000), free_port(26000)
        async with stage(listen=ports[0]) as one, stage(listen=ports[1]) as other:
            adopt(one, listen=ports[1])
            adopt(other, listen=ports[0])
            listeners = [each.connection.network.entrance.listeners[0] for each in (one, other)]
            await until(lambda: all(each.listening or each.error for each in listeners))
            assert [each.error for each in listeners] == [None, None]

    run(scenario())
