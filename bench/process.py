"""The processes that the benchmark starts: start, wait until they listen, read their cost, stop.

Nothing here outlives the benchmark: every process is the leader of its own group, the group is
stopped in a bounded time, and the kernel kills the process when the benchmark itself dies.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["BridgeError", "Process", "free_ports"]

PORT_FIRST: Final = 12000
PORT_LAST: Final = 32000
"""TCP ports are taken from this range: from 32768 on they collide with ephemeral ones."""

SLOWNESS: Final = 8.0 if "PORTLINE_LAB" in os.environ else 1.0
"""What to multiply bounds by: the lab's machine is emulated."""

LISTEN_MAX: Final = 30.0 * SLOWNESS
"""Seconds to wait until a bridge listens; a thousand ports take some of them two."""

STOP_MAX: Final = 3.0 * SLOWNESS
"""Seconds between the polite signal and the other one."""

POLL: Final = 0.002 * SLOWNESS**2
"""Seconds between two looks at the listening sockets: the resolution of the start time."""

PR_SET_PDEATHSIG: Final = 1
TCP_LISTEN: Final = "0A"
TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
_LIBC: Final = ctypes.CDLL(None)

_next_port = PORT_FIRST + os.getpid() % 8000


class BridgeError(Exception):
    """A bridge or the load generator did not do what it was started for; the text says what."""


def free_ports(count: int) -> tuple[int, ...]:
    """Choose ``count`` TCP ports of 127.0.0.1 that nobody uses, new ones every time.

    Raises :class:`BridgeError` when the range is exhausted.
    """
    global _next_port
    found: list[int] = []
    for _ in range(PORT_LAST - PORT_FIRST):
        if len(found) == count:
            return tuple(found)
        _next_port = _next_port + 1 if _next_port < PORT_LAST else PORT_FIRST
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", _next_port))
            found.append(_next_port)
    raise BridgeError(f"no {count} free TCP ports between {PORT_FIRST} and {PORT_LAST}")


def listening_ports() -> set[int]:
    """Read from the kernel which TCP ports listen: a trial connection would use a bridge up."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for row in Path(table).read_text(encoding="ascii").splitlines()[1:]:
                fields = row.split()
                if fields[3] == TCP_LISTEN:
                    found.add(int(fields[1].rpartition(":")[2], 16))
    return found


def _die_with_parent() -> None:
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """A running program with its children; a context manager that stops it.

    ``log`` receives what it prints to stderr, and to stdout unless ``pipes`` is true; then stdin
    and stdout are text pipes for the caller.
    """

    def __init__(self, argv: Sequence[str], log: Path, *, pipes: bool = False) -> None:
        self.argv = tuple(argv)
        self._log = log
        self.started = time.monotonic()
        pipe = subprocess.PIPE if pipes else None
        with log.open("wb") as sink:
            self.popen = subprocess.Popen(
                argv,
                stdin=pipe or subprocess.DEVNULL,
                stdout=pipe or sink,
                stderr=sink,
                text=True,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def last_words(self) -> str:
        """The end of what it printed, for a message."""
        text = self._log.read_text(encoding="utf-8", errors="replace").strip()
        return text[-300:].replace("\n", " | ") or "nothing printed"

    def wait_listening(self, ports: Sequence[int]) -> float:
        """Wait until every port listens, and return the seconds since the start.

        Raises :class:`BridgeError` when the process ends or `LISTEN_MAX` passes before.
        """
        wanted = set(ports)
        self._wait(lambda: wanted <= listening_ports(), "does not listen")
        return time.monotonic() - self.started

    def wait_path(self, path: Path) -> None:
        """Wait until there is something under the path; raises as :meth:`wait_listening` does."""
        self._wait(path.exists, "makes no port")

    def _wait(self, done: Callable[[], bool], otherwise: str) -> None:
        while not done():
            waited = time.monotonic() - self.started
            if self.popen.poll() is not None:
                raise BridgeError(f"ended with status {self.popen.returncode}: {self.last_words()}")
            if waited > LISTEN_MAX:
                raise BridgeError(f"{otherwise} after {LISTEN_MAX:.0f} s: {self.last_words()}")
            time.sleep(POLL)

    def cpu_seconds(self, *, children: bool = True) -> float:
        """User and system time so far, with all threads, and with living children or without."""
        total = 0
        for pid in self._family() if children else (self.popen.pid,):
            with contextlib.suppress(OSError):
                stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
                user, system = stat.rpartition(")")[2].split()[11:13]
                total += int(user) + int(system)
        return total / TICKS_PER_SECOND

    def resident_bytes(self) -> int:
        """Resident memory now, with living children."""
        total = 0
        for pid in self._family():
            with contextlib.suppress(OSError):
                pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
                total += int(pages) * os.sysconf("SC_PAGE_SIZE")
        return total

    def _family(self) -> list[int]:
        pids = [self.popen.pid]
        for pid in pids:
            with contextlib.suppress(OSError):
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
                pids.extend(int(child) for child in children.split())
        return pids

    def stop(self) -> None:
        """End the process and its group: politely, then by force; never longer than bounded."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.popen.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(STOP_MAX)
                break
        for pipe in (self.popen.stdin, self.popen.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
