"""The kernel's line discipline for a port of ours: the application's end of a pseudo terminal.

Theory of operation
-------------------
Lines, echo, XON/XOFF, the translation of characters: all that is done by the kernel, in a pseudo
terminal whose application's end is held here while somebody has the device open.  What they write
is written here, and what they read was read here.

Some settings the kernel would forget (data bits, parity, CREAD), and some it must not act on: it is
asked for single characters without waiting (VMIN 1, VTIME 0), since who waits for how many is known
only here (:mod:`portline.port.cuse.reading`), and for PARMRK not to double what was marked before
(:func:`marked_faults`).  Those are *kept* and put back into what the application is told.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from portline.port.cuse.pollers import IN, OUT
from portline.port.cuse.reading import Manner
from portline.port.tty.termios2 import (
    BRKINT,
    CLOCAL,
    CREAD,
    CRTSCTS,
    CSIZE,
    HUPCL,
    IGNBRK,
    IGNPAR,
    INPCK,
    ISTRIP,
    LAYOUT,
    PARENB,
    PARMRK,
    TCSETS2,
    VMIN,
    VTIME,
    pack,
    read_attributes,
    unpack,
    write_attributes,
)

if TYPE_CHECKING:
    from portline.line import LineFault
    from portline.port.tty.termios2 import Attributes

__all__ = ["Discipline", "marked_faults"]

TCSETS: Final = 0x5402
TCFLSH: Final = 0x540B
TCXONC: Final = 0x540A
TIOCGWINSZ: Final = 0x5413
TIOCSWINSZ: Final = 0x5414
FIONREAD: Final = 0x541B

OPOST: Final = 0x1
ICANON: Final = 0x2
KEPT_CFLAG: Final = CSIZE | PARENB | CREAD
KEPT_IFLAG: Final = PARMRK

OPEN_FLAGS: Final = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC


class Discipline:
    """``terminal`` is the path of the pseudo terminal, ``wanted`` what it is to have at first.

    Everything that touches the terminal raises OSError, and needs it to be open.
    """

    def __init__(self, terminal: str, master: int, wanted: Attributes) -> None:
        self.fd = -1
        self._terminal = terminal
        self._master = master
        self._poll = select.poll()
        self._kept = wanted
        self.manner = Manner()
        """How it is read."""
        self._keep(wanted)
        write_attributes(master, _for_kernel(wanted))

    def open(self) -> None:
        """Take the terminal's end, as its only user."""
        self.fd = os.open(self._terminal, OPEN_FLAGS)
        self._poll = select.poll()
        self._poll.register(self.fd, select.POLLIN | select.POLLOUT)

    def close(self) -> None:
        """Let go; what was written and not yet taken stays to be taken.  Safe twice."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    # --- data -----------------------------------------------------------------------------------

    def read(self, size: int) -> bytes | None:
        """Return what is there, b"" for an end of file (^D), None for nothing."""
        try:
            return os.read(self.fd, size)
        except BlockingIOError:
            return None

    def write(self, data: bytes | memoryview) -> int:
        """Return how much was taken, 0 when it takes nothing now."""
        try:
            return os.write(self.fd, data)
        except BlockingIOError:
            return 0

    def events(self) -> int:
        """Return which of IN and OUT are there."""
        found = dict(self._poll.poll(0)).get(self.fd, 0)
        readable = bool(found & select.POLLIN)
        if readable and self.manner.polls > 1:
            readable = self.waiting() >= self.manner.polls
        return (IN if readable else 0) | (OUT if found & select.POLLOUT else 0)

    def waiting(self) -> int:
        """Return how many bytes can be read."""
        return int(struct.unpack("i", fcntl.ioctl(self.fd, FIONREAD, bytes(4)))[0])

    def flush(self, which: int) -> None:
        """Do what TCFLSH does: TCIFLUSH 0, TCOFLUSH 1, TCIOFLUSH 2."""
        fcntl.ioctl(self.fd, TCFLSH, which)

    def flow(self, action: int) -> None:
        """Do what TCXONC does: TCOOFF 0, TCOON 1, TCIOFF 2, TCION 3."""
        fcntl.ioctl(self.fd, TCXONC, action)

    def window(self) -> bytes:
        """Return the ``struct winsize``."""
        return fcntl.ioctl(self.fd, TIOCGWINSZ, bytes(8))

    def set_window(self, raw: bytes) -> None:
        """Take a ``struct winsize``."""
        fcntl.ioctl(self.fd, TIOCSWINSZ, raw)

    # --- settings -------------------------------------------------------------------------------

    def attributes(self) -> Attributes:
        """Return what is in force, as the application made it."""
        found, kept = read_attributes(self._master), self._kept
        cc = bytearray(found.cc)
        cc[VMIN], cc[VTIME] = kept.cc[VMIN], kept.cc[VTIME]
        return replace(
            found,
            iflag=found.iflag & ~KEPT_IFLAG | kept.iflag & KEPT_IFLAG,
            cflag=found.cflag & ~KEPT_CFLAG | kept.cflag & KEPT_CFLAG,
            cc=bytes(cc),
        )

    def set(self, raw: bytes) -> None:
        """Put a ``struct termios`` or ``termios2`` in force."""
        wanted = unpack(raw.ljust(LAYOUT.size, b"\0"))
        request = TCSETS2 if len(raw) == LAYOUT.size else TCSETS
        fcntl.ioctl(self._master, request, pack(_for_kernel(wanted))[: len(raw)])
        self._keep(wanted)

    def _keep(self, wanted: Attributes) -> None:
        self._kept = wanted
        self.manner = Manner(bool(wanted.lflag & ICANON), wanted.cc[VMIN], wanted.cc[VTIME])

    @property
    def hangs_up(self) -> bool:
        """Whether losing the carrier matters (CLOCAL is off)."""
        return not self._kept.cflag & CLOCAL

    @property
    def drops_lines(self) -> bool:
        """Whether DTR and RTS fall with the last close (HUPCL)."""
        return bool(self._kept.cflag & HUPCL)

    @property
    def obeys_cts(self) -> bool:
        """Whether nothing is sent while CTS is off (CRTSCTS)."""
        return bool(self._kept.cflag & CRTSCTS)

    @property
    def counts(self) -> bool:
        """Whether as many bytes come out at the other end as are written here (OPOST is off)."""
        return not self._kept.oflag & OPOST

    def marked(self, data: bytes) -> bytes:
        """Return received data as the application is to find it, with PARMRK."""
        if self._kept.iflag & (PARMRK | ISTRIP) == PARMRK:
            return data.replace(b"\xff", b"\xff\xff")
        return data

    def marked_faults(self, fault: LineFault, character: bytes) -> bytes:
        """Return what a fault with a character, or a break, reads as; see :func:`marked_faults`."""
        return marked_faults(self._kept.iflag, fault, character)


def marked_faults(iflag: int, fault: LineFault, character: bytes) -> bytes:
    """Return what the application reads for a break, or for a ``character`` with a fault.

    As ``n_tty_receive_break`` and ``n_tty_receive_parity_error`` have it.
    """
    if fault.break_received:
        if iflag & (IGNBRK | BRKINT):
            return b""
        return b"\xff\0\0" if iflag & PARMRK else b"\0"
    if not iflag & INPCK or not (fault.parity or fault.framing):
        return character
    if iflag & IGNPAR:
        return b""
    return b"\xff\0" + character if iflag & PARMRK else b"\0"


def _for_kernel(wanted: Attributes) -> Attributes:
    cc = bytearray(wanted.cc)
    cc[VMIN], cc[VTIME] = 1, 0
    return replace(wanted, iflag=wanted.iflag & ~KEPT_IFLAG, cc=bytes(cc))
