"""A server's handshakes over real sockets of the loopback: bounds, and what the others notice."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING

from portline.net.stream import StreamLink
from portline.net.tls.handshake import HANDSHAKE_BYTES, Turns
from portline.net.tls.handshakes import HANDSHAKES, Handshakes
from portline.net.tls.mistrust import Failure
from tests.unit.net.tls.test_link import Far, sockets
from tests.unit.net.tls_ends import Place, old_context, place
from tests.waiting import until

if TYPE_CHECKING:
    from portline.net.tls.link import TlsLink
    from portline.net.tls.mistrust import TlsFault
    from tests.conftest import Run

__all__ = ["place"]

MODERN = ssl.TLSVersion.TLSv1_3


class Hall:
    """Handshakes, with what came of them."""

    def __init__(self, place: Place, limit: float = 30) -> None:
        self.loop = asyncio.get_running_loop()
        self.streams: list[StreamLink] = []
        self.links: list[TlsLink] = []
        self.faults: list[tuple[str, TlsFault]] = []
        self.context = place.server().load()
        self.handshakes = Handshakes(
            self.loop,
            done=lambda link, protocol: self.links.append(link),
            failed=lambda peer, fault: self.faults.append((peer, fault)),
            limit=limit,
        )

    def enter(self, name: str = "192.0.2.1:5") -> socket.socket:
        near, far = sockets()
        self.streams.append(StreamLink(self.loop, near, name))
        self.handshakes.begin(self.streams[-1], "raw", self.context)
        return far

    def close(self) -> None:
        self.handshakes.close()
        for stream in self.streams:
            stream.abort()


async def through(sock: socket.socket) -> Far:
    far = Far(sock, old_context(MODERN))
    await far.shake()
    return far


def test_who_is_through_is_handed_on(run: Run, place: Place) -> None:
    async def scenario() -> None:
        hall = Hall(place)
        far = hall.enter()
        assert len(hall.handshakes) == 1
        await through(far)
        await until(lambda: len(hall.links) == 1)
        assert len(hall.handshakes) == 0
        assert hall.handshakes.counts == {}
        hall.close()
        far.close()

    run(scenario())


def test_who_says_nothing_or_little_is_sent_away_in_time(run: Run, place: Place) -> None:
    async def scenario() -> None:
        hall = Hall(place, limit=0.2)
        silent, slow = hall.enter(), hall.enter()
        slow.send(b"\x16\x03\x01")
        await until(lambda: len(hall.faults) == 2)
        assert hall.handshakes.counts == {Failure.TIMEOUT.value: 2}
        assert "0.2 s" in hall.faults[0][1].text
        for sock in (silent, slow):
            sock.setblocking(True)
            sock.settimeout(5)
            assert sock.recv(100) == b""
            sock.close()
        hall.close()

    run(scenario())


def test_others_get_through_a_flood_from_one_address(run: Run, place: Place) -> None:
    async def scenario() -> None:
        hall = Hall(place)
        socks = [hall.enter(f"192.0.2.66:{port}") for port in range(HANDSHAKES - 1)]
        good = hall.enter("192.0.2.7:1")
        socks += [hall.enter(f"192.0.2.66:{1000 + port}") for port in range(HANDSHAKES)]
        assert len(hall.handshakes) == HANDSHAKES
        assert hall.handshakes.counts == {Failure.CROWDED.value: HANDSHAKES}
        assert {peer.partition(":")[0] for peer, _ in hall.faults} == {"192.0.2.66"}
        assert hall.faults[0][0] == "192.0.2.66:0"  # the oldest first
        await through(good)
        await until(lambda: len(hall.links) == 1)
        hall.close()
        assert len(hall.handshakes) == 0
        for sock in (*socks, good):
            sock.close()

    run(scenario())


def test_a_network_of_ipv6_counts_as_one_place(run: Run, place: Place) -> None:
    async def scenario() -> None:
        hall = Hall(place)
        good = hall.enter("[2001:db8:1::7]:1")
        socks = [hall.enter(f"[2001:db8:2::{host:x}]:1000") for host in range(HANDSHAKES)]
        assert [peer for peer, _ in hall.faults] == ["[2001:db8:2::0]:1000"]
        await through(good)
        hall.close()
        for sock in (*socks, good):
            sock.close()

    run(scenario())


def test_a_first_word_without_an_end_costs_bounded_memory(run: Run, place: Place) -> None:
    async def scenario() -> None:
        hall = Hall(place)
        far = hall.enter()
        # Fragments of a client hello that says of itself that it has 16 MiB.
        hello = b"\x01\xff\xff\xff" + bytes(12_000)
        record = b"\x16\x03\x01" + len(hello).to_bytes(2) + hello
        more = b"\x16\x03\x01" + (12_000).to_bytes(2) + bytes(12_000)
        with suppress(OSError):  # sent away in the middle
            for words in (record, *[more] * 100):
                await hall.loop.sock_sendall(far, words)
        await until(lambda: hall.faults != [])
        assert hall.faults[0][1].failure is Failure.BROKEN
        assert hall.streams[0].received < 2 * HANDSHAKE_BYTES
        hall.close()
        far.close()

    run(scenario())


def test_plain_text_garbage_and_who_leaves_are_told_apart(run: Run, place: Place) -> None:
    async def scenario() -> None:
        hall = Hall(place)
        plain, garbage, gone = hall.enter(), hall.enter(), hall.enter()
        plain.send(b"GET / HTTP/1.1\r\n\r\n")
        garbage.send(b"\x16\x03\x01\x00\x04abcd")
        gone.close()
        await until(lambda: len(hall.faults) == 3)
        assert hall.handshakes.counts == {
            Failure.PLAIN.value: 1,
            Failure.LEFT.value: 1,
            Failure.BROKEN.value: 1,
        }
        hall.close()
        plain.close()
        garbage.close()

    run(scenario())


def test_each_step_has_a_turn_of_the_loop(run: Run) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        turns, order = Turns(loop), list[str]()

        def tick() -> None:
            order.append("data")
            if len(order) < 9:
                loop.call_soon(tick)

        def fail() -> None:
            order.append("step")
            raise ValueError("of this test")

        complaints: list[object] = []
        loop.set_exception_handler(lambda _loop, context: complaints.append(context))
        loop.call_soon(tick)
        for call in (lambda: order.append("step"), fail, lambda: order.append("step")):
            turns.wait(call)
        await until(lambda: len(order) >= 9)
        assert "step step" not in " ".join(order)
        assert order.count("step") == 3
        assert len(complaints) == 1

    run(scenario())
