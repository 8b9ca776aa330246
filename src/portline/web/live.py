"""The WebSocket ``/live``: a page says what it wants to see, and is told of what is new in it.

Theory of operation
-------------------
Whatever has something new wakes the one task that sends to this page.  It sends what there is, and
waits while the page takes nothing: what is new meanwhile is kept where it comes from, each within
its own bound (the newest status, the ring of events, the ring of a watcher), so a page that does
not read loses the oldest and delays nobody.  Monitors have at most FRAMES messages in a second.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import from_json, to_json
from starlette.websockets import WebSocket, WebSocketDisconnect

from portline.control.operations.table import OPERATIONS
from portline.errors import PortlineError
from portline.web.board import Board
from portline.web.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from portline.control.operations.operation import Feed
    from portline.control.operations.subject import Subject
    from portline.web.sessions import Session
    from portline.web.visitors import Visitors

__all__ = ["LOGGED_OUT", "SOCKETS_OF_SESSION", "Live", "counted"]

SOCKETS_OF_SESSION: Final = 32
"""WebSockets of one session: some windows, each with a terminal."""

FRAMES: Final = 5
"""Messages of all monitors of a page in a second: more than that nobody sees."""

MONITORS_MAX: Final = 8
"""Connections that one page watches at the same time."""

ERRORS_MAX: Final = 8
"""Errors that wait to be told; whoever does not read has to do without further ones."""

CHECK: Final = 2.0
"""Seconds within which a page notices that its session has ended."""

LOGGED_OUT: Final = 4401
"""The code with which a WebSocket ends whose session has ended."""


@contextmanager
def counted(session: Session | None) -> Iterator[None]:
    """Count a WebSocket of a session.  Raises Problem where it has SOCKETS_OF_SESSION."""
    if session is None:
        yield
        return
    if session.sockets >= SOCKETS_OF_SESSION:
        raise Problem(429, f"a session has at most {SOCKETS_OF_SESSION} WebSockets; close some")
    session.sockets += 1
    try:
        yield
    finally:
        session.sockets -= 1


class Live:
    """Serves ``/live``."""

    def __init__(self, subject: Subject, visitors: Visitors) -> None:
        self._subject = subject
        self._board = Board(subject)
        self._visitors = visitors

    async def serve(self, socket: WebSocket) -> None:
        """Serve one page until it goes or its session ends."""
        visitor = await self._visitors.identify(socket, changes=False)
        with counted(visitor.session):
            await socket.accept()
            viewer = _Viewer(socket, self._subject, self._board, visitor.session, self._visitors)
            try:
                async with asyncio.TaskGroup() as group:
                    telling = group.create_task(viewer.tell())
                    await viewer.hear()
                    telling.cancel()
            finally:
                viewer.close()


class _Viewer:
    """One page: what it wants to see, and how far it has been told."""

    def __init__(
        self,
        socket: WebSocket,
        subject: Subject,
        board: Board,
        session: Session | None,
        visitors: Visitors,
    ) -> None:
        self._socket = socket
        self._subject = subject
        self._board = board
        self._session = session
        self._visitors = visitors
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()
        self._errors: list[str] = []
        self._wants_status = False
        self._seen = 0
        self._events: Feed | None = None
        self._monitors: dict[str, Feed] = {}
        self._monitored_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """Want nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._board.leave(self._woken.set)
        if self._events is not None:
            self._events.close()
        for feed in self._monitors.values():
            feed.close()

    async def hear(self) -> None:
        """Do what the page says until it goes."""
        while True:
            message = await self._socket.receive()
            if message["type"] != "websocket.receive":
                return
            try:
                self._obey(from_json(message.get("text") or ""))
            except (ValueError, PortlineError) as error:
                self._complain(str(error) or "that is not understood")

    async def tell(self) -> None:
        """Send what is new, whenever there is something."""
        try:
            while self._session is None or self._visitors.good(self._session):
                try:
                    await asyncio.wait_for(self._woken.wait(), CHECK)
                except TimeoutError:
                    continue
                self._woken.clear()
                await self._tell_errors()
                if self._wants_status and self._board.number > self._seen:
                    seen, self._seen = self._seen, self._board.number
                    await self._socket.send_text(self._board.since(seen))
                await self._tell_events()
                await self._tell_monitors()
            await self._socket.close(LOGGED_OUT, "logged out")
        except (WebSocketDisconnect, RuntimeError):
            return  # the page has gone; who hears notices it, too

    # --- what is wanted -------------------------------------------------------------------------

    def _obey(self, message: Any) -> None:
        """Begin or stop to tell of something.  Raises ValueError and PortlineError."""
        match message:
            case {"subscribe": "status", **rest} if not rest:
                self._wants_status, self._seen = True, 0
                self._board.join(self._woken.set)
            case {"unsubscribe": "status", **rest} if not rest:
                self._wants_status = False
                self._board.leave(self._woken.set)
            case {"subscribe": "events", **rest} if rest.keys() <= {"since"}:
                self._forget_events()
                self._events = self._opened(
                    "events", {str(key): value for key, value in rest.items()}
                )
                self._woken.set()
            case {"unsubscribe": "events", **rest} if not rest:
                self._forget_events()
            case {"subscribe": "monitor", "name": str(name), **rest} if not rest:
                self._watch(name)
            case {"unsubscribe": "monitor", "name": str(name), **rest} if not rest:
                self._forget_monitor(name)
            case _:
                raise ValueError(
                    'say something like {"subscribe": "status"}, {"subscribe": "events", "since": '
                    '0} or {"subscribe": "monitor", "name": "meter"}'
                )

    def _watch(self, name: str) -> None:
        if name in self._monitors:
            return
        if len(self._monitors) >= MONITORS_MAX:
            raise ValueError(f"a page watches at most {MONITORS_MAX} connections at a time")
        self._monitors[name] = self._opened("monitor", {"name": name})

    def _opened(self, stream: str, given: dict[str, Any]) -> Feed:
        operation = OPERATIONS[stream]
        assert operation.opens is not None
        return operation.opens(self._subject, self._woken.set, **operation.arguments(given))

    def _forget_events(self) -> None:
        if self._events is not None:
            self._events.close()
            self._events = None

    def _forget_monitor(self, name: str) -> None:
        feed = self._monitors.pop(name, None)
        if feed is not None:
            feed.close()

    # --- what is told ---------------------------------------------------------------------------

    async def _tell_errors(self) -> None:
        errors, self._errors = self._errors, []
        for error in errors:
            await self._send({"error": error})

    async def _tell_events(self) -> None:
        while self._events is not None and self._events.waiting:
            await self._send({"events": self._events.take()})

    async def _tell_monitors(self) -> None:
        if not any(feed.waiting for feed in self._monitors.values()):
            return
        wait = self._monitored_at + 1 / FRAMES - self._loop.time()
        if wait > 0:
            self._again(wait)
            return
        self._monitored_at = self._loop.time()
        for name, feed in tuple(self._monitors.items()):
            if feed.waiting:
                await self._send({"monitor": {"name": name, "records": feed.take()}})
            if feed.waiting:
                self._again(1 / FRAMES)
            if feed.ended:
                self._forget_monitor(name)

    def _again(self, seconds: float) -> None:
        """Look for what monitors have in a while, once however often it is asked for."""
        if self._timer is None:
            self._timer = self._loop.call_later(seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        self._woken.set()

    async def _send(self, message: dict[str, Any]) -> None:
        await self._socket.send_text(to_json(message).decode())

    def _complain(self, text: str) -> None:
        if len(self._errors) < ERRORS_MAX:
            self._errors.append(text)
        self._woken.set()
