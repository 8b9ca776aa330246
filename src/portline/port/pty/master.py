"""Our end of a pseudo terminal, prepared so that its other end passes for a serial port.

Theory of operation
-------------------
The application's end starts raw (a fresh one echoes and waits for line ends) and is opened and
closed once: from then on the kernel reports "hung up" exactly while no application has it open.

Packet mode (TIOCPKT) puts one byte in front of everything read: 0 for data, otherwise flags that
overtake the data.  EXTPROC, which would announce changed settings, stays off: it takes echo,
canonical mode and XON/XOFF away from the application.  So settings are read instead; packed they
compare in a microsecond.

The kernel keeps things for the next application that a real port would not: up to 22 KB that the
last one did not read, and its TIOCEXCL, which nobody but root can lift.  :meth:`Master.renew`
clears the first, and says when the second calls for a new terminal.
"""

from __future__ import annotations

import errno
import fcntl
import grp
import os
import select
import struct
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from portline.errors import PortError
from portline.line import DATA_BITS, Parity
from portline.port.tty.termios2 import (
    CSIZE,
    CSIZE_SHIFT,
    PARENB,
    decode,
    encode,
    raw_reader,
    read_attributes,
    unpack,
    write_attributes,
)

if TYPE_CHECKING:
    from portline.line import LineSettings

__all__ = ["FLUSHED_INPUT", "TERMINALS", "Master", "no_terminal"]

TIOCPKT: Final = 0x5420
TIOCNXCL: Final = 0x540D
TCFLSH: Final = 0x540B
TCIFLUSH: Final = 0

FLUSHED_INPUT: Final = 0x01
"""TIOCPKT_FLUSHREAD: the application threw away what it had not read."""

OPEN_FLAGS: Final = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC

TERMINALS: Final[dict[str, str]] = {}
"""The applications' ends that this process serves, and the path that leads to each.

The kernel gives numbers out again at once, so after a crash the link of one port may well lead to
the new terminal of another."""


HINTS: Final = {
    errno.ENOSPC: "there are too many, see sysctl kernel.pty.max",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "raise the limit of open files (sysctl fs.file-max)",
}
"""What helps when the kernel makes no more terminals."""


class Master:
    """One pseudo terminal; ``terminal`` is the path of the application's end.

    ``group`` gets access with ``mode``, where it exists and this user may give it away; otherwise
    the terminal is for this user alone.  Raises OSError when there are no more terminals.
    """

    def __init__(self, settings: LineSettings, *, mode: int, group: str | None) -> None:
        self.framing: int | None = None
        """CSIZE and PARENB as a supervised program asked for them; None: as the kernel says."""
        self.fd, slave = os.openpty()
        try:
            self.terminal = os.ttyname(slave)
            write_attributes(slave, encode(settings, read_attributes(slave)))
            _give_to(slave, mode, group)
            os.set_blocking(self.fd, False)
            fcntl.ioctl(self.fd, TIOCPKT, struct.pack("i", 1))
            self._read = raw_reader(self.fd)
            self._known = self._read()
        except BaseException:
            os.close(self.fd)
            raise
        finally:
            os.close(slave)
        self._poll = select.poll()
        self._poll.register(self.fd, select.POLLIN | select.POLLPRI)

    def close(self) -> None:
        """Hang up; applications read end of file, and the terminal disappears."""
        TERMINALS.pop(self.terminal, None)
        os.close(self.fd)

    def look(self) -> tuple[bool, bool]:
        """Return whether an application has it open, and whether there is something to read."""
        events = dict(self._poll.poll(0)).get(self.fd, 0)
        return not events & select.POLLHUP, bool(events & (select.POLLIN | select.POLLPRI))

    def settings(self) -> LineSettings:
        """Return the settings as the application made them."""
        attributes = unpack(self._known)
        if self.framing is None:
            return decode(attributes, leftovers=True)
        cflag = attributes.cflag & ~(CSIZE | PARENB) | self.framing
        return decode(replace(attributes, cflag=cflag))

    def frame(self, settings: LineSettings) -> None:
        """Remember the data bits and the parity that the kernel would forget."""
        parity = 0 if settings.parity is Parity.NONE else PARENB
        self.framing = (settings.data_bits - DATA_BITS[0]) << CSIZE_SHIFT | parity

    def changed(self) -> bool:
        """Return whether anything was changed since the last call, and take note of it."""
        raw = self._read()
        if raw == self._known:
            return False
        self._known = raw
        return True

    def renew(self) -> bool:
        """Prepare for the next application; False when it takes a new terminal instead."""
        try:
            slave = os.open(self.terminal, OPEN_FLAGS)
        except OSError as error:
            in_use, _ = self.look()
            return error.errno != errno.EBUSY or in_use
        try:
            fcntl.ioctl(slave, TIOCNXCL)
            fcntl.ioctl(slave, TCFLSH, TCIFLUSH)
            # The flush makes a packet, which would look like an application.
            if dict(self._poll.poll(0)).get(self.fd, 0) & select.POLLPRI:
                os.read(self.fd, 1)
        finally:
            os.close(slave)
        return True


def no_terminal(port: str, error: OSError) -> PortError:
    """Return what to say when there can be no :class:`Master` for a port."""
    hint = HINTS.get(error.errno or 0, "is /dev/pts mounted?")
    return PortError(port, f"no pseudo terminal can be made: {error.strerror}; {hint}")


def _give_to(slave: int, mode: int, group: str | None) -> None:
    with suppress(KeyError, OSError):
        if group is not None:
            os.fchown(slave, -1, grp.getgrnam(group).gr_gid)
            os.fchmod(slave, mode)
            return
    # The group that devpts chose (mostly tty) is not the one that was meant.
    os.fchmod(slave, mode & 0o707)
