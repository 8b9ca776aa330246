"""What the tests of datagrams talk to: a program at the other end, and an endpoint at this one."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

from portline.net.udp.counts import Counts
from portline.net.udp.endpoint import Endpoint
from portline.net.udp.socket import Settings
from tests.waiting import until

if TYPE_CHECKING:
    import pytest

    from portline.net.udp.link import DatagramLink


class Owner:
    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.ready = 0

    def link_data(self, data: bytes) -> None:
        self.heard.append(data)

    def link_eof(self) -> None:
        raise AssertionError

    def link_ready(self) -> None:
        self.ready += 1

    def link_lost(self, reason: str) -> None:
        raise AssertionError


class Far:
    """A program with a socket on 127.0.0.1."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.place: tuple[str, int] = self.socket.getsockname()
        self.heard: list[bytes] = []
        self.source: Any = None

    def look(self) -> list[bytes]:
        try:
            while True:
                data, self.source = self.socket.recvfrom(65536)
                self.heard.append(data)
        except BlockingIOError:
            return self.heard

    async def hears(self, *datagrams: bytes) -> None:
        await until(lambda: len(self.look()) >= len(datagrams))
        assert self.heard == list(datagrams)
        self.heard = []


class Near:
    """An endpoint and what it has told; closed at the end of ``with``, with what it was made of."""

    def __init__(self, *connect: tuple[str, int], listen: Any = (), **options: Any) -> None:
        self.heard: list[tuple[bytes, Any]] = []
        self.news: list[str] = []
        self.links: list[DatagramLink] = []
        self.endpoint = Endpoint(
            asyncio.get_running_loop(),
            connect=connect,
            listen=listen,
            settings=Settings(options.pop("interface", None)),
            size=options.pop("size", 1452),
            counts=Counts(),
            heard=lambda data, source, way: self.heard.append((data, source)),
            changed=lambda endpoint: self.news.append(str(endpoint.error or "")),
        )
        self.endpoint.open()

    def __enter__(self) -> Near:
        return self

    def __exit__(self, *error: object) -> None:
        self.endpoint.close()
        for link in self.links:
            link.abort()
        assert self.endpoint.ways == []

    def link(self, number: int = 0) -> tuple[DatagramLink, Owner]:
        host = list(self.endpoint.hosts.values())[number]
        made = self.endpoint.link(host.address, host.way)
        self.links.append(made)
        owner = Owner()
        made.start(owner)
        return made, owner


def clogged(link: DatagramLink, monkeypatch: pytest.MonkeyPatch, *errors: OSError | None) -> Any:
    """Put a socket in the way of a link that fails with ``errors``, one for each datagram."""

    class Socket:
        def __init__(self, real: socket.socket) -> None:
            self.real = real
            self.left = list(errors)

        def sendto(self, data: bytes, address: Any) -> int:
            error = self.left.pop(0) if self.left else None
            if error is not None:
                raise error
            return self.real.sendto(data, address)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.real, name)

    assert link.way is not None
    made = Socket(link.way.sock)
    monkeypatch.setattr(link.way, "sock", made)
    return made
