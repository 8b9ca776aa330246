"""The socket between an adapter and the kernel: nothing waits on it, and nothing is lost.

What the kernel does not take at once is kept until it does.  That is bounded by what it has asked
for: each transfer has one answer (:data:`portline.port.usbip.device.TRANSFERS_MAX`).
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from portline.port.usbip.device import Device, Event
    from portline.port.usbip.journal import Journal

__all__ = ["Plug", "PlugOwner", "pair"]

READ_SIZE: Final = 64 * 1024

BUFFER_SIZE: Final = 256 * 1024
"""Bytes that each direction of the socket may hold: the answers to all transfers of a driver."""


class PlugOwner(Protocol):
    """Who is told what comes through a plug."""

    def happened(self, events: list[Event]) -> None:
        """Take what the kernel has sent; without events it may only have fetched data."""

    def unplugged(self, reason: str) -> None:
        """Note that the kernel has let go, or does not speak USB/IP."""


class Plug:
    """A ``device`` on a connected socket, used from the thread of ``loop``.

    ``unsent`` is what a process before this one has left; ``journal`` is where everything is
    written, and ``checkpoint`` what begins it anew.
    """

    def __init__(
        self,
        owner: PlugOwner,
        device: Device,
        connected: socket.socket,
        loop: asyncio.AbstractEventLoop,
        unsent: bytes = b"",
        journal: Journal | None = None,
        checkpoint: Callable[[], None] = lambda: None,
    ) -> None:
        self.device = device
        self.socket = connected
        self._owner = owner
        self._loop = loop
        self._unsent = bytearray(unsent)
        self._noted = len(unsent)
        self._journal = journal
        self._checkpoint = checkpoint
        self._closed = False
        self._writing = False
        connected.setblocking(False)
        loop.add_reader(connected.fileno(), self._readable)

    @property
    def unsent(self) -> bytes:
        """What the kernel has not taken."""
        return bytes(self._unsent)

    def flush(self) -> None:
        """Send what the device has to say."""
        if self._closed:
            return
        fresh = self.device.output()
        if fresh and self._journal is not None:
            self._journal.sent(fresh)
        self._unsent += fresh
        try:
            while self._unsent:
                del self._unsent[: self.socket.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError as error:
            self._loop.call_soon(self._gone, error.strerror or "error")
            self._unsent.clear()
        if self._journal is not None and len(self._unsent) != self._noted:
            self._noted = len(self._unsent)
            self._journal.unsent(self._noted)
        self._await_room(bool(self._unsent))

    def release(self) -> None:
        """Let go of the socket; it stays connected where somebody else has it, too.  Safe twice."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self.socket.fileno())
            self._await_room(False)
            self.socket.close()

    def close(self) -> None:
        """Unplug the adapter, whoever else has the socket; safe twice."""
        if not self._closed:
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)
            self.release()

    def _readable(self) -> None:
        try:
            data = self._receive()
            events = self.device.feed(data)
        except BlockingIOError:
            return
        except (OSError, ValueError) as error:
            self._gone(str(error))
            return
        if not data:
            self._gone("the kernel has unplugged the adapter")
            return
        # The answers first: the kernel goes on while we do.
        self.flush()
        self._owner.happened(events)
        self.flush()

    def _receive(self) -> bytes:
        if self._journal is None:
            return self.socket.recv(READ_SIZE)
        if self._journal.due:
            self._checkpoint()
        return self._journal.receive(self.socket)

    def _gone(self, reason: str) -> None:
        if not self._closed:
            self._owner.unplugged(reason)

    def _await_room(self, wanted: bool) -> None:
        if wanted is not self._writing:
            self._writing = wanted
            if wanted:
                self._loop.add_writer(self.socket.fileno(), self.flush)
            else:
                self._loop.remove_writer(self.socket.fileno())


def pair() -> tuple[socket.socket, socket.socket]:
    """Return our end and the kernel's; neither is inherited by other programs."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_SIZE)
    return ends
