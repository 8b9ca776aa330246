"""The way from an application: what it writes, read from our end of its pseudo terminal."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Protocol

from portline.port.base import READ_LIMIT
from portline.port.pty.master import FLUSHED_INPUT

if TYPE_CHECKING:
    import asyncio

__all__ = ["READ_SIZE", "Inlet", "InletOwner"]

READ_SIZE: Final = 4096
"""Bytes asked for in one read: the packet byte and at most 4095 bytes of data.  A read of so many
may have left some in the kernel."""


class InletOwner(Protocol):
    """What an inlet calls back, from the loop."""

    def received(self, data: bytes) -> None:
        """Take what the application wrote; never empty."""

    def flushed(self) -> None:
        """Note that the application threw away what it had not read."""

    def gone(self) -> None:
        """Note that no application has the terminal open and all that was written is read."""


class Inlet:
    """The reader of one terminal in packet mode; it starts off.

    The hang-up of a terminal that nobody uses is level-triggered and would keep the loop busy:
    switch the inlet on only while somebody uses it.
    """

    def __init__(self, owner: InletOwner, fd: int, loop: asyncio.AbstractEventLoop) -> None:
        self._owner = owner
        self._fd = fd
        self._loop = loop
        self._on = False
        self._closed = False

    def switch(self, on: bool) -> None:
        """Read (True), or leave what is written in the kernel (False)."""
        if on is not self._on:
            self._on = on
            self._watch(on)

    def close(self) -> None:
        """Stop for good; no call follows."""
        self.switch(False)
        self._closed = True

    def drop(self) -> None:
        """Throw away what has been written and not read."""
        self._gather()

    def take(self) -> None:
        """Pass on at once what has been written and not read."""
        if self._on:
            self._readable()

    def _watch(self, wanted: bool) -> None:
        if wanted:
            self._loop.add_reader(self._fd, self._readable)
        else:
            self._loop.remove_reader(self._fd)

    def _readable(self) -> None:
        # Most of what comes is a message that fits into one read: nothing else is done for it.
        try:
            packet = os.read(self._fd, READ_SIZE)
        except OSError:
            packet = b""
        if 1 < len(packet) < READ_SIZE and not packet[0]:
            self._owner.received(packet[1:])
            return
        data, gone = self._gather(packet)
        if data:
            self._owner.received(data)
        if gone and not self._closed:
            self._owner.gone()

    def _gather(self, packet: bytes = b"") -> tuple[bytes, bool]:
        """Read what there is after a packet; return all data, and whether the application is gone.

        An empty packet was none.
        """
        chunks: list[memoryview] = []
        total = 0
        while total <= READ_LIMIT - READ_SIZE:
            try:
                packet = packet or os.read(self._fd, READ_SIZE)
            except BlockingIOError:
                break
            except OSError:
                return b"".join(chunks), True
            size = len(packet)
            total += size
            if not packet[0]:
                chunks.append(memoryview(packet)[1:])
                if size < READ_SIZE:
                    break
            elif packet[0] & FLUSHED_INPUT:
                self._owner.flushed()
            packet = b""
        return b"".join(chunks), False
