"""Peers of a connection, played by the test over real loopback sockets."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import replace
from typing import TYPE_CHECKING

from portline.line import (
    Flow,
    Item,
    ModemChange,
    ModemLines,
    PortState,
    Query,
    Report,
    Request,
    SetModem,
    Told,
    Watch,
)
from portline.wire.rfc2217 import Rfc2217Wire
from tests.waiting import until

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["AccessServer", "Asker", "Peer"]

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, for 0 seconds: a close sends RST."""


class Peer:
    """A program with a TCP connection to 127.0.0.1:``port``; ``received`` is what it has read.

    ``window`` is the size of its receive buffer in bytes, for one that is to be slow.
    """

    def __init__(self, port: int, *, window: int = 0) -> None:
        self.received = bytearray()
        self.end = ""
        """How the other side has ended the connection: "" (not yet), "FIN" or "RST"."""
        self.socket = socket.socket()
        if window:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        try:
            self.socket.connect(("127.0.0.1", port))
        except OSError:
            self.socket.close()
            raise
        self.socket.setblocking(False)
        self.address = "{}:{}".format(*self.socket.getsockname())

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        assert self.socket.send(data) == len(data)

    def look(self) -> bytes:
        """Read what is there; return all that has come since the last ``hears``."""
        while self.socket.fileno() >= 0 and not self.end:
            try:
                data = self.socket.recv(65536)
            except BlockingIOError:
                break
            except ConnectionResetError:
                self.end = "RST"
                break
            if not data:
                self.end = "FIN"
            self.take(data)
        return bytes(self.received)

    def take(self, data: bytes) -> None:
        self.received += data

    async def hears(self, data: bytes) -> None:
        """Wait until exactly ``data`` has come."""
        await until(lambda: len(self.look()) >= len(data) or self.end)
        assert bytes(self.received) == data
        self.received.clear()

    async def hears_end(self) -> bytes:
        """Wait for the end of the connection; return what came before it."""
        await until(lambda: (self.look(), self.end)[1])
        return bytes(self.received)

    def finish(self) -> None:
        """Say that nothing more will be sent."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.socket.close()

    def close(self) -> None:
        self.socket.close()


class Asker(Peer):
    """A client of RFC 2217; ``told`` is what the server has told since the last ``asks``."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.told: list[Told] = []
        self.reports: list[Report | Flow] = []
        self.wire = Rfc2217Wire(serves=False, asks=True)
        self.send(self.wire.start(0.0))

    def take(self, data: bytes) -> None:
        for event in self.wire.feed(data, 0.0):
            match event:
                case bytes():
                    self.received += event
                case Told(request=None):
                    self.reports.append(event)
                case Told():
                    self.told.append(event)
                case _:
                    self.reports.append(event)  # type: ignore[arg-type]  # nothing else comes
        if words := self.wire.outgoing():
            self.send(words)

    async def agrees(self) -> Asker:
        """Wait until the server has agreed to be asked and has told how things are."""
        await until(lambda: (self.look(), self.wire.asking)[1])
        await self.asks(Query(Item.BAUDRATE))
        self.reports.clear()
        return self

    async def asks(self, *requests: Request) -> list[tuple[Item, object]]:
        """Ask, all at once; return what is told in answer to the last request and before."""
        self.told.clear()
        self.send(b"".join(self.wire.ask(request, 0.0) for request in requests))
        await until(lambda: (self.look(), self.told and self.told[-1].request == requests[-1])[1])
        await asyncio.sleep(0)
        self.look()
        return [(told.item, told.value) for told in self.told]


class AccessServer(Peer):
    """A peer with a serial port of its own; ``asked`` is what it was asked, all of it done.

    ``state`` is what is in force at its port, whose device the test plays.
    """

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.asked: list[Request] = []
        self.state = PortState()
        self.wire = Rfc2217Wire(serves=True, asks=False)
        self.send(self.wire.start(0.0))

    def take(self, data: bytes) -> None:
        for event in self.wire.feed(data, 0.0):
            match event:
                case bytes():
                    self.received += event
                case Watch():
                    pass
                case _:
                    if isinstance(event, SetModem):
                        self.state = event.applied_to(self.state)
                    self.asked.append(event)  # type: ignore[arg-type]  # nothing else comes
                    self.send(self.wire.answer(self.asked[-1], self.state))
        if words := self.wire.outgoing():
            self.send(words)

    def reads(self, lines: ModemLines) -> None:
        """Let the device move its lines."""
        self.state = replace(self.state, lines=lines)
        self.send(self.wire.report(ModemChange(lines), 0.0))

    async def sees(self, *, dtr: bool, rts: bool) -> None:
        """Wait until the device sees these outputs."""
        await until(lambda: (self.look(), (self.state.dtr, self.state.rts) == (dtr, rts))[1])
