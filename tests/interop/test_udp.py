"""Datagrams from outside: socat and pyserial, groups and broadcasts in a network of our own."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import serial

from tests.docs.program import PATIENCE, environment
from tests.interop.conftest import lacking
from tests.interop.server import free_port
from tests.namespace import Network, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LISTENER = """\
import socket, struct, sys
host, group, count = sys.argv[1:]
family = socket.AF_INET6 if ":" in group else socket.AF_INET
sock = socket.socket(family, socket.SOCK_DGRAM)
sock.settimeout(20)
sock.bind((host, 5000))
index = socket.if_nametoindex("far")
if group.startswith("ff"):
    request = socket.inet_pton(family, group) + struct.pack("@I", index)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
elif group.startswith("239."):
    request = struct.pack("4s4si", socket.inet_aton(group), b"", index)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
print("ready", flush=True)
for _ in range(int(count)):
    data, source = sock.recvfrom(65536)
    print(len(data), data[:20].decode(), flush=True)
    sock.sendto(b"answer\\n", source)
"""
"""Prints the length and the beginning of each datagram, and answers it."""


@pytest.fixture
def network() -> Iterator[Network]:
    try:
        made = Network()
    except Unavailable as error:
        lacking(str(error))
        raise
    with made:
        yield made


@contextmanager
def portline(folder: Path, *words: str, prefix: list[str] | None = None) -> Iterator[serial.Serial]:
    """Run ``portline udp`` with a virtual port, and yield what an application has of it."""
    link = folder / "ttyV0"
    command = [*(prefix or []), sys.executable, "-m", "portline", "udp"]
    process = subprocess.Popen(
        [*command, *words, "--virtual", str(link)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if "--open" in words and "open to everybody who reaches *:5000" in line:
            line = process.stdout.readline()
        assert "(udp)" in line
        with serial.Serial(str(link), timeout=PATIENCE) as port:
            yield port
        process.terminate()
        rest, _ = process.communicate(timeout=PATIENCE)
        assert (process.returncode, rest) == (0, "")
    finally:
        process.kill()
        process.communicate()


@contextmanager
def listener(
    network: Network, host: str, group: str, count: int = 1
) -> Iterator[Callable[[], str]]:
    """Run the listener on the far side, and yield what reads a line of it."""
    process = subprocess.Popen(
        [*network.far, sys.executable, "-c", LISTENER, host, group, str(count)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process.stdout.readline
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("host", "group", "more"),
    [
        ("10.77.0.2", "10.77.0.2", ()),
        ("fd77::2", "fd77::2", ()),
        ("", "10.77.0.255", ()),
        ("", "255.255.255.255", ("--interface", "near")),
        ("", "239.1.2.3", ()),
        ("", "239.1.2.3", ("--interface", "near", "--multicast-ttl", "4", "--multicast-loop")),
        ("::", "ff02::1107", ("--interface", "near")),
    ],
)
def test_a_machine_in_the_network_hears_and_answers(
    network: Network, tmp_path: Path, host: str, group: str, more: tuple[str, ...]
) -> None:
    address = f"[{group}]:5000" if ":" in group else f"{group}:5000"
    words = [address, "--listen", "*:5000", "--packet-delimiter", "\\n", *more]
    words += [] if host == group else ["--open"]
    with (
        listener(network, host, group) as line,
        portline(tmp_path, *words, prefix=network.prefix) as port,
    ):
        port.write(b"question\n")
        assert line() == "9 question\n"
        assert port.readline() == b"answer\n"


def test_a_group_is_heard_that_somebody_sends_to(network: Network, tmp_path: Path) -> None:
    words = ["239.1.2.3:5000", "--listen", "*:5000", "--open", "--interface", "near"]
    with portline(tmp_path, *words, prefix=network.prefix) as port:
        send = "import socket; socket.socket(2, 2).sendto(b'to all\\n', ('239.1.2.3', 5000))"
        route = [*network.far, "ip", "route", "add", "239.0.0.0/8", "dev", "far"]
        subprocess.run(route, check=True)
        subprocess.run([*network.far, sys.executable, "-c", send], check=True)
        assert port.readline() == b"to all\n"


def test_no_datagram_is_larger_than_the_way_takes(network: Network, tmp_path: Path) -> None:
    subprocess.run([*network.prefix, "ip", "link", "set", "near", "mtu", "1300"], check=True)
    words = ["10.77.0.2:5000", "--packet-size", "1400"]
    with (
        listener(network, "10.77.0.2", "10.77.0.2", 2) as line,
        portline(tmp_path, *words, prefix=network.prefix) as port,
    ):
        port.write(b"x" * 1400)
        sizes = [int(line().split()[0]) for _ in range(2)]
        assert sizes == [1300 - 28, 1400 - (1300 - 28)]


def test_socat_and_an_application(require: Callable[[str], str], tmp_path: Path) -> None:
    socat, near, far = require("socat"), free_port(), free_port()
    words = [f"127.0.0.1:{far}", "--listen", f"127.0.0.1:{near}"]
    with portline(tmp_path, *words) as port:
        command = [socat, "-", f"UDP4-DATAGRAM:127.0.0.1:{near},bind=127.0.0.1:{far}"]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(b"from socat\n")
            assert port.readline() == b"from socat\n"  # so socat is there, and hears
            port.write(b"from the application\n")
            assert process.stdout.readline() == b"from the application\n"
            process.kill()


def test_whoever_asks_is_answered(require: Callable[[str], str], tmp_path: Path) -> None:
    socat, near = require("socat"), free_port()
    command = [socat, "-", f"UDP4:127.0.0.1:{near}"]
    with (
        portline(tmp_path, "--listen", f"127.0.0.1:{near}", "--accept", "learn") as port,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"question\n")
        assert port.readline() == b"question\n"
        port.write(b"answer\n")
        assert process.stdout.readline() == b"answer\n"
        process.kill()


def test_a_host_that_is_away_is_no_end(tmp_path: Path) -> None:
    far = free_port()
    with portline(tmp_path, f"127.0.0.1:{far}") as port:
        port.write(b"nobody is there\n")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", far))
            sock.settimeout(0.05)
            end = time.monotonic() + PATIENCE
            while True:
                port.write(b"again\n")
                try:
                    data, source = sock.recvfrom(1000)
                    break
                except TimeoutError:
                    assert time.monotonic() < end
            assert data.endswith(b"again\n")
            sock.sendto(b"here\n", source)
            assert port.readline() == b"here\n"
