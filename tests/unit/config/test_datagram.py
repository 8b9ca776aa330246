from __future__ import annotations

from collections.abc import Mapping

import pytest
from pydantic import ValidationError

from portline.config.datagram import DATAGRAM_SIZE, Accept, UdpConnection
from portline.config.models import GatewayConfig
from portline.config.values import Address, Place, Protocol

PORT = {"port": "/dev/ttyNONE0"}


def made(**options: object) -> UdpConnection:
    return UdpConnection.model_validate(PORT | options)


def mistakes(**options: object) -> str:
    with pytest.raises(ValidationError) as raised:
        made(**options)
    return "\n".join(f"{e['loc'] and e['loc'][0]}: {e['msg']}" for e in raised.value.errors())


def test_the_defaults_send_what_fits_ethernet_to_those_who_are_named() -> None:
    one = made(connect="192.0.2.7:5000")
    assert (one.kind, one.accept, one.datagram_size) == ("udp", Accept.KNOWN, DATAGRAM_SIZE)
    assert (one.listen, one.multicast_ttl, one.multicast_loop) == ((), 1, False)
    assert one.protocols() == {Protocol.RAW}
    assert not one.only_when_open


def test_places_are_those_to_send_to_and_then_those_to_receive_on() -> None:
    one = made(connect=["192.0.2.7:5000", "[ff02::1]:5000"], listen="*:5000", open=True)
    assert one.addresses == (
        Address("192.0.2.7", 5000),
        Address("ff02::1", 5000),
        Address("*", 5000),
    )
    assert one.places()[0] == Place("192.0.2.7", 5000, Protocol.RAW)


@pytest.mark.parametrize(
    ("options", "mistake"),
    [
        ({}, "needs a host to send to"),
        ({"listen": 5000}, "listen: nobody's datagrams would be taken, because connect"),
        ({"listen": 5000, "accept": "known"}, "accept: nobody's datagrams would be taken"),
        ({"connect": "rfc2217://h:1"}, "connect: rfc2217://h:1: there is no RFC 2217 in datagrams"),
        ({"connect": "h:1", "listen": "rfc2217://2"}, "listen: rfc2217://127.0.0.1:2: there is no"),
        ({"connect": "h:1", "max_learned": 2}, "max_learned: is about peers that are learned"),
        ({"connect": "h:1", "accept": "any", "forget_after": 2}, "forget_after: is about peers"),
        ({"connect": "10.0.0.1:1", "multicast_ttl": 2}, "multicast_ttl: is about multicast groups"),
        ({"connect": "h:1", "connect_when_open": True}, "connect_when_open: does not apply"),
        ({"connect": "h:1", "interface": "no way"}, "interface: 'no way' must be the name of a"),
        ({"connect": "h:1", "interface": 1}, "interface: 1 must be the name of a"),
        ({"connect": "h:1", "datagram_size": 65508}, "datagram_size: 65508 must be 64 to 65507"),
        (
            {"connect": "h:1", "protocol": "raw"},
            "protocol: is an option of kind server or client, and",
        ),
    ],
)
def test_mistakes(options: Mapping[str, object], mistake: str) -> None:
    assert mistake in mistakes(**options).replace('"', "'")


@pytest.mark.parametrize(
    "options",
    [
        {"listen": 5000, "accept": "learn", "max_learned": 2, "forget_after": "5s"},
        {"listen": 5000, "accept": "any"},
        {"connect": "239.1.2.3:5000", "multicast_ttl": 3, "interface": "eth0"},
        {"connect": "a.group.example:5000", "multicast_loop": True},
        {"connect": "10.0.0.1:1", "listen": "[ff02::1]:5000", "multicast_loop": True},
    ],
)
def test_what_goes_together(options: Mapping[str, object]) -> None:
    assert made(**options)


def test_a_mistake_hides_no_other_and_causes_none() -> None:
    told = mistakes(connect="?", multicast_ttl=2, accept="all", max_learned=3)
    assert told.count("\n") == 1
    assert "connect: " in told
    assert "accept: " in told


def gateway(**tables: Mapping[str, object]) -> GatewayConfig:
    made = {
        name: {"kind": "udp", "port": f"/dev/tty{name}", "connect": "10.0.0.1:1", **table}
        for name, table in tables.items()
    }
    return GatewayConfig.model_validate({"connections": made})


def test_two_connections_do_not_receive_on_one_port() -> None:
    with pytest.raises(ValidationError, match="choose another UDP port"):
        gateway(a={"listen": "*:5000"}, b={"listen": "127.0.0.1:5000"})


def test_a_group_is_for_many_and_tcp_is_another_thing() -> None:
    gateway(
        a={"open": True, "listen": "*:5000", "connect": "239.1.2.3:5000"},
        b={"open": True, "listen": "*:5000", "connect": "239.1.2.4:5000"},
        c={"listen": 5000},
    )
    assert GatewayConfig.model_validate(
        {
            "connections": {
                "a": {"port": "/dev/ttya", "listen": 5000},
                "b": {"kind": "udp", "port": "/dev/ttyb", "connect": "h:1", "listen": 5000},
            }
        }
    )
