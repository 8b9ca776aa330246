"""What is said on a control socket: one JSON object in a line, each way.

::

    {"portline": 1, "operation": "status", "parameters": {"names": ["meter"]}}
    {"portline": 1, "result": {...}}
    {"portline": 1, "events": [{...}, ...]}
    {"portline": 1, "errors": ["..."], "mistakes": false, "usage": false}
    {"portline": 1, "errors": ["..."], "mistakes": true, "faults": [{"option": "", "text": ""}]}

``portline`` is the version of this protocol.  ``events`` come behind the result of a stream, one
line after the other, until the caller goes away or there will be no more.  ``errors`` are whole
sentences, one line each; ``mistakes`` tells that they are those of a configuration, and ``faults``
has them by option then (:class:`portline.errors.ConfigError`); ``usage`` tells that the request
itself was wrong.  Pydantic's JSON is used because it is loaded already where the data flows, and
several times as fast as the standard library's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import from_json, to_json

from portline.errors import ConfigError, PortlineError, UsageError

if TYPE_CHECKING:
    from portline.control.operations.operation import Result

__all__ = [
    "LINE_MAX",
    "VERSION",
    "Request",
    "encode_error",
    "encode_items",
    "encode_result",
    "items_of",
    "pieces",
    "result_of",
]

VERSION: Final = 1

LINE_MAX: Final = 64 * 1024
"""Bytes of a request with its newline: a status of a thousand names, each of 64 characters."""


@dataclass(frozen=True, slots=True)
class Request:
    """One operation that is asked for."""

    operation: str
    parameters: Mapping[str, object]

    def encode(self) -> bytes:
        """Return the line."""
        words = {
            "portline": VERSION,
            "operation": self.operation,
            "parameters": dict(self.parameters),
        }
        return to_json(words) + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> Request:
        """Read a line.  Raises UsageError, in one line."""
        match _object(line):
            case {"portline": version} if version != VERSION or isinstance(version, bool):
                raise UsageError(f"this Portline speaks version {VERSION} of the protocol only")
            case {"portline": _, "operation": str(name), **rest}:
                parameters = rest.pop("parameters", {})
                if isinstance(parameters, dict) and not rest:
                    return cls(name, parameters)
            case _:
                pass
        raise UsageError(
            'a request is a line like {"portline": 1, "operation": "status", "parameters": {}}'
        )


def encode_result(result: Result) -> Iterator[bytes]:
    """Return the line of a result in pieces, so that a long one need not be made at once."""

    return pieces(result, b'{"portline":%d,"result":' % VERSION, b"}\n")


def pieces(result: Result, before: bytes = b"", after: bytes = b"") -> Iterator[bytes]:
    """Yield the JSON of a result, in as many pieces as its long parts have.

    A part whose metadata say ``plain`` is written as it is: texts, numbers, lists, tables and
    dataclasses of them, which costs a fifth.
    """
    from portline.control.snapshot import plain  # who only asks does without all the options

    piece = before + b"{"
    for number, field in enumerate(fields(result)):
        value = getattr(result, field.name)
        piece += b"," * bool(number) + to_json(field.name) + b":"
        if not isinstance(value, Iterator):
            piece += to_json(value if field.metadata.get("plain") else plain(value))
            continue
        piece += b"["
        for count, item in enumerate(value):
            yield piece + b"," * bool(count) + to_json(item)
            piece = b""
        piece += b"]"
    yield piece + b"}" + after


def encode_items(items: list[dict[str, object]]) -> bytes:
    """Return the line of some things that a stream tells."""
    return to_json({"portline": VERSION, "events": items}) + b"\n"


def items_of(line: bytes) -> list[dict[str, Any]]:
    """Return the things that a line of a stream tells.  Raises PortlineError."""
    match _object(line):
        case {"portline": int(version), "events": list(items)} if version == VERSION and all(
            isinstance(item, dict) for item in items
        ):
            return items
        case _:
            raise PortlineError("the answer is not one that this Portline understands")


def encode_error(error: PortlineError) -> bytes:
    """Return the line that tells of an error."""
    words: dict[str, object] = {"portline": VERSION}
    match error:
        case ConfigError():
            faults = [{"option": _line(key), "text": _line(text)} for key, text in error.faults]
            words |= {"errors": list(map(_line, error.mistakes)), "mistakes": True}
            words |= {"faults": faults}
        case _:
            is_usage = isinstance(error, UsageError)
            words |= {"errors": [_line(str(error))], "mistakes": False, "usage": is_usage}
    return to_json(words) + b"\n"


def _line(text: str) -> str:
    return " ".join(text.split()).encode("utf-8", "replace").decode()


def result_of(line: bytes) -> dict[str, object]:
    """Return the result that a line holds.

    Raises ConfigError for mistakes of a configuration, UsageError for a request that was wrong,
    PortlineError for other errors and for what is no answer.
    """
    match _object(line):
        case {"portline": int(version), "result": dict(result)} if version == VERSION:
            return result
        case {"portline": _, "errors": list(errors), "mistakes": mistakes, **rest}:
            lines = [" ".join(str(error).split()) for error in errors]
            if mistakes is True:
                raise ConfigError(lines, _faults(rest.get("faults")))
            text = "\n".join(lines)
            raise UsageError(text) if rest.get("usage") is True else PortlineError(text)
        case _:
            raise PortlineError("the answer is not one that this Portline understands")


def _faults(found: object) -> list[tuple[str, str]]:
    faults = []
    for each in found if isinstance(found, list) else []:
        match each:
            case {"option": str(option), "text": str(text)}:
                faults.append((_line(option), _line(text)))
            case _:
                pass
    return faults


def _object(line: bytes) -> object:
    try:
        return from_json(line)
    except ValueError:
        return None
