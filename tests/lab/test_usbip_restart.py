"""An application keeps its terminal while the service behind it is restarted, or killed.

The kernel is true, the service manager is played: it keeps descriptors as systemd does.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.interop.server import free_port
from tests.manager import Manager
from tests.waiting import LIMIT

pytestmark = [pytest.mark.lab, pytest.mark.timeout(800)]

NAME = "/dev/plc"
SERVE = ("-m", "portline", "serve", "--config")

STARTED = LIMIT
"""Seconds for a start of Portline: ten times what one takes in the lab."""


def until(condition: Callable[[], object], limit: float = STARTED) -> None:
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


class Application:
    """A program that has the port open; it would notice a hang-up."""

    def __init__(self, path: str) -> None:
        self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self.fd)
        attributes = termios.tcgetattr(self.fd)
        attributes[2] &= ~(termios.CSIZE | termios.CLOCAL)
        attributes[2] |= termios.CS7 | termios.PARENB
        attributes[4] = attributes[5] = termios.B57600
        termios.tcsetattr(self.fd, termios.TCSANOW, attributes)
        self.before = self.state()
        self.node = os.path.realpath(path)

    def state(self) -> object:
        lines = struct.unpack("i", fcntl.ioctl(self.fd, termios.TIOCMGET, bytes(4)))[0]
        return termios.tcgetattr(self.fd), lines

    def write(self, data: bytes) -> None:
        """Write what the terminal has room for at once."""
        assert os.write(self.fd, data) == len(data)

    def expect(self, data: bytes) -> None:
        received = b""

        def come() -> bool:
            nonlocal received
            with contextlib.suppress(BlockingIOError):
                received += os.read(self.fd, 4096)
            return received == data

        until(come)

    def hung_up(self) -> bool:
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        return any(events & (select.POLLHUP | select.POLLERR) for _, events in poll.poll(0))


class Peer:
    """Who is connected over the network, again and again."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.received = b""
        self.socket = self._connected()

    def _connected(self) -> socket.socket:
        deadline = time.monotonic() + STARTED
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self.port), timeout=0.2)
            except OSError:
                assert time.monotonic() < deadline, "nobody listens"
                time.sleep(0.05)

    def expect(self, data: bytes) -> None:
        """Receive ``data``, over as many connections as it takes."""
        received = b""
        deadline = time.monotonic() + STARTED
        while received != data:
            assert time.monotonic() < deadline, received
            try:
                piece = self.socket.recv(4096)
            except TimeoutError:
                continue
            except OSError:
                piece = b""
            if not piece:
                self.socket.close()
                self.socket = self._connected()
            received += piece


def configure(folder: Path, name: str, port: int) -> str:
    path = folder / "portline.toml"
    path.write_text(
        f'[connections.plc]\nvirtual = "{name}"\nbackend = "usbip"\n'
        f'listen = "127.0.0.1:{port}"\nbuffer-size = "64 KiB"\n'
    )
    return str(path)


@contextlib.contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[None]:
    """End a process that the test has not ended."""
    try:
        yield
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(STARTED)


def goes_on(application: Application, peer: Peer, meanwhile: bytes = b"") -> None:
    """Check that nothing was noticed, and nothing is missing.

    ``meanwhile`` was written since the peer was connected last: only by waiting for that does a
    peer notice that its connection has ended.
    """
    peer.expect(meanwhile)
    assert not application.hung_up()
    assert application.state() == application.before
    until(lambda: os.path.realpath(NAME) == application.node)
    peer.socket.sendall(b"answer")
    application.expect(b"answer")
    application.write(b"question")
    peer.expect(b"question")
    termios.tcdrain(application.fd)


def test_a_restart_in_place_is_not_noticed(tmp_path: Path) -> None:
    until(lambda: not os.path.lexists(NAME))  # that of an earlier test may go only now
    port = free_port()
    config = configure(tmp_path, NAME, port)
    process = subprocess.Popen([sys.executable, *SERVE, config], stdout=subprocess.DEVNULL)
    with ended(process):  # type: ignore[arg-type]
        until(lambda: os.path.exists(NAME))
        application, peer = Application(NAME), Peer(port)
        goes_on(application, peer)
        for count in range(2):
            process.send_signal(signal.SIGUSR2)
            text = b"while it restarts %d" % count
            until(lambda: not listening(port))
            application.write(text)
            goes_on(application, peer, text)
        assert process.poll() is None
        process.terminate()
        assert process.wait(STARTED) == 0
        until(application.hung_up)
        until(lambda: not os.path.exists(application.node))
        assert not os.path.lexists(NAME)
        peer.socket.close()
    os.close(application.fd)


@pytest.mark.long
def test_a_kill_is_not_noticed_where_somebody_keeps_the_descriptors(tmp_path: Path) -> None:
    until(lambda: not os.path.lexists(NAME))  # that of an earlier test may go only now
    port = free_port()
    config = configure(tmp_path, NAME, port)
    with Manager(str(tmp_path / "notify")) as manager:
        process = manager.start(*SERVE, config)
        with ended(process):
            until(lambda: os.path.exists(NAME))
            application, peer = Application(NAME), Peer(port)
            goes_on(application, peer)
            process.kill()
            process.wait()
        application.write(b"while it is dead")
        process = manager.start(*SERVE, config)
        with ended(process):
            goes_on(application, peer, b"while it is dead")
            # A service manager's end may be a restart: only it knows.
            process.terminate()
            assert process.wait(STARTED) == 0
            assert not os.path.lexists(NAME)
        assert not application.hung_up()
        application.write(b"while it is stopped")
        process = manager.start(*SERVE, config)
        with ended(process):
            goes_on(application, peer, b"while it is stopped")
            process.kill()
            process.wait()
        process = manager.start(*SERVE, configure(tmp_path, "/dev/other", port))
        with ended(process):
            until(lambda: os.path.exists("/dev/other"))
            until(application.hung_up)
            assert not os.path.lexists(NAME)
        os.close(application.fd)
        peer.socket.close()
        node = os.path.realpath("/dev/other")
        manager.listen()
        manager.release()
        until(lambda: not os.path.exists(node))


def listening(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0
