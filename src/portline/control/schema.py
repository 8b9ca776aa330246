"""JSON Schemas (2020-12) of what operations answer, made from the types of their results.

They describe exactly what :func:`portline.control.snapshot.plain` and
:func:`portline.control.message.encode_result` make of a result: every field is there, and no other.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from portline.line import Parity
from portline.recording.record import Kind, Source

if TYPE_CHECKING:
    from portline.control.operations.operation import Operation, Result

__all__ = ["RECORD", "parameters_schema", "result_schema", "schema_of", "snapshot_schema"]

Schema = dict[str, Any]

_PLAIN: Final[Mapping[object, Schema]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    type(None): {"type": "null"},
    object: {},
}

_VALUE: Final[Schema] = {
    "type": ["null", "boolean", "number", "string", "array"],
    "items": {"type": "string"},
}
"""The value of an option: what a file holds, or null where there is none."""


RECORD: Final[Schema] = {
    "type": "object",
    "properties": {
        "at": {"type": "number", "description": "Seconds since 1970."},
        "source": {"enum": [source.value for source in Source]},
        "peer": {"type": "string"},
        "kind": {"enum": [kind.value for kind in Kind]},
        "data": {"type": "string", "contentEncoding": "base64"},
        "text": {"type": "string"},
        "value": {"type": "object"},
    },
    "required": ["at", "source", "peer", "kind"],
    "additionalProperties": False,
}
"""What :meth:`portline.recording.record.Record.plain` makes."""


@cache
def result_schema(result: type[Result]) -> Schema:
    """Return the schema of a result."""
    return schema_of(result)


def parameters_schema(operation: Operation) -> Schema:
    """Return the schema of the parameters of an operation, as one object."""
    return {
        "type": "object",
        "properties": {
            each.name: {**each.schema, "description": each.text} for each in operation.parameters
        },
        "required": [each.name for each in operation.parameters if each.needed],
        "additionalProperties": False,
    }


@cache
def snapshot_schema() -> Schema:
    """Return the schema of a connection in a status (:mod:`portline.control.snapshot`)."""
    from portline.service.status import ConnectionStatus

    hints = _hints(ConnectionStatus)
    rest = {
        name: schema_of(hint)
        for name, hint in hints.items()
        if name not in ("config", "counts") and hint is not int
    }
    rate: Schema = {"type": ["number", "null"]}
    return _object(
        {
            **rest,
            "rates": _object({"heard": rate, "spoken": rate}),
            "counters": {
                **_object({name: _PLAIN[int] for name, hint in hints.items() if hint is int}),
                "additionalProperties": _PLAIN[int],
            },
            "options": {"type": "object", "additionalProperties": _VALUE},
            "not_applicable": {"type": "object", "additionalProperties": _PLAIN[str]},
        }
    )


def schema_of(hint: Any) -> Schema:
    """Return the schema of a value of a type.  Raises TypeError for one that has none."""
    if hint in _PLAIN:
        return dict(_PLAIN[hint])
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _one_of([schema_of(each) for each in arguments])
    if origin in (list, frozenset, Iterator, Sequence) or (
        origin is tuple and arguments[1:] == (...,)
    ):
        return {"type": "array", "items": schema_of(arguments[0])}
    if origin in (dict, Mapping):
        return {"type": "object", "additionalProperties": schema_of(arguments[1])}
    if isinstance(hint, type) and issubclass(hint, Enum):
        # As plain() has them: a parity by its name, the others by their values.
        values = [each.name.lower() if hint is Parity else each.value for each in hint]
        return {"enum": values}
    if dataclasses.is_dataclass(hint):
        hints = _hints(hint)
        return _object(
            {field.name: _described(field, hints[field.name]) for field in dataclasses.fields(hint)}
        )
    raise TypeError(f"{hint!r} has no JSON schema")


def _described(field: dataclasses.Field[Any], hint: object) -> Schema:
    """Return the schema of a field, which may name what its items are."""
    items = field.metadata.get("schema")
    return schema_of(hint) if items is None else {"type": "array", "items": items()}


def _one_of(schemas: list[Schema]) -> Schema:
    kinds = [schema.get("type") for schema in schemas]
    if all(isinstance(kind, str) for kind in kinds) and not any(
        schema.keys() - {"type"} for schema in schemas
    ):
        return {"type": kinds}
    return {"anyOf": schemas}


def _object(properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _hints(made: Any) -> dict[str, Any]:
    return typing.get_type_hints(made, localns=_names())


@cache
def _names() -> dict[str, object]:
    """Return what the annotations of results name and their modules import for checkers only."""
    from portline.config.models import ConnectionConfig
    from portline.control.operations.subject import PageStatus, Process
    from portline.line import Item, LineSettings, ModemLines
    from portline.net.tls.channel import Security
    from portline.port.hardware import Hardware
    from portline.port.inventory.holder import Holder
    from portline.port.inventory.ports import Usb
    from portline.port.inventory.topology import Socket
    from portline.service.peer.remote import RemoteSetting
    from portline.service.status import State

    return {
        "ConnectionConfig": ConnectionConfig,
        "Hardware": Hardware,
        "Holder": Holder,
        "Item": Item,
        "Iterator": Iterator,
        "LineSettings": LineSettings,
        "Mapping": Mapping,
        "ModemLines": ModemLines,
        "PageStatus": PageStatus,
        "Process": Process,
        "RemoteSetting": RemoteSetting,
        "Security": Security,
        "Socket": Socket,
        "State": State,
        "Usb": Usb,
    }
