"""The protocol of /dev/cuse: requests as values, answers as bytes.  Pure.

Theory of operation
-------------------
One read gives one request, one write takes one answer (Linux ``uapi/linux/fuse.h``,
``fs/fuse/cuse.c``, ``fs/fuse/dev.c``; all numbers in the machine's byte order).  A request has a
*unique* number, under which it is answered.  The first one is Init; the kernel makes the device
within the write of its answer.  Afterwards come, for each descriptor of an application, what the
application calls:

=========  ==================================  ==================================================
request    from                                answered with
=========  ==================================  ==================================================
Open       open(2)                             :func:`opened`: a handle that the others carry
Release    the last close(2)                   :func:`success`
Read       read(2)                             :func:`given`: the data
Write      write(2)                            :func:`written`: how much
Ioctl      ioctl(2)                            :func:`controlled`, or first :func:`wanting` (below)
Poll       poll(2), select(2), epoll           :func:`polled`; where it asks for it, later
                                               :func:`woken`, once, which is no answer
Interrupt  a signal to who waits               nothing; but what it is about is answered soon
Unknown    whatever else there may be          :func:`failure` with ENOSYS
=========  ==================================  ==================================================

*Ioctl.*  The kernel does not know what an ioctl reads and fills, so it hands over only the
argument.  The answer :func:`wanting` says how many bytes at that address are to be read or filled,
and the kernel asks again, with them (``FUSE_IOCTL_RETRY``).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, TypeAlias

from portline.plural import plural

__all__ = [
    "BUFFER_SIZE",
    "MAX_READ",
    "MAX_WRITE",
    "Asked",
    "Init",
    "Interrupt",
    "Ioctl",
    "Open",
    "Poll",
    "Read",
    "Release",
    "Unknown",
    "Write",
    "controlled",
    "failure",
    "given",
    "made",
    "opened",
    "parse",
    "polled",
    "success",
    "wanting",
    "woken",
    "written",
]

MAX_READ: Final = 16 * 1024
"""Bytes that one Read may ask for.  The kernel asks again when it got as many as it asked for, so
this must be more than a terminal gives at once (N_TTY_BUF_SIZE, 4096)."""

MAX_WRITE: Final = 16 * 1024
"""Bytes that one Write carries; longer writes come as several.  A UART's driver takes 4096."""

BUFFER_SIZE: Final = MAX_WRITE + 4096
"""Bytes that a read of /dev/cuse must have room for: the data and its headers."""

MAJOR: Final = 7
MINOR_MAX: Final = 31
"""The protocol's version: 7, and no more of it than what was there in Linux 5.4."""

UNRESTRICTED_IOCTL: Final = 1
OPEN_FLAGS: Final = 1 | 4
"""FOPEN_DIRECT_IO, FOPEN_NONSEEKABLE."""

RETRY: Final = 4
COMPAT: Final = 1
SCHEDULE_NOTIFY: Final = 1
NOTIFY_POLL: Final = 1

OPEN, READ, WRITE, RELEASE, INTERRUPT, IOCTL, POLL, CUSE_INIT = 14, 15, 16, 18, 36, 39, 40, 4096

IN_HEADER: Final = struct.Struct("=IIQQIIIHH")
OUT_HEADER: Final = struct.Struct("=IiQ")
INIT_IN: Final = struct.Struct("=IIII")
INIT_OUT: Final = struct.Struct("=8I40x")
OPEN_IN: Final = struct.Struct("=II")
OPEN_OUT: Final = struct.Struct("=QII")
TRANSFER_IN: Final = struct.Struct("=QQIIQII")
"""``fuse_read_in`` and ``fuse_write_in``."""
WRITE_OUT: Final = struct.Struct("=II")
RELEASE_IN: Final = struct.Struct("=QIIQ")
IOCTL_IN: Final = struct.Struct("=QIIQII")
IOCTL_OUT: Final = struct.Struct("=iIII")
IOVEC: Final = struct.Struct("=QQ")
POLL_IN: Final = struct.Struct("=QQII")
POLL_OUT: Final = struct.Struct("=II")
NUMBER: Final = struct.Struct("=Q")


@dataclass(frozen=True, slots=True)
class Init:
    """The kernel is ready to make a device."""

    unique: int
    minor: int = MINOR_MAX


@dataclass(frozen=True, slots=True)
class Open:
    """Somebody opens the device; ``flags`` are those of open(2), ``user`` is their number."""

    unique: int
    flags: int = 0
    user: int = 0
    process: int = 0


@dataclass(frozen=True, slots=True)
class Release:
    """The last descriptor of a handle is closed."""

    unique: int
    handle: int


@dataclass(frozen=True, slots=True)
class Read:
    """``flags`` are those of the descriptor now."""

    unique: int
    handle: int
    size: int
    flags: int = 0


@dataclass(frozen=True, slots=True)
class Write:
    """``flags`` are those of the descriptor now."""

    unique: int
    handle: int
    data: bytes
    flags: int = 0


@dataclass(frozen=True, slots=True)
class Ioctl:
    """``data`` is what was read at the address ``argument``; ``room`` bytes can be filled there.

    ``compat``: by a 32-bit program on a 64-bit kernel.
    """

    unique: int
    handle: int
    request: int
    argument: int = 0
    data: bytes = b""
    room: int = 0
    compat: bool = False


@dataclass(frozen=True, slots=True)
class Poll:
    """What is ready?  ``wake`` is the number to wake up, if ``wait``, when one of ``events`` is."""

    unique: int
    handle: int
    wake: int
    wait: bool = False
    events: int = 0


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Who waits for the answer to ``target`` has got a signal."""

    unique: int
    target: int


@dataclass(frozen=True, slots=True)
class Unknown:
    """Something that this program does not know."""

    unique: int
    opcode: int


Asked: TypeAlias = Init | Open | Release | Read | Write | Ioctl | Poll | Interrupt | Unknown


def parse(message: bytes) -> Asked:
    """Read what the kernel asks.  Raises ValueError for what is no request."""
    try:
        size, opcode, unique, _, user, _, process, _, _ = IN_HEADER.unpack_from(message)
        body = memoryview(message)[IN_HEADER.size : size]
        if size != len(message):
            raise ValueError(f"a request of {plural(size, 'byte')} came as {len(message)}")
        return _parse(opcode, unique, user, process, body)
    except struct.error as error:
        raise ValueError(f"a request of {plural(len(message), 'byte')} is too short") from error


def _parse(opcode: int, unique: int, user: int, process: int, body: memoryview) -> Asked:
    match opcode:
        case 15:  # READ
            handle, _, size, _, _, flags, _ = TRANSFER_IN.unpack_from(body)
            return Read(unique, handle, size, flags)
        case 16:  # WRITE
            handle, _, size, _, _, flags, _ = TRANSFER_IN.unpack_from(body)
            data = bytes(body[TRANSFER_IN.size : TRANSFER_IN.size + size])
            if len(data) != size:
                raise ValueError(f"a write of {plural(size, 'byte')} has {len(data)}")
            return Write(unique, handle, data, flags)
        case 40:  # POLL
            handle, wake, flags, events = POLL_IN.unpack_from(body)
            return Poll(unique, handle, wake, bool(flags & SCHEDULE_NOTIFY), events)
        case 39:  # IOCTL
            handle, flags, request, argument, given_size, room = IOCTL_IN.unpack_from(body)
            data = bytes(body[IOCTL_IN.size : IOCTL_IN.size + given_size])
            compat = bool(flags & COMPAT)
            return Ioctl(unique, handle, request, argument, data, room, compat)
        case 36:  # INTERRUPT
            return Interrupt(unique, NUMBER.unpack_from(body)[0])
        case 14:  # OPEN
            flags, _ = OPEN_IN.unpack_from(body)
            return Open(unique, flags, user, process)
        case 18:  # RELEASE
            handle, _, _, _ = RELEASE_IN.unpack_from(body)
            return Release(unique, handle)
        case 4096:  # CUSE_INIT
            _, minor, _, _ = INIT_IN.unpack_from(body)
            return Init(unique, minor)
        case _:
            return Unknown(unique, opcode)


def failure(unique: int, error: int) -> bytes:
    """Return the answer that fails with the error number ``error`` (1..511)."""
    return OUT_HEADER.pack(OUT_HEADER.size, -error, unique)


def success(unique: int) -> bytes:
    """Return the answer that has nothing to say."""
    return OUT_HEADER.pack(OUT_HEADER.size, 0, unique)


def made(init: Init, name: str) -> bytes:
    """Return the answer to Init: make the device /dev/``name``."""
    out = INIT_OUT.pack(
        MAJOR, min(init.minor, MINOR_MAX), 0, UNRESTRICTED_IOCTL, MAX_READ, MAX_WRITE, 0, 0
    )
    return _answer(init.unique, out + b"DEVNAME=" + name.encode() + b"\0")


def opened(unique: int, handle: int) -> bytes:
    """Return the answer to Open."""
    return _answer(unique, OPEN_OUT.pack(handle, OPEN_FLAGS, 0))


def given(unique: int, data: bytes) -> bytes:
    """Return the answer to Read; no data is the end of the file."""
    return _answer(unique, data)


def written(unique: int, count: int) -> bytes:
    """Return the answer to Write: so many bytes were taken."""
    return _answer(unique, WRITE_OUT.pack(count, 0))


def controlled(unique: int, filled: bytes = b"") -> bytes:
    """Return the answer to an Ioctl that succeeded; ``filled`` goes to its argument's address."""
    return _answer(unique, IOCTL_OUT.pack(0, 0, 0, 0) + filled)


def wanting(asked: Ioctl, reads: int, fills: int) -> bytes:
    """Return the answer that has the kernel ask again, with so many bytes read or to be filled."""
    vectors = b"".join(IOVEC.pack(asked.argument, size) for size in (reads, fills) if size)
    return _answer(asked.unique, IOCTL_OUT.pack(0, RETRY, int(reads > 0), int(fills > 0)) + vectors)


def polled(unique: int, events: int) -> bytes:
    """Return the answer to Poll: these events are there now."""
    return _answer(unique, POLL_OUT.pack(events, 0))


def woken(wake: int) -> bytes:
    """Return the message that something may have changed for who polls ``wake``."""
    return OUT_HEADER.pack(OUT_HEADER.size + NUMBER.size, NOTIFY_POLL, 0) + NUMBER.pack(wake)


def _answer(unique: int, body: bytes) -> bytes:
    return OUT_HEADER.pack(OUT_HEADER.size + len(body), 0, unique) + body
