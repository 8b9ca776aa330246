"""The name of an existing device over which a virtual port lies while it is open.

Theory of operation
-------------------
The terminal is mounted over the device (:mod:`portline.port.names.mounts`).  Who opens the name
gets the virtual port and cannot reach the device; who had the device open keeps it.  Symbolic links
are followed first: a port over ``/dev/serial/by-id/...`` lies over the device it leads to, and all
its other links lead to the virtual port too.

==========================================  ====================================================
under the name                              done
==========================================  ====================================================
nothing                                     PortAbsent: the device may come
a port that another Portline left there     taken away, then looked at anew
when it was killed (marked, and dead)
a live virtual port, ours or another        refused, naming the program
Portline's
anything else that lies over it             refused: it is not ours, dead or alive
a folder, a file, a block device            refused: only a device is ever hidden
a console of the kernel, the terminal at    refused: somebody sits there
which we were started
a device that is no serial one              refused: /dev/null, /dev/tty, /dev/console, virtual
                                            consoles
a serial device, also one without a chip    the virtual port lies over it
or a driver; another program's pseudo
terminal, which stands for one
==========================================  ====================================================

Taking away, at the end or later:

==========================================  ====================================================
what lies over a name                       taken away by
==========================================  ====================================================
our own terminal, on top                    :meth:`Overlap.remove`
marked, and the program behind it is gone   the next :meth:`Overlap.put` there, the next start,
                                            ``portline repair`` (:mod:`portline.port.names.repair`)
marked, and alive                           nobody: it is in use
without the mark                            nobody: it is not ours
==========================================  ====================================================

When somebody has taken it away by hand, the device is back and nothing is left to do at the end.
It is not put there again, since that may be what was wanted; the status tells.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from portline.errors import PortAbsent, PortBusy, PortDenied, PortError
from portline.port.inventory.drivers import driver_kind, is_console, is_controlling
from portline.port.inventory.holder import terminal_holder
from portline.port.names.mounts import attach, covering, detach, mounts
from portline.port.names.place import leads_to

if TYPE_CHECKING:
    from collections.abc import Mapping

    from portline.port.names.mounts import Mount

__all__ = ["LAYERS_MAX", "Overlap", "is_private", "uncover"]

LAYERS_MAX: Final = 16
"""Dead ports taken off one name at a time; more than one needs a crash while it was exchanged."""

DENIED: Final = (errno.EPERM, errno.EACCES)
TOO_OLD: Final = (errno.ENOSYS, errno.EINVAL)


class Overlap:
    """The device ``name`` as the path of one virtual port, with the methods of Place.

    ``terminals`` says where this process' own terminals are.
    """

    def __init__(self, name: str, terminals: Mapping[str, str]) -> None:
        self._name = name
        self._terminals = terminals

    def path(self) -> str:
        """Return the device that is meant, without symbolic links.  Raises PortError."""
        if not self._name.isprintable() or "/" not in self._name:
            raise PortError(
                repr(self._name), "is not the path of a device like /dev/ttyS1 to lie over"
            )
        try:
            return os.path.realpath(self._name)
        except OSError as error:
            # Only a relative path asks the system: for the current folder, which may be gone.
            raise PortError(
                self._name,
                f"has no folder to be in: {error.strerror}; take a path that begins with /",
            ) from error

    def check(self, path: str) -> None:
        """Raise as :meth:`put` would for what is there now; the terminal is still to come."""
        try:
            uncover(path)
        except OSError as error:
            raise self._failed(error) from error
        self._examine(path)

    def put(self, path: str, terminal: str) -> None:
        """Let ``terminal`` lie over the device, or raise as the table says."""
        self.check(path)
        try:
            attach(terminal, path)
        except OSError as error:
            raise self._failed(error) from error

    def move(self, path: str, before: str, terminal: str) -> None:
        """Let another terminal lie there, unless the one before no longer does."""
        old = covering(path)
        if old is None or not _shows(old, before):
            return
        try:
            try:
                # The new one first, from below: at no time is the device to be reached.
                attach(terminal, path, beneath=True)
            except OSError as error:
                if error.errno not in TOO_OLD:
                    raise
                detach(old)
                attach(terminal, path)
            else:
                detach(old)
        except OSError as error:
            raise self._failed(error) from error

    def remove(self, path: str, terminal: str) -> None:
        """Give the name back to the device if ``terminal`` still lies there; never raises."""
        with suppress(OSError):
            top = covering(path)
            if top is not None and _shows(top, terminal):
                detach(top)
            uncover(path)

    def fault(self, path: str, terminal: str) -> PortError | None:
        """Return what is wrong with the name by now: the port does not lie over it any more."""
        if leads_to(path, terminal):
            return None
        return PortError(
            self._name,
            f"{self._subject(path)}the virtual port does not lie over it any more (umount, or it "
            "was unplugged), programs that open it do not get here; start Portline again to lie "
            "over it",
        )

    # --- what may be hidden ---------------------------------------------------------------------

    def _examine(self, path: str) -> None:
        """Raise unless there is a serial device over which nothing lies."""
        if (mount := covering(path)) is not None:
            raise self._covered(path, mount)
        try:
            found = os.stat(path, follow_symlinks=False)
        except OSError as error:
            raise PortAbsent(
                self._name,
                f"{self._subject(path)}there is no device to lie over ({error.strerror}); "
                "plug it in, or leave overlap out to make a port of that name",
            ) from error
        if fault := _fault(found):
            raise PortError(
                self._name,
                f"{self._subject(path)}{fault}; a virtual port lies over a serial device only",
            )

    def _covered(self, path: str, mount: Mount) -> PortError:
        """Return what to say of a name over which something lies already."""
        subject = self._subject(path)
        if mount.ours and mount.terminal in self._terminals:
            return PortBusy(
                self._name,
                f"{subject}another virtual port of this program lies over it; keep one of them",
            )
        if not mount.ours:
            what = f"{mount.kind} {mount.root}"
            return PortBusy(
                self._name,
                f"{subject}something else lies over it already ({what}); take it away "
                f"(umount {path}), or choose another name",
            )
        holder = terminal_holder(mount.terminal)
        who = "another Portline" if holder is None else str(holder)
        return PortBusy(
            self._name,
            f"{subject}a virtual port of {who} lies over it already; stop that one, or choose "
            "another name",
            None if holder is None else str(holder),
        )

    def _failed(self, error: OSError) -> PortError:
        if error.errno in DENIED:
            return PortDenied(
                self._name,
                "to lie over a device takes the capability CAP_SYS_ADMIN; run Portline as root, "
                "give its service AmbientCapabilities=CAP_SYS_ADMIN, or choose another name and "
                "leave overlap out",
            )
        if error.errno in TOO_OLD:
            return PortError(self._name, "to lie over a device takes Linux 5.14; leave overlap out")
        return PortError(self._name, f"cannot lie over the device: {error.strerror}")

    def _subject(self, path: str) -> str:
        """Return the device for the beginning of a message, unless the message has it already."""
        return "" if path == self._name else f"{path}: "


def uncover(path: str) -> int:
    """Take away the ports of killed Portlines that lie over ``path``; return how many.

    Raises OSError, EPERM without CAP_SYS_ADMIN.
    """
    for count in range(LAYERS_MAX):
        mount = covering(path)
        if mount is None or not (mount.ours and mount.dead):
            return count
        detach(mount)
    return LAYERS_MAX


def is_private(proc: Path = Path("/proc")) -> bool:
    """Return whether what this process mounts is seen by itself and its children only.

    So it is in a service with PrivateDevices, ProtectSystem and the like.  False also where the
    kernel does not tell, and in a container, which has a first process of its own.
    """
    try:
        # The links in /proc/PID/ns take more rights to read.  A mount's number is never in two.
        mine, common = ({m.number for m in mounts(proc / each)} for each in ("self", "1"))
    except OSError:
        return False
    return not mine & common


def _shows(mount: Mount, terminal: str) -> bool:
    return mount.ours and not mount.dead and mount.terminal == terminal


def _fault(found: os.stat_result) -> str:
    """Return why a file is not to be hidden, "" for a serial device."""
    if not stat.S_ISCHR(found.st_mode):
        return "is a folder" if stat.S_ISDIR(found.st_mode) else "is a file and no device"
    try:
        if is_console(found.st_rdev):
            return "is the console of this machine"
        if is_controlling(found.st_rdev):
            return "is the terminal from which Portline was started"
        kind = driver_kind(found.st_rdev)
    except OSError as error:
        return f"cannot be told to be a serial device ({error.filename}: {error.strerror})"
    return "" if kind in ("serial", "pty:slave") else "is no serial device"
