"""Finds the process that serves a virtual port, and talks to it for a program.

Theory of operation
-------------------
A serving process listens on an abstract Unix socket for each of its terminals, named after the
device that the program has open: finding it takes one ``connect``, which fails at once for
terminals that are nobody's.  A socket that another user made is not believed, unless that is root
or the terminal's owner.

The state is told by the serving side; until it has confirmed what the program did, what the
program did counts, so that it reads back what it has just set.  A serving side that breaks the
protocol, or does not read, is left, and its terminals are plain ones from then on.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from portline.errors import PortAbsent
from portline.line import PortState, SetBreak, SetLine, SetModem
from portline.port.programs.calls import LineCounts
from portline.port.programs.lines_wire import (
    Asked,
    Done,
    DrainFirst,
    Splitter,
    address,
    decode,
    encode,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from portline.port.programs.terminal import Action

__all__ = ["CONFIRM_LIMIT", "ServedTerminal", "ServedTerminals"]

CONFIRM_LIMIT: Final = 2.0
"""Seconds that a serving side may take to confirm: it may be busy, but no program hangs for it."""

READ_SIZE: Final = 64 * 1024

CREDENTIALS: Final = struct.Struct("=3i")
"""``struct ucred``: process, user, group."""

LOG: Final = logging.getLogger("portline.launcher")


class ServedTerminal:
    """A :class:`portline.port.programs.terminal.Terminal` behind a connected socket."""

    def __init__(self, connected: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        self.state = PortState()
        self.counts = LineCounts()
        self.gone = False
        self._socket = connected
        self._loop = loop
        self._splitter = Splitter()
        self._number = 0
        self._known: asyncio.Future[None] = loop.create_future()
        self._told: PortState | None = None
        self._changes: dict[int, asyncio.Future[None]] = {}
        self._drains: dict[int, asyncio.Future[None]] = {}
        self._moves: set[asyncio.Future[None]] = set()
        loop.add_reader(connected.fileno(), self._readable)

    def close(self) -> None:
        """Leave the serving side; whoever waits goes on.  Safe twice."""
        if self.gone:
            return
        self.gone = True
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
        for future in (self._known, *self._changes.values(), *self._drains.values()):
            _finish(future)
        for future in self._moves:
            if not future.done():
                future.set_exception(PortAbsent("virtual port", "is no longer served"))
        self._changes.clear()
        self._drains.clear()

    async def known(self) -> bool:
        """Return whether the serving side has told its state, in time."""
        await _within(CONFIRM_LIMIT, [self._known])
        return self._told is not None and not self.gone

    def tell(self, what: Action) -> None:
        """Let the serving side know what the application did."""
        match what:
            case SetLine():
                settings = what.applied_to(self.state.settings)
                self.state = replace(self.state, settings=settings)
            case SetModem():
                self.state = what.applied_to(self.state)
            case SetBreak(on):
                self.state = replace(self.state, break_on=on)
        LOG.debug("the program set %s", what)
        self._ask(what, self._changes)

    async def confirmed(self) -> None:
        """Return once the serving side knows all that was told."""
        await _within(CONFIRM_LIMIT, list(self._changes.values()))

    async def drained(self) -> None:
        """Return once the serving side says that what was written has left."""
        future = self._ask(DrainFirst(), self._drains)
        if future is not None:
            await _within(None, [future])

    async def moved(self) -> None:
        """Return when a line moves; raises PortAbsent when the serving side goes."""
        if self.gone:
            raise PortAbsent("virtual port", "is no longer served")
        future: asyncio.Future[None] = self._loop.create_future()
        self._moves.add(future)
        try:
            await future
        finally:
            self._moves.discard(future)

    # --- the socket -----------------------------------------------------------------------------

    def _ask(
        self, what: Action | DrainFirst, waiting: dict[int, asyncio.Future[None]]
    ) -> asyncio.Future[None] | None:
        if self.gone:
            return None
        self._number += 1
        line = encode(Asked(self._number, what))
        try:
            taken = self._socket.send(line)
        except OSError:
            taken = 0
        if taken < len(line):
            self.close()  # it is gone, or has not read for a thousand changes
            return None
        future = waiting[self._number] = self._loop.create_future()
        return future

    def _readable(self) -> None:
        try:
            data = self._socket.recv(READ_SIZE)
            if data:
                for line in self._splitter.feed(data):
                    self._take(line)
                return
        except BlockingIOError:
            return
        except (OSError, ValueError) as error:
            LOG.warning("virtual port: the serving side cannot be understood: %s", error)
        self.close()

    def _take(self, line: bytes) -> None:
        match decode(line):
            case PortState() as state:
                self._count(state)
                self._told = state
                _finish(self._known)
            case Done(number):
                future = self._changes.pop(number, None) or self._drains.pop(number, None)
                if future is not None:
                    _finish(future)
            case Asked():
                raise ValueError("that is for a supervisor to say")
        self._believe()

    def _count(self, state: PortState) -> None:
        """Note how the lines have moved; what they were at first is no movement."""
        if self._told is not None:
            self.counts = self.counts.counting(self._told.lines, state.lines)
            if state.lines != self._told.lines:
                for future in self._moves:
                    _finish(future)

    def _believe(self) -> None:
        """Take the serving side's word, but for changes that may have crossed it on the way."""
        if self._told is None:
            return
        if self._changes:
            self.state = replace(self.state, lines=self._told.lines)
        else:
            self.state = self._told


class ServedTerminals:
    """Every terminal that some Portline serves; only those at ``paths`` unless that is empty."""

    def __init__(self, paths: Sequence[str] = ()) -> None:
        self._paths = paths
        self._known: dict[tuple[int, int], ServedTerminal] = {}

    async def find(self, found: os.stat_result) -> ServedTerminal | None:
        """Return the terminal that a descriptor leads to, None if nobody serves it."""
        if self._paths and found.st_rdev not in map(_device, self._paths):
            return None
        key = (found.st_dev, found.st_rdev)
        terminal = self._known.get(key)
        if terminal is None or terminal.gone:
            connected = connect(found)
            if connected is None:
                self._known.pop(key, None)
                return None
            terminal = ServedTerminal(connected, asyncio.get_running_loop())
            self._known[key] = terminal
        return terminal if await terminal.known() else None

    def close(self) -> None:
        """Let go of them all."""
        for terminal in self._known.values():
            terminal.close()


def connect(found: os.stat_result) -> socket.socket | None:
    """Return a connection to whoever serves a terminal, None if nobody trustworthy does."""
    connected = socket.socket(socket.AF_UNIX)
    connected.setblocking(False)
    with suppress(OSError):
        connected.connect(address(found.st_dev, found.st_rdev))
        credentials = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
        if CREDENTIALS.unpack(credentials)[1] in (0, found.st_uid):
            return connected
    connected.close()
    return None


def _device(path: str) -> int:
    """Return the device number behind a path; -1 while there is none."""
    try:
        return os.stat(path).st_rdev
    except OSError:
        return -1


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def _within(limit: float | None, futures: list[asyncio.Future[None]]) -> None:
    """Wait for all of them, but no longer than ``limit`` seconds; cancels none of them."""
    if futures:
        await asyncio.wait(futures, timeout=limit)
