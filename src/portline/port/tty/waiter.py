"""A thread that blocks until a modem line changes (``TIOCMIWAIT``), and can be ended.

Theory of operation
-------------------
The ioctl returns when a line changes, when the device is gone, or when the thread gets a signal;
closing the descriptor does not wake it, it would only keep the device busy.  So the thread gets
:data:`SIGNAL`, whose handler does nothing, until it has ended: one that comes just before the ioctl
is lost, the next one is not.  The signal is one that is ignored by default, so nothing else in the
process, nor a program that it starts, is touched by it.  A handler can be set in the main thread
only; in a program that runs its loop elsewhere nobody waits, and the lines are polled.

The number of a thread that has ended may be another one's.  So a thread ends under a lock, which
whoever signals it has meanwhile.

The thread touches nothing of the port: it wakes the loop, at most once until the loop has looked,
and rests for :data:`REST` after each change, because a line may toggle as fast as data flows.
"""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from portline.port.tty.modem import CTS, DCD, DSR, RI

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["END_LIMIT", "REST", "SIGNAL", "WAITERS_MAX", "Waiter", "waiter"]

TIOCMIWAIT: Final = 0x545C
"""asm-generic/ioctls.h."""

SIGNAL: Final = signal.SIGURG

REST: Final = 0.001
"""Seconds between a change and the next wait; the loop looks again after them (FOLLOW_UP)."""

END_STEP: Final = 0.002
"""Seconds between two signals to a thread that is to end; mostly the first one does."""

END_LIMIT: Final = 0.2
"""Seconds after which a thread that does not end is left behind; only a driver that ignores
signals would do that."""

WAITERS_MAX: Final = 64
"""Threads at most; the lines of further ports are polled, which a few ms more will do for."""

_LIBC: Final = ctypes.CDLL(None, use_errno=True)

_running = 0

_COUNTING: Final = threading.Lock()
"""Whoever changes ``_running`` has it: threads that end, and loops that begin some."""


def waiter(fd: int, loop: asyncio.AbstractEventLoop, changed: Callable[[], None]) -> Waiter | None:
    """Return a thread that calls ``changed`` from the loop after each change of a line.

    None where no thread can wait; that a driver cannot, is seen by ``Waiter.waits``.
    """
    if _running >= WAITERS_MAX or not _handled():
        return None
    return Waiter(fd, loop, changed)


def _count(change: int) -> None:
    global _running
    with _COUNTING:
        _running += change


def _handled() -> bool:
    """Make sure that the signal interrupts and does nothing else."""
    found = signal.getsignal(SIGNAL)
    if found in (signal.SIG_DFL, signal.SIG_IGN):
        try:
            signal.signal(SIGNAL, _ignore)
        except ValueError:  # not in the main thread
            return False
        return True
    return found is _ignore


def _wait_for_change(fd: int) -> None:
    """Block until a line changes.  Raises OSError, InterruptedError after a signal.

    By ctypes, because ``fcntl.ioctl`` may go on by itself after a signal in some later Python.
    """
    if _LIBC.ioctl(fd, ctypes.c_ulong(TIOCMIWAIT), CTS | DSR | DCD | RI) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _ignore(_number: int, _frame: object) -> None:
    """Do nothing: the system call that was interrupted is the purpose."""


class Waiter:
    """The thread of one descriptor; see :func:`waiter`."""

    def __init__(
        self, fd: int, loop: asyncio.AbstractEventLoop, changed: Callable[[], None]
    ) -> None:
        self.waits = True
        """Whether the driver lets it wait; False once it has refused."""
        self._fd = fd
        self._loop = loop
        self._changed = changed
        self._told = False
        self._ending = threading.Event()
        self._living = threading.Lock()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="portline-lines", daemon=True)
        _count(1)
        try:
            self._thread.start()
        except RuntimeError:  # no more threads: the lines are polled
            _count(-1)
            self.waits = False
            self._ending.set()

    def stop(self) -> None:
        """End the thread before the descriptor is closed; no call follows."""
        if self._ending.is_set():
            return
        self._ending.set()
        for _ in range(round(END_LIMIT / END_STEP)):
            with self._living:
                ended = self._ended
                if not ended:
                    signal.pthread_kill(self._thread.ident or 0, SIGNAL)
            self._thread.join(END_LIMIT if ended else END_STEP)
            if ended:
                return

    def _run(self) -> None:
        try:
            self._wait()
        finally:
            with self._living:
                self._ended = True
            _count(-1)

    def _wait(self) -> None:
        while not self._ending.is_set():
            try:
                _wait_for_change(self._fd)
            except InterruptedError:
                continue
            except OSError:
                self.waits = False  # no such thing, or gone, which the reader notices as well
                self._tell()
                return
            self._tell()
            self._ending.wait(REST)

    def _tell(self) -> None:
        if self._told or self._ending.is_set():
            return
        self._told = True
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._look)

    def _look(self) -> None:
        self._told = False  # before the look, so that what changes during it is told, too
        if not self._ending.is_set():
            self._changed()
