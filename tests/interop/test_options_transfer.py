"""Data transfer and buffer, each option tried from outside: it would fail if it did nothing."""

from __future__ import annotations

import fcntl
import re
import select
import socket
import struct
import termios
import time
import tty
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import pytest

from tests.interop.cable import connections
from tests.interop.device import PATIENCE, Device
from tests.interop.server import Server, free_port
from tests.interop.telnet_client import TelnetClient, command

# Slow: a process for each option; the rules are in tests/unit/service.
pytestmark = pytest.mark.slow

Share = Callable[..., Server]

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, for 0 seconds: a close sends RST, and the peer is gone at once."""


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


# --- receive-from and send-to: all combinations, in one server ------------------------------------

CHOICES = ("none", "first", "last", "last-active", "all")

PLAY = "! +a ! +b ! b ! a ! +c ! c a b ! b c ! -a ! b c ! +d c ! d b ! -d ! c b ! -b ! c ! +e ! c !"
"""What happens: ``+a`` peer a connects, ``a`` it sends something, ``-a`` it goes, ``!`` the device
sends something."""


def chosen(choice: str, order: list[str], activity: list[str]) -> list[str]:
    """Return whom a choice means."""
    match choice:
        case "first":
            return order[:1]
        case "last":
            return order[-1:]
        case "last-active":
            return activity[-1:]
        case "all":
            return order
        case _:
            return []


class Side:
    """One combination: a device, its peers, and what each of them has to have received."""

    def __init__(self, path: Path, receive_from: str, send_to: str) -> None:
        self.receive_from, self.send_to = receive_from, send_to
        self.device = Device(path)
        self.port = free_port()
        self.peers: dict[str, socket.socket] = {}
        self.due: dict[str, bytes] = {}
        self.written = b""
        self.order: list[str] = []
        self.activity: list[str] = []

    def table(self) -> str:
        return (
            f'[connections.{self.device.path.name}]\nport = "{self.device.path}"\n'
            f'listen = "127.0.0.1:{self.port}"\nbaudrate = 9600\n'
            f'receive-from = "{self.receive_from}"\nsend-to = "{self.send_to}"\n'
        )

    def play(self, step: str, message: bytes) -> None:
        """Do what a step says, and note what follows from it."""
        name = step[-1]
        if step == "!":
            self.device.write(message)
            for hearer in chosen(self.send_to, self.order, self.activity):
                self.due[hearer] += message
        elif step[0] == "+":
            self.peers[name] = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
            self.due[name] = b""
            self.order.append(name)
        elif step[0] == "-":
            self.peers[name].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.peers.pop(name).close()
            self.order.remove(name)
            self.activity = [peer for peer in self.activity if peer != name]
        else:
            self.peers[name].sendall(message)
            self.activity = [peer for peer in self.activity if peer != name] + [name]
            if name in chosen(self.receive_from, self.order, self.activity):
                self.written += message

    def check(self, step: str) -> None:
        """Wait until everything that is due has come, and nothing else."""
        where = f"receive-from={self.receive_from} send-to={self.send_to} after {step}"
        assert self.device.read(len(self.written)) == self.written, where
        self.written = b""
        for name, peer in self.peers.items():
            due, self.due[name] = self.due[name], b""
            received = b""
            while len(received) < len(due):
                received += peer.recv(len(due) - len(received))
            assert received == due, f"{where}: peer {name}"

    def nothing_more(self) -> None:
        where = f"receive-from={self.receive_from} send-to={self.send_to}"
        assert self.device.drain() == b"", where
        for name, peer in self.peers.items():
            assert select.select([peer], [], [], 0) == ([], [], []), f"{where}: peer {name}"

    def close(self) -> None:
        for peer in self.peers.values():
            peer.close()
        self.device.unplug()


@pytest.fixture
def sides(tmp_path: Path) -> Iterator[list[Side]]:
    made = [
        Side(tmp_path / f"tty{number}", *choices)
        for number, choices in enumerate(product(CHOICES, CHOICES))
    ]
    yield made
    for side in made:
        side.close()


def settled(server: Server, sides: list[Side]) -> bool:
    """Tell whether the server has read all that was sent, and knows all who came and went."""
    ports = {f":{side.port:04X}" for side in sides}
    rows = [row for row in connections(server.process.pid) if row[1][8:] in ports]
    unread = any(row[4].rpartition(":")[2] != "00000000" for row in rows)
    log = server.errors()
    inside = log.count("peer connected") - log.count("peer gone")
    untaken = any(
        struct.unpack("i", fcntl.ioctl(side.device.slave, termios.FIONREAD, bytes(4)))[0]
        for side in sides
    )
    return not unread and not untaken and inside == sum(len(side.peers) for side in sides)


def test_who_is_heard_and_who_hears_while_peers_come_and_go(
    share: Share, sides: list[Side], tmp_path: Path
) -> None:
    config = tmp_path / "portline.toml"
    config.write_text("\n".join(side.table() for side in sides), "utf-8")
    server = share(words=["serve", "--verbose", str(config)], port=sides[-1].port)
    for side in sides:
        server.port = side.port
        server.wait_listening()
    for number, step in enumerate(PLAY.split()):
        for side in sides:
            side.play(step, f"<{number}>".encode())
        until(lambda: settled(server, sides), f"{step} is not noticed")
        # What nobody hears is read from the device without a sign of it, soon.
        time.sleep(0.02)
        for side in sides:
            side.check(f"{step} ({number})")
    time.sleep(0.2)
    for side in sides:
        side.nothing_more()


# --- a peer that stays behind ---------------------------------------------------------------------

MEBIBYTE = 1 << 20
FLOOD = 12 * MEBIBYTE
"""Bytes that the device sends: more than the kernels of both ends keep for one peer (4 MiB to send
and 6 MiB to receive are the limits that Linux comes with), and the backlog."""


def flood(device: Device, quick: socket.socket) -> None:
    """Let the device send FLOOD bytes in numbered lines of 16, which ``quick`` reads."""
    left = FLOOD
    number = 0
    while left:
        lines = b"".join(b"%014d\r\n" % (number + i) for i in range(256))
        device.write(lines)
        number += 256
        left -= len(lines)
        wanted = len(lines)
        while wanted:
            wanted -= len(quick.recv(wanted))


@pytest.mark.parametrize("policy", ["drop-oldest", "disconnect"])
def test_who_reads_nothing_loses_old_data_or_its_connection(
    device: Device, share: Share, policy: str
) -> None:
    options = ("--overflow", policy, "--backlog-size", "64KiB", "--verbose")
    server = share("raw", *options, developer_mode=False)
    with socket.socket() as slow, socket.socket() as quick:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for peer in (slow, quick):
            peer.settimeout(PATIENCE)
            peer.connect(("127.0.0.1", server.port))
            peer.sendall(b"?")
            assert device.read(1) == b"?"
        flood(device, quick)
        address = f"127.0.0.1:{slow.getsockname()[1]}"
        received = b""
        if policy == "disconnect":
            until(lambda: "overflow = disconnect" in server.errors(), "it is still connected")
            assert f"peer gone peer={address}" in server.errors()
        else:
            device.write(b"the end\r\n")
            while not received.endswith(b"the end\r\n"):
                received += (data := slow.recv(MEBIBYTE))
                assert data, "closed"
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            slow.close()
            until(lambda: f"peer gone peer={address}" in server.errors(), "it is still connected")
            gone = re.search(rf"peer gone peer={address} .* dropped=(\d+) ", server.errors())
            assert gone is not None
            assert int(gone[1]) == FLOOD + len(b"the end\r\n") - len(received) > 0
            numbers = [int(line) for line in received.split(b"\r\n")[:-2] if len(line) == 14]
            assert numbers == sorted(numbers)


# --- Nagle ----------------------------------------------------------------------------------------

DELAYED = 0.03
"""Seconds; Linux waits at least 0.04 before it acknowledges without data of its own to send
(TCP_DELACK_MIN), and for that long Nagle's algorithm keeps a second small segment."""


def second_byte_takes(device: Device, peer: socket.socket) -> float:
    """Return how long the second of two bytes takes, while the first is not acknowledged."""
    time.sleep(0.1)  # what came before is acknowledged now
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
    device.write(b"1")
    assert peer.recv(1) == b"1"
    begun = time.monotonic()
    device.write(b"2")
    assert peer.recv(1) == b"2"
    return time.monotonic() - begun


@pytest.mark.parametrize("nodelay", [True, False], ids=["nodelay", "no-nodelay"])
def test_nagle_holds_small_segments_only_where_it_is_wanted(
    device: Device, share: Share, nodelay: bool
) -> None:
    server = share("raw", "--nodelay" if nodelay else "--no-nodelay")
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as peer:
        peer.sendall(b"?")
        assert device.read(1) == b"?"
        # A busy machine only adds to a time: the shortest of some is the one to look at.
        shortest = min(second_byte_takes(device, peer) for _ in range(6))
        assert (shortest < DELAYED) == nodelay


# --- notify and allow -----------------------------------------------------------------------------


@pytest.mark.parametrize("notify", [True, False], ids=["notify", "no-notify"])
def test_peers_are_told_of_new_settings_only_where_that_is_wanted(
    share: Share, tmp_path: Path, notify: bool
) -> None:
    name = tmp_path / "ttyV0"
    option = "--notify" if notify else "--no-notify"
    server = share("rfc2217", "--virtual", str(name), option, "--verbose", device="")
    with TelnetClient(server.port) as client, name.open("r+b", buffering=0) as application:
        client.agree()
        client.replies.clear()
        tty.setraw(application)
        attributes = termios.tcgetattr(application)
        attributes[4] = attributes[5] = termios.B38400
        termios.tcsetattr(application, termios.TCSANOW, attributes)
        until(lambda: "38400" in server.errors(), "the server has not noticed")
        news = (101, (38400).to_bytes(4, "big"))
        if notify:
            client.until(lambda: news in client.replies)
        else:
            assert client.exchange(b"") == []
            assert client.nothing_for(0.3)
            assert client.replies[:-1] == []


CHANGES = {
    "--no-allow-settings": (1, (57600).to_bytes(4, "big"), (9600).to_bytes(4, "big")),
    "--no-allow-dtr": (5, b"\x09", b"\x08"),
    "--no-allow-rts": (5, b"\x0c", b"\x0b"),
    "--no-allow-break": (5, b"\x05", b"\x06"),
}
"""What forbids a change -> the command, the value that is asked for, the value in force."""


@pytest.mark.parametrize("option", CHANGES)
def test_what_is_not_allowed_is_answered_with_what_is_in_force(
    device: Device, share: Share, option: str
) -> None:
    server = share("rfc2217", option)
    with TelnetClient(server.port) as client:
        client.agree()
        for other, (code, wanted, in_force) in CHANGES.items():
            answer = client.exchange(command(code, wanted))
            assert answer == [(code + 100, in_force if other == option else wanted)], other
        denied = option == "--no-allow-settings"
        assert device.in_force().baudrate == (9600 if denied else 57600)
