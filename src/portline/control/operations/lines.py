"""Operations on the signal lines of a connection's port."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portline.control.operations.operation import Operation, Parameter, Result
from portline.control.operations.parameters import NAME, TEXT
from portline.hub.pulses import Pulse, pulse

if TYPE_CHECKING:
    from portline.control.operations.subject import Subject

__all__ = ["LINES", "Pulsed"]


@dataclass(frozen=True, slots=True)
class Pulsed(Result):
    """The result of ``pulse``: the connection whose lines were moved, and how."""

    name: str
    sequence: str


def _sequence(value: object) -> Pulse:
    if isinstance(value, str):
        return pulse(value)
    raise ValueError("sequence must be a text")


async def _pulse(subject: Subject, *, name: str, sequence: Pulse) -> Pulsed:
    """Move DTR and RTS of a connection's real port in a sequence, with its exact timing."""
    connection = subject.connection(name)
    await connection.resets.pulse(sequence, is_open=connection.keeper.open)
    return Pulsed(subject.process, name, sequence.text)


LINES: Final = (
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
)
"""pulse."""
