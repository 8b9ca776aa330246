"""Opening a serial device, or saying in one line why not and what would help.

Theory of operation
-------------------
:func:`open_node` finds out about locks of others first, because opening alone already moves DTR and
RTS; then it opens without waiting for a carrier and without making the device the controlling
terminal, makes sure that it is a serial port, and takes the locks:

* ``flock``: what pyserial, picocom and most others of today respect;
* ``TIOCEXCL``: the kernel's own, which keeps everybody but root out - except on a pty, where the
  flag would stay after closing as long as the other side lives (virtual-port programs would see
  "busy" for ever);
* UUCP lock files (``/var/lock/LCK..NAME``) are honoured and not made.
"""

from __future__ import annotations

import errno
import fcntl
import grp
import os
import stat
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from portline.errors import PortAbsent, PortBusy, PortDenied, PortError
from portline.port.inventory.holder import PROC, UUCP_LOCKS, holders, lock_holder, uucp_holder
from portline.port.inventory.naming import resolve
from portline.port.tty.termios2 import read_raw

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["WENT_AWAY", "close_node", "is_pty", "open_node"]

TIOCEXCL: Final = 0x540C
TIOCNXCL: Final = 0x540D
TIOCGEXCL: Final = 0x80045440
"""Exclusive use of a tty: take, give back, ask (asm-generic/ioctls.h)."""

TIOCOUTQ: Final = 0x5411
TCFLSH: Final = 0x540B
TCOFLUSH: Final = 1
"""What waits to be sent, and throwing it away."""

PTY_MAJORS: Final = range(136, 144)
"""Device numbers of pty slaves (Documentation/admin-guide/devices.txt)."""

ABSENT: Final = (errno.ENOENT, errno.ENXIO, errno.ENODEV, errno.EIO, errno.ENOTDIR)
"""What the kernel says of a device that is not there, or just going."""

ANSWERED_HERE: Final[set[int]] = set()
"""Numbers of devices whose calls this process answers: it would wait for itself, and for ever."""

SHARE: Final = "set exclusive = false (--no-exclusive)"

SYSTEM_GROUPS: Final = ("root", "disk", "kmem", "adm", "sudo", "wheel")
"""Groups that own more than ports: who joins one of them for a port's sake gets the machine."""

WENT_AWAY: Final = "the device went away while it was opened; is it plugged in firmly?"


def open_node(
    name: str, *, exclusive: bool = True, locks: Path = UUCP_LOCKS, proc: Path = PROC
) -> tuple[int, str]:
    """Open the serial port that ``name`` stands for; return its descriptor and its path.

    ``name`` is a path, also a link like /dev/serial/by-id/..., or another name of
    :mod:`portline.port.inventory.naming`; it is looked up anew each time.
    Raises PortAbsent, PortBusy, PortDenied or PortError; then nothing stays open.
    """
    try:
        return _open(name, exclusive, locks, proc)
    except OSError as error:
        # Whatever is asked about a device, it may vanish before it answers.
        raise PortAbsent(name, WENT_AWAY) from error
    except ValueError as error:
        raise PortError(name, f"is not a path: {error}; see `portline ports`") from error


def _open(name: str, exclusive: bool, locks: Path, proc: Path) -> tuple[int, str]:
    path = resolve(name)
    _check_kind(name, path)
    if exclusive and (holder := uucp_holder(path, locks, proc)) is not None:
        file = locks / f"LCK..{os.path.basename(os.path.realpath(path))}"
        raise PortBusy(
            name,
            f"is locked by {holder} with {file}; stop it, or {SHARE}",
            str(holder),
        )
    try:
        fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _refusal(name, path, error, proc) from error
    try:
        _check_tty(name, fd)
        if exclusive:
            _take(name, path, fd, proc)
    except BaseException:
        os.close(fd)
        raise
    return fd, path


def close_node(fd: int) -> None:
    """Give the locks back and close; never raises.

    Closing an UART waits up to 30 s for unsent data (``closing_wait``), so what the line holds
    back is thrown away first.
    """
    with suppress(OSError):
        if struct.unpack("i", fcntl.ioctl(fd, TIOCOUTQ, bytes(4)))[0]:
            fcntl.ioctl(fd, TCFLSH, TCOFLUSH)
    with suppress(OSError):
        if not is_pty(fd):
            fcntl.ioctl(fd, TIOCNXCL)
    with suppress(OSError):
        os.close(fd)


def is_pty(fd: int) -> bool:
    """Return whether a descriptor is the application's side of a pseudo terminal."""
    return os.major(os.fstat(fd).st_rdev) in PTY_MAJORS


def _check_kind(name: str, path: str) -> None:
    """Raise unless there is a character device, without opening anything."""
    try:
        found = os.stat(path)
    except PermissionError as error:
        raise PortDenied(
            name, f"this user may not look into its folder; see `namei -l {path}`"
        ) from error
    except OSError as error:
        raise PortAbsent(name, _absent(path)) from error
    if found.st_rdev in ANSWERED_HERE:
        raise PortBusy(name, "is a virtual port of this program; share it from another one")
    if not stat.S_ISCHR(found.st_mode):
        raise PortError(name, "is not a serial port; `portline ports` lists them")


def _check_tty(name: str, fd: int) -> None:
    try:
        read_raw(fd)
    except OSError as error:
        if error.errno in ABSENT:
            raise PortAbsent(name, WENT_AWAY) from error
        raise PortError(name, "is not a serial port; `portline ports` lists them") from error


def _take(name: str, path: str, fd: int, proc: Path) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise _busy(name, path, "is locked", proc) from error
    if is_pty(fd):
        return
    with suppress(OSError):
        # The kernel lets root pass another program's TIOCEXCL; two readers would still get half
        # of the data each.
        if struct.unpack("i", fcntl.ioctl(fd, TIOCGEXCL, bytes(4)))[0]:
            raise _busy(name, path, "is in exclusive use", proc)
    with suppress(OSError):
        fcntl.ioctl(fd, TIOCEXCL)


def _refusal(name: str, path: str, error: OSError, proc: Path) -> PortError:
    if error.errno in ABSENT:
        return PortAbsent(name, _absent(path))
    if error.errno == errno.EBUSY:
        return _busy(name, path, "is in exclusive use", proc)
    if error.errno in (errno.EACCES, errno.EPERM):
        return PortDenied(name, _denied(path))
    return PortError(name, f"cannot be opened: {error.strerror}")


def _absent(path: str) -> str:
    if os.path.islink(path):
        return f"points to {os.readlink(path)}, which is not there; is it plugged in?"
    return "is not there; is it plugged in? `portline ports` lists the ports of this machine"


def _busy(name: str, path: str, fault: str, proc: Path) -> PortBusy:
    lock = lock_holder(path, proc)
    found = [lock] if lock is not None else holders([path], proc)[path]
    if lock is not None and lock.pid == os.getpid():
        return PortBusy(name, f"{fault} by another connection of this program", str(lock))
    if not found:
        return PortBusy(name, f"{fault} by another program; stop it, or {SHARE}")
    text = ", ".join(map(str, found))
    return PortBusy(name, f"{fault} by {text}; stop it, or {SHARE}", text)


def _denied(path: str) -> str:
    found = os.stat(path)
    if stat.S_IMODE(found.st_mode) & 0o060 != 0o060:
        return (
            f"this user may not open it, nor may its group (mode {stat.S_IMODE(found.st_mode):o}); "
            "see what set that, for example a udev rule, and give its group 0660"
        )
    if found.st_gid in (os.getegid(), *os.getgroups()):
        return (
            "the permissions allow it and the kernel does not; in a container, pass the device in "
            "(--device, device_cgroup_rules)"
        )
    try:
        group = grp.getgrgid(found.st_gid).gr_name
    except KeyError:
        return (
            f"it belongs to group {found.st_gid}, which has no name here (a container?); run with "
            f"--group-add {found.st_gid}"
        )
    if group in SYSTEM_GROUPS:
        return (
            f"it belongs to group {group}, which owns more than ports; give it to another one "
            f"with a udev rule, or until it is replugged with `sudo chgrp dialout {path}`"
        )
    return (
        f"this user is not in the group {group} that owns it; run "
        f"`sudo usermod -aG {group} $USER`, then log in again"
    )
