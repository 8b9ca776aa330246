from __future__ import annotations

import asyncio
import errno
import socket
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.net import datagram as module
from portline.net import udp
from portline.net.datagram import Counts, DatagramLink, Endpoint
from portline.net.udp import Returned, Settings
from tests.interop.server import free_port
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Run


class Owner:
    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.ready = 0

    def link_data(self, data: bytes) -> None:
        self.heard.append(data)

    def link_eof(self) -> None:
        raise AssertionError

    def link_ready(self) -> None:
        self.ready += 1

    def link_lost(self, reason: str) -> None:
        raise AssertionError


class Far:
    """A program with a socket on 127.0.0.1."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.place: tuple[str, int] = self.socket.getsockname()
        self.heard: list[bytes] = []
        self.source: Any = None

    def look(self) -> list[bytes]:
        try:
            while True:
                data, self.source = self.socket.recvfrom(65536)
                self.heard.append(data)
        except BlockingIOError:
            return self.heard

    async def hears(self, *datagrams: bytes) -> None:
        await until(lambda: len(self.look()) >= len(datagrams))
        assert self.heard == list(datagrams)
        self.heard = []


class Near:
    """An endpoint and what it has told; closed at the end of ``with``, with what it was made of."""

    def __init__(self, *connect: tuple[str, int], listen: Any = (), **options: Any) -> None:
        self.heard: list[tuple[bytes, Any]] = []
        self.news: list[str] = []
        self.links: list[DatagramLink] = []
        self.endpoint = Endpoint(
            asyncio.get_running_loop(),
            connect=connect,
            listen=listen,
            settings=Settings(options.pop("interface", None)),
            size=options.pop("size", 1452),
            counts=Counts(),
            heard=lambda data, source, way: self.heard.append((data, source)),
            changed=lambda endpoint: self.news.append(str(endpoint.error or "")),
        )
        self.endpoint.open()

    def __enter__(self) -> Near:
        return self

    def __exit__(self, *error: object) -> None:
        self.endpoint.close()
        for link in self.links:
            link.abort()
        assert self.endpoint.ways == []

    def link(self, number: int = 0) -> tuple[DatagramLink, Owner]:
        host = list(self.endpoint.hosts.values())[number]
        made = self.endpoint.link(host.address, host.way)
        self.links.append(made)
        owner = Owner()
        made.start(owner)
        return made, owner


def clogged(link: DatagramLink, monkeypatch: pytest.MonkeyPatch, *errors: OSError | None) -> Any:
    """Put a socket in the way of a link that fails with ``errors``, one for each datagram."""

    class Socket:
        def __init__(self, real: socket.socket) -> None:
            self.real = real
            self.left = list(errors)

        def sendto(self, data: bytes, address: Any) -> int:
            error = self.left.pop(0) if self.left else None
            if error is not None:
                raise error
            return self.real.sendto(data, address)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.real, name)

    assert link.way is not None
    made = Socket(link.way.sock)
    monkeypatch.setattr(link.way, "sock", made)
    return made


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


def test_what_is_heard_is_told_with_its_source(run: Run) -> None:
    async def scenario() -> None:
        far = Far()
        with far.socket, Near(listen=[("127.0.0.1", 0)]) as near:
            place = near.endpoint.listening(("127.0.0.1", 0))
            assert near.endpoint.ready
            port = int(place.rpartition(":")[2])
            for number in range(40):
                far.socket.sendto(b"%d" % number, ("127.0.0.1", port))
            await until(lambda: len(near.heard) == 40)
            assert near.heard[-1] == (b"39", far.place)
            assert near.endpoint.peer(far.place) is None

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
            clogged(link, monkeypatch, OSError(errno.EMSGSIZE, "too long"))
            assert link.write(b"data")
            assert (link.sent, link.lost, link.trouble) == (0, 4, "too long")

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


def test_nothing_is_read_while_anybody_is_paused(run: Run) -> None:
    async def scenario() -> None:
        far = Far()
        with far.socket, Near(far.place, listen=[("127.0.0.1", 0)]) as near:
            link, _ = near.link()
            link.write(b"?")
            await far.hears(b"?")
            link.pause()
            far.socket.sendto(b"!", far.source)
            for _ in range(20):
                await asyncio.sleep(0)
            assert near.heard == []
            link.resume()
            await until(lambda: near.heard)

    run(scenario())


def test_a_pause_holds_from_one_datagram_to_the_next(run: Run) -> None:
    async def scenario() -> None:
        far = Far()
        with far.socket, Near(far.place, listen=[("127.0.0.1", 0)]) as near:
            link, _ = near.link()
            link.write(b"?")
            await far.hears(b"?")
            link.pause()
            for word in (b"one", b"two"):
                far.socket.sendto(word, far.source)
            heard: list[bytes] = []

            def hear(data: bytes, source: Any, way: Any) -> None:
                heard.append(data)
                link.pause()

            near.endpoint._heard = hear
            link.resume()
            await until(lambda: heard)
            assert heard == [b"one"]

    run(scenario())


def test_what_comes_back_is_an_echo(run: Run) -> None:
    async def scenario() -> None:
        port = free_port()
        with Near(("127.0.0.1", port), listen=[("127.0.0.1", port)]) as near:
            link, _ = near.link()
            link.write(b"data")
            await until(lambda: near.endpoint.counts.echoes)
            assert near.heard == []

    run(scenario())


def test_what_overran_is_counted(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        far = Far()
        counts = iter([0, 3, 5])
        monkeypatch.setattr(udp, "overrun", lambda ancillary: next(counts))
        with far.socket, Near(listen=[("127.0.0.1", 0)]) as near:
            port = near.endpoint.ways[0].port
            for _ in range(3):
                far.socket.sendto(b"x", ("127.0.0.1", port))
            await until(lambda: len(near.heard) == 3)
            assert near.endpoint.counts.overrun == 5

    run(scenario())


def test_every_address_means_ipv4_and_ipv6(run: Run) -> None:
    async def scenario() -> None:
        hosts = [("127.0.0.1", 9), ("::1", 9), ("239.255.11.7", 9)]
        with Near(*hosts, listen=[("*", 0)]) as near:
            first, second = near.endpoint.ways
            assert first.port == second.port
            assert near.endpoint.listening(("*", 0)) == f"*:{first.port}"
            ways = [host.way for host in near.endpoint.hosts.values()]
            assert ways == [first, second, first]
            assert [host.many for host in near.endpoint.hosts.values()] == [False, False, True]

    run(scenario())


def test_who_is_woken_for_nothing_looks_for_errors(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        with Near(("127.0.0.1", free_port())) as near:
            link, _ = near.link()
            told = Returned(link.address or (), errno.EHOSTUNREACH, 0, sent=True)
            monkeypatch.setattr(udp, "returned", lambda sock: [told])
            near.endpoint._readable(near.endpoint.ways[0])
            assert (near.endpoint.counts.returned, link.trouble) == (1, "No route to host")
            link.finish()
            assert link.closed

    run(scenario())


def test_one_family_is_no_echo_of_the_other(run: Run) -> None:
    async def scenario() -> None:
        with Near(listen=[("*", 0)]) as near:
            v4, v6 = near.endpoint.ways
            v4.sock.sendto(b"own", ("127.0.0.1", v4.port))
            v6.sock.sendto(b"own", ("::1", v6.port))
            await until(lambda: near.endpoint.counts.echoes == 2)
            assert not near.endpoint._is_echo(("2001:db8::2", v4.port, 0, 0), v6.family)
            assert near.heard == []

    run(scenario())


def test_who_cannot_be_sent_to_from_there_is_sent_to_from_elsewhere(run: Run) -> None:
    async def scenario() -> None:
        hosts = [("192.0.2.7", 9), ("127.0.0.1", 9), ("192.0.2.8", 9)]
        group = ("239.255.11.7", free_port())
        with Near(*hosts, listen=[group, ("127.0.0.1", 0)], interface="lo") as near:
            outside, inside, again = (host.way for host in near.endpoint.hosts.values())
            assert outside is again
            assert inside is near.endpoint.ways[1]
            assert outside is near.endpoint.ways[2]

    run(scenario())


def short_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY", 0.01)


def test_a_port_that_is_taken_is_tried_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    short_retries(monkeypatch)

    async def scenario() -> None:
        far = Far()
        with far.socket, Near(("127.0.0.1", 9), listen=[("::1", 0), far.place]) as near:
            assert "the UDP port is in use by" in near.news[0]
            assert not near.endpoint.ready
            assert near.endpoint.hosts == {}
            assert near.endpoint.listening(far.place).endswith(str(far.place[1]))
            await asyncio.sleep(0.03)
            assert len(near.news) == 1
            far.socket.close()
            await until(lambda: near.endpoint.ready)
            assert near.news[1:] == [""]
            assert len(near.endpoint.hosts) == 1

    run(scenario())


def test_of_two_families_both_are_free_or_none(run: Run) -> None:
    async def scenario() -> None:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as other:
            other.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            other.bind(("::", 0))
            with Near(listen=[("*", other.getsockname()[1])]) as near:
                assert "in use" in near.news[0]
                assert near.endpoint.ways == []

    run(scenario())


def test_names_are_looked_up_and_the_others_do_not_wait(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_retries(monkeypatch)
    answers: dict[str, list[Any]] = {
        "here": [[(0, 0, 0, "", ("127.0.0.1", 9))]],
        "later": [socket.gaierror(-2, "not known"), [(0, 0, 0, "", ("127.0.0.1", 10))]],
        "wrong": [ValueError(), ValueError()],
    }

    async def addresses(self: object, host: str, port: int) -> Any:
        answer = answers[host].pop(0) if answers[host] else ValueError()
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(module.Lookups, "addresses", addresses)

    async def scenario() -> None:
        with Near(("later", 10), ("wrong", 1), ("here", 9), ("127.0.0.1", 11)) as near:
            await until(lambda: near.news)
            assert [place[0] for place in near.endpoint.hosts] == ["here", "127.0.0.1"]
            assert "the host name is not known (not known)" in near.news[0]
            assert "wrong:1: this cannot be the name of a host" in near.news[0]
            await until(lambda: len(near.endpoint.hosts) == 3)

    run(scenario())


def test_a_name_server_that_does_not_answer(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOKUP_LIMIT", 0.01)

    async def addresses(self: object, host: str, port: int) -> Any:
        await asyncio.sleep(60)

    monkeypatch.setattr(module.Lookups, "addresses", addresses)

    async def scenario() -> None:
        with Near(("name", 9)) as near:
            await until(lambda: near.news)
            assert near.news == ["name:9: no name server answers; check the DNS"]
        with Near(("name", 9)) as near:
            near.endpoint.open()
            near.endpoint.close()
            await asyncio.sleep(0)
            assert near.news == []

    run(scenario())


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.EACCES, "x"), "choose a port from 1024 up"),
        (OSError(errno.EADDRNOTAVAIL, "x"), "this machine has no such address"),
        (OSError(errno.ENODEV, "No such device"), "name the interface"),
        (OSError(errno.ENODEV, "there is no network interface x"), "there is no network interface"),
        (OSError(errno.EPERM, "not permitted"), "not permitted"),
    ],
)
def test_why_something_cannot_be_opened(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: OSError, text: str
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(udp, "make", fail)

    async def scenario() -> None:
        with Near(("127.0.0.1", 9)) as near:
            assert text in near.news[0]

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
