"""What passes between an adapter and the kernel, written where it outlives the process.

Theory of operation
-------------------
A process that is killed (SIGKILL, out of memory) releases nothing.  But the kernel's transfers stay
under way, each to be ended by exactly one answer with its number; one answer too many and the
kernel unplugs the adapter.  So it has to be known which were asked for and which were answered.

The journal is a piece of memory with a descriptor (memfd), which whoever keeps the socket keeps,
too.  It has two halves of which one counts::

    checkpoint    what is saved of the adapter (text), and counters
    received      what the kernel has sent since: it is received into this very memory, so nothing
                  is ever taken from the socket that is not here
    sent          what was answered since, written before it is sent

Both logs begin as zeros, and no message of USB/IP begins with one: they end where that is not so.
Another checkpoint goes into the other half, which counts from then on.

Between writing an answer and sending it are about a microsecond.  Killed within it, that one
answer is missing: its transfer lasts until the application closes the port.
"""

from __future__ import annotations

import fcntl
import os
import stat
import struct
from dataclasses import dataclass
from mmap import mmap
from typing import TYPE_CHECKING, Final

from portline.line import ModemLines

if TYPE_CHECKING:
    import socket

__all__ = ["RECEIVE_SIZE", "TEXT_MAX", "Journal", "Record"]

RECEIVE_SIZE: Final = 64 * 1024
"""Bytes that there is always room for in a log of what was received: one read of the socket."""

TEXT_MAX: Final = 1024 * 1024
"""Bytes of what is saved: all that may wait in both directions, in hexadecimal, several times."""

RECEIVED_MAX: Final = 256 * 1024
"""Bytes received until there is another checkpoint: some thousand writes of an application."""

SENT_MAX: Final = 512 * 1024
"""Bytes sent until then: as much, and the answers to what may be under way."""

_MAGIC: Final = b"PORTLINE"
_VERSION: Final = 1
"""Of the format; another one is not understood."""

_HEAD: Final = struct.Struct("=8sII")
"""Magic, version, the half that counts."""
_ACTIVE: Final = struct.Struct("=I")
_ACTIVE_AT: Final = 12

_COUNTERS: Final = struct.Struct("=6I")
"""Length of the text, bytes that the kernel has not taken, the last transfer that was passed on and
the bytes of the one after it, the signal lines, whether something did not fit."""

_PAGE: Final = 4096
_HALF: Final = _PAGE + TEXT_MAX + RECEIVED_MAX + SENT_MAX
_SIZE: Final = _PAGE + 2 * _HALF

_SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
"""Without them whoever has the descriptor could take the memory away from under us."""


@dataclass(frozen=True, slots=True)
class Record:
    """What a journal says; the logs end with zeros."""

    text: bytes
    unsent: int
    """How many of the last bytes sent the kernel has not taken."""
    passed: tuple[int, int]
    """The last transfer that was passed on or dropped, 0 for none since the checkpoint, and how
    many bytes of the next one."""
    lines: ModemLines
    received: bytes
    sent: bytes


class Journal:
    """A journal at ``descriptor``, which is its own from now on.

    Raises ValueError for what is none, OSError; the descriptor is still the caller's then.
    """

    def __init__(self, descriptor: int) -> None:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size != _SIZE:
            raise ValueError("it has no journal")
        if fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & _SEALS != _SEALS:
            raise ValueError("its journal could be cut off")
        self.descriptor = descriptor
        self._memory = mmap(descriptor, _SIZE)
        self._view = memoryview(self._memory)
        magic, version, active = _HEAD.unpack_from(self._memory, 0)
        if (magic, version) != (_MAGIC, _VERSION) or active > 1:
            self._unmap()
            raise ValueError("its journal is of another version")
        self._active: int = active
        self._received = self._sent = 0
        self._dirty = [(RECEIVED_MAX, SENT_MAX), (RECEIVED_MAX, SENT_MAX)]

    @classmethod
    def create(cls) -> Journal:
        """Make one.  Raises OSError."""
        descriptor = os.memfd_create("portline-adapter", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(descriptor, _SIZE)
            os.pwrite(descriptor, _HEAD.pack(_MAGIC, _VERSION, 0), 0)
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
            made = cls(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        made._dirty = [(0, 0), (0, 0)]  # fresh memory is zero: touching it would only occupy it
        return made

    def close(self) -> None:
        """Let go of it; safe twice."""
        if self.descriptor >= 0:
            self._unmap()
            os.close(self.descriptor)
            self.descriptor = -1

    def _unmap(self) -> None:
        self._view.release()
        self._memory.close()

    # --- writing --------------------------------------------------------------------------------

    @property
    def due(self) -> bool:
        """Whether there should be another checkpoint before anything is received."""
        return RECEIVED_MAX - self._received < RECEIVE_SIZE or self._sent > SENT_MAX // 2

    def checkpoint(self, text: bytes, *, unsent: int, lines: ModemLines) -> None:
        """Begin new logs after ``text``; ``unsent`` bytes of it the kernel has not taken.

        Raises ValueError for a text that is too long; nothing was changed then.
        """
        if len(text) > TEXT_MAX:
            raise ValueError(f"what waits is more than {TEXT_MAX} bytes")
        self._dirty[self._active] = (self._received, self._sent)
        half = 1 - self._active
        begin = _PAGE + half * _HALF
        received, sent = self._dirty[half]
        at = begin + _PAGE + TEXT_MAX
        self._view[at : at + received] = bytes(received)
        self._view[at + RECEIVED_MAX : at + RECEIVED_MAX + sent] = bytes(sent)
        _COUNTERS.pack_into(self._memory, begin, len(text), unsent, 0, 0, _number(lines), 0)
        self._view[begin + _PAGE : begin + _PAGE + len(text)] = text
        _ACTIVE.pack_into(self._memory, _ACTIVE_AT, half)
        self._active = half
        self._received = self._sent = 0

    def receive(self, connected: socket.socket) -> bytes:
        """Receive from the kernel; b"" when it has let go.  Raises OSError."""
        at = self._begin + _PAGE + TEXT_MAX + self._received
        count = connected.recv_into(self._view[at : at + RECEIVE_SIZE])
        self._received += count
        return bytes(self._view[at : at + count])

    def sent(self, data: bytes) -> None:
        """Note what is going to be sent."""
        if self._sent + len(data) > SENT_MAX:
            self._count(5, 1)  # more than any driver has under way
            return
        at = self._begin + _PAGE + TEXT_MAX + RECEIVED_MAX + self._sent
        self._view[at : at + len(data)] = data
        self._sent += len(data)

    def unsent(self, count: int) -> None:
        """Note how many of the last bytes the kernel has not taken yet."""
        self._count(1, count)

    def passed(self, number: int, offset: int) -> None:
        """Note that transfers up to ``number`` are passed on, and ``offset`` bytes of the next."""
        self._count(2, number, offset)

    def lines(self, lines: ModemLines) -> None:
        """Note what the application reads from its signal lines."""
        self._count(4, _number(lines))

    @property
    def _begin(self) -> int:
        return _PAGE + _HALF * self._active

    def _count(self, index: int, *values: int) -> None:
        if self.descriptor < 0:
            return  # the port has been closed by what it has just told
        struct.pack_into(f"={len(values)}I", self._memory, self._begin + 4 * index, *values)

    # --- reading --------------------------------------------------------------------------------

    def read(self) -> Record:
        """Return what is written.  Raises ValueError where that cannot be all."""
        counters: tuple[int, ...] = _COUNTERS.unpack_from(self._memory, self._begin)
        length, unsent, number, offset, lines, broken = counters
        if broken or length > TEXT_MAX:
            raise ValueError("its journal is not whole")
        text = self._begin + _PAGE
        received = text + TEXT_MAX
        sent = received + RECEIVED_MAX
        return Record(
            bytes(self._view[text : text + length]),
            unsent,
            (number, offset),
            ModemLines(*(bool(lines >> bit & 1) for bit in range(4))),
            bytes(self._view[received:sent]),
            bytes(self._view[sent : sent + SENT_MAX]),
        )


def _number(lines: ModemLines) -> int:
    return int(lines.cts | lines.dsr << 1 | lines.dcd << 2 | lines.ri << 3)
