from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

import portline.net.dial as module
from portline.net.backoff import Backoff
from portline.net.dial import Dialer
from portline.net.proxy import Proxy, ProxyKind
from tests.proxies import HttpProxy, silent_address
from tests.waiting import until

if TYPE_CHECKING:
    from types import TracebackType

    from portline.net.stream import StreamLink
    from tests.conftest import Run


class Server:
    """A listening TCP port, or with ``open=False`` one that refuses until it is opened."""

    def __init__(self, *, listens: bool = True) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        if listens:
            self.listen()

    def listen(self) -> None:
        self.socket.listen(16)

    @property
    def place(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    @property
    def name(self) -> str:
        return f"127.0.0.1:{self.port}"


class Place:
    """A dialer within ``with``, and what it called back."""

    def __init__(
        self, *servers: Server, highest: float = 0.02, timeout: float = 10.0, **options: Any
    ) -> None:
        self.links: list[tuple[StreamLink, int]] = []
        self.news: list[str] = []
        self.stack = ExitStack()
        for server in servers:
            self.stack.enter_context(server.socket)
        places = options.pop("places", None) or [server.place for server in servers]
        loop = asyncio.get_running_loop()
        self.dialer = Dialer(
            loop,
            places,
            timeout=timeout,
            backoff=Backoff(0.01, highest, random=lambda: 1.0),
            connected=self.take,
            changed=self.note,
            **options,
        )

    def __enter__(self) -> Place:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.dialer.close()
        for link, _ in self.links:
            link.abort()
        self.stack.close()

    def take(self, link: StreamLink, index: int) -> None:
        self.links.append((link, index))

    def note(self, dialer: Dialer) -> None:
        assert dialer is self.dialer
        self.news.append(str(dialer.error or "well"))

    def lose(self) -> None:
        """Let the last link end."""
        self.links[-1][0].abort()
        self.dialer.again()


def test_what_answers_is_handed_over(run: Run) -> None:
    async def scenario() -> None:
        server = Server()
        with Place(server) as place:
            dialer = place.dialer
            assert dialer.address == server.name
            assert (dialer.dialing, dialer.attempt) == (False, 0)
            dialer.open()
            dialer.open()
            assert (dialer.dialing, dialer.attempt, dialer.next_at) == (True, 1, None)
            await until(lambda: place.links)
            link, index = place.links[0]
            assert (link.name, index) == (server.name, 0)
            assert (dialer.dialing, dialer.attempt, dialer.error) == (False, 0, None)
            assert place.news == []
            server.socket.settimeout(10)
            far, _ = server.socket.accept()
            assert link.write(b"hello")
            assert far.recv(5) == b"hello"
            far.close()

    run(scenario())


def test_the_first_that_answers_is_taken(run: Run) -> None:
    async def scenario() -> None:
        with Place(Server(listens=False), Server(), Server()) as place:
            place.dialer.open()
            await until(lambda: place.links)
            assert place.links[0][1] == 1
            assert place.news == []

    run(scenario())


def test_it_tries_until_somebody_answers(run: Run) -> None:
    async def scenario() -> None:
        server = Server(listens=False)
        with Place(server) as place:
            place.dialer.open()
            await until(lambda: place.dialer.attempt > 3)
            assert place.news == [
                f"{server.name}: connection refused, nothing listens there; "
                "start the server or check the port"
            ]
            assert str(place.dialer.error) == place.news[0]
            assert place.dialer.error is not None
            assert place.dialer.error.address == server.name
            server.listen()
            await until(lambda: place.links)
            assert place.news[1:] == ["well"]
            assert (place.dialer.attempt, place.dialer.error) == (0, None)

    run(scenario())


def test_the_error_names_each_place(run: Run) -> None:
    async def scenario() -> None:
        one, other = Server(listens=False), Server(listens=False)
        with silent_address() as silent:
            places = [one.place, ("127.0.0.1", silent), other.place]
            with Place(one, other, places=places, timeout=0.5) as place:
                place.dialer.open()
                await until(lambda: place.news)
                assert place.news[0].startswith(f"{one.name}: connection refused")
                assert f"; 127.0.0.1:{silent}: no answer within 0.5 s" in place.news[0]
                assert f"; {other.name}: connection refused" in place.news[0]

    run(scenario())


def test_between_two_rounds_it_tells_when_the_next_begins(run: Run) -> None:
    async def scenario() -> None:
        with Place(Server(listens=False), highest=1000.0) as place:
            place.dialer._backoff = Backoff(1000.0, 1000.0)
            place.dialer.open()
            await until(lambda: place.news)
            assert place.dialer.next_at is not None
            assert place.dialer.next_at > asyncio.get_running_loop().time()
            assert not place.dialer.dialing

    run(scenario())


def test_when_a_link_has_ended_it_dials_again(run: Run) -> None:
    async def scenario() -> None:
        with Place(Server()) as place:
            place.dialer.again()
            assert place.dialer.next_at is None
            place.dialer.open()
            place.dialer.again()
            await until(lambda: place.links)
            place.lose()
            assert place.dialer.next_at is not None
            place.dialer.again()
            await until(lambda: len(place.links) == 2)

    run(scenario())


def test_after_a_refusal_the_others_come_first(run: Run) -> None:
    async def scenario() -> None:
        with Place(Server(), Server(), Server(listens=False)) as place:
            place.dialer.open()
            for number, (refused, reached) in enumerate(
                [(True, 0), (True, 1), (False, 0), (False, 0), (True, 0), (True, 1)], 1
            ):
                await until(lambda number=number: len(place.links) == number)
                assert place.links[-1][1] == reached
                place.links[-1][0].abort()
                place.dialer.again(refused=refused)
            await until(lambda: len(place.links) == 7)
            assert place.links[-1][1] == 0  # the third does not answer

    run(scenario())


def test_only_a_link_that_has_lasted_makes_the_delays_short_again(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        with Place(Server(), highest=5.0) as place:
            resets = []
            monkeypatch.setattr(place.dialer._backoff, "reset", lambda: resets.append(1))
            place.dialer.open()
            await until(lambda: place.links)
            place.lose()
            assert resets == []
            await until(lambda: len(place.links) == 2)
            assert place.dialer._handed_over_at is not None
            place.dialer._handed_over_at -= 5.1
            place.lose()
            assert resets == [1]

    run(scenario())


def test_after_a_close_nothing_is_called_back(run: Run) -> None:
    async def scenario() -> None:
        server = Server()
        with Place(server) as place:
            for turns in range(8):
                place.dialer.open()
                for _ in range(turns):
                    await asyncio.sleep(0)
                place.dialer.close()
                seen = len(place.links)
                await asyncio.sleep(0.01)
                assert len(place.links) == seen
                assert (place.dialer.dialing, place.dialer.attempt) == (False, 0)
            place.dialer.open()
            await until(lambda: len(place.links) > seen)
            place.dialer.close()
            place.dialer.again()
            assert place.dialer.next_at is None

    run(scenario())


def test_a_close_while_it_rests_or_waits_for_an_answer(run: Run) -> None:
    async def scenario() -> None:
        with Place(Server(listens=False)) as place:
            place.dialer.open()
            await until(lambda: place.dialer.next_at)
            place.dialer.close()
            assert (place.dialer.next_at, place.dialer.error) == (None, None)
        with silent_address() as silent, Place(places=[("127.0.0.1", silent)]) as place:
            place.dialer.open()
            await asyncio.sleep(0.01)
            assert place.dialer.dialing
            place.dialer.close()
            await asyncio.sleep(0)
            assert place.news == []

    run(scenario())


def test_a_socket_that_comes_after_the_close_is_closed(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        one, other = socket.socketpair()

        async def reach(*places: object, **options: object) -> tuple[socket.socket, str]:
            return one, "peer"

        monkeypatch.setattr(module, "reach", reach)
        with Place(Server()) as place, other:
            place.dialer.open()
            task = place.dialer._attempts._task
            assert task is not None
            task.add_done_callback(lambda task: None)
            await asyncio.sleep(0)  # the round has ended, and nobody has been told
            assert task.done()
            place.dialer.close()
            await asyncio.sleep(0)
            assert (one.fileno(), place.links) == (-1, [])

    run(scenario())


def test_who_hears_that_it_is_well_again_may_close_it(run: Run) -> None:
    async def scenario() -> None:
        server = Server(listens=False)
        with Place(server) as place:
            place.dialer.open()
            await until(lambda: place.news)
            place.dialer._changed = Dialer.close
            server.listen()
            await until(lambda: not place.dialer._attempts.wanted)
            assert place.links == []

    run(scenario())


def test_a_fault_of_ours_is_reported_and_the_next_round_begins(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*places: object, **options: object) -> tuple[socket.socket, str]:
        monkeypatch.undo()
        raise RuntimeError("a fault of ours")

    async def scenario() -> None:
        with Place(Server()) as place:
            monkeypatch.setattr(module, "reach", broken)
            place.dialer.open()
            await until(lambda: place.links)

    caplog.set_level(logging.ERROR, logger="asyncio")
    run(scenario())
    assert "a fault of ours" in caplog.text


def test_a_loop_that_ends_takes_a_round_with_it(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    with silent_address() as silent:

        async def scenario() -> None:
            Place(places=[("127.0.0.1", silent)]).dialer.open()
            await asyncio.sleep(0.01)

        run(scenario())
    assert not caplog.records


def test_through_a_proxy(run: Run) -> None:
    async def scenario() -> None:
        server, played = Server(), HttpProxy()
        async with played.running():
            proxy = Proxy(ProxyKind.HTTP, "127.0.0.1", played.port)
            with Place(server, places=[("far.test", server.port)], proxy=proxy) as place:
                place.dialer.open()
                server.socket.setblocking(False)
                far, _ = await asyncio.get_running_loop().sock_accept(server.socket)
                far.send(b"first words")
                await until(lambda: place.links)
                assert place.links[0][0].name == f"far.test:{server.port}"
                far.close()

    run(scenario())
