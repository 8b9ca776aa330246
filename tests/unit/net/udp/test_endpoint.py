from __future__ import annotations

import asyncio
import errno
import socket
from typing import TYPE_CHECKING, Any

import pytest

from portline.net.udp import endpoint as module
from portline.net.udp import socket as udp
from portline.net.udp.socket import Returned
from tests.interop.server import free_port
from tests.unit.net.far import Far, Near
from tests.waiting import unread, until

if TYPE_CHECKING:
    from tests.conftest import Run


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


def test_nothing_is_read_while_anybody_is_paused(run: Run) -> None:
    async def scenario() -> None:
        far = Far()
        with far.socket, Near(far.place, listen=[("127.0.0.1", 0)]) as near:
            link, _ = near.link()
            link.write(b"?")
            await far.hears(b"?")
            link.pause()
            far.socket.sendto(b"!", far.source)
            await unread(near.endpoint.ways[0].sock)
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


def test_what_overruns_while_nothing_is_read_is_counted_once(run: Run) -> None:
    async def scenario() -> None:
        far = Far()
        with far.socket, Near(far.place, listen=[("127.0.0.1", 0)]) as near:
            link, _ = near.link()
            (way,) = near.endpoint.ways
            link.pause()
            for _ in range(3000):
                far.socket.sendto(b"x", ("127.0.0.1", way.port))
            near.endpoint.count_overrun()
            lost = near.endpoint.counts.overrun
            assert 0 < lost < 3000
            near.endpoint.count_overrun()
            link.resume()
            await until(lambda: len(near.heard) == 3000 - lost)
            far.socket.sendto(b"x", ("127.0.0.1", way.port))
            await until(lambda: len(near.heard) == 3001 - lost)
            assert near.endpoint.counts.overrun == lost

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


def test_it_hears_on_when_errors_found_no_room_beside_a_flood(run: Run) -> None:
    """The kernel then tells that something went wrong, and of nothing what."""

    async def scenario() -> None:
        far = Far()
        dead = ("127.0.0.1", free_port())
        with far.socket, Near(dead, listen=[("127.0.0.1", 0)]) as near:
            link, _ = near.link()
            (way,) = near.endpoint.ways
            port = way.port
            for _ in range(3):
                for _ in range(2000):  # more than its queue takes; the loop does not run meanwhile
                    far.socket.sendto(b"!", ("127.0.0.1", port))
                link.write(b"?")
                before = len(near.heard)
                await until(lambda before=before: len(near.heard) > before + 50)
                link.write(b"?")
                link.write(b"?")
            for _ in range(20):
                await asyncio.sleep(0.001)
            far.socket.sendto(b"still there", ("127.0.0.1", port))
            await until(lambda: near.heard[-1][0] == b"still there")

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


def short_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY", 0.01)


def test_a_port_that_is_taken_is_tried_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    short_retries(monkeypatch)
    tries: list[object] = []
    told = module.address_fault
    monkeypatch.setattr(module, "address_fault", lambda *what: (tries.append(what), told(*what))[1])

    async def scenario() -> None:
        far = Far()
        with far.socket, Near(("127.0.0.1", 9), listen=[("::1", 0), far.place]) as near:
            assert "the UDP port is in use by" in near.news[0]
            assert not near.endpoint.ready
            assert near.endpoint.hosts == {}
            assert near.endpoint.listening(far.place).endswith(str(far.place[1]))
            await until(lambda: len(tries) > 2)
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
