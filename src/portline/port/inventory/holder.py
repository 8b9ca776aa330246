"""Who holds a device: what the error message names when a port is busy.

Theory of operation
-------------------
Linux answers that in ``/proc``: ``/proc/locks`` names the process that holds a lock on a file, and
``/proc/PID/fd`` shows what each process has open.  A user sees only the own processes there unless
it is root; what cannot be seen is left out, and then nobody is named.  Nothing here opens a device.
"""

from __future__ import annotations

import os
import stat
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "PROC",
    "UUCP_LOCKS",
    "Holder",
    "holders",
    "lock_holder",
    "terminal_holder",
    "uucp_holder",
]

PROC: Final = Path("/proc")

UUCP_LOCKS: Final = Path("/var/lock")
"""Where LCK..NAME files are kept (Filesystem Hierarchy Standard 3.0, 5.9)."""

UUCP_SIZE: Final = 64
"""Bytes read of a lock file; the standard says eleven, some programs add their name."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A process, by its number and the name of its program."""

    pid: int
    program: str = ""

    def __str__(self) -> str:
        """Write ``pid 812 (ser2net)``."""
        return f"pid {self.pid} ({self.program})" if self.program else f"pid {self.pid}"

    def begun(self, proc: Path = PROC) -> float | None:
        """Return when the process began, in seconds since the epoch; None if it has ended."""
        try:
            # Field 22 of proc_pid_stat(5); the name of the program before it may hold anything.
            stat = (proc / str(self.pid) / "stat").read_text(errors="replace")
            ticks = int(stat.rpartition(")")[2].split()[19])
        except (OSError, ValueError, IndexError):
            return None
        booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        return booted + ticks / os.sysconf("SC_CLK_TCK")

    def is_portline(self, proc: Path = PROC) -> bool:
        """Tell whether this may be a Portline: its command line says so, or cannot be read."""
        try:
            words = (proc / str(self.pid) / "cmdline").read_bytes().split(b"\0")
            return any(
                os.path.basename(word) == b"portline" or word.endswith(b"portline/__main__.py")
                for word in words
            )
        except OSError:
            return True

    @classmethod
    def of(cls, pid: int, proc: Path = PROC) -> Holder:
        """Look up the name of the program that runs as ``pid``."""
        try:
            return cls(pid, (proc / str(pid) / "comm").read_text(errors="replace").strip())
        except OSError:
            return cls(pid)


def holders(paths: Sequence[str], proc: Path = PROC) -> dict[str, list[Holder]]:
    """Return for each path the processes other than this one that have that device open."""
    devices: dict[int, str] = {}
    for path in paths:
        with suppress(OSError):
            devices[os.stat(path).st_rdev] = path
    found: dict[str, list[Holder]] = {path: [] for path in paths}
    if not devices:
        return found
    for pid in sorted(int(name) for name in _names(proc) if name.isdigit()):
        if pid != os.getpid():
            for device in _open_devices(pid, proc) & devices.keys():
                found[devices[device]].append(Holder.of(pid, proc))
    return found


def lock_holder(path: str, proc: Path = PROC) -> Holder | None:
    """Return the process that holds a lock (flock, fcntl) on the file at ``path``, or None."""
    try:
        found = os.stat(path)
        lines = (proc / "locks").read_text().splitlines()
    except OSError:
        return None
    wanted = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    for line in lines:
        words = line.split()
        # "1: FLOCK  ADVISORY  WRITE 812 00:05:93 0 EOF"; a waiting one has "->" in second place,
        # an open file description lock has no process: -1.
        if len(words) >= 6 and words[5] == wanted and words[4].isdigit():
            return Holder.of(int(words[4]), proc)
    return None


def terminal_holder(terminal: str, proc: Path = PROC) -> Holder | None:
    """Return the process that serves a pseudo terminal (``/dev/pts/5``), or None.

    Its side has no name of its own: the link in ``fd`` says only ptmx, and ``fdinfo`` the number.
    """
    wanted = f"tty-index:\t{os.path.basename(terminal)}\n"
    for pid in sorted(int(name) for name in _names(proc) if name.isdigit()):
        folder = proc / str(pid)
        for name in _names(folder / "fd"):
            with suppress(OSError):
                if not os.readlink(folder / "fd" / name).endswith("ptmx"):
                    continue
                if wanted in (folder / "fdinfo" / name).read_text():
                    return Holder.of(pid, proc)
    return None


def uucp_holder(path: str, locks: Path = UUCP_LOCKS, proc: Path = PROC) -> Holder | None:
    """Return the living process that a lock file LCK..NAME names, or None.

    Its contents are a number in decimal, or in binary as by old uucp.  A file whose process is
    dead, or that says nothing useful, does not count; this process does not count either.
    """
    file = locks / f"LCK..{os.path.basename(os.path.realpath(path))}"
    try:
        contents = _beginning(file)
    except OSError:
        return None
    words = contents.split()
    if words and words[0].isdigit():
        pid = int(words[0])
    elif len(contents) == 4:
        pid = int.from_bytes(contents, "little")
    else:
        return None
    if pid in (0, os.getpid()) or not (proc / str(pid)).is_dir():
        return None
    return Holder.of(pid, proc)


def _beginning(file: Path) -> bytes:
    """Return the first UUCP_SIZE bytes of a plain file, b"" of anything else.  Raises OSError.

    Everybody may put something into that folder, also a pipe, of which opening would never end.
    """
    fd = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        return os.read(fd, UUCP_SIZE) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
    finally:
        os.close(fd)


def _names(folder: Path) -> list[str]:
    with suppress(OSError):
        return os.listdir(folder)
    return []


def _open_devices(pid: int, proc: Path) -> set[int]:
    folder = proc / str(pid) / "fd"
    devices = set()
    for name in _names(folder):
        link = folder / name
        with suppress(OSError):
            # Reading the link first is cheap and leaves sockets, pipes and network disks alone.
            if os.readlink(link).startswith("/dev/"):
                devices.add(os.stat(link).st_rdev)
    return devices
