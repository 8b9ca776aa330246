"""A stage: one connection on a memory port, with peers on real loopback sockets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType

import pytest

from portline.config.models import ClientConnection, ConnectionConfig, ServerConnection
from portline.line import PortState
from portline.port.base import PortOwner
from portline.service import connection as module
from portline.service.connection import Connection
from portline.service.network.reception import Reception
from portline.service.peer.session import Session
from tests.memory import MemoryPort
from tests.peers import Asker, Peer
from tests.waiting import until


class Stage:
    """A connection named "meter", within ``async with``; the test plays its device and peers."""

    def __init__(self, **options: object) -> None:
        client = options.get("kind") == "client"
        table = {"port": "/dev/ttyNONE0"} | ({} if client else {"listen": "127.0.0.1:0"})
        if "virtual" in options:
            del table["port"]
        model = ClientConnection if client else ServerConnection
        self.config: ConnectionConfig = model.model_validate(table | options)
        self.connection = Connection("meter", self.config, asyncio.get_running_loop())
        port = self.connection.port
        assert isinstance(port, MemoryPort)
        self.port = port
        self.peers = ExitStack()

    async def __aenter__(self) -> Stage:
        self.connection.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        links = self.connection.stop(0.5)
        self.peers.close()
        await until(lambda: all(link.closed for link in links))
        self.connection.close()

    def tcp_port(self, listener: int = 0) -> int:
        assert isinstance(self.connection.network, Reception)
        return int(self.connection.network.entrance.listeners[listener].address.rpartition(":")[2])

    @property
    def sessions(self) -> tuple[Session, ...]:
        return self.connection.hub.peers

    def knock(self, listener: int = 0) -> Peer:
        """Connect a raw peer, which may be let in or not."""
        return self.peers.enter_context(Peer(self.tcp_port(listener)))

    async def peer(self, listener: int = 0) -> Peer:
        """Connect a raw peer that is let in."""
        count = len(self.sessions)
        peer = self.knock(listener)
        await until(lambda: len(self.sessions) > count)
        return peer

    async def asker(self, listener: int = 0) -> Asker:
        """Connect a client of RFC 2217 that is let in."""
        asker = Asker(self.tcp_port(listener))
        self.peers.enter_context(asker)
        return await asker.agrees()

    async def alone(self) -> None:
        """Wait until nobody is connected."""
        await until(lambda: not self.sessions)

    def happened(self) -> list[object]:
        """Return what the port was asked for since this was last called."""
        happened, self.port.happened = self.port.happened, []
        return happened


Play = Callable[..., Stage]


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Play:
    """Make a stage; the log lines of its connection are in ``caplog``."""

    def memory_port(
        config: ConnectionConfig, *, owner: PortOwner, loop: asyncio.AbstractEventLoop, **_: object
    ) -> MemoryPort:
        return MemoryPort(
            owner, PortState(settings=config.line_settings()), virtual=config.is_virtual
        )

    monkeypatch.setattr(module, "make_port", memory_port)
    caplog.set_level(logging.INFO, logger="portline.connection")
    return Stage
