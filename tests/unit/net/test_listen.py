from __future__ import annotations

import asyncio
import errno
import socket
import threading
from typing import TYPE_CHECKING

import pytest

import portline.net.listen as module
import portline.net.lookup as lookup
from portline.net.listen import Listener
from tests.waiting import until

if TYPE_CHECKING:
    from portline.net.stream import StreamLink
    from tests.conftest import Run


class Place:
    """A listener with what it called back."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.links: list[StreamLink] = []
        self.news = 0
        loop = asyncio.get_running_loop()
        self.listener = Listener(loop, host, port, accepted=self.links.append, changed=self.note)

    def note(self, listener: Listener) -> None:
        assert listener is self.listener
        self.news += 1

    @property
    def port(self) -> int:
        return int(self.listener.address.rpartition(":")[2])

    def close(self) -> None:
        self.listener.close()
        for link in self.links:
            link.abort()


def test_it_accepts_at_once_when_it_is_told_to(run: Run) -> None:
    async def scenario() -> None:
        place = Place()
        place.listener.accept()
        place.listener.open()
        place.listener.accept()
        assert not place.links
        with socket.create_connection(("127.0.0.1", place.port)):
            place.listener.accept()
            assert len(place.links) == 1
            place.close()
            place.listener.accept()

    run(scenario())


def test_it_accepts_until_it_is_closed(run: Run) -> None:
    async def scenario() -> None:
        place = Place()
        assert not place.listener.listening
        place.listener.open()
        place.listener.open()
        assert place.listener.listening
        far = socket.create_connection(("127.0.0.1", place.port))
        await until(lambda: place.links)
        here = far.getsockname()
        assert place.links[0].name == f"127.0.0.1:{here[1]}"
        port = place.port
        place.close()
        far.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))

    run(scenario())


@pytest.mark.parametrize("client", ["127.0.0.1", "::1"])
def test_a_star_means_both_families(run: Run, client: str) -> None:
    async def scenario() -> None:
        place = Place("*")
        place.listener.open()
        with socket.create_connection((client, place.port)):
            await until(lambda: place.links)
        assert place.links[0].name.startswith("[::1]:" if client == "::1" else "127.0.0.1:")
        place.close()

    run(scenario())


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return what grows with every attempt that fails."""
    made: list[object] = []
    failed = module.Listener._failed

    def noted(listener: Listener, error: OSError) -> None:
        made.append(error)
        failed(listener, error)

    monkeypatch.setattr(module.Listener, "_failed", noted)
    return made


def test_an_address_in_use_names_its_holder_and_is_tried_again(
    run: Run, monkeypatch: pytest.MonkeyPatch, tries: list[object]
) -> None:
    async def scenario() -> None:
        monkeypatch.setattr(module, "RETRY", 0.01)
        with socket.create_server(("127.0.0.1", 0)) as other:
            place = Place(port=other.getsockname()[1])
            place.listener.open()
            assert "in use by" in str(place.listener.error)
            assert "(pid " in str(place.listener.error)
            assert place.news == 1
            await until(lambda: len(tries) > 2)
            assert place.news == 1
        await until(lambda: place.listener.listening)
        assert place.listener.error is None
        place.close()

    run(scenario())


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EACCES, "Permission denied"), "CAP_NET_BIND_SERVICE"),
        (OSError(errno.EADDRNOTAVAIL, "no"), "no such address"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (socket.gaierror(-2, "Name or service not known"), "the host name is not known"),
    ],
)
def test_each_fault_of_an_address_says_what_to_do(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: OSError, words: str
) -> None:
    def fail(host: str, port: int, found: object) -> list[socket.socket]:
        raise error

    async def scenario() -> None:
        monkeypatch.setattr(module, "_bind", fail)
        place = Place(port=99)
        place.listener.open()
        assert words in str(place.listener.error)
        assert str(place.listener.error).startswith("127.0.0.1:99: ")
        place.close()
        assert place.listener.error is None

    run(scenario())


def test_without_descriptors_it_rests_and_goes_on(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Exhausted(socket.socket):
        def accept(self) -> tuple[socket.socket, object]:
            raise OSError(errno.EMFILE, "Too many open files")

    async def scenario() -> None:
        monkeypatch.setattr(module, "REST", 0.01)
        place = Place()
        place.listener.open()
        with socket.create_connection(("127.0.0.1", place.port)), Exhausted() as exhausted:
            place.listener._acceptable(exhausted)
            assert "Too many open files" in str(place.listener.error)
            await until(lambda: place.links)
        assert place.listener.error is None
        place.close()

    run(scenario())


def test_a_host_name_is_looked_up_without_holding_the_loop(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_answer = threading.Event()

    ask = socket.getaddrinfo

    def slow(host: str, port: int, **options: int) -> object:
        if "flags" in options:  # is it a literal address?
            return ask(host, port, **options)
        assert may_answer.wait(10)
        return ask("127.0.0.1", port, **options)

    async def scenario() -> None:
        may_answer.clear()
        monkeypatch.setattr(lookup.socket, "getaddrinfo", slow)
        place = Place("somewhere.test")
        place.listener.open()
        assert not place.listener.listening
        may_answer.set()
        await until(lambda: place.listener.listening)
        place.close()

        may_answer.clear()
        threads = threading.active_count()
        for _ in range(50):
            place.listener.open()
            place.close()
        assert threading.active_count() <= threads + 1
        may_answer.set()
        await until(lambda: threading.active_count() <= threads)
        assert not place.listener.listening

    run(scenario())


def test_a_name_that_does_not_exist_is_tried_again(
    run: Run, monkeypatch: pytest.MonkeyPatch, tries: list[object]
) -> None:
    async def scenario() -> None:
        monkeypatch.setattr(module, "RETRY", 0.01)
        place = Place("nowhere.invalid")
        place.listener.open()
        await until(lambda: place.listener.error)
        assert "the host name is not known" in str(place.listener.error)
        await until(lambda: len(tries) > 2)
        assert place.news == 1
        place.close()

    run(scenario())


def test_what_cannot_be_a_name_is_an_error_too(run: Run) -> None:
    async def scenario() -> None:
        place = Place("a" * 64 + ".test")
        place.listener.open()
        await until(lambda: place.listener.error)
        assert "this cannot be the name of a host" in str(place.listener.error)
        place.close()

    run(scenario())
