"""What lies over a device: the part of Linux' mounts that a name in ``/dev`` can meet.

Theory of operation
-------------------
A bind mount lets one file lie over another: who opens the name gets the file on top, and taking
the mount away gives the name back, whatever is still open.  Python has no binding; the calls are
made by ctypes.

The mount is made with the three calls of Linux 5.12 and later (open_tree, mount_setattr,
move_mount) and not with mount(2), because of the *mark*: a mount that Portline made is told from
everybody else's by an attribute that means nothing on a device and that nobody gives to one
(MARK).  The three calls mark it before it can be seen; with mount(2) and a remount, a kill
between the two would leave a mount without a mark, which nobody would dare to take away.  The mark
lives exactly as long as the mount: no file has to be kept in step with it, and none gets lost with
a service's runtime folder.  (In a user namespace the attributes of access times, which would be as
odd, must not be changed.)

``/proc/self/mountinfo`` lists the mounts.  The terminal that a mount shows is written as its root,
``/5``, and once the program behind it is gone, ``/5//deleted``, also when the kernel has given the
number out again.  Which of several mounts of the same name is on top, the kernel says itself, in
``/proc/self/fdinfo`` of a descriptor opened with O_PATH - that does not touch the device.
"""

from __future__ import annotations

import ctypes
import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["Mount", "attach", "covering", "detach", "mounts"]

AT_FDCWD: Final = -100
AT_EMPTY_PATH: Final = 0x1000
OPEN_TREE_CLONE: Final = 1
MOVE_MOUNT_F_EMPTY_PATH: Final = 0x04
MOVE_MOUNT_BENEATH: Final = 0x200
MNT_DETACH: Final = 2

OPEN_TREE: Final = 428
MOVE_MOUNT: Final = 429
MOUNT_SETATTR: Final = 442
"""The calls' numbers, the same on all machines since Linux 5.1; older C libraries have no names
for them, and where the numbers mean nothing the kernel says ENOSYS."""

ATTRIBUTES: Final = 0x02 | 0x08 | 0x200000
"""MOUNT_ATTR_NOSUID, NOEXEC, which devpts mostly has anyway, and NOSYMFOLLOW (Linux 5.14)."""

MARK: Final = frozenset({"nosuid", "noexec", "nosymfollow"})
"""How mountinfo spells the mark: there are no links below a device that could not be followed."""

NEVER_OURS: Final = "/dev/console"
"""Where containers have a terminal mounted; Portline never does."""

_MOUNT_ATTR: Final = struct.Struct("=QQQQ")
"""``struct mount_attr``: what to set, what to clear, propagation, user namespace."""

_TERMINAL: Final = re.compile(r"/(\d+)(//deleted)?")
_ADAPTER: Final = re.compile(r"/(tty(?:USB|ACM)\d+|portline/tty\d+)(//deleted)?")
"""What backends show: a pseudo terminal; that of a USB adapter made in software, or a device of
ours."""
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")

_SELF: Final = Path("/proc/self")

_LIBC: Final = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of mountinfo: ``root`` of a ``kind`` of file system lies over ``point``."""

    number: int
    root: str
    point: str
    options: frozenset[str]
    kind: str

    @classmethod
    def parse(cls, line: str) -> Mount:
        """Read a line (proc_pid_mountinfo(5))."""
        number, _parent, _device, root, point, options, *rest = line.split(" ")
        kind = rest[rest.index("-") + 1]
        return cls(int(number), _plain(root), _plain(point), frozenset(options.split(",")), kind)

    @property
    def terminal(self) -> str:
        """The terminal that it shows, also one that is gone; "" for anything else."""
        if self.kind == "devpts" and (match := _TERMINAL.fullmatch(self.root)):
            return f"/dev/pts/{match[1]}"
        if self.kind == "devtmpfs" and (match := _ADAPTER.fullmatch(self.root)):
            return f"/dev/{match[1]}"
        return ""

    @property
    def ours(self) -> bool:
        """Whether a Portline made it, this one or another."""
        return bool(self.terminal) and self.options >= MARK and self.point != NEVER_OURS

    @property
    def dead(self) -> bool:
        """Whether the program behind the terminal is gone."""
        return bool(self.terminal) and self.root.endswith("//deleted")


def mounts(process: Path = _SELF) -> list[Mount]:
    """Return the mounts that a process sees.  Raises OSError where there is no /proc."""
    text = os.fsdecode((process / "mountinfo").read_bytes())
    # Not splitlines(): a path may have what that takes for the end of a line, like U+2028.
    return [Mount.parse(line) for line in text.split("\n") if line]


def covering(path: str) -> Mount | None:
    """Return what lies over ``path``, on top; None when nothing does, or nothing is there.

    ``path`` is without symbolic links.  Nothing is opened in a way that a device would notice.
    """
    try:
        fd = _reference(path)
    except OSError:
        return None
    try:
        return _shown_by(fd, path)
    finally:
        os.close(fd)


def attach(terminal: str, path: str, *, beneath: bool = False) -> None:
    """Let a terminal lie over ``path``, marked; or ``beneath`` what lies there (Linux 6.5).

    Raises OSError: EPERM without CAP_SYS_ADMIN, ENOSYS or EINVAL on an older kernel.
    """
    flags = MOVE_MOUNT_F_EMPTY_PATH | (MOVE_MOUNT_BENEATH if beneath else 0)
    clone = ctypes.c_uint(OPEN_TREE_CLONE | os.O_CLOEXEC)
    tree = _call(OPEN_TREE, AT_FDCWD, os.fsencode(terminal), clone)
    try:
        attributes = _MOUNT_ATTR.pack(ATTRIBUTES, 0, 0, 0)
        size = ctypes.c_size_t(_MOUNT_ATTR.size)
        _call(MOUNT_SETATTR, tree, b"", AT_EMPTY_PATH, attributes, size)
        _call(MOVE_MOUNT, tree, b"", AT_FDCWD, os.fsencode(path), flags)
    finally:
        os.close(tree)


def detach(mount: Mount) -> None:
    """Take a mount away, also while it is in use; whoever has the terminal open keeps it.

    Does nothing when it is not what lies on top of its name now.  Raises OSError.
    """
    fd = _reference(mount.point)
    try:
        if _number(fd) == mount.number:
            # By the descriptor and not by name: what was looked at is what is taken away.
            _checked(_LIBC.umount2(f"/proc/self/fd/{fd}".encode(), MNT_DETACH))
    finally:
        os.close(fd)


def _reference(path: str) -> int:
    return os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)


def _shown_by(fd: int, path: str) -> Mount | None:
    number = _number(fd)
    return next((m for m in mounts() if m.number == number and m.point == path), None)


def _number(fd: int) -> int:
    text = (_SELF / "fdinfo" / str(fd)).read_text("ascii")
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("mnt_id:"))


def _plain(text: str) -> str:
    """Return a path of mountinfo, which has blanks, line ends and backslashes in octal."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), text)


def _call(number: int, *arguments: object) -> int:
    return _checked(_LIBC.syscall(ctypes.c_long(number), *arguments))


def _checked(result: int) -> int:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result
