from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import serial

import portline.remote.port as port_module
from portline.line import (
    FlowControl,
    LineSettings,
    ModemChange,
    ModemLines,
    Parity,
    Purge,
    SetBreak,
    SetLine,
    SetModem,
    StopBits,
)
from portline.net.proxy import Proxy
from portline.remote.blocking import WRITE_SIZE, Serial
from portline.remote.inbox import RECEIVE_LIMIT
from portline.remote.place import Place
from portline.remote.thread import LoopThread
from portline.remote.url import parse
from portline.wire.rfc2217_codes import ANSWER, command
from tests.unit.remote.played import Played

PATIENCE = 10.0
"""Seconds after which what has to happen has failed."""


class Server:
    """A played server in a loop of its own; ``do`` runs something there."""

    def __init__(self, **options: Any) -> None:
        self.thread = LoopThread("played server")
        self.played = self.do(lambda: Played(**options))
        self.query = "?protocol=raw" if self.played.raw else ""

    @property
    def url(self) -> str:
        return f"portline://{self.played.address}{self.query}"

    def do(self, call: Callable[..., Any], *arguments: Any) -> Any:
        async def there() -> Any:
            return call(*arguments)

        return self.thread.call(there())

    def becomes(self, condition: Callable[[], object]) -> None:
        """Wait until a condition is true."""
        done = threading.Event()
        for _ in range(int(PATIENCE / 0.005)):
            if condition():
                return
            done.wait(0.005)
        raise AssertionError("waited in vain")

    def say(self, data: bytes) -> None:
        self.do(self.played.say, data)


@contextmanager
def serving(**options: Any) -> Iterator[Server]:
    server = Server(**options)
    try:
        yield server
    finally:
        server.do(server.played.close)
        server.thread.stop()


@contextmanager
def opened(*, query: str = "", raw: bool = False, **options: Any) -> Iterator[tuple[Any, Server]]:
    """A port at a played server."""
    options.setdefault("timeout", PATIENCE)
    with serving(raw=raw) as server:
        url = server.url + query
        with serial.serial_for_url(url, **options) as port:
            yield port, server


# --- opening --------------------------------------------------------------------------------------


def test_pyserial_finds_it_by_itself() -> None:
    assert isinstance(serial.serial_for_url("portline://host:1", do_not_open=True), Serial)


def test_all_settings_travel_at_once() -> None:
    options = {"baudrate": 300, "bytesize": 7, "parity": "E", "stopbits": 2, "rtscts": True}
    with opened(**options) as (port, server):
        settings = LineSettings(300, 7, Parity.EVEN, StopBits.TWO, FlowControl.HARDWARE)
        assert server.played.state.settings == settings
        assert server.played.done[-2:] == [
            SetModem(dtr=True),
            Purge(received=True, unsent=True),
        ]
        assert port.is_open


def test_what_came_before_it_was_opened_is_gone() -> None:
    with opened() as (port, server):
        assert port.in_waiting == 0
        assert server.played.state.rts
        server.say(b"new")
        assert port.read(3) == b"new"


def test_it_can_be_opened_and_closed_again_and_again() -> None:
    with opened() as (port, _):
        with pytest.raises(serial.SerialException, match="already open"):
            port.open()
        for _ in range(3):
            port.close()
            port.close()
            with pytest.raises(serial.PortNotOpenError):
                port.read()
            port.open()
        port.port = port.port
        assert port.is_open
    assert not [each for each in threading.enumerate() if each.name.startswith("portline ")]


@pytest.mark.parametrize(
    ("url", "place", "options"),
    [
        ("portline://host:1", Place("rfc2217", "host", 1), (None, 10.0, False)),
        (
            "portline://[::1]:1/?protocol=raw&timeout=2.5&strict",
            Place("raw", "::1", 1),
            (None, 2.5, True),
        ),
        (
            "portline://host:1?proxy=http://proxy:3128",
            Place("rfc2217", "host", 1),
            (Proxy.parse("http://proxy:3128"), 10.0, False),
        ),
    ],
)
def test_a_url_says_the_place_and_its_options(
    url: str, place: Place, options: tuple[object, ...]
) -> None:
    found, keywords = parse(url)
    assert (found, tuple(keywords[name] for name in ("proxy", "limit", "strict"))) == (
        place,
        options,
    )


@pytest.mark.parametrize(
    "url",
    [
        "portline://host",
        "portline://host:1/path",
        "portline://host:1?colour=red",
        "portline://host:1?protocol=udp",
        "portline://host:1?timeout=soon",
        "portline://host:1?proxy=ftp://x",
    ],
)
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(serial.SerialException, match="is not a port like portline://HOST:PORT"):
        serial.serial_for_url(url)


def test_what_cannot_be_opened_is_an_error_of_pyserial() -> None:
    with pytest.raises(serial.SerialException, match="must be configured"):
        Serial().open()
    with serving() as server:
        url = server.url
    with pytest.raises(serial.SerialException, match="nothing listens there; start the server"):
        serial.serial_for_url(url)
    with pytest.raises(ValueError, match="together"):
        serial.serial_for_url(url, rtscts=True, xonxoff=True)
    with pytest.raises(ValueError, match="baudrate"):
        serial.serial_for_url(url, baudrate=1)
    assert not [each for each in threading.enumerate() if each.name.startswith("portline ")]


def test_a_server_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port_module, "AGREEMENT", 0.05)
    with (
        serving(silent=True) as server,
        pytest.raises(serial.SerialException, match="does not speak RFC 2217"),
    ):
        serial.serial_for_url(server.url)


# --- data -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("raw", [False, True])
def test_data_goes_both_ways(raw: bool) -> None:
    data = bytes(range(256)) * 4000
    with opened(raw=raw) as (port, server):
        server.played.echoes = True
        writer = threading.Thread(target=port.write, args=(data,))
        writer.start()
        assert port.read(len(data)) == data
        writer.join(PATIENCE)
        port.flush()
        assert (port.in_waiting, port.out_waiting) == (0, 0)


def test_a_read_returns_what_there_is_when_its_time_is_over() -> None:
    with opened(timeout=0.05) as (port, server):
        assert port.read(1) == b""
        server.say(b"abc")
        server.becomes(lambda: port.in_waiting == 3)
        assert port.read(10) == b"abc"
        port.timeout = 0
        assert port.read(10) == b""
        server.say(b"def")
        server.becomes(lambda: port.in_waiting == 3)
        assert port.read(2) == b"de"
        assert port.read(0) == b""
        port.timeout = PATIENCE
        port.inter_byte_timeout = 0.02
        assert port.read(10) == b"f"


def test_lines_are_read_as_from_any_port() -> None:
    with opened() as (port, server):
        server.say(b"one\ntwo\n")
        assert port.readline() == b"one\n"
        assert port.read_until(b"\n") == b"two\n"


def test_a_write_that_lasts_too_long_is_given_up() -> None:
    with opened(write_timeout=0.1) as (port, server):
        server.do(server.played.link.write, command(8 + ANSWER))
        server.becomes(lambda: port._remote._known.suspended)
        with pytest.raises(serial.SerialTimeoutException):
            port.write(b"hello")
        assert port.out_waiting == 5
        port.write_timeout = 0
        assert port.write(b"more") == 0
        server.do(server.played.link.write, command(9 + ANSWER))
        server.becomes(lambda: server.played.received == b"hello")
        server.becomes(lambda: port.out_waiting == 0)
        assert port.write(bytes(2 * WRITE_SIZE)) == WRITE_SIZE


@pytest.mark.parametrize("what", ["read", "write"])
def test_who_waits_can_be_stopped_from_another_thread(what: str) -> None:
    with opened(timeout=None) as (port, server):
        server.do(server.played.link.write, command(8 + ANSWER))
        server.becomes(lambda: port._remote._known.suspended)
        ended = []
        work = {"read": lambda: port.read(1), "write": lambda: port.write(b"abc")}
        thread = threading.Thread(target=lambda: ended.append(work[what]()))
        thread.start()
        while thread.is_alive():
            port.cancel_read() if what == "read" else port.cancel_write()
            thread.join(0.01)
        assert ended == [b"" if what == "read" else 3]


def test_a_close_ends_a_read_in_another_thread() -> None:
    with opened(timeout=None) as (port, _):
        ended = []

        def read() -> None:
            with pytest.raises(serial.SerialException):
                ended.append(port.read(1))
            ended.append("over")

        thread = threading.Thread(target=read)
        thread.start()
        thread.join(0.05)
        port.close()
        thread.join(PATIENCE)
        assert ended == ["over"]


def test_the_end_of_the_connection_is_an_error() -> None:
    with opened() as (port, server):
        server.say(b"bye")
        server.do(server.played.link.finish)
        server.becomes(lambda: port._ended)
        assert port.read(10) == b"bye"
        with pytest.raises(serial.SerialException, match="server closed the connection"):
            port.read(1)
        with pytest.raises(serial.SerialException, match="server closed the connection"):
            port.write(b"x")
        with pytest.raises(serial.SerialException, match="server closed the connection"):
            port.baudrate = 300


def test_a_loss_is_an_error_that_names_the_server() -> None:
    with opened() as (port, _):
        port._thread.soon(port._remote.link_lost, "connection reset by the peer")
        with pytest.raises(serial.SerialException, match=r"rfc2217://.* is lost .*; open it again"):
            port.read(1)
        port._thread.soon(port._hand_over, port._remote, b"late")


def test_more_than_fits_is_held_back_and_follows() -> None:
    size = 4 * RECEIVE_LIMIT
    with opened() as (port, server):
        server.say(bytes(size))
        server.becomes(lambda: port.in_waiting >= RECEIVE_LIMIT)
        assert len(port.read(size)) == size
        server.say(b"old")
        server.becomes(lambda: port.in_waiting)
        port.reset_input_buffer()
        assert port.in_waiting == 0
        port.reset_output_buffer()
        assert server.played.done[-2:] == [Purge(received=True), Purge(unsent=True)]


# --- settings and lines ---------------------------------------------------------------------------


def test_settings_change_while_it_is_open() -> None:
    with opened() as (port, server):
        port.baudrate = 115200
        port.bytesize, port.parity, port.stopbits = 7, serial.PARITY_MARK, serial.STOPBITS_TWO
        port.xonxoff = True
        settings = LineSettings(115200, 7, Parity.MARK, StopBits.TWO, FlowControl.XON_XOFF)
        assert server.played.state.settings == settings
        count = len(server.played.asked)
        port.timeout, port.write_timeout = 1, 1
        assert len(server.played.asked) == count
        port.apply_settings({"baudrate": 300})
        assert server.played.state.settings.baudrate == 300
        assert port.get_settings()["baudrate"] == 300


def test_lines_and_breaks_go_to_the_server_and_its_lines_come_here() -> None:
    with opened() as (port, server):
        assert (port.cts, port.dsr, port.ri, port.cd) == (True, False, False, False)
        server.do(server.played.tell, ModemChange(ModemLines(dsr=True, ri=True, dcd=True)))
        server.becomes(lambda: not port.cts)
        assert (port.cts, port.dsr, port.ri, port.cd) == (False, True, True, True)
        port.dtr = port.rts = False
        assert (server.played.state.dtr, server.played.state.rts) == (False, False)
        port.send_break(0)
        assert server.played.done[-2:] == [SetBreak(True), SetBreak(False)]


def test_a_raw_port_has_neither() -> None:
    with opened(raw=True) as (port, server):
        port.baudrate = 300
        port.dtr = False
        assert (port.cts, port.dsr, port.ri, port.cd) == (True, True, True, True)
        server.say(b"old")
        server.becomes(lambda: port.in_waiting)
        port.reset_input_buffer()
        assert port.in_waiting == 0


def test_what_is_not_confirmed_is_a_warning_unless_strict(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, logger="portline.remote")
    with serving(obeys=lambda request: request != SetLine(data_bits=5)) as server:
        with serial.serial_for_url(server.url) as port:
            port.bytesize = 5
        assert "data-bits is now 8, asked for 5" in caplog.text
        with serial.serial_for_url(f"{server.url}?strict") as port:
            with pytest.raises(ValueError, match="data-bits is now 8"):
                port.bytesize = 5
            port.bytesize = 8


def test_ctrl_c_while_it_opens_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def call(self: LoopThread, coroutine: Any) -> None:
        coroutine.close()
        monkeypatch.undo()
        raise KeyboardInterrupt

    with serving() as server:
        monkeypatch.setattr(LoopThread, "call", call)
        with pytest.raises(KeyboardInterrupt):
            serial.serial_for_url(server.url)
    assert not [each for each in threading.enumerate() if each.name.startswith("portline ")]


def test_threads_that_close_read_and_set_at_once_all_come_back() -> None:
    for _ in range(10):
        with opened(timeout=None) as (port, _):
            ends: list[BaseException | bytes | int] = []
            begin = threading.Barrier(7)

            def work(
                what: Any, begin: threading.Barrier, ends: list[BaseException | bytes | int]
            ) -> None:
                begin.wait(PATIENCE)
                try:
                    ends.append(what() or b"")
                except BaseException as error:
                    ends.append(error)

            def change(port: Any = port) -> None:
                for rate in range(300, 400):
                    port.baudrate = rate

            works = [port.close] * 3 + [port.read, partial(port.write, bytes(100)), change]
            others = [
                threading.Thread(target=work, args=(each, begin, ends), daemon=True)
                for each in works
            ]
            for each in others:
                each.start()
            begin.wait(PATIENCE)
            for each in others:
                each.join(PATIENCE)
                assert not each.is_alive()
            assert len(ends) == len(works)
            assert all(isinstance(end, int | bytes | serial.SerialException) for end in ends), ends
