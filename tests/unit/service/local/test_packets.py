from __future__ import annotations

from typing import Any, cast

from portline.frame.rules import Packetizer
from portline.service.local.packets import PacketFlow
from tests.unit.service.stand_ins import Clock


def test_time_completes_a_packet() -> None:
    clock = Clock()
    sent: list[bytes] = []
    flow = PacketFlow(
        Packetizer(wait=0.5, block=4),
        loop=cast("Any", clock),
        send=sent.append,
        full=lambda full: None,
    )
    flow.feed(b"ab")
    assert clock.waiting == [0.5]
    clock.pass_time(0.5)
    assert sent == [b"ab"]
    flow.feed(b"abcdef")
    assert sent == [b"ab", b"abcd"]
    assert flow.rest() == b"ef"
    assert clock.waiting == []


def test_it_tells_when_more_waits_than_should() -> None:
    clock = Clock()
    levels: list[bool] = []
    flow = PacketFlow(
        Packetizer(block=1024, pause=1.0),
        loop=cast("Any", clock),
        send=lambda packet: None,
        full=levels.append,
    )
    flow.feed(bytes(256 * 1024))
    assert levels[-1]
    flow.rest()
    assert not levels[-1]


def test_another_idle_time_holds_for_what_is_gathered_too() -> None:
    clock = Clock()
    sent: list[bytes] = []
    flow = PacketFlow(
        Packetizer(idle=10.0), loop=cast("Any", clock), send=sent.append, full=lambda full: None
    )
    flow.feed(b"ab")
    clock.pass_time(1.0)
    flow.call_idle(1.5)
    assert (sent, clock.waiting) == ([], [0.5])
    flow.call_idle(0.5)
    assert (sent, clock.waiting) == ([b"ab"], [])


def test_other_rules_send_what_is_gathered_and_none_gather_nothing() -> None:
    clock = Clock()
    sent: list[bytes] = []
    flow = PacketFlow(
        Packetizer(wait=0.5),
        loop=cast("Any", clock),
        send=sent.append,
        full=lambda full: None,
    )
    flow.feed(b"ab")
    flow.gather_by(Packetizer(block=2))
    assert sent == [b"ab"]
    flow.feed(b"abc")
    assert sent == [b"ab", b"ab"]
    flow.gather_by(None)
    assert sent == [b"ab", b"ab", b"c"]
    flow.call_idle(0.5)
    assert flow.rest() == b""
    assert not flow.coming
