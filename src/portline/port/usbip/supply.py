"""The way of data to an adapter: a pipe of one page between the queue of a port and the chip.

The queue of all ports (:class:`portline.port.outlet.Outlet`) writes to a descriptor that may be
full.  Here that is a pipe, from which the adapter is filled while its driver wants data.  So data,
requests, back-pressure and strict baudrate emulation are those of every port.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from portline.port.usbip.device import WAITING_MAX

if TYPE_CHECKING:
    import asyncio

    from portline.port.usbip.plug import Plug

__all__ = ["PIPE_SIZE", "Supply", "pipe"]

PIPE_SIZE: Final = 4096
"""Bytes of the pipe: one page, the least there is; also what a UART's driver buffers."""


def pipe() -> tuple[int, int]:
    """Return a pipe of one page, neither end of which waits.  Raises OSError."""
    ends = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, PIPE_SIZE)
    return ends


class Supply:
    """A pipe whose contents go to the adapter at ``plug``; ``fd`` is where to write."""

    def __init__(self, plug: Plug, ends: tuple[int, int], loop: asyncio.AbstractEventLoop) -> None:
        self._plug = plug
        self._from, self.fd = ends
        self._loop = loop
        self._reading = False
        self._closed = False
        self._await_data(True)

    def pump(self) -> None:
        """Fill the adapter as far as its driver wants data."""
        if self._closed:
            return
        device = self._plug.device
        while device.wants:
            try:
                data = os.read(self._from, WAITING_MAX)
            except BlockingIOError:
                break
            device.give(data)
        self._await_data(device.wants)
        self._plug.flush()

    def fill(self) -> None:
        """Give the adapter everything, wanted or not: something else is to come after it."""
        with suppress(BlockingIOError):
            while data := os.read(self._from, PIPE_SIZE):
                self._plug.device.give(data)

    def drop(self) -> int:
        """Throw away what is in the pipe; return how many bytes."""
        count = 0
        with suppress(BlockingIOError):
            while data := os.read(self._from, PIPE_SIZE):
                count += len(data)
        return count

    def close(self) -> None:
        """Close both ends; safe twice."""
        if not self._closed:
            self._await_data(False)
            self._closed = True
            os.close(self._from)
            os.close(self.fd)

    def _await_data(self, wanted: bool) -> None:
        if wanted is not self._reading:
            self._reading = wanted
            if wanted:
                self._loop.add_reader(self._from, self.pump)
            else:
                self._loop.remove_reader(self._from)
