"""The WebSocket ``/live``: a page says what it wants to see, and is told of what is new in it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import from_json, to_json
from starlette.websockets import WebSocket, WebSocketDisconnect

from portline.web.board import Board
from portline.web.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from portline.control.operations.subject import Subject
    from portline.web.sessions import Session
    from portline.web.visitors import Visitors

__all__ = ["LOGGED_OUT", "SOCKETS_OF_SESSION", "Live", "counted"]

SOCKETS_OF_SESSION: Final = 32
"""WebSockets of one session: some windows, each with a terminal."""

CHECK: Final = 2.0
"""Seconds within which a page notices that its session has ended."""

LOGGED_OUT: Final = 4401
"""The code with which a WebSocket ends whose session has ended."""

_log: Final = logging.getLogger("portline.web")


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
        self._board = Board(subject)
        self._visitors = visitors

    async def serve(self, socket: WebSocket) -> None:
        """Serve one page until it goes or its session ends."""
        visitor = await self._visitors.identify(socket, changes=False)
        with counted(visitor.session):
            await socket.accept()
            viewer = _Viewer(socket, self._board, visitor.session, self._visitors)
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
        self, socket: WebSocket, board: Board, session: Session | None, visitors: Visitors
    ) -> None:
        self._socket = socket
        self._board = board
        self._session = session
        self._visitors = visitors
        self._woken = asyncio.Event()
        self._errors: list[str] = []
        self._wants_status = False
        self._seen = 0

    def close(self) -> None:
        """Want nothing any more."""
        self._board.leave(self._woken.set)

    async def hear(self) -> None:
        """Do what the page says until it goes."""
        while True:
            message = await self._socket.receive()
            if message["type"] != "websocket.receive":
                return
            try:
                self._obey(from_json(message.get("text") or ""))
            except ValueError as error:
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
            await self._socket.close(LOGGED_OUT, "logged out")
        except (WebSocketDisconnect, RuntimeError):
            return  # the page has gone; who hears notices it, too

    def _obey(self, message: Any) -> None:
        """Begin or stop to tell of something.  Raises ValueError."""
        match message:
            case {"subscribe": "status"}:
                self._wants_status, self._seen = True, 0
                self._board.join(self._woken.set)
            case {"unsubscribe": "status"}:
                self._wants_status = False
                self._board.leave(self._woken.set)
            case _:
                raise ValueError('say something like {"subscribe": "status"}')

    async def _tell_errors(self) -> None:
        errors, self._errors = self._errors, []
        for error in errors:
            await self._socket.send_text(to_json({"error": error}).decode())

    def _complain(self, text: str) -> None:
        if len(self._errors) < 8:  # more than that somebody who does not read has to do without
            self._errors.append(text)
        self._woken.set()
