"""The WebSocket of a terminal: bytes both ways, and beside them lines, settings and breaks.

Theory of operation
-------------------
The page is an operator of the connection (:mod:`portline.service.operator`), so what it does goes
the way of all who sit there, and a page that does not read loses the oldest bytes, counted, without
the port waiting.  Binary messages are data.  Text messages are JSON, of the page::

    {"lines": {"dtr": false, "rts": true}}   {"break": 0.25}   {"settings": {"baudrate": 9600}}

and to the page, at first and whenever something has changed, ``{"state": {...}}``, or
``{"error": "..."}`` where something could not be done.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import from_json, to_json
from starlette.websockets import WebSocket, WebSocketDisconnect

from portline.errors import PortlineError
from portline.port.tty.orders import BREAK_LIMIT
from portline.service.operator.terminal import open_terminal
from portline.web.live import CHECK, LOGGED_OUT, counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from portline.control.operations.subject import Subject
    from portline.remote.port import RemotePort
    from portline.service.connection import Connection
    from portline.web.visitors import Visitor, Visitors

__all__ = ["BREAKS_MAX", "CHUNK", "FRAMES", "REFUSED", "Terminals"]

CHUNK: Final = 16 * 1024
"""Bytes of one message to the page."""

FRAMES: Final = 60
"""Messages with data in a second: a screen shows no more."""

BREAKS_MAX: Final = 4
"""Breaks that a page has under way, one after the other: a finger that is too quick."""

REFUSED: Final = 4409
"""The code with which a WebSocket ends that has no terminal, or none any more."""

_SETTINGS: Final[Mapping[str, tuple[type, ...]]] = {
    "baudrate": (int,),
    "data_bits": (int,),
    "parity": (str,),
    "stop_bits": (str, int, float),
    "flow_control": (str,),
}
"""What a page may set, and how JSON has it."""


def _settings(given: dict[Any, Any]) -> dict[str, Any]:
    """Return settings by the names that a port takes.  Raises ValueError."""
    asked = {str(key).replace("-", "_"): value for key, value in given.items()}
    if not asked or not asked.keys() <= _SETTINGS.keys():
        raise ValueError(f"settings are {', '.join(_SETTINGS)}")
    for name, value in asked.items():
        if isinstance(value, bool) or not isinstance(value, _SETTINGS[name]):
            kind = "text" if str in _SETTINGS[name] else "a number"
            raise ValueError(f"{name} must be {kind}")  # noqa: TRY004  # what a page says
    return asked


class Terminals:
    """Serves ``/terminal/NAME/socket``."""

    def __init__(self, subject: Subject, visitors: Visitors) -> None:
        self._subject = subject
        self._visitors = visitors

    async def serve(self, socket: WebSocket) -> None:
        """Serve one page until it goes, its session ends, or the port cannot be had any more."""
        visitor = await self._visitors.identify(socket, changes=False)
        with counted(self._visitors, visitor.session):
            await socket.accept()
            try:
                connection = self._subject.connection(socket.path_params["name"])
                port = await open_terminal(connection)
            except PortlineError as error:
                await _refuse(socket, str(error))
                return
            try:
                await _Terminal(socket, port, connection, visitor, self._visitors).run()
            finally:
                port.abort()


async def _refuse(socket: WebSocket, text: str) -> None:
    try:
        await socket.send_text(to_json({"error": text}).decode())
        await socket.close(REFUSED, "there is no terminal")
    except (WebSocketDisconnect, RuntimeError):
        return  # nobody is there to be told


class _Terminal:
    """One page at one port."""

    def __init__(
        self,
        socket: WebSocket,
        port: RemotePort,
        connection: Connection,
        visitor: Visitor,
        visitors: Visitors,
    ) -> None:
        self._socket = socket
        self._port = port
        self._connection = connection
        self._visitor = visitor
        self._visitors = visitors
        self._break = asyncio.Lock()
        self._breaks: set[asyncio.Task[None]] = set()
        self._group = asyncio.TaskGroup()

    async def run(self) -> None:
        """Pass on what there is until either end has gone, or the page may not be here any more.

        Any of these ends it, whatever the others wait for: hearing may wait for a port that takes
        nothing, and a break lasts long after a page has gone.
        """
        async with self._group as group:
            ending = [
                group.create_task(each) for each in (self._hear(), self._tell_data(), self._check())
            ]
            news = group.create_task(self._tell_news())
            await asyncio.wait(ending, return_when=asyncio.FIRST_COMPLETED)
            for task in (*ending, news, *self._breaks):
                task.cancel()  # who leaves takes a break along: the port puts it back

    # --- from the page --------------------------------------------------------------------------

    async def _hear(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] != "websocket.receive":
                return
            try:
                if (data := message.get("bytes")) is not None:
                    self._port.write(data)
                    await self._drained()
                else:
                    await self._obey(from_json(message.get("text") or ""))
            except (ValueError, PortlineError) as error:
                await self._send({"error": " ".join(str(error).split())})
            except (WebSocketDisconnect, RuntimeError):
                return  # the page has gone while the port took nothing

    async def _drained(self) -> None:
        """Wait until the port has room.  Raises WebSocketDisconnect where the page goes meanwhile.

        Nothing is heard of it then, so now and then it is told something, to see whether it is
        there.
        """
        while True:
            with suppress(TimeoutError):
                return await asyncio.wait_for(self._port.drain(), CHECK)
            await self._socket.send_text(to_json({"state": self._state()}).decode())

    async def _obey(self, message: Any) -> None:
        """Do what a text says.  Raises ValueError and PortlineError."""
        match message:
            case {"lines": dict(lines), **rest} if not rest and lines.keys() <= {"dtr", "rts"}:
                if not all(isinstance(level, bool) for level in lines.values()):
                    raise ValueError("a line is true or false; leave out what stays")
                await self._port.set_lines(dtr=lines.get("dtr"), rts=lines.get("rts"))
            case {"settings": dict(settings), **rest} if not rest:
                await self._port.set(**_settings(settings))
            case {"break": float() | int() as seconds, **rest} if not rest and seconds is not True:
                if not 0 < seconds <= BREAK_LIMIT:
                    raise ValueError(f"a break lasts up to {BREAK_LIMIT:g} s")
                if len(self._breaks) >= BREAKS_MAX:
                    raise ValueError(f"{BREAKS_MAX} breaks are under way; wait for their end")
                task = self._group.create_task(self._send_break(float(seconds)))
                self._breaks.add(task)
                task.add_done_callback(self._breaks.discard)
            case _:
                raise ValueError(
                    'say {"lines": {"dtr": true}}, {"settings": {"baudrate": 9600}} or '
                    '{"break": 0.25}'
                )
        await self._tell_state()

    async def _send_break(self, seconds: float) -> None:
        try:
            async with self._break:
                await self._port.set_break(True)
                await asyncio.sleep(seconds)
                await self._port.set_break(False)
        except PortlineError as error:
            await self._send({"error": str(error)})

    # --- to the page ----------------------------------------------------------------------------

    async def _tell_data(self) -> None:
        loop = asyncio.get_running_loop()
        at = 0.0
        try:
            while True:
                wait = at + 1 / FRAMES - loop.time()
                if wait > 0:
                    await asyncio.sleep(wait)
                data = await self._port.read(CHUNK)
                if not data:
                    break
                at = loop.time()
                await self._socket.send_bytes(data)
            reason = (
                f"{self._connection.name}: {self._connection.ended or 'the terminal was closed'}"
            )
        except PortlineError as error:
            reason = str(error)
        except (WebSocketDisconnect, RuntimeError):
            return  # the page has gone; who hears notices it, too
        await _refuse(self._socket, reason)

    async def _tell_news(self) -> None:
        events = self._port.events()
        await self._tell_state()
        async for _ in events:
            await self._tell_state()

    async def _tell_state(self) -> None:
        await self._send({"state": self._state()})

    def _state(self) -> dict[str, Any]:
        port, virtual = self._port, self._connection.config.is_virtual
        has_lines = virtual or self._connection.port.has_lines
        names = ("cts", "dsr", "dcd", "ri", "dtr", "rts") if has_lines else ()
        lines = {name: getattr(port, name) for name in names} or None
        can = {"lines": has_lines, "settings": True}
        return {"settings": str(port.settings), "lines": lines, "can": can}

    async def _check(self) -> None:
        """End when the session does."""
        # Asking is cheap, and nobody is told when a session is over by time.
        while self._visitors.good(self._visitor):  # noqa: ASYNC110
            await asyncio.sleep(CHECK)
        try:
            await self._socket.close(LOGGED_OUT, "logged out")
        except (WebSocketDisconnect, RuntimeError):
            return

    async def _send(self, message: dict[str, Any]) -> None:
        try:
            await self._socket.send_text(to_json(message).decode())
        except (WebSocketDisconnect, RuntimeError):
            return  # the page has gone; who hears notices it, too
