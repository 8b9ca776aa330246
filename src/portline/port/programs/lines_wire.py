"""What is said between the process that serves a virtual port and the supervisor of a program.

One JSON object in a line, each way, over a Unix socket::

    <- {"state": {"settings": {...}, "dtr": true, "rts": true, "break": false, "cts": false, ...}}
    -> {"number": 1, "line": {"data_bits": 7, "parity": "E"}}
    -> {"number": 2, "modem": {"rts": false}}
    -> {"number": 3, "break": true}
    -> {"number": 4, "drain": true}
    <- {"done": 1}

The serving side tells the state first, and again after each change; it answers each number once
with "done": a change when it is in force, after the state that it led to, a drain when everything
that the program wrote before has left, as far as that is known.  Drains may be overtaken.

Pure: no I/O.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from portline.line import (
    FlowControl,
    LineSettings,
    ModemLines,
    Parity,
    PortState,
    SetBreak,
    SetLine,
    SetModem,
    StopBits,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["LINE_MAX", "Asked", "Done", "DrainFirst", "Splitter", "address", "decode", "encode"]

LINE_MAX: Final = 1024
"""Bytes of a line with its end; the longest that is written has about 250."""


@dataclass(frozen=True, slots=True)
class DrainFirst:
    """Answer when everything written before has left."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Something that the program did, or waits for; ``number`` is that of its answer."""

    number: int
    what: SetLine | SetModem | SetBreak | DrainFirst


@dataclass(frozen=True, slots=True)
class Done:
    """What had this number is done."""

    number: int


Message: TypeAlias = Asked | Done | PortState


def address(device: int, terminal: int) -> bytes:
    """Return the abstract socket of a terminal: of the file system ``device`` (``st_dev``), the
    device number ``terminal`` (``st_rdev``).
    """
    return b"\0portline-lines-%d-%d" % (device, terminal)


def encode(message: Message) -> bytes:
    """Return the line."""
    match message:
        case Done(number):
            said: dict[str, Any] = {"done": number}
        case PortState():
            said = {"state": _state(message)}
        case Asked(number, what):
            said = {"number": number, **_asked(what)}
    return json.dumps(said, separators=(",", ":")).encode() + b"\n"


def _asked(what: SetLine | SetModem | SetBreak | DrainFirst) -> dict[str, Any]:
    match what:
        case SetLine():
            return {"line": _plain(what)}
        case SetModem():
            return {"modem": _plain(what)}
        case SetBreak(on):
            return {"break": on}
        case DrainFirst():
            return {"drain": True}


def decode(line: bytes) -> Message:
    """Read a line.  Raises ValueError for anything else."""
    try:
        return _read(json.loads(line))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"not understood: {error}") from error


def _read(said: object) -> Message:
    match said:
        case {"done": int(number)}:
            return Done(number)
        case {"state": dict(state)}:
            return _state_of(state)
        case {"number": int(number), "line": dict(line)}:
            return Asked(number, SetLine(**_line(line)))
        case {"number": int(number), "modem": dict(modem)}:
            return Asked(number, SetModem(**_levels(modem, ("dtr", "rts"))))
        case {"number": int(number), "break": bool(on)}:
            return Asked(number, SetBreak(on))
        case {"number": int(number), "drain": True}:
            return Asked(number, DrainFirst())
        case _:
            raise ValueError("no such message")


class Splitter:
    """Makes lines of what comes in pieces."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterable[bytes]:
        """Return the lines that are complete.  Raises ValueError for one that is too long."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if any(len(line) >= LINE_MAX for line in (*lines, self._rest)):
            raise ValueError(f"a line has more than {LINE_MAX} bytes")
        return lines


# --- values ---------------------------------------------------------------------------------------

_KINDS: Final = {
    "parity": Parity,
    "stop_bits": StopBits,
    "flow_control": FlowControl,
    "inbound_flow": FlowControl,
}

_RANGES: Final = {"baudrate": range(1 << 32), "data_bits": range(5, 9)}
"""A rate of 0 never comes from a supervisor; a state may have it before an application came."""

_LINES: Final = tuple(field.name for field in fields(ModemLines))


def _plain(value: SetLine | SetModem | LineSettings | ModemLines) -> dict[str, Any]:
    """Return the fields that are not None."""
    found = {field.name: getattr(value, field.name) for field in fields(value)}
    return {
        name: item.value if isinstance(item, Enum) else item
        for name, item in found.items()
        if item is not None
    }


def _line(given: dict[str, Any]) -> dict[str, Any]:
    """Return settings by name, each of its type and in its range."""
    return {name: _setting(name, value) for name, value in given.items()}


def _setting(name: str, value: object) -> object:
    if name in _KINDS:
        return _KINDS[name](value)
    if isinstance(value, int) and not isinstance(value, bool) and value in _RANGES[name]:
        return value
    raise ValueError(f"{name} is out of range")


def _levels(given: dict[str, Any], names: Iterable[str]) -> dict[str, bool]:
    if not all(isinstance(given[name], bool) for name in given):
        raise ValueError("a level is true or false")
    return {name: given[name] for name in names if name in given}


def _state(state: PortState) -> dict[str, Any]:
    return {
        "settings": _plain(state.settings),
        "dtr": state.dtr,
        "rts": state.rts,
        "break": state.break_on,
        **_plain(state.lines),
    }


def _state_of(given: dict[str, Any]) -> PortState:
    settings = given.pop("settings")
    if not isinstance(settings, dict):
        raise TypeError("settings are an object")
    levels = _levels(given, ("dtr", "rts", "break", *_LINES))
    return PortState(
        settings=LineSettings(**_line(settings)),
        dtr=levels["dtr"],
        rts=levels["rts"],
        break_on=levels["break"],
        lines=ModemLines(**{name: levels[name] for name in _LINES}),
    )
