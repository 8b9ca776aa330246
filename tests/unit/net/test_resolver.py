from __future__ import annotations

import errno
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import portline.net.resolver as module
from portline.net.resolver import FAST_THREADS, SLOW_THREADS, Resolver

PATIENCE = 10.0


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.002)


class NameServer:
    """Does not answer for names that begin with ``dead`` until it is told to."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.may_answer = threading.Event()
        self.asked: list[str] = []
        patch.setattr(module.socket, "getaddrinfo", self.getaddrinfo)

    def getaddrinfo(self, host: str, port: int, **options: int) -> Any:
        self.asked.append(host)
        if host.startswith("dead"):
            self.may_answer.wait(60)
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    made = NameServer(monkeypatch)
    try:
        yield made
    finally:
        made.may_answer.set()


def asked(resolver: Resolver, *names: str) -> queue.SimpleQueue[tuple[str, Any]]:
    """Ask for names; returns where the answers come."""
    answers: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
    for name in names:
        resolver.ask((name, 1), lambda found, name=name: answers.put((name, found)))
    return answers


def test_a_name_is_looked_up_once_for_all_who_ask(server: NameServer) -> None:
    resolver = Resolver()
    answers = asked(resolver, "dead", "dead", "dead")
    server.may_answer.set()
    for _ in range(3):
        name, found = answers.get(timeout=PATIENCE)
        assert name == "dead"
        assert isinstance(found, socket.gaierror)
    assert server.asked == ["dead"]


def test_threads_are_bounded_and_end(server: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLOW", 0.05)
    before = threading.active_count()
    resolver = Resolver()
    names = [f"dead{number}" for number in range(1000)]
    answers = asked(resolver, *names)
    most = FAST_THREADS + SLOW_THREADS

    def full() -> bool:
        resolver.advance()
        return resolver.running == most

    until(full)
    resolver.advance()
    assert threading.active_count() - before <= most
    assert resolver.waiting == 1000 - most
    server.may_answer.set()
    assert sorted(answers.get(timeout=PATIENCE)[0] for _ in names) == sorted(names)
    assert sorted(server.asked) == sorted(names)
    until(lambda: threading.active_count() <= before)
    assert (resolver.running, resolver.waiting) == (0, 0)


def test_a_dead_server_does_not_keep_others_from_being_found(
    server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many names as there are threads hang for ever; another is found all the same."""
    monkeypatch.setattr(module, "SLOW", 0.05)
    resolver = Resolver()
    asked(resolver, *(f"dead{number}" for number in range(FAST_THREADS)))
    until(lambda: resolver.running == FAST_THREADS)
    answers = asked(resolver, "good")
    until(lambda: resolver.advance() or not answers.empty())  # type: ignore[func-returns-value]
    assert answers.get()[0] == "good"


def test_slow_names_wait_behind_all_others(
    server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLOW", 0.05)
    resolver = Resolver()
    names = [f"dead{number}" for number in range(SLOW_THREADS + 5)]
    first = asked(resolver, *names)
    until(lambda: resolver.advance() or resolver.running == len(names))  # type: ignore[func-returns-value]
    time.sleep(module.SLOW)
    server.may_answer.set()
    for _ in names:
        first.get(timeout=PATIENCE)
    until(lambda: not resolver.running)
    server.may_answer.clear()
    asked(resolver, *names)
    until(lambda: resolver.running == SLOW_THREADS)
    assert resolver.waiting == 5
    for number in range(200):
        assert asked(resolver, f"good{number}").get(timeout=PATIENCE)[0] == f"good{number}"
    assert resolver.waiting == 5


def test_what_is_remembered_of_slow_names_is_bounded(
    server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLOW", 0.0)
    monkeypatch.setattr(module, "SLOW_NAMES", 3)
    resolver = Resolver()
    for number in range(5):
        asked(resolver, f"good{number}").get(timeout=PATIENCE)
    until(lambda: not resolver.running)
    assert [name for name, _ in resolver._slow] == ["good2", "good3", "good4"]


def test_a_system_without_threads_is_told(
    server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    resolver = Resolver()
    _, found = asked(resolver, "good").get(timeout=PATIENCE)
    assert isinstance(found, OSError)
    assert (found.errno, found.strerror) == (errno.EAGAIN, "can't start new thread")
    assert (resolver.running, resolver.waiting) == (0, 0)
