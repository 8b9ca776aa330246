"""A device under the test's control: a pty whose slave is the real port of the system under test.

The test holds the master and so plays the device; the slave is shared like a ``/dev/ttyUSB0``.
What is in force is read from the kernel (TCGETS2), never from what was asked for: a Linux pty
forces eight data bits and no parity, and really keeps speed, stop bits and flow control.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import struct
import termios
import threading
import time
import tty
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.waiting import SLOWNESS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["PATIENCE", "Device", "InForce"]

PATIENCE = 15.0 * SLOWNESS
"""Seconds after which something that has to happen counts as hanging; never a speed."""

TCGETS2 = 0x802C542A  # asm-generic/ioctls.h: the only call that tells any speed, not only B9600...
CMSPAR = 0o10000000000  # asm-generic/termbits.h
_TERMIOS2 = struct.Struct("=4IB19s2I")
_SIZES = {termios.CS5: 5, termios.CS6: 6, termios.CS7: 7, termios.CS8: 8}


@dataclass(frozen=True, slots=True)
class InForce:
    """What the kernel says of a line, in the values of RFC 2217.

    ``flow_out`` and ``flow_in`` hold every value that tells the truth: Linux can have CRTSCTS and
    IXON at once, the protocol cannot.
    """

    baudrate: int
    data_size: int
    parity: int
    stop_size: int
    flow_out: frozenset[int]
    flow_in: frozenset[int]


class Device:
    """A pty behind a name that stays when the device is unplugged and plugged in again."""

    def __init__(self, path: Path, *, plugged: bool = True) -> None:
        self.path = path
        self.raw = os.environ.get("PORTLINE_SUT", "portline") != "portline"
        self.master = self.slave = -1
        self._echo: threading.Thread | None = None
        if plugged:
            self.plug()

    def plug(self) -> None:
        """Make the device appear.

        The slave stays open here too, so that the master never reads EIO between two users.
        It starts as a terminal that echoes, as a real one does: making it raw is the server's job
        (ser2net does so only when a client has connected, which races with what a test sends).
        """
        self.master, self.slave = os.openpty()
        os.set_blocking(self.master, False)
        if self.raw:
            tty.setraw(self.slave)
        temporary = self.path.with_name(self.path.name + ".new")
        temporary.symlink_to(os.ttyname(self.slave))
        temporary.replace(self.path)

    def unplug(self) -> None:
        """Make the device vanish: a hang-up for whoever has it open, and the name is gone."""
        if self.master < 0:
            return
        self.path.unlink(missing_ok=True)
        master, self.master = self.master, -1
        if self._echo is not None:
            self._echo.join(PATIENCE)
            self._echo = None
        os.close(master)
        os.close(self.slave)

    def write(self, data: bytes, patience: float = PATIENCE) -> None:
        """Let the device send ``data``; raise AssertionError when it is not taken in time."""
        view = memoryview(data)
        deadline = time.monotonic() + patience
        while view:
            if select.select([], [self.master], [], max(0.0, deadline - time.monotonic()))[1]:
                # EAGAIN although select said yes: the kernel wants room for more than one byte.
                with contextlib.suppress(BlockingIOError):
                    view = view[os.write(self.master, view[:4096]) :]
            elif time.monotonic() >= deadline:
                raise AssertionError(f"nobody takes the device's data; {len(view)} bytes are left")

    def fill(self) -> int:
        """Send until nobody takes more; return how many bytes that were."""
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                sent += os.write(self.master, b"." * 4096)
        return sent

    def read(self, count: int, patience: float = PATIENCE) -> bytes:
        """Return the next ``count`` bytes that the device receives; fewer when time is up."""
        received = bytearray()
        deadline = time.monotonic() + patience
        while len(received) < count and (left := deadline - time.monotonic()) > 0:
            received += self._some(count - len(received), left)
        return bytes(received)

    def read_until(self, end: bytes, patience: float = PATIENCE) -> bytes:
        """Return everything up to and including ``end``, or what came until time was up."""
        received = bytearray()
        deadline = time.monotonic() + patience
        while not received.endswith(end) and (left := deadline - time.monotonic()) > 0:
            received += self._some(65536, left)
        return bytes(received)

    def drain(self) -> bytes:
        """Return what is there now."""
        received = bytearray()
        while chunk := self._some(65536, 0):
            received += chunk
        return bytes(received)

    def _some(self, count: int, patience: float) -> bytes:
        if not select.select([self.master], [], [], patience)[0]:
            return b""
        try:
            return os.read(self.master, count)
        except BlockingIOError:
            return b""
        except OSError as error:
            if error.errno == errno.EIO:
                return b""
            raise

    def in_force(self) -> InForce:
        """Return what the kernel says is in force."""
        raw = fcntl.ioctl(self.slave, TCGETS2, bytes(_TERMIOS2.size))
        iflag, _oflag, cflag, _lflag, _line, _cc, _ispeed, ospeed = _TERMIOS2.unpack(raw)
        parity = 1
        if cflag & termios.PARENB:
            odd = bool(cflag & termios.PARODD)
            parity = (4 if odd else 5) if cflag & CMSPAR else (2 if odd else 3)
        hardware = bool(cflag & termios.CRTSCTS)
        size = _SIZES[cflag & termios.CSIZE]
        return InForce(
            baudrate=ospeed,
            data_size=size,
            parity=parity,
            stop_size=1 if not cflag & termios.CSTOPB else 3 if size == 5 else 2,
            flow_out=_flow(hardware, bool(iflag & termios.IXON), (1, 2, 3)),
            flow_in=_flow(hardware, bool(iflag & termios.IXOFF), (14, 15, 16)),
        )

    @contextlib.contextmanager
    def echoing(self) -> Iterator[None]:
        """Send back everything that comes, as a loopback plug does, until the block ends."""
        stop, stopping = os.pipe()
        thread = threading.Thread(target=self._echo_until, args=(stop,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            os.close(stopping)
            thread.join(PATIENCE)
            os.close(stop)

    def _echo_until(self, stop: int) -> None:
        waiting = bytearray()
        while True:
            # Read on only while little waits, so that a stalled reader holds the echo back.
            readers = [stop, self.master] if len(waiting) < 65536 else [stop]
            writers = [self.master] if waiting else []
            readable, writable, _ = select.select(readers, writers, [])
            if stop in readable:
                return
            if self.master in readable:
                waiting += self._some(4096, 0)
            if writable:
                with contextlib.suppress(BlockingIOError):
                    del waiting[: os.write(self.master, waiting[:4096])]


def _flow(hardware: bool, software: bool, values: tuple[int, int, int]) -> frozenset[int]:
    none, xon, rts = values
    if not (hardware or software):
        return frozenset({none})
    return frozenset(value for value, is_on in ((xon, software), (rts, hardware)) if is_on)
