"""The name under which applications find a virtual port: a link to its pseudo terminal.

Theory of operation
-------------------
The kernel numbers pseudo terminals, so a link gives them a name that stays.  What is found under
that name already decides what is done:

==========================================  ====================================================
under the name                              done
==========================================  ====================================================
nothing                                     the link is made
a link to a pseudo terminal that is gone,   left over from a crash: the link is replaced in one
or that is another port of this process;    step, so that no application finds nothing
a marked link to an adapter that is gone,
or that is a true one now, or another
port's
a link to a device of ours that is younger
a link that is older than the terminal of   left over from a crash, and the number has been given
a program that is no Portline               to another terminal since: the link is replaced
a link to somebody's pseudo terminal        refused: it is another program's virtual port
anything else                               refused: never is a file or device replaced
==========================================  ====================================================

Only a link that still leads to our own terminal is removed, and with the last link the folder
that Portline made for it.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from portline.errors import PortBusy, PortDenied, PortError
from portline.port.inventory.holder import terminal_holder

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FOLDER", "MAKER", "Place", "folder_for", "leads_to", "make_private", "marked"]

DEV: Final = Path("/dev")
SYS: Final = Path("/sys")
PTS: Final = "/dev/pts/"

ADAPTER: Final = re.compile(r"/dev/(?:\./(tty(?:USB|ACM)\d+)|portline/tty\d+)")
"""Where a link leads to the terminal of a USB adapter made in software, see :func:`marked`, or to a
device of ours (:mod:`portline.port.cuse.name`)."""

MAKER: Final = "Portline"
"""How such an adapter calls its manufacturer."""
FOLDER: Final = "portline"

CLOCKS: Final = 1.0
"""Seconds by which the clocks of processes and files may differ: the first counts in hundredths,
and the second may have been set meanwhile."""


class Place:
    """The path of one virtual port; ``terminals`` says where this process' own terminals are.

    A name with a slash is that path.  Any other name is put into ``directory``, or when that is
    None into the folder that :func:`folder_for` chooses.
    """

    def __init__(
        self, name: str, terminals: Mapping[str, str], directory: str | os.PathLike[str] | None
    ) -> None:
        self._name = name
        self._terminals = terminals
        self._directory = None if directory is None else Path(directory)

    def path(self) -> str:
        """Return where the link goes; makes the folder when it is Portline's own.

        Raises PortError for an impossible name.
        """
        name = self._name
        if not name.isprintable() or Path(name).name in ("", ".", ".."):
            raise PortError(
                repr(name),
                "is not a name for a virtual port; take one like plc, or a path like /tmp/plc",
            )
        try:
            if "/" in name:
                return os.path.abspath(name)
            folder = folder_for(name) if self._directory is None else self._directory
            return os.path.abspath(folder / name)
        except OSError as error:
            # Only a relative path asks the system: for the current folder, which may be gone.
            raise PortError(
                name, f"has no folder to be in: {error.strerror}; take a path that begins with /"
            ) from error

    def check(self, path: str) -> None:
        """Raise as :meth:`put` would for what is there now; the terminal is still to come."""
        if os.path.lexists(path):
            self._is_leftover(path, "")
        elif not os.path.isdir(folder := os.path.dirname(path)):
            raise self._no_folder(folder)

    def put(self, path: str, terminal: str) -> None:
        """Make the link.  Raises PortBusy, PortDenied or PortError as the table says."""
        try:
            os.symlink(terminal, path)
            return
        except FileExistsError:
            pass
        except FileNotFoundError as error:
            raise self._no_folder(os.path.dirname(path)) from error
        except OSError as error:
            raise self._denied(path, error) from error
        if self._is_leftover(path, terminal):
            self._replace(path, terminal)

    def move(self, path: str, before: str, terminal: str) -> None:
        """Let the link lead to another terminal, unless it is no longer ours."""
        if _target(path) == before:
            self._replace(path, terminal)

    def remove(self, path: str, terminal: str) -> None:
        """Remove the link if it still leads to ``terminal``; never raises."""
        if _target(path) == terminal:
            with suppress(OSError):
                os.unlink(path)
                self._tidy(path)

    def fault(self, path: str, terminal: str) -> PortError | None:
        """Return what is wrong with the name by now: somebody has taken the link away."""
        if leads_to(path, terminal):
            return None
        return PortError(
            self._name,
            f"{self._subject(path)}does not lead to the virtual port any more, somebody has "
            "removed or replaced it; start Portline again, which makes it anew",
        )

    def _tidy(self, path: str) -> None:
        """Remove the folder that :func:`folder_for` made, when it has become empty."""
        folder = Path(path).parent
        if self._directory is None and "/" not in self._name and folder != DEV:
            folder.rmdir()

    def _is_leftover(self, path: str, terminal: str) -> bool:
        target = _target(path)
        if target == terminal:
            return False  # left over, and by chance right again
        if target is None:
            raise PortBusy(
                self._name,
                f"{self._subject(path)}is a real file or device; choose another name or folder, "
                "or lie over a device with overlap = true (--overlap)",
            )
        owner = self._terminals.get(target)
        if owner == path:
            raise PortBusy(
                self._name,
                f"{self._subject(path)}is another virtual port of this program; "
                "choose another name",
            )
        adapter = ADAPTER.fullmatch(target)
        if owner is not None:
            return True
        if (target.startswith(PTS) or adapter) and not os.path.exists(path):
            return True
        if adapter and (_is_anothers(path, adapter[1]) if adapter[1] else _is_younger(path)):
            return True
        if target.startswith(PTS) and _was_given_away(path, target):
            return True
        raise self._foreign(path, target)

    def _foreign(self, path: str, target: str) -> PortBusy:
        """Return what to say of a link to something that this process does not serve."""
        subject = self._subject(path)
        if not os.path.exists(path):
            return PortBusy(
                self._name,
                f"{subject}leads to {target}, which is not there; "
                f"remove the link if nothing needs it (rm {path}), or choose another name",
            )
        if not (target.startswith(PTS) or ADAPTER.fullmatch(target)):
            return PortBusy(
                self._name,
                f"{subject}leads to {target}, which is no virtual port; choose another name",
            )
        holder = terminal_holder(target)
        if holder is None:
            return PortBusy(
                self._name,
                f"{subject}leads to the live terminal {target}, perhaps of another Portline; "
                "stop that one, or choose another name",
            )
        return PortBusy(
            self._name,
            f"{subject}is a virtual port of {holder}, perhaps another Portline; "
            "stop it, or choose another name",
            str(holder),
        )

    def _subject(self, path: str) -> str:
        """Return the path for the beginning of a message, unless the message has it already."""
        return "" if path == self._name else f"{path} "

    def _replace(self, path: str, terminal: str) -> None:
        folder, last = os.path.split(path)
        passing = os.path.join(folder, f".{last}.{os.getpid()}")
        try:
            with suppress(FileNotFoundError):
                os.unlink(passing)
            os.symlink(terminal, passing)
            os.replace(passing, path)
        except OSError as error:
            raise self._denied(path, error) from error

    def _no_folder(self, folder: str) -> PortError:
        return PortError(self._name, f"there is no folder {folder}; make it (mkdir {folder})")

    def _denied(self, path: str, error: OSError) -> PortDenied:
        return PortDenied(
            self._name,
            f"{self._subject(path)}cannot be made: {error.strerror}; "
            "choose a folder that this user may write to",
        )


def folder_for(
    name: str, *, dev: Path = DEV, temporary: Path = Path("/tmp"), runtime: str | None = None
) -> Path:
    """Return the folder for a port without a path.

    ``/dev`` for root where it can be written, otherwise ``portline`` in ``runtime`` (by default
    $XDG_RUNTIME_DIR), otherwise ``portline-UID`` in ``temporary``; the latter two are made, for
    this user alone.  Raises PortError when that folder is somebody else's.
    """
    user = os.geteuid()
    if user == 0 and os.access(dev, os.W_OK):
        return dev
    runtime = os.environ.get("XDG_RUNTIME_DIR", "") if runtime is None else runtime
    folder = Path(runtime) / FOLDER if runtime else temporary / f"{FOLDER}-{user}"
    try:
        private = make_private(folder, user)
    except OSError as error:
        raise PortError(
            name,
            f"{folder} cannot be made: {error.strerror}; take a path like /tmp/plc as the name",
        ) from error
    if not private:
        raise PortError(name, f"{folder} is not a folder of this user alone; remove it")
    return folder


def make_private(folder: Path, user: int) -> bool:
    """Make a folder, unless it is there; tell whether nobody but ``user`` can put things into it.

    In a folder that everybody may write to, somebody else may have come first.  Raises OSError.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == user and not found.st_mode & 0o022


def leads_to(path: str, terminal: str) -> bool:
    """Tell whether who opens ``path`` gets ``terminal``, by a link or because it lies there."""
    try:
        return os.path.samestat(os.stat(path), os.stat(terminal))
    except OSError:
        return False


def marked(node: str) -> str:
    """Return another spelling of ``/dev/ttyUSB0``, which nobody would write.

    The kernel gives the number of an adapter made in software to a true one as soon as it is free,
    and people make links to those.  By the spelling ours can be told from theirs after a crash.
    """
    folder, _, name = node.rpartition("/")
    return f"{folder}/./{name}"


def _is_anothers(path: str, name: str, sys: Path = SYS) -> bool:
    """Tell whether a terminal's adapter is not the one that the link ``path`` was made for.

    The kernel gives a number anew.  One that a Portline makes has its port's name for its serial
    number, or the beginning of it.
    """
    device = (sys / "class/tty" / name / "device").resolve()
    for folder in (device, *device.parents):
        with suppress(OSError):
            if (folder / "manufacturer").read_text(errors="replace").strip() != MAKER:
                return True
            serial = (folder / "serial").read_text("utf-8", "replace").strip()
            return not os.path.basename(path).startswith(serial)
    return True


def _is_younger(path: str) -> bool:
    """Tell whether the device that a link leads to was made after the link.

    Of such a device nothing but its making changes the time.
    """
    try:
        return os.stat(path).st_mtime > os.lstat(path).st_mtime
    except OSError:
        return False


def _target(path: str) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None


def _was_given_away(path: str, terminal: str) -> bool:
    """Tell whether the terminal is not the one that the link was made for.

    A program that began after the link was made did not make it.  Nor did one that is no Portline
    and whose terminal is younger than the link: the kernel makes the file of a terminal before
    anybody can link to it (it looks younger after a chmod, too).
    """
    try:
        linked = os.lstat(path).st_ctime
        younger = os.stat(terminal).st_ctime > linked
    except OSError:
        return False
    holder = terminal_holder(terminal) if younger else None
    if holder is None:
        return False
    begun = holder.begun()
    return not holder.is_portline() or (begun is not None and begun > linked + CLOCKS)
