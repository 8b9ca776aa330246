"""Starts a program whose calls on virtual ports are answered here, and ends as it ends.

Theory of operation
-------------------
The program is a child in the same process group: Ctrl-C, Ctrl-Z and the terminal's size reach it
from the kernel as if it had been started directly.  What is sent to this process alone
is passed on (``kill`` by a service manager); what the kernel sent to the whole group is not, or the
program would have it twice.  A program that stops itself stops this process too, so that the shell
knows.

==============  =============================================================================
step            done
==============  =============================================================================
fork            the child installs the filter and sends the listener back, or why it cannot
exec            the child becomes the program, or sends why not
supervise       calls are answered until the program has ended
leftovers       processes that the program left behind go on; so does a copy of this process
                in the background, for their calls, until the last of them has ended
==============  =============================================================================

Signals wait in a ``signalfd``, because only that tells who sent them.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import signal
import socket
import struct
import sys
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portline.errors import PortlineError
from portline.port.programs.calls import REQUESTS
from portline.port.programs.seccomp import Listener, Machine, assemble, install, machine
from portline.port.programs.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from portline.port.programs.terminal import Terminals

__all__ = ["Launched", "NotStarted", "launch", "supervise"]

FORWARDED: Final = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
)
"""Signals that are meant for the program."""

WAITING: Final = (*FORWARDED, signal.SIGCHLD)
"""Signals that wait until they are read."""

STOPS: Final = (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
"""Signals by which a program stops for the sake of its terminal, and its shell wants to know."""

PYTHON_IGNORES: Final = (signal.SIGPIPE, signal.SIGXFSZ)
"""Signals that Python ignores, and that a program expects to be what they are."""

SIGSET_SIZE: Final = 128
"""Bytes of the C library's ``sigset_t``."""

SI_KERNEL: Final = 0x80
"""``si_code``: the terminal sent the signal, to the whole process group."""

SIGINFO: Final = struct.Struct("=Iii116x")
"""``struct signalfd_siginfo``: number, errno, code."""

PR_SET_PDEATHSIG: Final = 1

NOT_FOUND: Final = 127
NOT_EXECUTABLE: Final = 126
"""Exit codes of shells, env and timeout for a program that cannot be started."""

_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class NotStarted(PortlineError):
    """The program cannot be started; ``exit_code`` is what a shell would end with."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class Launched:
    """A program that runs, and the listener to its calls.

    The signals of WAITING are blocked in this process since then; ``mask`` is what was before.
    """

    pid: int
    listener: Listener
    mask: frozenset[int]


def launch(command: Sequence[str]) -> Launched:
    """Start a program, found as a shell finds it; from a process with a single thread.

    Raises NotStarted when it cannot be started or its calls cannot be answered on this kernel, and
    PortlineError on machines that are not known; nothing is left behind then.
    """
    target = machine()
    code = assemble(REQUESTS, target)
    ours, theirs = socket.socketpair()
    mask = frozenset(signal.pthread_sigmask(signal.SIG_BLOCK, WAITING))
    with ours, theirs:
        pid = os.fork()
        if pid == 0:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            _become(command, code, target, theirs)
        theirs.close()
        _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
        failure = ours.recv(4)  # ends with the exec
    if failure or not descriptors:
        for fd in descriptors:
            os.close(fd)
        os.waitpid(pid, 0)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        number = struct.unpack("=i", failure)[0] if len(failure) == 4 else errno.EINTR
        raise _not_started(command[0], number, installed=bool(descriptors))
    return Launched(pid, Listener(descriptors[0], target), mask)


def _become(command: Sequence[str], code: bytes, target: Machine, parent: socket.socket) -> None:
    """Turn this child into the program; never returns."""
    try:
        # Without us its calls would fail; who kills us with SIGKILL means the program.
        _LIBC.prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGTERM))
        for number in PYTHON_IGNORES:
            signal.signal(number, signal.SIG_DFL)
        try:
            listener = install(code, target)
            socket.send_fds(parent, [b"\0"], [listener])
            os.close(listener)
        except OSError as error:
            parent.send(b"\0")
            parent.send(struct.pack("=i", error.errno or errno.EINVAL))
            os._exit(NOT_EXECUTABLE)
        os.execvp(command[0], list(command))
    except OSError as error:
        parent.send(struct.pack("=i", error.errno or errno.EINVAL))
    finally:
        os._exit(NOT_EXECUTABLE)


def _not_started(program: str, number: int, *, installed: bool) -> PortlineError:
    reason = os.strerror(number)
    if installed:
        missing = number in (errno.ENOENT, errno.ENOTDIR)
        return NotStarted(f"{program}: {reason}", NOT_FOUND if missing else NOT_EXECUTABLE)
    if number == errno.EBUSY:
        return NotStarted(
            "the calls of this process are answered by somebody already (another `portline run`, "
            "or a container); start the program directly"
        )
    return NotStarted(
        f"this kernel does not let programs answer calls of others ({reason}): Linux 5.9 or newer "
        "is needed, and in a container a seccomp profile that allows seccomp()"
    )


def supervise(launched: Launched, terminals: Callable[[], Terminals]) -> int:
    """Answer the calls of a program until it ends; return its exit code (128 + n for signal n).

    ``terminals`` is called in the event loop.  Processes that the program leaves behind are served
    by a copy of this process that goes on in the background.
    """
    with closing(launched.listener):
        code, others = asyncio.run(_until_end(launched, terminals))
        if others and os.fork() == 0:
            try:
                _detach(launched.mask)
                asyncio.run(_until_last(launched, terminals))
            finally:
                os._exit(0)
    return code


async def _until_end(launched: Launched, terminals: Callable[[], Terminals]) -> tuple[int, bool]:
    """Return the exit code of the program, and whether processes that it started go on."""
    with closing(terminals()) as found:
        supervisor = Supervisor(launched.listener, found)
        with _signals() as fd:
            async with asyncio.TaskGroup() as group:
                group.create_task(supervisor.run())
                code = await _ended(launched.pid, fd)
                supervisor.stop()
    return code, not supervisor.look_for_end()


async def _until_last(launched: Launched, terminals: Callable[[], Terminals]) -> None:
    with closing(terminals()) as found:
        supervisor = Supervisor(launched.listener, found)
        async with asyncio.TaskGroup() as group:
            group.create_task(supervisor.run())
            await supervisor.ended.wait()
            supervisor.stop()


async def _ended(pid: int, fd: int) -> int:
    """Return the exit code of a program when it has ended; pass signals on until then."""
    loop = asyncio.get_running_loop()
    status: asyncio.Future[int] = loop.create_future()

    def look() -> None:
        while (found := os.waitpid(pid, os.WNOHANG | os.WUNTRACED))[0]:
            if not os.WIFSTOPPED(found[1]):
                status.set_result(os.waitstatus_to_exitcode(found[1]))
                return
            if os.WSTOPSIG(found[1]) in STOPS:
                os.kill(os.getpid(), signal.SIGSTOP)  # and later, when the shell goes on:
                os.kill(pid, signal.SIGCONT)

    def readable() -> None:
        number, _, code = SIGINFO.unpack(os.read(fd, SIGINFO.size))
        if status.done():
            return
        if number == signal.SIGCHLD:
            look()
        elif code != SI_KERNEL:
            os.kill(pid, number)  # not yet waited for, so the number is still its own

    loop.add_reader(fd, readable)
    try:
        code = await status
    finally:
        loop.remove_reader(fd)
    return 128 - code if code < 0 else code


@contextmanager
def _signals() -> Iterator[int]:
    """Give a descriptor from which the signals of WAITING are read."""
    mask = sum(1 << (number - 1) for number in WAITING).to_bytes(SIGSET_SIZE, sys.byteorder)
    fd = _LIBC.signalfd(-1, mask, os.O_CLOEXEC | os.O_NONBLOCK)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "signalfd")
    try:
        yield fd
    finally:
        os.close(fd)


def _detach(mask: frozenset[int]) -> None:
    """Leave the terminal and its output to others: this is a process of the background now."""
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(nowhere, fd)
    os.close(nowhere)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
