"""Programs that use a serial port without end, each a process that says what it is doing.

They are made with fork, of the test's own Python: a start of Python takes many seconds in the lab.
What they do next is decided by dice with a seed; where they are is in memory that they share with
the test, so one that hangs can be told from one that is told of an error again and again.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import random
import select
import signal
import struct
import termios
import time
import tty

from tests.lab.numbered import RECORD, Numbers, Reader

__all__ = ["Application"]

_RECORD = struct.Struct("=16sqqd")

RATES = (termios.B9600, termios.B57600, termios.B115200)

TIOCMIWAIT = 0x545C

REST = 0.2
"""Seconds between two openings of a port, which may not be there."""

ANSWER = 20.0
"""Seconds for which an answer is waited for, which a flush or a kill may have thrown away."""


class Application:
    """One program at ``path``; the far end of the line is expected to echo.

    What it writes and reads is numbered by ``numbers``.
    ``spared`` is the number of a device that it leaves alone: the one over which a port lies, while
    it does not.
    """

    def __init__(self, path: str, seed: int, numbers: Numbers, spared: int = 0) -> None:
        self.path = path
        self._numbers = numbers
        self._reader = Reader(numbers.near)
        self._spared = spared
        self._seed = seed
        self._memory = mmap.mmap(-1, _RECORD.size)
        self.pid = 0
        self.start()

    def start(self) -> None:
        """Begin, or begin again after a kill."""
        self._note("start", 0, 0)
        pid = os.fork()
        if pid == 0:
            try:
                self._run()
            finally:
                os._exit(1)
        self.pid = pid

    # --- what the test sees ---------------------------------------------------------------------

    @property
    def doing(self) -> str:
        """What it is doing now."""
        return _RECORD.unpack(self._memory[:])[0].rstrip(b"\0").decode()

    @property
    def answers(self) -> int:
        """How often what it wrote has come back."""
        return int(_RECORD.unpack(self._memory[:])[1])

    @property
    def moves(self) -> int:
        """How many calls it has made."""
        return int(_RECORD.unpack(self._memory[:])[2])

    @property
    def since(self) -> float:
        """When it began with what it is doing, as time.monotonic has it."""
        return float(_RECORD.unpack(self._memory[:])[3])

    def kill(self) -> None:
        """Send SIGKILL."""
        os.kill(self.pid, signal.SIGKILL)

    def ended(self, limit: float) -> bool:
        """Wait until it is gone; False when it is still there after ``limit`` seconds."""
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            if os.waitpid(self.pid, os.WNOHANG)[0]:
                return True
            time.sleep(0.01)
        return False

    # --- in the process -------------------------------------------------------------------------

    def _note(self, doing: str, answers: int, moves: int) -> None:
        self._memory[:] = _RECORD.pack(doing.encode(), answers, moves, time.monotonic())

    def _step(self, doing: str, *, answered: bool = False) -> None:
        _, answers, moves, _ = _RECORD.unpack(self._memory[:])
        self._note(doing, answers + answered, moves + 1)

    def _run(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        dice = random.Random(self._seed)
        while True:
            # A terminal that hangs up, a device that is gone: what a program is told of.
            with contextlib.suppress(OSError, termios.error):
                self._use(dice)
            self._step("rest")
            time.sleep(REST)

    def _use(self, dice: random.Random) -> None:
        self._step("open")
        fd = os.open(self.path, os.O_RDWR | os.O_NOCTTY | dice.choice((0, os.O_NONBLOCK)))
        try:
            if os.fstat(fd).st_rdev == self._spared:
                return
            self._step("set")
            self._reader.cut()
            tty.setraw(fd)
            for _ in range(dice.randrange(1, 6)):
                self._once(fd, dice)
        finally:
            self._step("close")
            os.close(fd)

    def _once(self, fd: int, dice: random.Random) -> None:
        what = dice.randrange(8)
        if what == 0:
            self._step("set")
            settings = termios.tcgetattr(fd)
            settings[4] = settings[5] = dice.choice(RATES)
            termios.tcsetattr(fd, dice.choice((termios.TCSANOW, termios.TCSADRAIN)), settings)
        elif what == 1:
            self._step("lines")
            fcntl.ioctl(fd, dice.choice((termios.TIOCMBIS, termios.TIOCMBIC)), struct.pack("i", 6))
        elif what == 2:
            self._step("break")
            termios.tcsendbreak(fd, 0)
        elif what == 3:
            self._step("flush")
            termios.tcflush(fd, termios.TCIOFLUSH)
        else:
            self._talk(fd, dice)

    def _talk(self, fd: int, dice: random.Random) -> None:
        numbers = self._numbers
        kills, first = numbers.kills, numbers.issued
        count = dice.choice((1, 1, 1, 60))
        self._step("write")
        end, gone = first, True
        try:
            written = os.write(fd, numbers.issue(count)) // RECORD
            numbers.take_back(count - written)
            end = first + written
            self._answered(fd, end, dice)
            gone = False
        finally:
            numbers.end(first, end, kills, gone=gone)

    def _answered(self, fd: int, end: int, dice: random.Random) -> None:
        """Wait until the last record before ``end`` has come back.

        Raises OSError or termios.error where the terminal has hung up.
        """
        if dice.randrange(2):
            self._step("drain")
            termios.tcdrain(fd)
        deadline = time.monotonic() + ANSWER
        while not self._numbers.near.times[end - 1]:
            self._step("wait")
            if not select.select([fd], [], [], max(0.0, deadline - time.monotonic()))[0]:
                return
            self._step("read")
            more = os.read(fd, 4096)
            if not more:
                raise OSError(errno.EIO, "hung up")
            self._reader.take(more)
        self._step("rest", answered=True)
