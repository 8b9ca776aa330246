"""What processes answer, as JSON has it."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from portline.config.models import ServerConnection
from portline.control.snapshot import snapshot
from portline.line import FlowControl, LineSettings, ModemLines
from portline.service.status import ConnectionStatus, PeerStatus, PortStatus, State

__all__ = ["connection", "process"]

PORT: dict[str, Any] = {
    "name": "/dev/ttyUSB0",
    "path": "/dev/ttyUSB0",
    "open": True,
    "reason": "",
    "settings": LineSettings(115200, flow_control=FlowControl.HARDWARE),
    "lines": ModemLines(cts=True),
    "dtr": True,
    "rts": False,
    "has_lines": True,
    "in_use": None,
    "waiting": 0,
    "refused": 0,
    "discarded": 0,
}

COUNTERS = {field.name: 0 for field in fields(ConnectionStatus) if field.type == "int"}


def connection(
    name: str = "meter",
    *,
    options: dict[str, object] | None = None,
    port: dict[str, object] | None = None,
    peers: tuple[PeerStatus, ...] = (),
    rates: tuple[float, float] | None = (0.0, 0.0),
    **facts: Any,
) -> dict[str, Any]:
    """Return the snapshot of a connection that listens, unless the arguments say otherwise."""
    names = [field.name for field in fields(PortStatus)]
    status = ConnectionStatus(
        **{
            "name": name,
            "state": State.LISTENING,
            "reason": "",
            "places": ("127.0.0.1:4001 (raw)",),
            "port": PortStatus(**(dict.fromkeys(names) | PORT | (port or {}))),
            "peers": peers,
            "config": ServerConnection.model_validate(options or {"port": "/dev/ttyUSB0"}),
            **COUNTERS,
            **facts,
        }
    )
    return snapshot(status, rates)


def process(*connections: dict[str, Any], **facts: object) -> dict[str, Any]:
    """Return the result of a ``status``."""
    known = {"pid": 7, "command": "serve", "file": "/x.toml", "version": "1", "up_for": 3725.0}
    return {"process": known | facts, "connections": list(connections)}
