from __future__ import annotations

import asyncio
import random
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from portline.net.ending import ACK_POLL, UNHEARD_MAX
from portline.net.stream import StreamLink
from tests.waiting import unread, until

if TYPE_CHECKING:
    from tests.conftest import Run


class Owner:
    def __init__(self) -> None:
        self.data = b""
        self.events: list[str] = []

    def link_data(self, data: bytes) -> None:
        self.data += data

    def link_eof(self) -> None:
        self.events.append("eof")

    def link_ready(self) -> None:
        self.events.append("ready")

    def link_lost(self, reason: str) -> None:
        self.events.append(reason)


def pair() -> tuple[StreamLink, socket.socket, Owner]:
    """A link on one end of a TCP connection, and the other end."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        far = socket.create_connection(server.getsockname())
        near, _ = server.accept()
    far.setblocking(False)
    link = StreamLink(asyncio.get_running_loop(), near, "peer")
    return link, far, Owner()


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


async def read(sock: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size:
        chunk = await asyncio.get_running_loop().sock_recv(sock, 1 << 20)
        if not chunk:
            break
        got += chunk
    return got


def test_bytes_go_both_ways_and_are_counted(run: Run) -> None:
    async def scenario() -> None:
        link, far, owner = pair()
        link.start(owner)
        assert link.write(b"hello")
        assert await read(far, 5) == b"hello"
        far.send(b"world!")
        await until(lambda: owner.data == b"world!")
        assert (link.sent, link.received, link.unsent) == (5, 6, 0)
        link.abort()
        assert link.closed
        link.abort()
        far.close()

    run(scenario())


def test_what_the_kernel_does_not_take_follows_in_order(run: Run) -> None:
    async def scenario() -> None:
        link, far, owner = pair()
        link.start(owner)
        chunk = bytes(range(256)) * 256
        count = 0
        while link.write(chunk):
            count += 1
        assert not link.write(b"and then ")
        assert not link.write(b"the end")
        assert link.unsent > 16
        expected = chunk * (count + 1) + b"and then the end"
        assert await read(far, len(expected)) == expected
        await until(lambda: "ready" in owner.events)
        assert link.unsent == 0
        assert link.write(b"again")
        link.abort()
        far.close()

    run(scenario())


def test_nothing_is_read_while_it_is_paused(run: Run) -> None:
    async def scenario() -> None:
        link, far, owner = pair()
        link.start(owner)
        link.pause()
        far.send(b"later")
        await unread(link.socket)
        assert owner.data == b""
        link.resume()
        await until(lambda: owner.data == b"later")
        link.abort()
        far.close()

    run(scenario())


def test_a_half_closed_peer_still_gets_data(run: Run) -> None:
    async def scenario() -> None:
        link, far, owner = pair()
        link.start(owner)
        far.send(b"bye")
        far.shutdown(socket.SHUT_WR)
        await until(lambda: owner.events == ["eof"])
        assert owner.data == b"bye"
        link.resume()
        assert link.write(b"answer")
        link.finish()
        assert await read(far, 100) == b"answer"
        assert owner.events == ["eof"]
        await until(lambda: link.closed)
        far.close()

    run(scenario())


def test_a_reset_is_told_with_its_reason(run: Run) -> None:
    async def scenario() -> None:
        link, far, owner = pair()
        link.start(owner)
        reset(far)
        await until(lambda: owner.events == ["connection reset by the peer"])
        assert link.closed

    run(scenario())


@pytest.mark.parametrize("read_size", [10, 1000])
def test_a_reset_that_comes_with_data_is_told_when_all_of_it_is_read(
    run: Run, read_size: int
) -> None:
    async def scenario() -> None:
        link, far, owner = pair()
        link.read_size = read_size
        link.start(owner)
        far.send(bytes(range(100)))
        reset(far)
        await until(lambda: owner.events != [])
        assert owner.data == bytes(range(100))
        assert owner.events == ["connection reset by the peer"]
        assert link.closed

    run(scenario())


def test_finishing_notes_a_reset_that_comes_with_data(run: Run) -> None:
    async def scenario() -> None:
        link, far, owner = pair()
        link.read_size = 10
        link.start(owner)
        link.finish(limit=1000)
        far.send(bytes(100))
        reset(far)
        await until(lambda: link.closed)
        assert owner.events == []

    run(scenario())


def test_an_error_of_write_is_told_later_not_from_within(run: Run) -> None:
    async def scenario() -> None:
        link, far, owner = pair()
        link.start(owner)
        link.pause()
        reset(far)
        while link.write(b"x"):
            await asyncio.sleep(0.001)
        assert owner.events == []
        await until(lambda: bool(owner.events))
        assert link.closed

    run(scenario())


def test_a_farewell_survives_what_the_peer_has_sent_meanwhile(run: Run) -> None:
    async def scenario() -> None:
        link, far, _ = pair()
        far.send(b"unread negotiation")
        link.finish(b"portline: in use\r\n")
        assert await read(far, 100) == b"portline: in use\r\n"
        far.close()
        await until(lambda: link.closed)

    run(scenario())


def test_finishing_ends_in_bounded_time_with_a_peer_that_does_not_read(run: Run) -> None:
    async def scenario() -> None:
        link, far, owner = pair()
        link.start(owner)
        while link.write(bytes(65536)):
            pass
        link.finish(limit=0.05)
        link.finish()
        await until(lambda: link.closed)
        assert owner.events == []
        far.close()

    run(scenario())


def test_finishing_does_not_listen_for_ever_to_who_goes_on(run: Run) -> None:
    async def scenario() -> None:
        link, far, owner = pair()
        link.start(owner)
        link.finish(limit=0.3)
        sent = 0
        far.setblocking(False)
        while not link.closed:
            with suppress(BlockingIOError, ConnectionError):
                sent += far.send(bytes(65536))
            await asyncio.sleep(0)
        # The kernel holds some for a socket that is not read (net.ipv4.tcp_rmem, tcp_wmem).
        assert UNHEARD_MAX < sent < 32 * 1024**2
        far.close()

    run(scenario())


def test_finishing_sends_the_rest_first(run: Run) -> None:
    async def scenario() -> None:
        link, far, owner = pair()
        link.start(owner)
        count = 1
        while link.write(bytes(65536)):
            count += 1
        link.finish(b"bye", limit=30)
        got = await read(far, 1 << 30)
        assert len(got) == count * 65536 + 3
        assert got.endswith(b"bye")
        far.close()
        await until(lambda: link.closed)

    run(scenario())


# --- what is lost --------------------------------------------------------------------------------


class Wire:
    """A link that counts how often it says that it is closed."""

    def __init__(self) -> None:
        self.link, self.far, self.owner = pair()
        self.link.start(self.owner)
        self.closed = 0
        self.link.when_closed(self.note)

    def note(self) -> None:
        self.closed += 1

    async def lost(self) -> tuple[int, int]:
        await until(lambda: self.link.closed)
        assert self.closed == 1
        self.link.when_closed(self.note)
        assert self.closed == 2
        return self.link.acked, self.link.lost


def test_what_a_peer_that_had_gone_did_not_get_is_lost(run: Run) -> None:
    async def scenario() -> None:
        wire = Wire()
        wire.link.write(b"hello")
        assert await read(wire.far, 5) == b"hello"
        wire.far.close()
        wire.link.write(b"nobody there")  # the kernel takes it
        while wire.link.write(b"!"):  # until it has heard that nobody is there
            await asyncio.sleep(0.001)
        sent = wire.link.sent
        wire.link.finish()
        assert await wire.lost() == (5, sent + 1 - 5)

    run(scenario())


def test_what_an_abort_throws_away_is_lost_and_the_peer_can_see_that(run: Run) -> None:
    async def scenario() -> None:
        wire = Wire()
        size = 0
        while wire.link.write(bytes(65536)):
            size += 65536
        size += 65536
        wire.link.abort()
        acked, lost = await wire.lost()
        assert acked + lost == size
        with pytest.raises(ConnectionResetError):
            await read(wire.far, size)
        wire.far.close()

    run(scenario())


def test_an_abort_with_nothing_missing_is_an_ordinary_end(run: Run) -> None:
    async def scenario() -> None:
        wire = Wire()
        wire.link.write(b"all of it")
        await until(lambda: wire.link.acked == 9)
        wire.link.abort()
        assert await read(wire.far, 100) == b"all of it"
        assert await wire.lost() == (9, 0)
        wire.far.close()

    run(scenario())


def test_finishing_waits_for_a_peer_that_has_ended_but_reads_slowly(run: Run) -> None:
    async def scenario() -> None:
        wire = Wire()
        wire.far.shutdown(socket.SHUT_WR)
        await until(lambda: wire.owner.events == ["eof"])
        while wire.link.write(bytes(65536)):
            pass
        wire.link.finish(limit=30)
        await asyncio.sleep(3 * ACK_POLL)
        assert not wire.link.closed
        size = wire.link.sent + wire.link.unsent
        assert len(await read(wire.far, size)) == size
        assert await wire.lost() == (size, 0)
        wire.far.close()

    run(scenario())


# --- what the other machine has not got -----------------------------------------------------------


def test_what_is_acknowledged_is_not_retained(run: Run) -> None:
    async def main() -> None:
        link, far, owner = pair()
        link.retain()
        link.start(owner)
        for _ in range(5):
            link.write(bytes(40_000))
            await read(far, 40_000)
        await until(lambda: link.acked == link.sent)
        link.write(b"end")
        await read(far, 3)
        await until(lambda: link.unacknowledged() == (b"", 0))
        link.abort()
        far.close()

    run(main())


def test_what_a_dead_peer_did_not_get_is_there_when_the_link_is_closed(run: Run) -> None:
    async def main() -> None:
        link, far, owner = pair()
        link.retain()
        link.start(owner)
        written = b""
        while len(written) < 8_000_000:  # more than the kernels take
            written += (piece := random.randbytes(50_000))
            link.write(piece)
        got = await read(far, 1_000_000)
        reset(far)
        await until(lambda: link.closed)
        rest, skipped = link.unacknowledged()
        assert written.endswith(rest)
        acknowledged = len(written) - len(rest) + skipped
        assert len(got) <= acknowledged <= link.sent
        assert 0 <= skipped < 50_000

    run(main())


def test_a_dialled_connection_counts_from_its_first_byte(run: Run) -> None:
    """The kernel counts our SYN among what is acknowledged, where we have connected."""

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            near = socket.create_connection(server.getsockname())
            far, _ = server.accept()
        link = StreamLink(asyncio.get_running_loop(), near, "peer")
        link.start(Owner())
        assert link.acked == 0
        link.write(b"abc")
        far.setblocking(False)
        assert await read(far, 3) == b"abc"
        await until(lambda: link.acked == 3)
        link.abort()
        far.close()

    run(main())


def test_a_link_answers_for_its_socket(run: Run) -> None:
    async def scenario() -> None:
        link, far, _owner = pair()
        link.configure(nodelay=True, keepalive=20, retry=5)
        assert link.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 20
        assert (link.hears, link.dead(19), link.has_left()) == (True, False, False)
        far.close()
        await until(link.has_left)
        link.abort()
        link.configure(nodelay=True, keepalive=20, retry=5)  # it is too late, and no matter

    run(scenario())
