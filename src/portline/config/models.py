"""The configuration as frozen pydantic models.

Whoever makes a model, from a file, the command line or Python, gets every mistake at once: each
model collects what its values, its keys and the rules between its options have to say before it
raises one ``ValidationError``, whose ``loc`` are the names of fields and whose ``msg`` are whole
sentences.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, model_validator

from portline.config.refusal import collected, refusal
from portline.config.rules import Fault, clashes, folded, name_fault, unknown
from portline.config.server import DEFAULT_LISTEN, ServerConnection, options
from portline.config.values import Address, Listen, Protocol
from portline.hub.lines import Level

__all__ = [
    "DEFAULT_LISTEN",
    "Address",
    "GatewayConfig",
    "Level",
    "Listen",
    "Protocol",
    "ServerConnection",
    "options",
]

_Model = TypeVar("_Model", bound=BaseModel)


class GatewayConfig(BaseModel):
    """Everything that one Portline process is to do: its connections by name."""

    model_config = ConfigDict(frozen=True)

    connections: dict[str, ServerConnection]

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
        if not connections and faults:
            raise refusal(faults)
        if not isinstance(connections, Mapping) or not connections:
            text = 'no connections; write one, like: [connections.meter] with port = "/dev/ttyUSB0"'
            raise refusal([*faults, Fault(("connections",), text)])
        faults += [
            Fault(("connections", str(name)), wrong)
            for name in connections
            if (wrong := name_fault(str(name)))
        ]
        faults += [
            Fault(("connections", *fault.location), fault.text)
            for fault in clashes(
                {
                    str(name): _written(connection)
                    for name, connection in connections.items()
                    if isinstance(connection, Mapping | ServerConnection)
                }
            )
        ]
        return collected({"connections": dict(connections)}, faults, handler)


def _misplaced(key: str, value: object) -> str:
    """Return what to say of a table that looks like a connection outside of ``connections``."""
    if isinstance(value, Mapping) and value.keys() & {"port", "virtual", "listen"}:
        return f"is no table of its own; write [connections.{key}]"
    return ""


def _written(connection: Mapping[object, object] | ServerConnection) -> dict[str, object]:
    """Return what was written for a connection, by field names."""
    if isinstance(connection, ServerConnection):
        return {name: getattr(connection, name) for name in connection.model_fields_set}
    return folded(connection, ServerConnection.model_fields)[0]
