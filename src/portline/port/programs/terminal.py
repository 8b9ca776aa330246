"""The serving side of one virtual port, as the supervisor of a program sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    import os

    from portline.line import PortState, SetBreak, SetLine, SetModem
    from portline.port.programs.calls import LineCounts

__all__ = ["Action", "Terminal", "Terminals"]

Action: TypeAlias = "SetLine | SetModem | SetBreak"
"""What an application does to its side of a line."""


class Terminal(Protocol):
    """One pseudo terminal, and the process that serves it.  Used from one event loop.

    What is told while the serving side is gone is forgotten; nothing here raises but ``moved``.
    """

    @property
    def state(self) -> PortState:
        """What the application has set, and in ``lines`` what it reads.

        What was told shows here at once.
        """

    @property
    def counts(self) -> LineCounts:
        """How often the lines that the application reads have moved since it is known."""

    def tell(self, what: Action) -> None:
        """Let the serving side know what the application did."""

    async def confirmed(self) -> None:
        """Return once the serving side knows all that was told, after what was written before it.

        Takes at most some seconds: a serving side that does not answer holds no program up.
        """

    async def drained(self) -> None:
        """Return once everything that the program has written has left, as far as is known.

        Takes as long as the serving side gives it; returns at once when that is gone.
        """

    async def moved(self) -> None:
        """Return when a line that the application reads moves.

        Raises PortAbsent when the serving side is gone or goes.
        """


class Terminals(Protocol):
    """Where terminals are found."""

    async def find(self, found: os.stat_result) -> Terminal | None:
        """Return the terminal that a descriptor leads to, None if it is no virtual port's."""

    def close(self) -> None:
        """Let go of them all."""
