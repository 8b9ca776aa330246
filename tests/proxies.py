"""Proxies played by the test over real loopback sockets, and an address that never answers."""

from __future__ import annotations

import asyncio
import base64
import socket
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

__all__ = ["HttpProxy", "SocksProxy", "silent_address"]


class _Proxy:
    """A proxy that lets everybody through to 127.0.0.1, whatever host they name.

    ``user`` and ``password``: who is let in; "" for everybody.  ``refusal``: what is answered to
    each request to connect; None to connect.  ``asked`` is what it was asked to connect to.
    ``server_begins``: the server speaks first, and its words come with the proxy's.
    """

    def __init__(
        self,
        *,
        user: str = "",
        password: str = "",
        refusal: int | None = None,
        server_begins: bool = True,
    ) -> None:
        self.user, self.password, self.refusal = user, password, refusal
        self.server_begins = server_begins
        self.asked: list[tuple[str, int]] = []
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[_Proxy]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        yield self
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                await self._talk(reader, writer)
        finally:
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError  # each kind of proxy speaks its own protocol

    async def _join(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, answer: bytes
    ) -> None:
        """Connect, and answer in one segment with the first words of the server."""
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(answer + (await far_reader.read(65536) if self.server_begins else b""))
        try:
            await asyncio.gather(_copy(far_reader, writer), _copy(reader, far_writer))
        finally:
            far_writer.close()


class SocksProxy(_Proxy):
    """SOCKS5 (RFC 1928), with a login if there is a user (RFC 1929)."""

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        methods = await reader.readexactly((await reader.readexactly(2))[1])
        wanted = 2 if self.user else 0
        writer.write(bytes((5, wanted if wanted in methods else 0xFF)))
        if wanted not in methods:
            return
        if self.user:
            await reader.readexactly(1)
            user = await reader.readexactly((await reader.readexactly(1))[0])
            password = await reader.readexactly((await reader.readexactly(1))[0])
            good = (user.decode(), password.decode()) == (self.user, self.password)
            writer.write(bytes((1, 0 if good else 1)))
            if not good:
                return
        kind = (await reader.readexactly(4))[3]
        if kind == 3:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        else:
            family, size = (socket.AF_INET, 4) if kind == 1 else (socket.AF_INET6, 16)
            host = socket.inet_ntop(family, await reader.readexactly(size))
        port = int.from_bytes(await reader.readexactly(2), "big")
        self.asked.append((host, port))
        bound = bytes((0, 1, 127, 0, 0, 1, 0, 0))
        if self.refusal is not None:
            writer.write(bytes((5, self.refusal)) + bound)
            return
        await self._join(reader, writer, port, bytes((5, 0)) + bound)


class HttpProxy(_Proxy):
    """HTTP CONNECT, with a Basic login if there is a user (RFC 9110)."""

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        host, _, port = head[0].split()[1].rpartition(":")
        login = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        if self.user and f"Proxy-Authorization: Basic {login}" not in head:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            return
        self.asked.append((host, int(port)))
        if self.refusal is not None:
            writer.write(f"HTTP/1.1 {self.refusal} No\r\n\r\n".encode())
            return
        await self._join(reader, writer, int(port), b"HTTP/1.1 200 OK\r\nVia: 1.1 test\r\n\r\n")


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
        writer.write_eof()


@contextmanager
def silent_address() -> Iterator[int]:
    """Give a TCP port of 127.0.0.1 that answers nobody: the queue of its listener is full."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        while True:
            caller = stack.enter_context(socket.socket())
            caller.settimeout(0.1)
            try:
                caller.connect(server.getsockname())
            except TimeoutError:
                break
        yield server.getsockname()[1]
