"""Operations on the port of a connection: its signal lines, breaks, settings."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from portline.config.connection import options
from portline.config.models import ServerConnection
from portline.config.options import key_of
from portline.config.rules import unknown
from portline.control.operations.operation import Operation, Parameter, Result
from portline.control.operations.parameters import NAME, TABLE, TEXT, table
from portline.errors import ConfigError
from portline.hub.pulses import NAMED, Pulse, pulse
from portline.line import BREAK_PULSE, SetLine
from portline.port.tty.orders import BREAK_LIMIT
from portline.service.adoption import SETTINGS
from portline.service.local.panel import INPUTS, OUTPUTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from portline.control.operations.subject import Subject
    from portline.line import LineSettings

__all__ = ["PANEL", "BreakSent", "Lines", "Pulsed", "Sequence", "Sequences", "Settings"]

BREAK_MIN: Final = 0.001
"""Seconds; a shorter break is not told from a character of zeros at most rates."""


@dataclass(frozen=True, slots=True)
class Pulsed(Result):
    """The result of ``pulse``: the connection whose lines were moved, and how."""

    name: str
    sequence: str


@dataclass(frozen=True, slots=True)
class Sequence:
    """A sequence that has a name: its steps, and what it is for."""

    name: str
    steps: str
    about: str


@dataclass(frozen=True, slots=True)
class Sequences(Result):
    """The result of ``sequences``: the names that ``pulse`` knows."""

    sequences: list[Sequence]


@dataclass(frozen=True, slots=True)
class Lines(Result):
    """The result of ``lines``: the levels now, and the lines that can be driven here.

    Of a virtual port the levels are what its application reads.  ``note`` says who cannot see them,
    "" for nobody.
    """

    name: str
    lines: dict[str, bool]
    driven: tuple[str, ...]
    note: str


@dataclass(frozen=True, slots=True)
class BreakSent(Result):
    """The result of ``break``: the connection, and for how many seconds."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Settings(Result):
    """The result of ``settings``: what is in force now, and the same in the usual notation."""

    name: str
    settings: LineSettings
    notation: str


def _sequence(value: object) -> Pulse:
    if isinstance(value, str):
        return pulse(value)
    raise ValueError("sequence must be a text")


def _levels(value: object) -> Mapping[str, bool | None]:
    if isinstance(value, dict) and all(
        level is None or isinstance(level, bool) for level in value.values()
    ):
        return value
    raise ValueError("lines must be a table of lines, each with true, false, or null")


def _seconds(value: object) -> float:
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
    if BREAK_MIN <= number <= BREAK_LIMIT:
        return float(number)
    raise ValueError(f"seconds must be a number in {BREAK_MIN:g} to {BREAK_LIMIT:g}")


async def _pulse(subject: Subject, *, name: str, sequence: Pulse) -> Pulsed:
    """Move DTR and RTS of a connection's real port in a sequence, with its exact timing."""
    connection = subject.connection(name)
    await connection.resets.pulse(sequence, is_open=connection.keeper.open)
    return Pulsed(subject.process, name, sequence.text)


async def _sequences(subject: Subject) -> Sequences:
    """List the sequences that have a name for ``pulse``, with their steps."""
    named = [Sequence(name, each.text, each.about) for name, each in NAMED.items()]
    return Sequences(subject.process, named)


async def _lines(subject: Subject, *, name: str, lines: Mapping[str, bool | None]) -> Lines:
    """Drive the lines of a port until something else decides them; say how all of them are.

    A real port drives DTR and RTS; the application of a virtual one reads CTS, DSR, DCD and RI.
    """
    connection = subject.connection(name)
    panel = connection.panel
    await panel.drive(lines)
    return Lines(subject.process, name, await panel.levels(), panel.switches, panel.unseen)


async def _break(subject: Subject, *, name: str, seconds: float) -> BreakSent:
    """Send a break; the application of a virtual port reads one, where it can."""
    await subject.connection(name).panel.send_break(seconds)
    return BreakSent(subject.process, name, seconds)


async def _settings(subject: Subject, *, name: str, options: Mapping[str, object]) -> Settings:
    """Put settings of a real port in force, not in the file; say what all of them are."""
    connection = subject.connection(name)
    found = await connection.panel.set(_change(options))
    return Settings(subject.process, name, found, str(found))


def _change(given: Mapping[str, object]) -> SetLine:
    """Return the change that options mean.  Raises ConfigError with every mistake."""
    known = options(ServerConnection)
    values: dict[str, object] = {}
    faults = []
    for key, value in given.items():
        field = key.replace("-", "_")
        if field not in SETTINGS:
            faults.append((key, unknown(key, map(key_of, SETTINGS))))
            continue
        try:
            values[field] = known[field].kind.read(value)
        except ValueError as error:
            faults.append((key_of(field), str(error)))
    if faults:
        raise ConfigError([f"{key}: {text}" for key, text in faults], faults)
    return SetLine(**values)  # type: ignore[arg-type]


PANEL: Final = (
    Operation(
        "pulse",
        (
            NAME,
            Parameter(
                "sequence",
                'A name like esp32, or steps like "dtr=0 rts=1 wait=0.1 rts=0".',
                _sequence,
                TEXT,
                needed=True,
            ),
        ),
        Pulsed,
        _pulse,
        changes=True,
    ),
    Operation("sequences", (), Sequences, _sequences, changes=False),
    Operation(
        "lines",
        (
            NAME,
            Parameter(
                "lines",
                "Lines and their levels; null leaves one to the configuration again.",
                _levels,
                {
                    "type": "object",
                    "properties": {
                        line: {"type": ["boolean", "null"]} for line in (*OUTPUTS, *INPUTS)
                    },
                    "additionalProperties": False,
                },
                MappingProxyType({}),
            ),
        ),
        Lines,
        _lines,
        changes=True,
    ),
    Operation(
        "break",
        (
            NAME,
            Parameter(
                "seconds",
                "How long.",
                _seconds,
                {"type": "number", "minimum": BREAK_MIN, "maximum": BREAK_LIMIT},
                BREAK_PULSE,
            ),
        ),
        BreakSent,
        _break,
        changes=True,
    ),
    Operation(
        "settings",
        (
            NAME,
            Parameter(
                "options",
                f"{', '.join(map(key_of, SETTINGS))}, as in a file; those that change.",
                table,
                TABLE,
                MappingProxyType({}),
            ),
        ),
        Settings,
        _settings,
        changes=True,
    ),
)
"""pulse, sequences, lines, break, settings."""
