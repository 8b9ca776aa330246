"""Two machines joined by a cable that can be cut: network namespaces of the test's own.

The namespaces live as long as the processes that hold them, and those end when their standard
input does, so nothing is left behind even when the test is killed.  Nothing outside of them is
touched: no name, no mount, no address of this machine.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.interop.device import PATIENCE

if TYPE_CHECKING:
    from types import TracebackType

__all__ = [
    "TIMER_KEEPALIVE",
    "TIMER_PERSIST",
    "Cable",
    "FarPeer",
    "NotPermittedError",
    "connections",
    "timer",
]

TIMER_KEEPALIVE, TIMER_PERSIST = 2, 4
"""What /proc/net/tcp calls the timers that probe a silent peer, and a closed window."""

TICKS = 100
"""Units of /proc/net/tcp in a second (USER_HZ)."""

_PEER = """
import socket, sys
host, port, source, window = sys.argv[1:]
peer = socket.socket()
if int(window):
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, int(window))
peer.bind((source, 0))
peer.connect((host, int(port)))
print(peer.getsockname()[1], file=sys.stderr, flush=True)
while data := peer.recv(65536):
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
"""


def connections(process: int) -> list[list[str]]:
    """Return the rows of /proc/net/tcp as a process sees it: the TCP sockets of its namespace."""
    text = Path(f"/proc/{process}/net/tcp").read_text("ascii")
    return [line.split() for line in text.splitlines()[1:]]


def timer(process: int, peer: int) -> tuple[int, float]:
    """Return which timer the kernel of a server runs for the peer with TCP port ``peer``.

    Beside it, the seconds until it rings.
    """
    for row in connections(process):
        if row[2].endswith(f":{peer:04X}"):
            kind, when = row[5].split(":")
            return int(kind, 16), int(when, 16) / TICKS
    raise AssertionError(f"{peer} is not connected")


class NotPermittedError(Exception):
    """This user may not make network namespaces here; the text says what failed."""


class Cable:
    """The machine of the server (``near``) and that of its peers (``far``), within ``with``.

    ``near`` and ``far`` are the words to put before a command that is to run there.
    """

    NEAR = "192.0.2.1"  # TEST-NET-1 (RFC 5737), never anybody's
    LOST = "192.0.2.2"  # the peers' address that ``cut`` makes vanish
    SAFE = "192.0.2.3"  # another one of theirs, which stays

    def __init__(self) -> None:
        self._holders: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Cable:
        try:
            self._lay()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        for holder in self._holders:
            holder.communicate(timeout=PATIENCE)  # closes its standard input

    def _lay(self) -> None:
        owner = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        first = self._hold(["unshare", "--net", *owner])
        joins = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        enter = ["nsenter", f"--target={first}", *joins]
        second = self._hold([*enter, "unshare", "--net"])
        self.near = [*enter, "--net", "--"]
        self.far = ["nsenter", f"--target={second}", *joins, "--net", "--"]
        self._run(self.near, f"ip link add name near type veth peer name far netns {second}")
        self._run(self.near, "ip link set lo up")
        self._run(self.near, f"ip address add {self.NEAR}/24 dev near")
        self._run(self.near, "ip link set near up")
        for address in (self.LOST, self.SAFE):
            self._run(self.far, f"ip address add {address}/32 dev far")
        self._run(self.far, "ip link set far up")
        self._run(self.far, f"ip route add {self.NEAR}/32 dev far")
        # Without this, the server's kernel would notice that nobody answers to the address.
        link = self._run(self.far, "ip -oneline link show dev far").split()
        hardware = link[link.index("link/ether") + 1]
        for address in (self.LOST, self.SAFE):
            entry = f"{address} lladdr {hardware} dev near nud permanent"
            self._run(self.near, f"ip neighbour replace {entry}")

    def cut(self) -> None:
        """Make what is sent to LOST vanish, without a word to the sender."""
        self._run(self.far, f"ip address del {self.LOST}/32 dev far")

    def _hold(self, command: list[str]) -> int:
        """Start a process in namespaces of its own; return its id once it is there."""
        before = os.readlink("/proc/self/ns/net")
        try:
            holder = subprocess.Popen(
                [*command, "cat"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
        except FileNotFoundError as error:
            raise NotPermittedError(str(error)) from error
        self._holders.append(holder)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if holder.poll() is not None:
                assert holder.stderr is not None
                raise NotPermittedError(holder.stderr.read().decode())
            with contextlib.suppress(OSError):
                arrived = Path(f"/proc/{holder.pid}/comm").read_text("ascii") == "cat\n"
                if arrived and os.readlink(f"/proc/{holder.pid}/ns/net") != before:
                    return holder.pid
            time.sleep(0.01)
        raise AssertionError("no namespace in time")

    def _run(self, where: list[str], command: str) -> str:
        done = subprocess.run(
            [*where, *command.split()],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        if done.returncode:
            raise NotPermittedError(f"{command}: {done.stderr}")
        return done.stdout


class FarPeer:
    """A program at the far end that writes what it reads to its standard output.

    With ``reads`` False nobody reads that, so it stops reading too, until :meth:`read`.
    """

    def __init__(
        self, cable: Cable, port: int, *, source: str, reads: bool = True, window: int = 0
    ) -> None:
        words = (Cable.NEAR, str(port), source, str(window))
        self._process = subprocess.Popen(
            [*cable.far, sys.executable, "-c", _PEER, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if reads else subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self._process.stderr is not None
        number = self._process.stderr.readline().decode().strip()
        assert number.isdigit(), number + self._process.stderr.read().decode()
        self.address = f"{source}:{number}"
        self.port = int(number)

    def read_until(self, end: bytes) -> None:
        """Read on, until ``end`` comes."""
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        tail = b""
        deadline = time.monotonic() + PATIENCE
        while not tail.endswith(end):
            assert time.monotonic() < deadline, f"only {tail!r} came"
            tail = (tail + (self._process.stdout.read(65536) or b""))[-2 * len(end) :]
            time.sleep(0.001)

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
