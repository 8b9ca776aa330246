"""A page beside a gateway with a configuration file, and whoever asks it, by hand."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from portline.config.document import load
from portline.config.models import GatewayConfig
from portline.config.saving import change
from portline.control.operations.subject import Subject
from portline.control.rates import Rates
from portline.service.gateway import Gateway
from portline.web.credentials import Credentials
from portline.web.page import Page
from tests.waiting import until

PASSWORD = "correct horse"


class Served:
    """What runs: a gateway with its file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.gateway = Gateway(load(path))
        self.followers: list[Callable[[GatewayConfig], list[str]]] = []

    async def reload(self) -> list[str]:
        return self._adopted(load(self.path))

    async def edit(self, edit: Callable[[str], str]) -> list[str]:
        return self._adopted(change(self.path, edit))

    async def restart(self) -> None:
        raise AssertionError("nobody asks for it")

    def _adopted(self, config: GatewayConfig) -> list[str]:
        lines = self.gateway.apply(config).lines()
        for follower in self.followers:
            lines += follower(config)
        return lines


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes
    cookies: list[str] = field(default_factory=list)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Host:
    """A page that is there."""

    page: Page
    served: Served
    credentials: Credentials
    told: list[str]

    @property
    def port(self) -> int:
        return int(self.page.addresses[0].rstrip("/").rpartition(":")[2])

    async def connect(self, context: ssl.SSLContext | None = None) -> Stranger:
        return Stranger(*await asyncio.open_connection("127.0.0.1", self.port, ssl=context))

    async def ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: object = None,
        *,
        context: ssl.SSLContext | None = None,
    ) -> Answer:
        """Ask once, on a connection of its own."""
        stranger = await self.connect(context)
        stranger.asks(method, path, {"Host": f"127.0.0.1:{self.port}", **(headers or {})}, body)
        answer = await stranger.hears()
        await stranger.goes()
        return answer

    async def browser(self) -> Browser:
        """Log in as a browser."""
        answer = await self.ask("POST", "/login", self.same_origin, {"password": PASSWORD})
        assert answer.status == 204, answer.body
        cookie = answer.cookies[0].partition(";")[0]
        browser = Browser(self, cookie)
        browser.csrf = (await browser.get("/session")).json["csrf"]
        return browser

    @property
    def same_origin(self) -> dict[str, str]:
        return {"Origin": f"http://127.0.0.1:{self.port}"}

    @property
    def basic(self) -> dict[str, str]:
        return basic(PASSWORD)


def basic(password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"x:{password}".encode()).decode()}


@dataclass
class Browser:
    """One that is logged in."""

    host: Host
    cookie: str
    csrf: str = ""

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.host.ask("GET", path, {"Cookie": self.cookie, **headers})

    async def post(self, path: str, body: object, **headers: str) -> Answer:
        whole = {"Cookie": self.cookie, **self.host.same_origin, "X-CSRF-Token": self.csrf}
        return await self.host.ask("POST", path, {**whole, **headers}, body)


class Stranger:
    """A connection that says what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def says(self, data: bytes) -> None:
        self.writer.write(data)

    def asks(self, method: str, path: str, headers: Mapping[str, str], body: object = None) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        content = b"" if body is None else content
        whole = dict(headers)
        if body is not None:
            whole = {
                "Content-Type": "application/json",
                "Content-Length": str(len(content)),
                **headers,
            }
        lines = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in whole.items()), "", ""]
        self.says("\r\n".join(lines).encode() + content)

    async def hears(self) -> Answer:
        """Read one answer."""
        async with asyncio.timeout(20):
            head = await self.reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode().split("\r\n")[:-2]
            pairs = [line.split(": ", 1) for line in lines]
            headers = {name.lower(): value for name, value in pairs}
            cookies = [value for name, value in pairs if name.lower() == "set-cookie"]
            status = int(first.split()[1])
            if headers.get("transfer-encoding") == "chunked":
                body = b""
                while size := int(await self.reader.readline(), 16):
                    body += await self.reader.readexactly(size)
                    await self.reader.readline()
                await self.reader.readline()
            else:
                body = await self.reader.readexactly(int(headers.get("content-length", 0)))
            return Answer(status, headers, body, cookies)

    async def hears_end(self) -> bytes:
        async with asyncio.timeout(20):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b""

    async def goes(self) -> None:
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder that only its owner may write to."""
    made = tmp_path / "state"
    made.mkdir(mode=0o700)
    return made


@asynccontextmanager
async def hosting(
    folder: Path, text: str = '[web]\nlisten = "127.0.0.1:0"\n', **more: Any
) -> AsyncIterator[Host]:
    """Have a page that can be reached, with PASSWORD."""
    path = folder / "portline.toml"
    path.write_text(text)
    loop = asyncio.get_running_loop()
    served = Served(path)
    credentials = Credentials(folder)
    if not more.pop("first", False):
        credentials.store(PASSWORD)
    told: list[str] = []
    subject = Subject(served, Rates(loop, lambda: served.gateway.connections), "serve", str(path))
    served.gateway.start()
    try:
        with Page(
            subject,
            served.gateway.config.web,
            loop,
            credentials=credentials,
            told=told.extend,
            **more,
        ) as page:
            served.followers.append(page.adopt)
            host = Host(page, served, credentials, told)
            await until(lambda: page.addresses)
            yield host
    finally:
        await served.gateway.stop()
