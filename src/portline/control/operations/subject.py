"""What operations work on: a running Portline, and who that is."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import portline
from portline.errors import NameUnknown

if TYPE_CHECKING:
    from collections.abc import Callable

    from portline.control.rates import Rates
    from portline.service.connection import Connection
    from portline.service.gateway import Gateway

__all__ = ["PageStatus", "Process", "Served", "Subject"]


@dataclass(frozen=True, slots=True)
class Process:
    """Who answers: which command it is, since how many seconds, and the file it has read."""

    pid: int
    command: str
    file: str | None
    version: str
    up_for: float


class Served(Protocol):
    """What runs; see :class:`portline.service.process.run.Service`."""

    @property
    def gateway(self) -> Gateway:
        """The connections."""

    async def reload(self) -> list[str]:
        """Read the configuration again and put it in force; return a line for each change.

        Raises ConfigError, with nothing changed, for its mistakes, and UsageError where there is no
        file to read.
        """

    async def edit(self, edit: Callable[[str], str]) -> list[str]:
        """Change the text of the configuration file and put it in force; as ``reload`` otherwise.

        Raises also what ``edit`` raises.
        """

    async def restart(self) -> None:
        """Begin anew in the same process, soon after this has returned.

        Raises ConfigError, with nothing changed, for mistakes in the file, and UsageError where
        that cannot be.
        """


@dataclass(frozen=True, slots=True)
class PageStatus:
    """The page: its ``addresses`` now, why there is none (``error``, else ""), and its counters.

    ``counters`` are how many connections and sessions there are, and what was refused or failed
    since it is there, by the reason.
    """

    addresses: list[str]
    error: str
    counters: dict[str, int]


@dataclass(frozen=True, slots=True)
class Subject:
    """What operations work on: a running Portline, the ``command`` that it is and its ``file``.

    ``pages`` has what tells of the page, where there is one.  ``control`` counts whom the control
    socket has refused since the start, because there were too many already.
    """

    served: Served
    rates: Rates
    command: str
    file: str | None = None
    started: float = field(default_factory=time.monotonic)
    pages: list[Callable[[], PageStatus | None]] = field(default_factory=list)
    control: dict[str, int] = field(
        default_factory=lambda: {"callers_refused": 0, "streams_refused": 0}
    )

    @property
    def process(self) -> Process:
        """Who answers."""
        up_for = round(time.monotonic() - self.started, 1)
        # A path may hold bytes that are no text, which JSON cannot carry.
        file = None if self.file is None else self.file.encode("utf-8", "replace").decode()
        return Process(os.getpid(), self.command, file, portline.__version__, up_for)

    @property
    def page(self) -> PageStatus | None:
        """What is to be told of the page; None where there is none."""
        return next((status for page in self.pages if (status := page()) is not None), None)

    def connection(self, name: str) -> Connection:
        """Return the connection of a name.  Raises NameUnknown."""
        connections = self.served.gateway.connections
        if name not in connections:
            raise NameUnknown(name, connections)
        return connections[name]
