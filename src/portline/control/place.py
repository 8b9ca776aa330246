"""Where the control sockets are: one for each process, in a folder of its user alone.

Theory of operation
-------------------
A process makes ``PID.sock`` in the first of these folders that it can have:

1. ``$RUNTIME_DIRECTORY``, which systemd has made for the service; nowhere else then,
2. ``/run/portline`` for root,
3. ``$XDG_RUNTIME_DIR/portline``,
4. ``/tmp/portline-UID``.

Whoever asks looks into the same folders, and into ``/run/portline`` where that is theirs; root
into those of all users.  A folder that others may write to is passed over: they could have put a
socket of their own there.  A socket that nobody listens on is left over from a process that was
killed; it is removed by whoever finds it and owns it.
"""

from __future__ import annotations

import os
import re
import socket
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from portline.errors import PortlineError
from portline.port.names.place import FOLDER, make_private

__all__ = ["Places", "owner_alone", "pid_of", "remove_stale"]

SUFFIX: Final = ".sock"

SOCKETS_MAX: Final = 256
"""Sockets that are looked at in one folder; far more processes than anybody runs."""

GRACE: Final = 10.0
"""Seconds for which a socket that nobody listens on may be one that is being made just now."""


class Places:
    """The folders as the environment of one user sees them.

    ``run`` and ``temporary`` stand for ``/run`` and ``/tmp``; ``user`` is the effective one.
    """

    def __init__(
        self,
        *,
        run: Path = Path("/run"),
        temporary: Path = Path("/tmp"),
        user: int | None = None,
    ) -> None:
        self._run = run
        self._temporary = temporary
        self._user = os.geteuid() if user is None else user

    def folders(self) -> list[Path]:
        """Return where this process may put its socket, the best first."""
        given = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
        if given:
            return [Path(given)]
        found = [self._run / FOLDER] if self._user == 0 else []
        if runtime := os.environ.get("XDG_RUNTIME_DIR", ""):
            found.append(Path(runtime) / FOLDER)
        return [*found, self._temporary / f"{FOLDER}-{self._user}"]

    def make(self) -> Path:
        """Make one of the folders, for this user alone.

        Raises PortlineError with what is wrong with each of them.
        """
        faults = []
        for folder in self.folders():
            try:
                if make_private(folder, self._user):
                    return folder
                faults.append(f"{folder} is not a folder of this user alone")
            except OSError as error:
                faults.append(f"{folder} cannot be made: {error.strerror}")
        raise PortlineError("; ".join(faults))

    @staticmethod
    def tidy(folder: Path) -> None:
        """Remove a folder that is empty, unless systemd has made it; never raises."""
        if not os.environ.get("RUNTIME_DIRECTORY"):
            with suppress(OSError):
                folder.rmdir()

    def sockets(self) -> list[Path]:
        """Return the sockets of all processes that this user may ask, also left-over ones."""
        found = []
        for folder in self._searched():
            if owner_alone(folder, None if self._user == 0 else self._user):
                found += self._in(folder)
        return found

    def others(self) -> bool:
        """Tell whether the service of another user is there, which only root may ask."""
        folder = self._run / FOLDER
        return self._user != 0 and not owner_alone(folder, self._user) and bool(self._in(folder))

    def _searched(self) -> list[Path]:
        folders = self.folders()
        if os.environ.get("RUNTIME_DIRECTORY"):
            return folders
        folders.insert(0, self._run / FOLDER)
        if self._user == 0:
            folders += sorted(self._run.glob(f"user/*/{FOLDER}"))
            folders += sorted(self._temporary.glob(f"{FOLDER}-*"))
        return list(dict.fromkeys(folders))

    @staticmethod
    def _in(folder: Path) -> list[Path]:
        with suppress(OSError):
            names = [entry for entry in folder.iterdir() if pid_of(entry) is not None]
            return sorted(names, key=lambda path: pid_of(path) or 0)[:SOCKETS_MAX]
        return []


def pid_of(path: Path) -> int | None:
    """Return the process that a socket's name tells; None for another name."""
    match = re.fullmatch(r"([1-9][0-9]{0,9})" + re.escape(SUFFIX), path.name)
    return None if match is None else int(match[1])


def owner_alone(folder: Path, user: int | None) -> bool:
    """Tell whether only one user, who is ``user`` unless that is None, can put things there."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    mine = user is None or found.st_uid == user
    return stat.S_ISDIR(found.st_mode) and mine and not found.st_mode & 0o022


def remove_stale(path: Path, *, now: float | None = None) -> bool:
    """Remove a socket of this user that nobody listens on; tell whether it was one."""
    try:
        found = path.lstat()
        if found.st_uid != os.geteuid() or not stat.S_ISSOCK(found.st_mode):
            return False
        age = (time.time() if now is None else now) - found.st_mtime
        pid = pid_of(path)
        # Ours has not been made yet; in a container the next process often has the same number.
        if (pid != os.getpid() and _lives(pid) and age < GRACE) or _listened_on(path):
            return False
        path.unlink()
    except OSError:
        return False
    return True


def _lives(pid: int | None) -> bool:
    try:
        os.kill(pid or os.getpid(), 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # somebody else's
    return True


def _listened_on(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
        except OSError:
            pass  # a full backlog (EAGAIN), for one
    return True
