"""Cleaning up what killed Portlines have left: ports over devices, and links to nowhere.

The rule for ports over devices stands in :mod:`portline.port.names.overlap`.  Links are removed
only from Portline's own folders and ``/dev``, and only where they lead to a pseudo terminal that is
not there (or, marked, to an adapter made in software) and belong to this user: a program that made
such a link is gone, whichever it was.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from portline.errors import PortDenied, PortError
from portline.port.names.mounts import covering, mounts
from portline.port.names.overlap import DENIED, uncover
from portline.port.names.place import DEV, FOLDER

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "Repairs",
    "link_folders",
    "repair_links",
    "repair_overlaps",
    "stale_links",
    "stale_overlaps",
]

_TERMINAL: Final = re.compile(r"/dev/(pts/\d+|\./tty(USB|ACM)\d+)")


@dataclass(frozen=True, slots=True)
class Repairs:
    """Which paths are as they should be again, and why others are not."""

    done: tuple[str, ...] = ()
    failed: tuple[PortError, ...] = ()


def stale_overlaps() -> list[str]:
    """Return the devices over which the port of a killed Portline lies, on top; changes nothing."""
    tops = {path: covering(path) for path in _points()}
    return [path for path, top in tops.items() if top is not None and top.ours and top.dead]


def stale_links(folders: Sequence[Path]) -> list[str]:
    """Return the links that :func:`repair_links` would remove; changes nothing."""
    return [str(path) for folder in folders for path in _stale(folder)]


def repair_overlaps() -> Repairs:
    """Give their names back to devices over which the port of a killed Portline lies."""
    done, failed = [], []
    for path in _points():
        try:
            # Not what lies in a part of the tree that nobody can reach.
            if uncover(path):
                done.append(path)
        except OSError as error:
            failed.append(_failure(path, error))
    return Repairs(tuple(done), tuple(failed))


def link_folders(temporary: Path = Path("/tmp")) -> list[Path]:
    """Return where virtual ports without a path go (``folder_for`` of the place)."""
    user = os.geteuid()
    folders = [temporary / f"{FOLDER}-{user}"]
    if runtime := os.environ.get("XDG_RUNTIME_DIR", ""):
        folders.insert(0, Path(runtime) / FOLDER)
    return [DEV, *folders] if user == 0 else folders


def repair_links(folders: Sequence[Path]) -> Repairs:
    """Remove links to pseudo terminals that are gone, and with them Portline's own folders."""
    done, failed = [], []
    for folder in folders:
        for path in _stale(folder):
            try:
                path.unlink()
                done.append(str(path))
            except OSError as error:
                failed.append(PortError(str(path), f"cannot be removed: {error.strerror}"))
        if folder != DEV:
            with suppress(OSError):
                folder.rmdir()  # only when it is empty
    return Repairs(tuple(done), tuple(failed))


def _points() -> list[str]:
    """Return where a port of a killed Portline lies, on top or below another."""
    try:
        return sorted({mount.point for mount in mounts() if mount.ours and mount.dead})
    except OSError:
        return []


def _stale(folder: Path) -> list[Path]:
    try:
        if folder.is_symlink():
            return []
        return sorted(path for path in folder.iterdir() if _is_stale(path))
    except OSError:
        return []


def _is_stale(path: Path) -> bool:
    try:
        target = os.readlink(path)
        mine = path.lstat().st_uid == os.geteuid()
    except OSError:
        return False
    return mine and _TERMINAL.fullmatch(target) is not None and not os.path.lexists(target)


def _failure(path: str, error: OSError) -> PortError:
    if error.errno in DENIED:
        return PortDenied(
            path,
            "a virtual port that is gone still lies over it, and to take that away takes the "
            "capability CAP_SYS_ADMIN; run `sudo portline repair`",
        )
    return PortError(path, f"the port that is gone cannot be taken away: {error.strerror}")
