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


@dataclass(frozen=True)
class Terminal(Result):
    """The result of ``terminal``: the connection and its port; RFC 2217 follows on the socket.

    ``has_lines``: whether the port has signal lines at all.
    """

    name: str
    port: str
    has_lines: bool


class Granted(Terminal):
    """A terminal that waits for the caller's socket; ``admission`` takes it, or is withdrawn."""

    def __init__(self, terminal: Terminal, admission: Admission) -> None:
        super().__init__(terminal.process, terminal.name, terminal.port, terminal.has_lines)
        object.__setattr__(self, "_admission", admission)  # it is frozen

    @property
    def admission(self) -> Admission:
        """What is to be used, once."""
        found: Admission = self.__dict__["_admission"]
        return found


async def _terminal(subject: Subject, *, name: str) -> Terminal:
    """Open a terminal at a connection: the socket speaks RFC 2217 behind the line of the result."""
    connection = subject.connection(name)
    admission = await connection.operators.admit()
    port = connection.port
    return Granted(Terminal(subject.process, name, port.name, port.has_lines), admission)


TERMINAL: Final = (Operation("terminal", (NAME,), Terminal, _terminal, changes=True, local=True),)
"""terminal."""
