from __future__ import annotations

import asyncio
import errno
import socket
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.net.udp import link as module
from portline.net.udp import socket as udp
from portline.net.udp.socket import Returned
from tests.interop.server import free_port
from tests.unit.net.far import Far, Near, clogged
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Run


def test_each_write_is_a_datagram(run: Run) -> None:
    async def scenario() -> None:
        far = Far()
        with far.socket, Near(far.place) as near:
            assert near.news == [""]
            link, _ = near.link()
            assert (link.name, link.hears, link.gather) == (
                f"127.0.0.1:{far.place[1]}",
                True,
                1,
            )
            assert link.write(b"one")
            assert link.write(b"")
            assert link.write(b"two")
            await far.hears(b"one", b"two")
            assert (link.sent, link.unsent, link.lost, link.acked, link.arrived(0)) == (
                6,
                0,
                0,
                6,
                6,
            )

    run(scenario())


def test_a_link_passes_on_what_it_is_given(run: Run) -> None:
    async def scenario() -> None:
        with Near(("127.0.0.1", free_port())) as near:
            link, owner = near.link()
            assert near.endpoint.peer(link.address) is link  # type: ignore[arg-type]
            link.take(b"data")
            link.take(b"")
            assert (owner.heard, link.received) == ([b"data"], 4)
            assert not link.dead(1)
            assert not link.has_left()
            link.configure(nodelay=True, keepalive=1, retry=1)
            link.abort()
            link.take(b"late")
            assert owner.heard == [b"data"]

    run(scenario())


def test_a_link_without_an_address_only_hears(run: Run) -> None:
    async def scenario() -> None:
        with Near(listen=[("127.0.0.1", 0)]) as near:
            link = near.endpoint.link(None, None, "anybody")
            assert (link.name, link.hears) == ("anybody", False)
            assert link.write(b"data")
            assert (link.sent, link.lost) == (0, 4)
            link.abort()

    run(scenario())


def test_what_is_too_long_is_divided(run: Run) -> None:
    async def scenario() -> None:
        far = Far()
        with far.socket, Near(far.place, size=100) as near:
            link, _ = near.link()
            assert link.write(bytes(250))
            await far.hears(bytes(100), bytes(100), bytes(50))
            assert near.endpoint.counts.divided == 1

    run(scenario())


def test_the_way_may_take_less_than_is_allowed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        far = Far()
        with far.socket, Near(far.place, size=1000) as near:
            link, _ = near.link()
            clogged(link, monkeypatch, OSError(errno.EMSGSIZE, "too long"))
            monkeypatch.setattr(udp, "room", lambda family, address: 300)
            assert link.write(bytes(500))
            await far.hears(bytes(300), bytes(200))
            assert (link.sent, link.lost, link.limit) == (500, 0, 300)
            monkeypatch.setattr(module, "NARROW", 0.0)
            link.heard_back(Returned(far.place, errno.EMSGSIZE, 200, sent=False))
            assert link.limit == 1000  # the way may have become wider meanwhile

    run(scenario())


def test_what_fits_nowhere_is_lost(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        with Near(("127.0.0.1", free_port())) as near:
            link, _ = near.link()
            refused = OSError(errno.EMSGSIZE, "too long")
            clogged(link, monkeypatch, refused, refused)
            assert link.write(b"data")
            assert (link.sent, link.lost, link.trouble) == (0, 4, "too long")

    run(scenario())


def test_that_an_earlier_one_was_too_long_is_told_of_one_that_fits(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        far = Far()
        with far.socket, Near(far.place) as near:
            link, _ = near.link()
            clogged(link, monkeypatch, OSError(errno.EMSGSIZE, "too long"))
            assert link.write(b"data")
            await far.hears(b"data")
            assert (link.sent, link.lost) == (4, 0)

    run(scenario())


def test_what_the_kernel_does_not_take_twice_is_lost_and_no_end(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        far = Far()
        with far.socket, Near(far.place) as near:
            link, _ = near.link()
            unreachable = OSError(errno.ENETUNREACH, "Network is unreachable")
            clogged(link, monkeypatch, unreachable, None, unreachable, unreachable)
            assert link.write(b"one")
            assert link.write(b"two")
            assert link.write(b"three")
            await far.hears(b"one", b"three")
            assert (link.lost, link.trouble) == (3, "Network is unreachable")
            link.take(b"")
            assert link.trouble == ""

    run(scenario())


def test_who_is_not_there_is_told_and_no_end(run: Run) -> None:
    async def scenario() -> None:
        far = Far()
        with far.socket, Near(("127.0.0.1", free_port()), far.place) as near:
            away, _ = near.link(0)
            there, _ = near.link(1)
            for count in range(1, 4):
                assert away.write(b"data")
                await until(lambda count=count: near.endpoint.counts.returned == count)
                assert away.trouble == "Connection refused"
                assert there.write(b"data")
                await far.hears(b"data")
                far.socket.sendto(b"answer", far.source)
                await until(lambda count=count: len(near.heard) == count)
            assert (there.trouble, there.lost, away.lost) == ("", 0, 0)

    run(scenario())


def test_what_has_no_room_waits_in_order(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        far = Far()
        with far.socket, Near(far.place) as near:
            link, owner = near.link()
            clogged(link, monkeypatch, BlockingIOError(), BlockingIOError())
            assert not link.write(b"one")
            assert not link.write(b"two")
            assert link.unsent == 6
            await far.hears(b"one", b"two")
            assert (owner.ready, link.unsent, link.sent) == (1, 0, 6)

    run(scenario())


def test_finishing_sends_the_rest(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        far = Far()
        with far.socket, Near(far.place) as near:
            link, owner = near.link()
            clogged(link, monkeypatch, BlockingIOError())
            link.write(b"one")
            ends: list[str] = []
            link.when_closed(lambda: ends.append("closed"))
            near.endpoint.close()
            link.finish(b"bye", limit=30)
            link.finish()
            assert not link.closed
            await far.hears(b"one", b"bye")
            assert (ends, link.closed, link.lost, owner.ready) == (["closed"], True, 0, 0)
            link.when_closed(lambda: ends.append("at once"))
            link.finish()
            link.pause()
            link.resume()
            assert ends == ["closed", "at once"]

    run(scenario())


def test_finishing_ends_in_bounded_time(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        with Near(("127.0.0.1", free_port()), ("127.0.0.1", free_port())) as near:
            one, _ = near.link(0)
            other, _ = near.link(1)
            clogged(one, monkeypatch, *[BlockingIOError()] * 10**5)
            one.write(b"one")
            other.write(b"other")
            one.finish(limit=0.05)
            await until(lambda: one.closed)
            assert one.lost == 3

    run(scenario())


# --- every byte is somewhere ----------------------------------------------------------------------

FAULTS: list[Callable[[], OSError | None]] = [
    lambda: None,
    BlockingIOError,
    lambda: OSError(errno.ENOBUFS, "no buffers"),
    lambda: OSError(errno.EMSGSIZE, "too long"),
    lambda: ConnectionRefusedError(errno.ECONNREFUSED, "refused"),
]


@given(
    packets=st.lists(st.binary(min_size=1, max_size=400), max_size=12),
    faults=st.lists(st.sampled_from(FAULTS), max_size=30),
    size=st.integers(64, 500),
    patient=st.booleans(),
)
def test_every_byte_is_sent_or_lost_and_order_is_kept(
    packets: list[bytes],
    faults: list[Callable[[], OSError | None]],
    size: int,
    patient: bool,
) -> None:
    async def scenario() -> None:
        far = Far()
        far.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        with (
            pytest.MonkeyPatch.context() as patch,
            far.socket,
            Near(far.place, size=size) as near,
        ):
            link, _ = near.link()
            patch.setattr(udp, "room", lambda family, address: max(40, size // 2))
            clogged(link, patch, *[fault() for fault in faults])
            written = sum(map(len, packets))
            for packet in packets:
                link.write(packet)
                assert link.sent + link.lost + link.unsent <= written
            if patient:
                await until(lambda: not link.unsent)
            else:
                link.abort()
            assert link.sent + link.lost == written
            await until(lambda: sum(map(len, far.look())) == link.sent)
            assert all(len(each) <= size for each in far.heard)
            if not link.lost:
                assert b"".join(far.heard) == b"".join(packets)
            if not link.lost and not near.endpoint.counts.divided:
                assert far.heard == packets

    asyncio.run(scenario())
