"""The configuration as frozen pydantic models.

Whoever makes a model, from a file, the command line or Python, gets every mistake at once: each
model collects what its values, its keys and the rules between its options have to say before it
raises one ``ValidationError``, whose ``loc`` are the names of fields and whose ``msg`` are whole
sentences.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    PlainValidator,
    model_validator,
)

from portline.config.clashes import clashes, name_fault
from portline.config.client import ClientConnection
from portline.config.connection import options
from portline.config.datagram import UdpConnection
from portline.config.refusal import collected, refusal
from portline.config.rules import Fault, folded, unknown
from portline.config.server import ServerConnection
from portline.config.values import DEFAULT_LISTEN, Address, Place, Protocol
from portline.config.web import WebConfig, page_clashes
from portline.hub.lines import Level

__all__ = [
    "DEFAULT_LISTEN",
    "MODELS",
    "Address",
    "ClientConnection",
    "ConnectionConfig",
    "GatewayConfig",
    "Level",
    "Place",
    "Protocol",
    "ServerConnection",
    "UdpConnection",
    "WebConfig",
    "options",
]

_Model = TypeVar("_Model", bound=BaseModel)


ConnectionConfig: TypeAlias = ServerConnection | ClientConnection | UdpConnection
"""A connection of any kind."""

MODELS: Mapping[str, type[ConnectionConfig]] = {
    "server": ServerConnection,
    "client": ClientConnection,
    "udp": UdpConnection,
}
"""``kind`` -> the model of such a connection."""


def model_of(table: object) -> type[ConnectionConfig]:
    """Return the model that a table is meant for; an unknown ``kind`` is a server's mistake."""
    kind = table.get("kind") if isinstance(table, Mapping) else getattr(table, "kind", None)
    return MODELS.get(str(kind).strip().lower(), ServerConnection)


def _read(value: object) -> ConnectionConfig:
    return model_of(value).model_validate(value)


class GatewayConfig(BaseModel):
    """Everything that one Portline process is to do: its connections by name, and its page.

    There may be no connections only where there is a page, on which some can be made.
    """

    model_config = ConfigDict(frozen=True)

    connections: dict[str, Annotated[ConnectionConfig, PlainValidator(_read)]]
    web: WebConfig | None = None

    @model_validator(mode="wrap")
    @classmethod
    def _with_rules(cls, data: Any, handler: ModelWrapValidatorHandler[_Model]) -> _Model:
        """Add what the names and the rules between connections say."""
        if not isinstance(data, Mapping):
            if isinstance(data, cls):
                return handler(data)
            raise refusal([Fault((), "must be a table with connections")])
        faults = [
            Fault((str(key),), _misplaced(str(key), value) or unknown(str(key), cls.model_fields))
            for key, value in data.items()
            if key not in cls.model_fields
        ]
        connections = data.get("connections", {})
        if isinstance(connections, list):
            text = "must be tables with names; write [connections.NAME], not [[connections]]"
            raise refusal([*faults, Fault(("connections",), text)])
        web = data.get("web")
        if not connections and faults and web is None:
            raise refusal(faults)
        if not isinstance(connections, Mapping) or not (connections or web is not None):
            text = 'no connections; write one, like: [connections.meter] with port = "/dev/ttyUSB0"'
            raise refusal([*faults, Fault(("connections",), text)])
        faults += [
            Fault(("connections", str(name)), wrong)
            for name in connections
            if (wrong := name_fault(str(name)))
        ]
        written = {
            str(name): _written(connection)
            for name, connection in connections.items()
            if isinstance(connection, Mapping | ServerConnection | ClientConnection | UdpConnection)
        }
        faults += [
            Fault(("connections", *fault.location), fault.text) for fault in clashes(written)
        ]
        if isinstance(web, Mapping | WebConfig):
            faults += page_clashes(web, written)
        return collected({"connections": dict(connections), "web": web}, faults, handler)


def _misplaced(key: str, value: object) -> str:
    """Return what to say of a table that looks like a connection outside of ``connections``."""
    if isinstance(value, Mapping) and value.keys() & {"port", "virtual", "listen", "connect"}:
        return f"is no table of its own; write [connections.{key}]"
    return ""


def _written(connection: Mapping[object, object] | ConnectionConfig) -> dict[str, object]:
    """Return what was written for a connection, by field names."""
    if isinstance(connection, Mapping):
        return folded(connection, model_of(connection).model_fields)[0]
    written = {name: getattr(connection, name) for name in connection.model_fields_set}
    return {"kind": connection.kind, **written}
