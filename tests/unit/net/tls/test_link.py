"""The link over real sockets of the loopback; the far end is Python's own TLS, or a link."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
import struct
from typing import TYPE_CHECKING

import pytest

from portline.net.stream import StreamLink
from portline.net.tls.handshake import Handshake, Turns
from portline.net.tls.link import TlsLink
from tests.unit.net.test_stream import Owner
from tests.unit.net.tls_ends import Place, old_context, place
from tests.waiting import unread, until

if TYPE_CHECKING:
    from portline.net.tls.mistrust import TlsFault
    from tests.conftest import Run

__all__ = ["place"]


def sockets() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        far = socket.create_connection(server.getsockname())
        near, _ = server.accept()
    far.setblocking(False)
    return near, far


async def shaken(place: Place, sock: socket.socket, *, server: bool) -> TlsLink:
    """Return the link after its handshake."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[TlsLink] = loop.create_future()

    def failed(_handshake: Handshake, fault: TlsFault) -> None:
        outcome.set_exception(AssertionError(str(fault)))

    made = place.server().load() if server else place.client().load()
    channel = made.channel() if server else made.channel("localhost")  # type: ignore[union-attr, call-arg]
    Handshake(
        loop,
        StreamLink(loop, sock, "peer"),
        channel,
        certificate=made.certificate,
        limit=10,
        turns=Turns(loop),
        done=outcome.set_result,
        failed=failed,
    ).begin()
    return await outcome


async def links(place: Place) -> tuple[TlsLink, TlsLink]:
    near, far = sockets()
    one, other = await asyncio.gather(
        shaken(place, near, server=True), shaken(place, far, server=False)
    )
    return one, other


class Far:
    """Python's own end of TLS over a socket that does not block."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing)

    async def shake(self) -> None:
        while True:
            try:
                self.tls.do_handshake()
                await self.flush()
                return
            except ssl.SSLWantReadError:
                await self.flush()
                self._incoming.write(await self._loop.sock_recv(self._sock, 65536))

    async def flush(self) -> None:
        if words := self._outgoing.read():
            await self._loop.sock_sendall(self._sock, words)

    def records(self, data: bytes) -> bytes:
        self.tls.write(data)
        return self._outgoing.read()

    async def read(self, size: int) -> bytes:
        got = b""
        while len(got) < size:
            try:
                got += self.tls.read(size - len(got))
            except ssl.SSLWantReadError:
                data = await self._loop.sock_recv(self._sock, 65536)
                assert data, "cut off"
                self._incoming.write(data)
        return got


async def with_far(place: Place) -> tuple[TlsLink, Far, socket.socket]:
    near, sock = sockets()
    far = Far(sock, old_context(ssl.TLSVersion.TLSv1_3))
    link, _ = await asyncio.gather(shaken(place, near, server=True), far.shake())
    return link, far, sock


def test_bytes_go_both_ways_and_are_counted_as_plain_text(run: Run, place: Place) -> None:
    async def scenario() -> None:
        one, other = await links(place)
        at_one, at_other = Owner(), Owner()
        one.start(at_one)
        other.start(at_other)
        assert one.write(b"hello")
        other.write(b"world!")
        await until(lambda: at_other.data == b"hello" and at_one.data == b"world!")
        assert (one.sent, one.received, one.unsent) == (5, 6, 0)
        await until(lambda: one.acked == 5)
        for link in (one, other):
            assert link.security.version == "TLSv1.3"
            assert not link.closed
        assert other.security.subject == "server"
        assert one.end_point == other.end_point != b""
        one.abort()
        assert one.closed
        other.abort()

    run(scenario())


def test_a_large_stream_arrives_whole_both_ways_through_pauses(run: Run, place: Place) -> None:
    async def scenario() -> None:
        one, other = await links(place)
        data = random.Random(1).randbytes(3_000_000)

        class Sender(Owner):
            at = 0

            def link_ready(self) -> None:
                self.send()

            def send(self) -> None:
                while self.at < len(data):
                    piece = data[self.at : self.at + 50_000]
                    self.at += len(piece)
                    if not self.link.write(piece):
                        return

            link: TlsLink

            def link_data(self, data: bytes) -> None:
                super().link_data(data)
                if len(self.data) % 7 == 0:
                    self.link.pause()
                    asyncio.get_running_loop().call_later(0.001, self.link.resume)

        ends = []
        for link in (one, other):
            owner = Sender()
            owner.link = link
            ends.append(owner)
            link.start(owner)
            owner.send()
        await until(lambda: all(len(end.data) == len(data) for end in ends))
        assert all(end.data == data for end in ends)
        await until(lambda: one.acked == other.acked == len(data))
        assert (one.unsent, one.received, one.sent) == (0, len(data), len(data))
        one.finish()
        await until(lambda: "eof" in ends[1].events)
        other.finish()
        await until(lambda: one.closed and other.closed)
        assert (one.lost, other.lost) == (0, 0)

    run(scenario())


def test_who_has_said_close_notify_still_hears(run: Run, place: Place) -> None:
    async def scenario() -> None:
        link, far, sock = await with_far(place)
        owner = Owner()
        link.start(owner)
        with pytest.raises(ssl.SSLWantReadError):
            far.tls.unwrap()
        await far.flush()
        await until(lambda: owner.events == ["eof"])
        assert link.has_left()
        link.write(b"the answer")
        link.finish(b", and goodbye")
        assert await far.read(23) == b"the answer, and goodbye"
        sock.close()
        await until(lambda: link.closed)

    run(scenario())


def test_a_fin_without_close_notify_is_a_loss(run: Run, place: Place) -> None:
    async def scenario() -> None:
        link, far, sock = await with_far(place)
        owner = Owner()
        link.start(owner)
        whole = far.records(b"whole")
        await asyncio.get_running_loop().sock_sendall(sock, whole + far.records(b"cut")[:-4])
        sock.shutdown(socket.SHUT_WR)
        await until(lambda: owner.events != [])
        assert owner.data == b"whole"
        (reason,) = owner.events
        assert "close_notify" in reason
        assert link.closed
        sock.close()

    run(scenario())


def test_a_changed_record_ends_the_link(run: Run, place: Place) -> None:
    async def scenario() -> None:
        link, far, sock = await with_far(place)
        owner = Owner()
        link.start(owner)
        bad = bytearray(far.records(b"bad"))
        bad[-1] ^= 1
        sock.send(bytes(bad))
        await until(lambda: owner.events != [])
        assert owner.data == b""
        assert "not TLS as it should be" in owner.events[0]
        assert link.closed
        sock.close()

    run(scenario())


def test_what_comes_with_the_handshake_waits_for_who_listens(run: Run, place: Place) -> None:
    async def scenario() -> None:
        link, far, sock = await with_far(place)
        sock.send(far.records(b"early"))
        with pytest.raises(ssl.SSLWantReadError):
            far.tls.unwrap()
        await far.flush()
        await unread(link._stream.socket)
        owner = Owner()
        link.start(owner)
        assert owner.data == b""  # never from within a call of the owner
        await until(lambda: owner.events == ["eof"])
        assert owner.data == b"early"
        link.abort()
        sock.close()

    run(scenario())


def test_who_is_paused_before_the_start_hears_nothing_yet(run: Run, place: Place) -> None:
    async def scenario() -> None:
        link, far, sock = await with_far(place)
        await asyncio.get_running_loop().sock_sendall(sock, far.records(b"early"))
        owner = Owner()
        link.pause()
        link.start(owner)
        await unread(link._stream.socket)
        assert owner.data == b""
        link.resume()
        await until(lambda: owner.data == b"early")
        link.abort()
        sock.close()

    run(scenario())


def test_what_is_read_is_passed_on_in_the_pieces_that_are_wanted(run: Run, place: Place) -> None:
    async def scenario() -> None:
        link, far, sock = await with_far(place)
        pieces: list[int] = []

        class Small(Owner):
            def link_data(self, data: bytes) -> None:
                super().link_data(data)
                pieces.append(len(data))
                if len(pieces) == 2:
                    link.pause()

        owner = Small()
        link.read_size = 4096
        link.start(owner)
        await asyncio.get_running_loop().sock_sendall(sock, far.records(bytes(16384)))
        await until(lambda: len(pieces) == 2)
        for _ in range(5):  # what is left has come, and would be given in the next turn
            await asyncio.sleep(0)
        assert pieces == [4096, 4096]
        link.resume()
        await until(lambda: len(owner.data) == 16384)
        assert pieces == [4096] * 4
        link.abort()
        sock.close()

    run(scenario())


def test_what_a_peer_did_not_get_is_known_in_plain_text(run: Run, place: Place) -> None:
    async def scenario() -> None:
        link, far, sock = await with_far(place)
        link.start(Owner())
        link.retain()
        data = random.Random(2).randbytes(20_000_000)
        for start in range(0, len(data), 100_000):
            link.write(data[start : start + 100_000])
        got = await far.read(1_000_000)
        assert got == data[: len(got)]
        await until(lambda: link.acked >= len(got))
        rest, known = link.unacknowledged()
        assert data.endswith(rest)
        assert 0 <= known <= len(rest)
        acked = link.acked
        assert acked == len(data) - len(rest) + known
        assert acked <= link.sent < len(data)
        assert link.sent + link.unsent == len(data)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        await until(lambda: link.closed)
        assert link.lost == len(data) - link.acked
        assert link.acked >= acked

    run(scenario())


def test_closing_calls_once(run: Run, place: Place) -> None:
    async def scenario() -> None:
        one, other = await links(place)
        calls: list[str] = []
        one.when_closed(lambda: calls.append("closed"))
        one.abort()
        one.abort()
        one.finish()
        assert calls == ["closed"]
        one.when_closed(lambda: calls.append("again"))
        assert calls == ["closed", "again"]
        owner = Owner()
        other.start(owner)
        await until(lambda: owner.events != [])
        assert "close_notify" in owner.events[0]

    run(scenario())


def test_the_options_of_tcp_reach_the_socket(run: Run, place: Place) -> None:
    async def scenario() -> None:
        one, other = await links(place)
        one.configure(nodelay=True, keepalive=30, retry=5)
        assert not one.dead(1)
        assert one.stuck_at() is None
        assert one.arrived(1) == 0
        one.write(b"123")
        await until(lambda: one.arrived(1) == 3)
        one.trust()
        one.abort()
        other.abort()

    run(scenario())


def test_what_is_written_behind_a_fault_is_lost_and_counted(run: Run, place: Place) -> None:
    async def scenario() -> None:
        link, far, sock = await with_far(place)

        class Full(Owner):
            def link_data(self, data: bytes) -> None:
                super().link_data(data)
                link.pause()

        owner = Full()
        link.start(owner)
        link.retain()
        good, bad = far.records(b"good, more"), bytearray(far.records(b"bad"))
        bad[-1] ^= 1
        sock.send(good + bytes(bad))
        await until(lambda: owner.data == b"good, more")
        await until(lambda: link._channel.fault is not None)
        assert not link.write(b"too late")
        assert link.unsent == 8
        assert owner.events == []
        link.resume()
        await until(lambda: owner.events != [])
        assert link.lost == 8
        assert link.unacknowledged() == (b"too late", 0)
        sock.close()

    run(scenario())
