"""/dev/cuse: the descriptor through which the kernel asks about one device, and how it is made.

Each open of /dev/cuse is one device, which is there as long as the descriptor is.  The kernel makes
it while it takes the answer to its first question, so afterwards it is there, or will never be.
When the descriptor is closed, also because this process was killed, the device goes and every
request that waits fails.
"""

from __future__ import annotations

import errno
import grp
import os
import select
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from portline.errors import PortBusy, PortDenied, PortError
from portline.port.cuse.wire import BUFFER_SIZE, Init, made, parse
from portline.port.tty.node import ANSWERED_HERE

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["Channel", "Kernel", "obstacle"]

CUSE: Final = "/dev/cuse"

PATIENCE: Final = 5.0
"""Seconds within which the kernel asks its first question; it does so at once."""

GONE: Final = (errno.ENOENT, errno.EINVAL)
"""What answering says when nobody waits for the answer any more."""


class Kernel:
    """What makes devices: the kernel of this machine.  Tests have another one."""

    dev = Path("/dev")

    def connect(self, port: str) -> int:
        """Open /dev/cuse for ``port``.  Raises PortError with the remedy."""
        try:
            return os.open(CUSE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            text = _remedy(error.errno or 0)
            kind = PortDenied if error.errno in (errno.EACCES, errno.EPERM) else PortError
            raise kind(port, f"{CUSE} cannot be opened: {error.strerror}; {text}") from error

    def is_there(self, node: Path) -> bool:
        """Return whether a device is there."""
        with suppress(OSError):
            return stat.S_ISCHR(os.lstat(node).st_mode)
        return False

    def number(self, node: Path) -> int:
        """Return the number of a device that is there."""
        return os.stat(node).st_rdev

    def give_away(self, node: Path, mode: int, group: str | None) -> None:
        """Let a group use a device; without one it is for root, and for all where ``mode`` says."""
        with suppress(KeyError, OSError):
            if group is not None:
                os.chown(node, -1, grp.getgrnam(group).gr_gid)
                os.chmod(node, mode)
                return
        with suppress(OSError):
            os.chmod(node, mode & 0o707)


def obstacle(path: str = CUSE, loaded: str = "/sys/class/cuse") -> str:
    """Return why no device can be made here, with the remedy; "" when it can.

    Opening ``path`` loads the module, so that it is there does not mean that it is wanted.
    """
    if not os.path.exists(path) or not os.path.isdir(loaded):
        what = path if not os.path.exists(path) else "the module cuse"
        return f"{what} is not there; {_remedy(errno.ENOENT)}"
    if not os.access(path, os.R_OK | os.W_OK):
        return f"this user may not use {path}; {_remedy(errno.EACCES)}"
    return ""


def _remedy(number: int) -> str:
    match number:
        case errno.ENOENT | errno.ENODEV | errno.ENXIO:
            return "load its module (modprobe cuse), or in a container pass the device in"
        case errno.EACCES | errno.EPERM:
            return (
                "run as root, or give a group access with a udev rule "
                '(KERNEL=="cuse", GROUP="dialout", MODE="0660")'
            )
        case _:
            return "see `dmesg | tail`"


class Channel:
    """The device /dev/``name`` of ``port``, as long as it is not closed.

    Raises PortBusy when there is such a device, or another PortError; then there is nothing.
    """

    def __init__(
        self, port: str, name: str, kernel: Kernel, *, mode: int, group: str | None
    ) -> None:
        self.node = kernel.dev / name
        self.requests = 0
        """What the kernel has asked, since there is the device."""
        self._port = port
        self._loop: asyncio.AbstractEventLoop | None = None
        self._fd = kernel.connect(port)
        try:
            self._make(name)
            self._require_node(kernel)
            kernel.give_away(self.node, mode, group)
            self._number = kernel.number(self.node)
            ANSWERED_HERE.add(self._number)
        except BaseException:
            os.close(self._fd)
            raise

    def start(
        self,
        loop: asyncio.AbstractEventLoop,
        take: Callable[[bytes], None],
        lost: Callable[[str], None],
    ) -> None:
        """Give each request to ``take``, from the loop; ``lost`` hears why there are no more."""
        self._loop = loop
        self._take = take
        self._lost = lost
        loop.add_reader(self._fd, self._readable)

    def send(self, message: bytes) -> None:
        """Give an answer to the kernel."""
        try:
            os.write(self._fd, message)
        except OSError as error:
            # Who asked may just have been killed; without a kernel, the next read tells.
            if error.errno not in (*GONE, errno.ENODEV, errno.EPIPE):
                raise

    def close(self) -> None:
        """Remove the device; safe twice."""
        if self._fd >= 0:
            self._stop()
            ANSWERED_HERE.discard(self._number)
            os.close(self._fd)
            self._fd = -1

    def _stop(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._fd)
            self._loop = None

    def _make(self, name: str) -> None:
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        if not poll.poll(PATIENCE * 1000):
            raise PortError(self._port, f"{CUSE} does not answer; see `dmesg | tail`")
        try:
            init = parse(os.read(self._fd, BUFFER_SIZE))
            assert isinstance(init, Init), "nothing else comes before there is a device"
            os.write(self._fd, made(init, name))
        except (OSError, ValueError) as error:
            raise PortError(self._port, f"{CUSE} has made no device: {error}") from error
        if dict(poll.poll(0)).get(self._fd, 0) & select.POLLERR:
            raise PortBusy(
                self._port,
                f"there is a device {name} already, perhaps of another Portline; stop that one, "
                "or choose another name",
            )

    def _require_node(self, kernel: Kernel) -> None:
        if not kernel.is_there(self.node):
            raise PortError(
                self._port,
                f"the kernel has made a device, but {self.node} is not there; "
                "/dev must be a devtmpfs of this machine, which containers have not",
            )

    def _readable(self) -> None:
        try:
            message = os.read(self._fd, BUFFER_SIZE)
        except OSError as error:
            # ENOENT, EINTR: a request that was just taken back.
            if error.errno in (errno.EAGAIN, errno.EINTR, errno.ENOENT):
                return
            self._end(f"the kernel has removed it ({error.strerror})")
            return
        if not message:
            self._end("the kernel has removed it")
            return
        self.requests += 1
        try:
            self._take(message)
        except ValueError as error:
            self._end(f"the kernel asks what cannot be understood: {error}")

    def _end(self, reason: str) -> None:
        self._stop()
        self._lost(reason)
