"""The client of the API at whatever answers there; at a real page it is in tests/unit/web."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from portline.control import eventstream
from portline.control import http as module
from portline.control.http import Client
from portline.errors import ConfigError, PortlineError, UsageError

PATIENCE = 20.0

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
RESULT = b'event: result\ndata: {"name":"meter"}\n\n'


def problem(status: int, *errors: str, mistakes: tuple[dict[str, str], ...] = ()) -> bytes:
    body = json.dumps({"status": status, "errors": errors, "mistakes": mistakes}).encode()
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


@contextmanager
def answering(*pieces: bytes | Callable[[socket.socket], None]) -> Iterator[str]:
    """Answer one request with these pieces, or do something with the socket; yield the URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            listener.settimeout(PATIENCE)
            with suppress(OSError), listener.accept()[0] as sock:
                sock.settimeout(PATIENCE)
                sock.recv(65536)
                for piece in pieces:
                    if isinstance(piece, bytes):
                        sock.sendall(piece)
                    else:
                        piece(sock)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(PATIENCE)
            assert not thread.is_alive()


def silent(sock: socket.socket) -> None:
    """Say nothing until the other side goes."""
    sock.recv(1)


def trickling(sock: socket.socket) -> None:
    """Say a little, again and again."""
    while True:
        sock.sendall(b" ")
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("pieces", "fault"),
    [
        ((silent,), r"no answer within 0\.5 s"),
        ((b"HTTP/1.1 200 OK\r\n", silent), r"no answer within 0\.5 s"),
        ((b"HTTP/1.1 200 OK\r\nX: ", trickling), r"no answer within 0\.5 s"),
        ((OK, trickling), r"no answer within 0\.5 s"),
        ((), "closed the connection without an answer; does it want https"),
        ((b"SSH-2.0-OpenSSH_9.2\r\n",), "no Portline, or one of another version"),
        ((b"\x15\x03\x03\x00\x02\x02\x32" * 3,), "no Portline, or one of another version"),
        ((OK, b"<html>"), "no Portline"),
        ((OK, b"[" * 5000), "no Portline"),
        ((OK, b"[]"), "no Portline"),
        ((b"HTTP/1.1 404 X\r\n\r\n<html>",), r"no Portline.* \(it answers 404\)"),
        ((b"HTTP/1.1 301 X\r\nLocation: http://127.0.0.1/\r\n\r\n",), r"\(it answers 301\)"),
        ((b"HTTP/1.1 401 X\r\n\r\n[]",), r"\(it answers 401\)"),
        ((b'HTTP/1.1 422 X\r\n\r\n{"errors":[],"mistakes":[]}',), r"\(it answers 422\)"),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",), "before the answer was complete"),
        ((problem(401, "no such token"),), "the token is refused: no such token"),
        ((problem(421, "nobody here is called x"),), r"127\.0\.0\.1:\d+: nobody here is called x"),
        ((problem(429, "wait"),), r"127\.0\.0\.1:\d+: wait"),
    ],
)
def test_what_is_said_of_who_answers_wrongly(pieces: tuple[bytes, ...], fault: str) -> None:
    # A busy machine may take its time where an answer comes.
    limit = 0.5 if "within" in fault else PATIENCE
    with answering(*pieces) as url, pytest.raises(PortlineError, match=fault) as raised:
        Client(url, "token", limit=limit).ask("status")
    assert str(raised.value).startswith(f"{url}: ")
    assert "\n" not in str(raised.value)
    assert not isinstance(raised.value, UsageError)


def test_an_answer_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_MAX", 10)
    fault = "the answer has more than 10 bytes"
    with answering(OK, b"{         }") as url, pytest.raises(PortlineError, match=fault):
        Client(url, "token").ask("status")
    with answering(OK, b"{        }") as url:
        assert Client(url, "token").ask("status") == {}


def test_a_limit_is_for_one_question_where_it_is_given() -> None:
    with answering(silent) as url, pytest.raises(PortlineError, match=r"within 0\.1 s"):
        Client(url, "token").ask("status", limit=0.1)


def test_errors_are_those_that_its_socket_would_tell() -> None:
    mistakes = ({"option": "baudrate", "text": "is wrong"},)
    with (
        answering(problem(422, "a: is\nwrong", "b", mistakes=mistakes)) as url,
        pytest.raises(ConfigError) as raised,
    ):
        Client(url, "token").ask("add", {"name": "x", "options": {}})
    assert raised.value.mistakes == ["a: is wrong", "b"]
    assert raised.value.faults == [("baudrate", "is wrong")]
    for status, kind in ((404, UsageError), (400, UsageError), (409, PortlineError)):
        with (
            answering(problem(status, "meter: no")) as url,
            pytest.raises(kind, match=r"^meter: no$"),
        ):
            Client(url, "token").ask("start", {"name": "meter"})


@pytest.mark.parametrize(
    ("url", "more", "fault"),
    [
        ("https://x:99999", {}, "no address of a page"),
        ("https://[x", {}, "no address of a page"),
        ("https:///", {}, "no address of a page"),
        ("https://me:secret@x", {}, "may be seen by others"),
        ("https://x/page", {}, "write https://x$"),
        ("https://x:1?y", {}, "write https://x:1$"),
        ("http://192.0.2.1", {}, "could read the token; write https://"),
        ("http://localhost.example", {}, "could read the token"),
        ("https://x", {"ca": "/dev/null"}, "no certificate of a CA"),
        ("https://x", {"token": ""}, "a token is one word"),
        ("https://x", {"token": "a\r\nHost: b"}, "a token is one word"),
        ("https://x", {"token": "a b"}, "a token is one word"),
    ],
)
def test_what_cannot_be_used(url: str, more: dict[str, str], fault: str) -> None:
    with pytest.raises(UsageError, match=fault) as raised:
        Client(url, **({"token": "token"} | more))  # type: ignore[arg-type]
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1", "http://[::1]:8", "http://localhost:8/"])
def test_loopback_needs_no_encryption(url: str) -> None:
    assert str(Client(url, "token")) == url.rstrip("/")


def test_a_network_may_be_trusted() -> None:
    assert str(Client("http://192.0.2.1:8", "token", trusted=True)) == "http://192.0.2.1:8"


@pytest.mark.parametrize("name", ["x.invalid", "a..b", f"{'x' * 70}.invalid"])
def test_a_host_that_there_is_not(name: str) -> None:
    with pytest.raises(PortlineError, match=f"^https://{name}: "):
        Client(f"https://{name}", "token").ask("status")


# --- streams --------------------------------------------------------------------------------------


def test_a_stream_is_waited_for_with_a_limit() -> None:
    go = threading.Event()

    def later(sock: socket.socket) -> None:
        go.wait(PATIENCE)
        sock.sendall(b'id: 1\ndata: {"a":1}\n\n: still here\n\ndata: {"a":2}\n\n')

    with (
        answering(STREAM + RESULT, later) as url,
        Client(url, "token").stream("monitor", {"name": "meter"}) as stream,
    ):
        assert stream.result == {"name": "meter"}
        assert stream.wait(0) == stream.wait(0.01) == []
        go.set()
        assert list(stream) == [{"a": 1}, {"a": 2}]
        assert stream.wait(None) is None
        stream.close()


def test_a_stream_is_closed_while_it_is_silent_and_while_nobody_takes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(eventstream, "WAITING_MAX", 2)

    def flooding(sock: socket.socket) -> None:
        while True:
            sock.sendall(b'data: {"a":1}\n\n' * 1000)

    for behaves in (silent, flooding):
        with answering(STREAM + RESULT, behaves) as url:
            stream = Client(url, "token").stream("events")
            if behaves is flooding:
                assert stream.wait(PATIENCE)
                assert stream._waiting.qsize() <= 2
            stream.close()
            assert not stream._thread.is_alive()


@pytest.mark.parametrize(
    ("pieces", "fault"),
    [
        ((STREAM,), "not one that this Portline understands"),
        ((STREAM, b"data: {}\n\n"), "not one that this Portline understands"),
        ((STREAM, b"event: result\ndata: x\n\n"), "not one that this Portline understands"),
        ((STREAM, b"event: result\n", silent), r"no answer within 0\.5 s"),
        ((STREAM, b": x\n", trickling), r"no answer within 0\.5 s"),
        ((problem(429, "there are 32 streams already"),), "there are 32 streams already"),
    ],
)
def test_a_stream_that_does_not_begin(pieces: tuple[bytes, ...], fault: str) -> None:
    with answering(*pieces) as url, pytest.raises(PortlineError, match=fault) as raised:
        Client(url, "token", limit=0.5 if "within" in fault else PATIENCE).stream("events")
    assert str(raised.value).startswith(f"{url}: ")


@pytest.mark.parametrize(
    "garbage", [b"data: [1]\n\n", b"data: {\n\n", b"x" * eventstream.MESSAGE_MAX + b"x"]
)
def test_what_came_before_garbage_is_told(garbage: bytes) -> None:
    with (
        answering(STREAM + RESULT, b'data: {"a":1}\n\n', garbage) as url,
        Client(url, "token").stream("events") as stream,
    ):
        found = stream.wait(PATIENCE)
        assert found == [{"a": 1}]
        with pytest.raises(PortlineError, match="not one that this Portline understands"):
            stream.wait(PATIENCE)
        assert stream.wait(None) is None


def test_a_stream_in_which_nothing_is_said_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eventstream, "SILENCE", 0.1)
    with answering(STREAM + RESULT, silent) as url:
        stream = Client(url, "token").stream("events")
        with stream, pytest.raises(PortlineError, match=f"^{url}: the stream is lost"):
            stream.wait(None)
