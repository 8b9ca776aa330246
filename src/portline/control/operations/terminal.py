"""The operation that makes a terminal of the caller's socket."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portline.control.operations.operation import Operation, Result
from portline.control.operations.parameters import NAME

if TYPE_CHECKING:
    from portline.control.operations.subject import Subject
    from portline.service.operator.operators import Admission

__all__ = ["TERMINAL", "Granted", "Terminal"]


@dataclass(frozen=True, slots=True)
class Terminal(Result):
    """The result of ``terminal``: the connection and its port; RFC 2217 follows on the socket.

    ``has_lines``: whether the port has signal lines at all.
    """

    name: str
    port: str
    has_lines: bool


@dataclass(frozen=True, slots=True)
class Granted(Result):
    """A ``terminal`` to tell the caller of; ``admission`` waits for its socket, to be used once."""

    terminal: Terminal
    admission: Admission


async def _terminal(subject: Subject, *, name: str) -> Granted:
    """Open a terminal at a connection: the socket speaks RFC 2217 behind the line of the result."""
    connection = subject.connection(name)
    admission = await connection.operators.admit()
    process, port = subject.process, connection.port
    return Granted(process, Terminal(process, name, port.name, port.has_lines), admission)


TERMINAL: Final = (Operation("terminal", (NAME,), Terminal, _terminal, changes=True, local=True),)
"""terminal."""
