"""A connection that is watched, and tells what a test wants."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from portline.cli import watching
from portline.recording.record import Kind, Record, Source

AT = 1732720000.25

ABOUT: dict[str, Any] = {
    "name": "meter",
    "port": "/dev/ttyUSB0",
    "virtual": False,
    "open": True,
    "settings": "9600-8N1",
    "lines": {"cts": True, "dsr": False, "dcd": False, "ri": False, "dtr": True, "rts": False},
    "peers": [],
}


def heard(data: bytes, at: float = AT) -> Record:
    return Record(at, Source.PORT, Kind.DATA, "", data)


def spoke(data: bytes, at: float = AT) -> Record:
    return Record(at, Source.PEER, Kind.DATA, "192.0.2.1:4", data)


def happened(kind: Kind, text: str, at: float = AT, **value: object) -> Record:
    return Record(at, Source.PORT, kind, "", b"", text, value)


class FakeStream:
    """Tells the batches of ``script``; an exception in it is raised, None is its end."""

    def __init__(self, script: list[Any], about: dict[str, Any]) -> None:
        self.result = about
        self.closed = False
        self.waited: list[float | None] = []
        self._script = script

    def wait(self, limit: float | None) -> list[dict[str, Any]] | None:
        self.waited.append(limit)
        step = self._script.pop(0) if self._script else KeyboardInterrupt()
        if isinstance(step, BaseException):
            raise step
        return None if step is None else [record.plain() for record in step]

    def close(self) -> None:
        self.closed = True


def watch(
    monkeypatch: pytest.MonkeyPatch, *script: Any, about: dict[str, Any] = ABOUT
) -> FakeStream:
    """Have commands watch this; Ctrl-C comes at the end."""
    stream = FakeStream(list(script), about)
    way = SimpleNamespace(stream=lambda operation, parameters: stream)
    monkeypatch.setattr(watching, "holder_of", lambda name, chosen: way)
    return stream
