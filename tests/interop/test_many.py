"""A thousand virtual ports in one process, each with an application and a peer."""

from __future__ import annotations

import os
import random
import resource
import select
import socket
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import pytest

from tests.interop.device import PATIENCE
from tests.interop.server import Server, _environment, _leash

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

PORTS: Final = 1000

FILES: Final = 3 * PORTS + 500
"""Open files that the test and the server need; each gets its own."""

MEMORY: Final = 120_000_000
"""Bytes; on its own it takes 57 MB, the rest is for other versions of what it imports."""

FLAGS: Final = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK


def own_address() -> str:
    """Return a loopback address on which nobody else uses ports, so that a thousand are free.

    At 127.0.0.1 other tests leave so many in TIME_WAIT that a range without any may not exist.
    """
    dice = random.SystemRandom()
    return f"127.{dice.randrange(1, 255)}.{dice.randrange(256)}.{dice.randrange(1, 255)}"


class Gateway(Server):
    """``portline serve`` with a thousand virtual ports, and a soft limit that is too low."""

    def __init__(self, folder: Path) -> None:
        self.host, self.port = own_address(), 10000
        self.log = folder / "log"
        config = folder / "portline.toml"
        config.write_text(
            "".join(
                f'[connections.v{number}]\nvirtual = "{folder}/v{number}"\n'
                f'listen = "{self.host}:{self.port + number}"\n'
                for number in range(PORTS)
            ),
            "utf-8",
        )
        limited = ["sh", "-c", 'ulimit -S -n 1024; exec "$@"', "sh"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*_leash(), *limited, sys.executable, "-m", "portline", "serve", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(),
            )
        try:
            self.wait_errors(rf"v{PORTS - 1}: .* on ")
        except AssertionError:
            self.process.kill()
            self.process.wait()
            raise


@pytest.fixture
def files() -> Iterator[None]:
    """Let this process have as many open files as the test needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < FILES:
        pytest.skip(f"only {hard} open files are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, FILES), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def receive(fd: int, size: int) -> bytes:
    """Read exactly so many bytes; select() would fail with a descriptor above 1023."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    data = b""
    while len(data) < size:
        assert poll.poll(PATIENCE * 1000), f"only {data!r} came"
        data += os.read(fd, size - len(data))
    return data


def test_a_thousand_virtual_ports(tmp_path: Path, files: None) -> None:
    gateway = Gateway(tmp_path)
    try:
        with ExitStack() as stack:
            applications, peers = [], []
            for number in range(PORTS):
                fd = os.open(tmp_path / f"v{number}", FLAGS)
                stack.callback(os.close, fd)
                applications.append(fd)
            for number in range(PORTS):
                address = (gateway.host, gateway.port + number)
                peers.append(stack.enter_context(socket.create_connection(address, PATIENCE)))
            for number, (fd, peer) in enumerate(zip(applications, peers, strict=True)):
                peer.sendall(b"to %4d" % number)
                os.write(fd, b"from %4d" % number)
            for number, (fd, peer) in enumerate(zip(applications, peers, strict=True)):
                assert receive(peer.fileno(), 9) == b"from %4d" % number
                assert receive(fd, 7) == b"to %4d" % number
            assert gateway.memory() < MEMORY
        assert "warning" not in gateway.errors()
    finally:
        gateway.stop()
    assert not [path for path in tmp_path.iterdir() if path.is_symlink()]
