"""A gateway with its control socket, and programs that talk to it by hand."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from portline.config.models import GatewayConfig
from portline.control.operations.subject import Subject
from portline.control.place import Places
from portline.control.rates import Rates
from portline.control.server import ControlServer
from portline.errors import UsageError
from portline.service.gateway import Gateway
from tests.waiting import until


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the folder of the sockets; its path is short, as that of a socket must be."""
    with TemporaryDirectory(prefix="ctl-") as name:
        monkeypatch.setenv("RUNTIME_DIRECTORY", name)
        yield Path(name)


def gateway(**connections: dict[str, object]) -> Gateway:
    """Make a gateway of connections whose devices are not there; "meter" when none is named."""
    tables = {
        name: {"port": f"/dev/ttyNONE-{name}", "listen": "127.0.0.1:0"} | table
        for name, table in (connections or {"meter": {}}).items()
    }
    return Gateway(GatewayConfig.model_validate({"connections": tables}))


@dataclass
class Host:
    """A control server within ``with``."""

    gateway: Gateway
    server: ControlServer
    subject: Subject

    def __enter__(self) -> Host:
        self.server.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.server.__exit__(None, None, None)

    @property
    def path(self) -> Path:
        assert self.server.path is not None
        return self.server.path

    def caller(self) -> Caller:
        return Caller(self.path)


def no_file() -> list[str]:
    raise UsageError("there is no file")


@dataclass
class Served:
    """What runs: a gateway that does not."""

    gateway: Gateway
    outcome: Callable[[], list[str]] = no_file

    async def reload(self) -> list[str]:
        await asyncio.sleep(0)
        return self.outcome()

    async def restart(self) -> None:
        self.outcome()


def host(
    made: Gateway | None = None,
    *,
    reload: Callable[[], list[str]] = no_file,
    file: str | None = None,
    places: Places | None = None,
) -> Host:
    """Return a control server of the loop that is running."""
    made = gateway() if made is None else made
    loop = asyncio.get_running_loop()
    rates = Rates(loop, lambda: made.connections)
    subject = Subject(Served(made, reload), rates, "serve", file)
    return Host(made, ControlServer(subject, loop, places), subject)


class Caller:
    """A program that has connected to a socket, within ``with``."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.socket.setblocking(False)
        self.heard = b""
        self.ended = False

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *error: object) -> None:
        self.socket.close()

    def says(self, text: bytes) -> None:
        self.socket.sendall(text)

    def look(self) -> bytes:
        """Read what is there; return all that has come."""
        while not self.ended:
            try:
                data = self.socket.recv(65536)
            except BlockingIOError:
                break
            except ConnectionResetError:
                data = b""
            self.ended = not data
            self.heard += data
        return self.heard

    async def hears(self, lines: int = 1) -> list[bytes]:
        """Wait until this many lines have come; return all."""
        await until(lambda: self.look().count(b"\n") >= lines or self.ended)
        return self.heard.splitlines()

    async def hears_end(self) -> bytes:
        """Wait for the end; return what came before it."""
        await until(lambda: (self.look(), self.ended)[1])
        return self.heard
