"""Calls of a program that the kernel asks another program about: seccomp's user notification.

Theory of operation
-------------------
A program (not its user: no privilege is needed) may give up the right to gain privileges and then
install a filter, a small program for the kernel's BPF machine that looks at each system call's
number and arguments.  It and every process that it starts keep the filter for good.  Ours says
"allow" to everything but ``ioctl`` with one of a few request numbers; on those the caller sleeps,
and whoever holds the *listener* decides:

============  =====================================================================================
``receive``   the next call that waits: who, which descriptor, which request, which argument
``answer``    the caller goes on with this result, as if the kernel had answered
``pass_on``   the caller goes on into the kernel, as if there were no filter
``valid``     whether the caller still waits (a signal wakes it; then its pid may be anybody's)
============  =====================================================================================

A call that is never answered sleeps until a signal comes; when the listener is closed, it and all
calls after it fail with ENOSYS.  ``select`` says "readable" when a call waits, and hangs up when
the last process with the filter has ended.

Arguments that are addresses belong to the caller's memory: :func:`read_memory`,
:func:`write_memory`.  Between reading and writing the caller may have died and its number been
given to somebody else, so ``valid`` is asked after the memory was opened.

Calls in the 32-bit or x32 convention have numbers of their own and are allowed unseen.
Sources: Linux ``Documentation/userspace-api/seccomp_filter.rst``, ``include/uapi/linux/seccomp.h``,
``filter.h`` and ``audit.h``.  "Pass on" came with Linux 5.5, duplicating a descriptor with 5.6.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import platform
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portline.errors import PortlineError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "REQUESTS_LIMIT",
    "Call",
    "CallGone",
    "Listener",
    "Machine",
    "assemble",
    "borrow_descriptor",
    "install",
    "machine",
    "read_memory",
    "write_memory",
]

REQUESTS_LIMIT: Final = 200
"""Request numbers in one filter: a BPF jump reaches over at most 255 instructions."""

MEMORY_LIMIT: Final = 4096
"""Bytes read or written at once; the largest structure of a serial port has 80."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What differs between kinds of processors: AUDIT_ARCH_*, and system call numbers."""

    arch: int
    ioctl: int
    seccomp: int


MACHINES: Final = {
    "x86_64": Machine(arch=0xC000003E, ioctl=16, seccomp=317),
    "aarch64": Machine(arch=0xC00000B7, ioctl=29, seccomp=277),
}

PIDFD_GETFD: Final = 438
"""System call number, the same on all machines (Linux 5.6)."""

PR_SET_NO_NEW_PRIVS: Final = 38
SECCOMP_SET_MODE_FILTER: Final = 1
SECCOMP_GET_NOTIF_SIZES: Final = 3
SECCOMP_FILTER_FLAG_NEW_LISTENER: Final = 1 << 3
SECCOMP_RET_USER_NOTIF: Final = 0x7FC00000
SECCOMP_RET_ALLOW: Final = 0x7FFF0000
SECCOMP_IOCTL_NOTIF_RECV: Final = 0xC0502100
SECCOMP_IOCTL_NOTIF_SEND: Final = 0xC0182101
SECCOMP_IOCTL_NOTIF_ID_VALID: Final = 0x40082102
SECCOMP_USER_NOTIF_FLAG_CONTINUE: Final = 1

LOAD: Final = 0x20
"""BPF_LD | BPF_W | BPF_ABS: load the 32-bit word of ``struct seccomp_data`` at ``k``."""

SAME: Final = 0x15
"""BPF_JMP | BPF_JEQ | BPF_K: skip ``jt`` instructions if the word is ``k``, else ``jf``."""

RETURN: Final = 0x06
"""BPF_RET | BPF_K."""

NUMBER_AT, ARCH_AT, REQUEST_AT = 0, 4, 24
"""Offsets in ``struct seccomp_data``: nr, arch, and the low half of args[1] (little-endian)."""

INSTRUCTION: Final = struct.Struct("=HBBI")
PROGRAM: Final = struct.Struct("@HP")
"""``struct sock_fprog``; "@" pads as the C compiler does."""

NOTIFICATION: Final = struct.Struct("=QII iIQ6Q")
RESPONSE: Final = struct.Struct("=QqiI")
SIZES: Final = struct.Struct("=3H")

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long


@dataclass(frozen=True, slots=True)
class Call:
    """An ``ioctl`` that waits: ``request`` on ``descriptor`` of the thread ``pid``.

    ``argument`` is what the program passed: a number or an address of its own memory.
    """

    id: int
    pid: int
    descriptor: int
    request: int
    argument: int


class CallGone(Exception):
    """The caller no longer waits: a signal woke or ended it."""


def machine(name: str | None = None) -> Machine:
    """Return what is particular to this kind of processor; raises PortlineError for the others."""
    name = platform.machine() if name is None else name
    try:
        return MACHINES[name]
    except KeyError:
        known = " and ".join(MACHINES)
        raise PortlineError(
            f"system calls can be filtered on {known}, and this machine is {name}; "
            "start the program without `portline run`: it then has a plain pseudo terminal"
        ) from None


def assemble(requests: Iterable[int], target: Machine) -> bytes:
    """Return the filter that asks about ``ioctl`` with one of ``requests`` and allows all else.

    Only the low 32 bits of a request count, as for the kernel.  Raises ValueError for more than
    REQUESTS_LIMIT of them.
    """
    wanted = sorted({request & 0xFFFFFFFF for request in requests})
    count = len(wanted)
    if count > REQUESTS_LIMIT:
        raise ValueError(f"{count} requests are more than {REQUESTS_LIMIT}")
    # The last two instructions are "allow" and "ask"; jumps count what they skip.
    program = [
        (LOAD, 0, 0, ARCH_AT),
        (SAME, 0, count + 3, target.arch),
        (LOAD, 0, 0, NUMBER_AT),
        (SAME, 0, count + 1, target.ioctl),
        (LOAD, 0, 0, REQUEST_AT),
    ]
    program += [(SAME, count - place, 0, request) for place, request in enumerate(wanted)]
    program += [(RETURN, 0, 0, SECCOMP_RET_ALLOW), (RETURN, 0, 0, SECCOMP_RET_USER_NOTIF)]
    return b"".join(INSTRUCTION.pack(*instruction) for instruction in program)


def install(code: bytes, target: Machine) -> int:
    """Put a filter in force for this thread and all that it starts; return the listener.

    It cannot be undone, and no program started from here gains privileges (set-user-ID) any more.
    Meant for a child that is about to ``exec``.  Raises OSError: EBUSY when there is a filter with
    a listener already, ENOSYS or EINVAL when the kernel cannot do it.
    """
    words = [ctypes.c_ulong(word) for word in (1, 0, 0, 0)]
    if _LIBC.prctl(PR_SET_NO_NEW_PRIVS, *words):
        raise _failure("prctl")
    kept = ctypes.create_string_buffer(code, len(code))
    program = PROGRAM.pack(len(code) // INSTRUCTION.size, ctypes.addressof(kept))
    return _syscall(
        target.seccomp,
        SECCOMP_SET_MODE_FILTER,
        SECCOMP_FILTER_FLAG_NEW_LISTENER,
        ctypes.create_string_buffer(program, len(program)),
    )


class Listener:
    """The holder's end of a filter; takes over the descriptor ``fd``.

    Used from one thread.  No method blocks when ``receive`` is called after "readable".
    """

    def __init__(self, fd: int, target: Machine) -> None:
        self._fd = fd
        sizes = ctypes.create_string_buffer(SIZES.size)
        _syscall(target.seccomp, SECCOMP_GET_NOTIF_SIZES, 0, sizes)
        # A newer kernel may have longer structures; what it adds begins as zeros.
        notification, response, _data = SIZES.unpack(sizes.raw)
        self._received = max(NOTIFICATION.size, notification)
        self._padding = bytes(max(0, response - RESPONSE.size))

    def fileno(self) -> int:
        """Return the descriptor, for a selector."""
        return self._fd

    def close(self) -> None:
        """Let go; calls that still wait, and all later ones, fail with ENOSYS.  Safe twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def receive(self) -> Call | None:
        """Return the next call; None when it was interrupted before it could be read."""
        raw = bytearray(self._received)  # the kernel insists on zeros
        try:
            fcntl.ioctl(self._fd, SECCOMP_IOCTL_NOTIF_RECV, raw)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINTR):
                return None
            raise
        number, pid, _flags, _nr, _arch, _at, *arguments = NOTIFICATION.unpack_from(raw)
        return Call(
            id=number,
            pid=pid,
            descriptor=ctypes.c_int(arguments[0] & 0xFFFFFFFF).value,
            request=arguments[1] & 0xFFFFFFFF,
            argument=arguments[2],
        )

    def valid(self, call: Call) -> bool:
        """Return whether the caller still waits for the answer."""
        try:
            fcntl.ioctl(self._fd, SECCOMP_IOCTL_NOTIF_ID_VALID, struct.pack("=Q", call.id))
        except OSError:
            return False
        return True

    def answer(self, call: Call, value: int = 0, *, error: int = 0) -> bool:
        """Let the call return ``value``, or fail with ``error``; False if nobody waits any more."""
        return self._send(RESPONSE.pack(call.id, 0 if error else value, -error, 0))

    def pass_on(self, call: Call) -> bool:
        """Let the kernel do what the call asks; False if nobody waits any more."""
        return self._send(RESPONSE.pack(call.id, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE))

    def _send(self, response: bytes) -> bool:
        try:
            fcntl.ioctl(self._fd, SECCOMP_IOCTL_NOTIF_SEND, response + self._padding)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return False
            raise
        return True


# --- the caller's memory and descriptors ----------------------------------------------------------


def read_memory(listener: Listener, call: Call, size: int) -> bytes:
    """Return ``size`` bytes of the caller's memory at its argument.

    Raises CallGone; OSError with EFAULT for an address that is none, as the kernel would, and with
    EACCES or EPERM when this process may not look into the caller.
    """
    fd = _open_memory(listener, call, os.O_RDONLY)
    try:
        data = os.pread(fd, min(size, MEMORY_LIMIT), _address(call))
    except OSError as error:
        raise _bad_address(error) from error
    finally:
        os.close(fd)
    if len(data) < size:
        raise OSError(errno.EFAULT, os.strerror(errno.EFAULT))
    return data


def write_memory(listener: Listener, call: Call, data: bytes) -> None:
    """Put ``data`` into the caller's memory at its argument; raises as :func:`read_memory`."""
    fd = _open_memory(listener, call, os.O_WRONLY)
    try:
        written = os.pwrite(fd, data, _address(call))
    except OSError as error:
        raise _bad_address(error) from error
    finally:
        os.close(fd)
    if written < len(data):
        raise OSError(errno.EFAULT, os.strerror(errno.EFAULT))


def borrow_descriptor(listener: Listener, call: Call) -> int:
    """Return a duplicate of the descriptor that the call is about; the receiver closes it.

    Opening ``/proc/PID/fd/N`` instead would be an opening of the terminal, which others notice and
    TIOCEXCL forbids.  Raises CallGone or OSError.
    """
    try:
        leader = _leader(call.pid)
        process = os.pidfd_open(leader)
    except (OSError, ValueError) as error:
        raise CallGone from error
    try:
        _check(listener, call)
        return _syscall(PIDFD_GETFD, process, call.descriptor, 0)
    finally:
        os.close(process)


def _leader(thread: int) -> int:
    """Return the process of a thread: only that can be opened on kernels before 6.9."""
    with open(f"/proc/{thread}/status", encoding="ascii", errors="replace") as status:
        return next(int(line[5:]) for line in status if line.startswith("Tgid:"))


def _open_memory(listener: Listener, call: Call, flags: int) -> int:
    try:
        fd = os.open(f"/proc/{call.pid}/mem", flags | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise CallGone from error
    try:
        _check(listener, call)
    except CallGone:
        os.close(fd)
        raise
    return fd


def _check(listener: Listener, call: Call) -> None:
    if not listener.valid(call):
        raise CallGone


def _address(call: Call) -> int:
    """Return the argument; one that no user process has is an error, not an OverflowError."""
    if not 0 < call.argument < 1 << 63:
        raise OSError(errno.EFAULT, os.strerror(errno.EFAULT))
    return call.argument


def _bad_address(error: OSError) -> OSError:
    """Return what the kernel says of a bad address: /proc/PID/mem says EIO."""
    if error.errno in (errno.EIO, errno.EFAULT):
        return OSError(errno.EFAULT, os.strerror(errno.EFAULT))
    return error


def _syscall(number: int, *arguments: object) -> int:
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = int(_LIBC.syscall(ctypes.c_long(number), *words))
    if result < 0:
        raise _failure("syscall")
    return result


def _failure(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")
