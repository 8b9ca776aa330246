"""A machine that is not there: a loop whose time is told, and sockets whose kernel can be seen."""

from __future__ import annotations

import errno
import heapq
import socket
import struct
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Any

__all__ = ["Doorway", "Loop", "Wire"]

WINDOW = 8192
"""Bytes that the far machine takes for a program that does not read."""

SEND_BUFFER = 8192
"""Bytes that the near kernel takes beyond that."""

_numbers = count(1000)


class Timer:
    def __init__(self, when: float, call: Callable[[], object]) -> None:
        self.when, self.call, self.cancelled = when, call, False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """An event loop; ``turn`` lets it run until nothing is ready, ``pass_time`` until later."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.places: dict[int, Any] = {}
        self._soon: deque[Callable[[], object]] = deque()
        self._timers: list[tuple[float, int, Timer]] = []
        self._readers: dict[int, Callable[[], object]] = {}
        self._writers: dict[int, Callable[[], object]] = {}

    def time(self) -> float:
        return self.now

    def call_soon(self, call: Callable[..., object], *arguments: Any) -> Timer:
        timer = Timer(self.now, lambda: call(*arguments))
        self._soon.append(lambda: timer.cancelled or timer.call())
        return timer

    def call_at(self, when: float, call: Callable[..., object], *arguments: Any) -> Timer:
        timer = Timer(when, lambda: call(*arguments))
        heapq.heappush(self._timers, (when, next(_numbers), timer))
        return timer

    def call_later(self, wait: float, call: Callable[..., object], *arguments: Any) -> Timer:
        return self.call_at(self.now + wait, call, *arguments)

    def add_reader(self, number: int, call: Callable[..., object], *arguments: Any) -> None:
        self._readers[number] = lambda: call(*arguments)

    def add_writer(self, number: int, call: Callable[..., object], *arguments: Any) -> None:
        self._writers[number] = lambda: call(*arguments)

    def remove_reader(self, number: int) -> None:
        self._readers.pop(number, None)

    def remove_writer(self, number: int) -> None:
        self._writers.pop(number, None)

    def _ready(self) -> list[Callable[[], object]]:
        readers = [call for number, call in self._readers.items() if self.places[number].readable]
        writers = [call for number, call in self._writers.items() if self.places[number].writable]
        return [*readers[:1], *(() if readers else writers[:1])]

    def turn(self) -> None:
        """Run everything that can run now."""
        for _ in range(10_000):
            if self._soon:
                self._soon.popleft()()
            elif ready := self._ready():
                ready[0]()
            else:
                return
        raise AssertionError("it spins")

    def next_timer(self) -> float | None:
        while self._timers and self._timers[0][2].cancelled:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def step(self, end: float) -> bool:
        """Let the next timer ring, if one is due until ``end``."""
        when = self.next_timer()
        if when is None or when > end:
            self.now = max(self.now, end)
            return False
        self.now = max(self.now + 1e-7, when)  # no clock stands still
        heapq.heappop(self._timers)[2].call()
        self.turn()
        return True


class Doorway:
    """A listening socket; ``knock`` connects."""

    family = socket.AF_INET

    def __init__(self, loop: Loop) -> None:
        self.number = next(_numbers)
        self.loop = loop
        self.waiting: list[Wire] = []
        self.open = True
        loop.places[self.number] = self

    readable = property(lambda self: bool(self.waiting))

    def fileno(self) -> int:
        return self.number

    def getsockname(self) -> tuple[str, int]:
        return ("127.0.0.1", 4001)

    def accept(self) -> tuple[Wire, tuple[str, int]]:
        if not self.waiting:
            raise BlockingIOError
        return (wire := self.waiting.pop(0)), ("127.0.0.1", wire.number)

    def close(self) -> None:
        self.open = False


class Wire:
    """A TCP connection.  Methods as of a socket are for the near end, the others for the far one.

    ``arrived`` is all that the far machine has taken, ``read`` how much of it its program has.
    """

    family = socket.AF_INET

    def __init__(self, loop: Loop) -> None:
        self.number = next(_numbers)
        loop.places[self.number] = self
        self.arrived = bytearray()
        self.read = 0
        self.flight = bytearray()
        self.inbox = bytearray()
        self.far_ended = self.far_gone = False
        self.near_ended = self.near_closed = False
        self.reset = False
        self._told = False  # the error of a reset is told once
        self._abortive = False

    # --- the near end ---------------------------------------------------------------------------

    @property
    def readable(self) -> bool:
        return bool(self.inbox or self.far_ended or self.reset)

    @property
    def writable(self) -> bool:
        return self.reset or len(self.flight) < SEND_BUFFER

    def setblocking(self, blocking: bool) -> None:
        assert not blocking

    def fileno(self) -> int:
        return self.number

    def send(self, data: bytes) -> int:
        if self.reset:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")
        taken = bytes(data[: WINDOW + SEND_BUFFER - len(self.flight) - self._unread()])
        if not taken:
            raise BlockingIOError
        self.flight += taken
        self._move()
        return len(taken)

    def recv(self, size: int) -> bytes:
        if self.inbox:
            data = bytes(self.inbox[:size])
            del self.inbox[:size]
            return data
        if self.far_ended or (self.reset and self._told):
            return b""
        if self.reset:
            self._told = True
            raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
        raise BlockingIOError

    def shutdown(self, how: int) -> None:
        assert how == socket.SHUT_WR
        if self.reset:
            raise OSError(errno.ENOTCONN, "not connected")
        self.near_ended = True

    def close(self) -> None:
        self.near_closed = self.near_ended = True
        self.flight.clear()
        if self._abortive or self.inbox:
            self.reset = True

    def setsockopt(self, level: int, option: int, value: object) -> None:
        if (level, option) == (socket.SOL_SOCKET, socket.SO_LINGER):
            self._abortive = True

    def getsockopt(self, level: int, option: int, size: int = 0) -> bytes | int:
        assert not self.near_closed
        if (level, option) == (socket.SOL_SOCKET, socket.SO_ERROR):
            error = errno.EPIPE if self.far_ended else errno.ECONNRESET
            told, self._told = self._told, self._told or self.reset
            return error if self.reset and not told else 0
        assert (level, option) == (socket.IPPROTO_TCP, socket.TCP_INFO)
        info = bytearray(256)
        info[0] = 7 if self.reset else 8 if self.far_ended else 1
        struct.pack_into("=Q", info, 120, len(self.arrived))
        struct.pack_into("=I", info, 144, len(self.flight))
        return bytes(info[:size])

    # --- the far end ----------------------------------------------------------------------------

    def _unread(self) -> int:
        return len(self.arrived) - self.read

    def _move(self) -> None:
        """Let the far machine take what it has room for, or answer with RST."""
        if self.far_gone:
            if self.flight:
                self.reset = True
                self.flight.clear()
            return
        taken = self.flight[: WINDOW - self._unread()]
        del self.flight[: len(taken)]
        self.arrived += taken

    def read_all(self) -> bytes:
        """Let the far program read what is there; return it."""
        start, self.read = self.read, len(self.arrived)
        self._move()
        return bytes(self.arrived[start : self.read])

    def say(self, data: bytes) -> None:
        assert not self.far_ended
        if not self.near_closed:
            self.inbox += data

    def end(self) -> None:
        """Say that nothing more will be said."""
        self.far_ended = True

    def leave(self) -> None:
        """Close, as a program does that has read everything."""
        self.far_ended = self.far_gone = True
        self._move()

    def vanish(self) -> None:
        """Close with RST."""
        self.far_gone = self.reset = True
        self.inbox.clear()
        self.flight.clear()
