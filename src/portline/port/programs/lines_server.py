"""Lets supervisors of programs (``portline run``) see and move the lines of a virtual port.

Theory of operation
-------------------
For each terminal there is one abstract Unix socket
(:func:`portline.port.programs.lines_wire.address`): it needs no folder and leaves nothing behind.
Whoever may open the terminal may talk about it; the kernel says who they are.

What a supervisor tells is put in force at once, and confirmed.  Its program sleeps meanwhile, so
nothing that it does can come in between.  A supervisor that does not read, or does not speak the
protocol, is left.

A drain waits first until everything is read (looked at every DRAIN_POLL), then for the port to say
that it has left.  Those that come meanwhile wait together for the next such round.
"""

from __future__ import annotations

import logging
import os
import socket
import struct
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from portline.hub.drain import STALL_LIMIT
from portline.line import SetBreak, SetLine, SetModem
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
    import asyncio
    from collections.abc import Callable

    from portline.line import PortState
    from portline.port.programs.terminal import Action

__all__ = ["CLIENTS_MAX", "DRAINS_MAX", "DRAIN_POLL", "LinesPort", "LinesServer"]

CLIENTS_MAX: Final = 16
"""Supervisors at the same time: each is a program of its own on the same port."""

DRAINS_MAX: Final = 64
"""Drains that one supervisor waits for.  With one more the oldest is answered: most likely a signal
has ended it, of which we do not hear."""

DRAIN_POLL: Final = 0.005
"""Seconds between two looks whether everything has been taken over."""

REST: Final = 1.0
"""Seconds without accepting when the process has no descriptors left."""

READ_SIZE: Final = 16 * 1024

CREDENTIALS: Final = struct.Struct("=3i")
"""``struct ucred``: process, user, group."""

SO_PEERGROUPS: Final = 59
"""asm-generic/socket.h: the other groups of the peer (Linux 4.13)."""

GROUPS_MAX: Final = 256
"""Groups of a user that are looked at; Python takes no longer answers than 1024 bytes."""

LOG: Final = logging.getLogger("portline.port")


class LinesPort(Protocol):
    """The virtual port that a server belongs to."""

    name: str

    taken: int
    """Bytes that were read from programs, since the start."""

    @property
    def application_state(self) -> PortState:
        """What the application has set and drives, and in ``lines`` what it reads."""

    def application_did(self, what: Action) -> None:
        """Take over what a program did, after everything that it wrote before."""

    def all_read(self) -> bool:
        """Return whether everything that programs have written has been taken over."""

    def drain(self, done: Callable[[], None]) -> None:
        """Call ``done`` when what was taken over has left on the other side; maybe at once."""


class LinesServer:
    """The socket of one virtual port's terminal, used from the thread of ``loop``."""

    def __init__(self, port: LinesPort, loop: asyncio.AbstractEventLoop) -> None:
        self._port = port
        self._loop = loop
        self._terminal = ""
        self._socket: socket.socket | None = None
        self._clients: set[_Client] = set()

    @property
    def attended(self) -> bool:
        """Whether a supervisor is there."""
        return bool(self._clients)

    def serve(self, terminal: str) -> None:
        """Listen for supervisors of programs that have ``terminal`` open, and no other.

        The port works without them, so what goes wrong is only logged.
        """
        self.close()
        self._terminal = terminal
        try:
            listening = socket.socket(socket.AF_UNIX)
        except OSError as error:
            self._unserved(error)
            return
        listening.setblocking(False)
        try:
            found = os.stat(terminal)
            listening.bind(address(found.st_dev, found.st_rdev))
            listening.listen(CLIENTS_MAX)
        except OSError as error:
            listening.close()
            self._unserved(error)
            return
        self._socket = listening
        self._loop.add_reader(listening.fileno(), self._accept, listening)

    def _unserved(self, error: OSError) -> None:
        LOG.warning("%s: `portline run` cannot emulate it: %s", self._port.name, error.strerror)

    def close(self) -> None:
        """Leave everybody; safe twice."""
        for client in tuple(self._clients):
            client.close()
        if self._socket is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def changed(self) -> None:
        """Tell the supervisors what is different, if anything is."""
        for client in tuple(self._clients):
            client.tell_state(self._port.application_state)

    def _accept(self, listening: socket.socket) -> None:
        try:
            connected, _ = listening.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            LOG.warning("%s: a supervisor has to wait: %s", self._port.name, error.strerror)
            self._loop.remove_reader(listening.fileno())
            self._loop.call_later(REST, self._go_on, listening)
            return
        connected.setblocking(False)
        if len(self._clients) >= CLIENTS_MAX or not _may_open(connected, self._terminal):
            connected.close()
            return
        client = _Client(connected, self._port, self._loop, self._clients)
        client.tell_state(self._port.application_state)

    def _go_on(self, listening: socket.socket) -> None:
        if self._socket is listening:
            self._loop.add_reader(listening.fileno(), self._accept, listening)


class _Client:
    """One supervisor."""

    def __init__(
        self,
        connected: socket.socket,
        port: LinesPort,
        loop: asyncio.AbstractEventLoop,
        clients: set[_Client],
    ) -> None:
        self._socket = connected
        self._port = port
        self._loop = loop
        self._clients = clients
        self._splitter = Splitter()
        self._told: PortState | None = None
        self._unread: list[int] = []  # drains that wait for all to be read
        self._leaving: list[int] | None = None  # drains that wait for the port
        self._progress: tuple[int, float] = (-1, 0.0)
        self._timer: asyncio.TimerHandle | None = None
        clients.add(self)
        loop.add_reader(connected.fileno(), self._readable)

    def close(self) -> None:
        if self not in self._clients:
            return
        self._clients.discard(self)
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
        if self._timer is not None:
            self._timer.cancel()

    def tell_state(self, state: PortState) -> None:
        if state != self._told:
            self._told = state
            self._say(encode(state))

    def _say(self, line: bytes) -> None:
        if self not in self._clients:
            return
        try:
            taken = self._socket.send(line)
        except OSError:
            taken = 0
        if taken < len(line):
            self.close()  # gone, or it has not read for a thousand changes

    def _readable(self) -> None:
        try:
            data = self._socket.recv(READ_SIZE)
            for line in self._splitter.feed(data):
                self._take(line)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""  # it has ended without reading our last words
        except (OSError, ValueError) as error:
            LOG.warning("%s: a supervisor cannot be understood: %s", self._port.name, error)
            data = b""
        if not data:
            self.close()

    def _take(self, line: bytes) -> None:
        match decode(line):
            case Asked(number, DrainFirst()):
                self._drain(number)
            case Asked(number, SetLine() | SetModem() | SetBreak() as what):
                self._port.application_did(what)
                self.tell_state(self._port.application_state)
                self._say(encode(Done(number)))
            case _:
                raise ValueError("that is for a serving side to say")

    # --- drains ---------------------------------------------------------------------------------

    def _drain(self, number: int) -> None:
        self._unread.append(number)
        if len(self._unread) + len(self._leaving or ()) > DRAINS_MAX:
            oldest = (self._leaving or self._unread).pop(0)
            self._say(encode(Done(oldest)))
        if self._timer is None and self._leaving is None:
            self._progress = (-1, 0.0)
            self._look()

    def _look(self) -> None:
        """Begin a round when all is read, or when reading stands still."""
        self._timer = None
        if self._port.all_read():
            self._leaving, self._unread = self._unread, []
            self._port.drain(partial(self._left, self._leaving))
            return
        taken, now = self._port.taken, self._loop.time()
        if taken != self._progress[0]:
            self._progress = taken, now
        if now - self._progress[1] >= STALL_LIMIT:
            self._leaving, self._unread = self._unread, []
            self._left(self._leaving)
            return
        self._timer = self._loop.call_later(DRAIN_POLL, self._look)

    def _left(self, drains: list[int]) -> None:
        self._leaving = None
        for number in drains:
            self._say(encode(Done(number)))
        if self._unread and self in self._clients:
            self._progress = (-1, 0.0)
            self._look()


def _may_open(connected: socket.socket, terminal: str) -> bool:
    """Return whether the peer's user may open a terminal for writing."""
    try:
        found = os.stat(terminal)
    except OSError:
        return False
    raw = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    _, user, group = CREDENTIALS.unpack(raw)
    if user in (0, found.st_uid):
        return True
    groups = {group}
    with suppress(OSError):
        raw = connected.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, 4 * GROUPS_MAX)
        groups.update(struct.unpack(f"={len(raw) // 4}I", raw))
    return bool(found.st_mode & (0o020 if found.st_gid in groups else 0o002))
