"""``--strict-baudrate``: the speed of a virtual port, measured from outside on both its sides."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from portline.line import LineSettings, StopBits
from portline.port.tty.termios2 import encode, read_attributes, write_attributes
from tests.interop.device import PATIENCE
from tests.interop.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FLAGS = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK

TICK = 0.006
"""Seconds of data that may come early: a portion of a fast line, and the grain of a timer."""

STALLS = 1.5
"""Seconds that a busy machine may keep everybody waiting; how exact the speed is on a quiet one
stands in docs/explanation/performance.md."""


@pytest.fixture
def port(tmp_path: Path) -> Iterator[Server]:
    options = ("--virtual", str(tmp_path / "v"), "--strict-baudrate", "-v")
    server = Server("", "raw", *options, log=tmp_path / "log")
    yield server
    server.stop()


@contextlib.contextmanager
def application(path: Path, settings: LineSettings) -> Iterator[int]:
    """An application that has the port open with these settings."""
    fd = os.open(path, FLAGS)
    try:
        write_attributes(fd, encode(settings, read_attributes(fd)))
        yield fd
    finally:
        os.close(fd)


def send(fd: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        assert select.select([], [fd], [], PATIENCE)[1], "nobody takes it"
        with contextlib.suppress(BlockingIOError):
            left = left[os.write(fd, left) :]


def receive(read: Callable[[int], bytes], fd: int, count: int) -> bytes:
    data = b""
    while len(data) < count:
        assert select.select([fd], [], [], PATIENCE)[0], f"{len(data)} bytes came"
        with contextlib.suppress(BlockingIOError):
            data += read(65536)
    return data


@pytest.mark.parametrize(
    "settings",
    [
        LineSettings(115200),
        *(
            pytest.param(settings, marks=pytest.mark.slow)
            for settings in (
                LineSettings(300),
                LineSettings(12345, stop_bits=StopBits.TWO),
                LineSettings(921600),
            )
        ),
    ],
    ids=str,
)
def test_both_ways_are_as_fast_as_the_line(
    port: Server, tmp_path: Path, settings: LineSettings
) -> None:
    data = os.urandom(round(1.0 / settings.character_time))
    took: dict[str, float] = {}

    with (
        application(tmp_path / "v", settings) as fd,
        socket.create_connection(("127.0.0.1", port.port)) as peer,
    ):
        port.wait_errors(f"the application set {settings}")

        def measured(way: str, read: Callable[[int], bytes], source: int) -> None:
            assert receive(read, source, len(data)) == data
            took[way] = time.monotonic() - begin

        threads = [
            threading.Thread(target=measured, args=("out", peer.recv, peer.fileno())),
            threading.Thread(target=measured, args=("in", lambda size: os.read(fd, size), fd)),
            threading.Thread(target=send, args=(fd, data)),
            threading.Thread(target=peer.sendall, args=(data,)),
        ]
        begin = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    exact = len(data) * settings.character_time
    for way in ("out", "in"):
        assert exact - TICK - settings.character_time < took[way] < exact + STALLS, (way, exact)


@pytest.mark.slow
def test_last_words_are_delivered_at_the_speed_of_the_line(port: Server, tmp_path: Path) -> None:
    settings = LineSettings(9600)
    data = os.urandom(1500)
    with socket.create_connection(("127.0.0.1", port.port)) as peer:
        with application(tmp_path / "v", settings) as fd:
            port.wait_errors("an application opened")
            begin = time.monotonic()
            send(fd, data)
        assert receive(peer.recv, peer.fileno(), len(data)) == data
        assert time.monotonic() - begin > len(data) * settings.character_time - TICK
    port.wait_errors("an application closed")
