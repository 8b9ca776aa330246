from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from portline.control import client as module
from portline.control.client import NobodyThere, ask
from portline.control.message import encode_error
from portline.errors import ConfigError, PortlineError, UsageError

RESULT = b'{"portline": 1, "result": {"a": 1}}\n'


@contextmanager
def process(folder: Path, answer: Callable[[socket.socket], None]) -> Iterator[Path]:
    """Play a process that answers one caller; return its socket."""
    path = folder / "5.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def serve() -> None:
            connected, _ = listening.accept()
            with connected:
                answer(connected)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield path
        finally:
            thread.join(10)


def test_a_request_and_its_result(folder: Path) -> None:
    heard = []

    def answer(caller: socket.socket) -> None:
        heard.append(caller.recv(1000))
        caller.sendall(RESULT[:5])
        caller.sendall(RESULT[5:])

    with process(folder, answer) as path:
        assert ask(path, "status", {"names": ["x"]}) == {"a": 1}
    assert heard == [b'{"portline":1,"operation":"status","parameters":{"names":["x"]}}\n']


def test_errors_are_raised(folder: Path) -> None:
    error = encode_error(ConfigError(["one", "two"]))
    with (
        process(folder, lambda caller: caller.sendall(error)) as path,
        pytest.raises(ConfigError) as caught,
    ):
        ask(path, "reload")
    assert caught.value.mistakes == ["one", "two"]


def test_who_is_not_let_in_hears_why(folder: Path) -> None:
    word = encode_error(UsageError("too many"))

    def answer(caller: socket.socket) -> None:
        caller.sendall(word)

    with process(folder, answer) as path, pytest.raises(PortlineError, match=r"^too many$"):
        ask(path, "status")


def test_nobody_is_there(folder: Path) -> None:
    path = folder / "5.sock"
    with pytest.raises(NobodyThere, match=r"5\.sock: no Portline listens there"):
        ask(path, "status")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with pytest.raises(NobodyThere):
        ask(path, "status")


def test_other_troubles_name_the_socket(folder: Path) -> None:
    path = folder / ("x" * 150)
    with pytest.raises(PortlineError, match=f"{path}: AF_UNIX path too long"):
        ask(path, "status")


def test_an_end_without_an_answer(folder: Path) -> None:
    with (
        process(folder, lambda caller: None) as path,
        pytest.raises(PortlineError, match="ended without an answer"),
    ):
        ask(path, "status")


def test_nonsense(folder: Path) -> None:
    with (
        process(folder, lambda caller: caller.sendall(b"hello\n")) as path,
        pytest.raises(PortlineError, match="not one that this Portline understands"),
    ):
        ask(path, "status")


def test_an_answer_that_does_not_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_MAX", 1000)

    def flood(caller: socket.socket) -> None:
        try:
            while True:
                caller.sendall(b"x" * 1000)
        except OSError:
            pass

    with process(folder, flood) as path, pytest.raises(PortlineError, match="more than 1000 bytes"):
        ask(path, "status")


def test_silence(folder: Path) -> None:
    done = threading.Event()
    with process(folder, lambda caller: done.wait(10) and None) as path:
        with pytest.raises(PortlineError, match=r"no answer within 0\.02 s"):
            ask(path, "status", limit=0.02)
        done.set()


def test_an_answer_that_trickles(folder: Path) -> None:
    done = threading.Event()

    def trickle(caller: socket.socket) -> None:
        try:
            while not done.wait(0.005):
                caller.sendall(b"x")
        except OSError:
            pass

    with process(folder, trickle) as path:
        with pytest.raises(PortlineError, match=r"no answer within 0\.05 s"):
            ask(path, "status", limit=0.05)
        done.set()


def test_a_socket_that_leads_to_another_user(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stranger:
        size = module._CREDENTIALS.size

        @staticmethod
        def unpack(data: bytes) -> tuple[int, int, int]:
            return (1, os.geteuid() + 7, 1)

    monkeypatch.setattr(module, "_CREDENTIALS", Stranger)
    with (
        process(folder, lambda caller: None) as path,
        pytest.raises(PortlineError, match="is answered by another user"),
    ):
        ask(path, "status")


def test_a_full_house(folder: Path) -> None:
    path = folder / "5.sock"
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(str(path))
        busy.listen(0)
        callers = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        for caller in callers:
            caller.setblocking(False)
            caller.connect_ex(str(path))
        with pytest.raises(PortlineError, match=r"5\.sock: no answer within 0\.05 s"):
            ask(path, "status", limit=0.05)
        for caller in callers:
            caller.close()
