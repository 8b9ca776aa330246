"""What can be asked of a running Portline: one table for every face that asks.

Each operation has a name, typed parameters, a typed result and a text.  The socket
(:mod:`portline.control.server`) and the commands are made from :data:`OPERATIONS`; whatever else
comes to ask should be, too.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import portline
from portline.control.snapshot import snapshot
from portline.errors import UsageError
from portline.hub.pulses import Pulse, pulse

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping

    from portline.control.rates import Rates
    from portline.service.gateway import Gateway
    from portline.service.operator.operators import Admission

__all__ = [
    "OPERATIONS",
    "Changed",
    "Granted",
    "Operation",
    "Parameter",
    "Process",
    "Pulsed",
    "Restarting",
    "Result",
    "Served",
    "Status",
    "Subject",
    "Terminal",
]


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
class Subject:
    """What operations work on: a running Portline, the ``command`` that it is and its ``file``."""

    served: Served
    rates: Rates
    command: str
    file: str | None = None
    started: float = field(default_factory=time.monotonic)

    @property
    def process(self) -> Process:
        """Who answers."""
        up_for = round(time.monotonic() - self.started, 1)
        # A path may hold bytes that are no text, which JSON cannot carry.
        file = None if self.file is None else self.file.encode("utf-8", "replace").decode()
        return Process(os.getpid(), self.command, file, portline.__version__, up_for)


@dataclass(frozen=True, slots=True)
class Status:
    """The result of ``status``.

    A connection is a :func:`portline.control.snapshot.snapshot`, made when it is its turn, because
    a thousand of them at once would hold the data up.
    """

    process: Process
    connections: Iterator[dict[str, object]]


@dataclass(frozen=True, slots=True)
class Changed:
    """The result of what may change the configuration: a line for each change."""

    process: Process
    changes: list[str]


@dataclass(frozen=True, slots=True)
class Restarting:
    """The result of ``restart``: who is about to begin anew, under the same pid."""

    process: Process


@dataclass(frozen=True, slots=True)
class Pulsed:
    """The result of ``pulse``: the connection whose lines were moved, and how."""

    process: Process
    name: str
    sequence: str


@dataclass(frozen=True)
class Terminal:
    """The result of ``terminal``: the connection and its port; RFC 2217 follows on the socket."""

    process: Process
    name: str
    port: str


class Granted(Terminal):
    """A terminal that waits for the caller's socket; ``admission`` takes it, or is withdrawn."""

    def __init__(self, terminal: Terminal, admission: Admission) -> None:
        super().__init__(terminal.process, terminal.name, terminal.port)
        self._admission = (admission,)

    @property
    def admission(self) -> Admission:
        """What is to be used, once."""
        return self._admission[0]


Result: TypeAlias = Status | Changed | Restarting | Pulsed | Terminal


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter; it may be left out unless ``default`` is None and ``needed`` is set.

    ``read`` raises ValueError.
    """

    name: str
    text: str
    read: Callable[[object], object]
    default: object
    needed: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: ``run`` takes the subject and the parameters, all of them, by name."""

    name: str
    parameters: tuple[Parameter, ...]
    result: type[Result]
    run: Callable[..., Coroutine[None, None, Result]]
    changes: bool
    """Whether something may be different afterwards."""

    @property
    def text(self) -> str:
        """What it does, in a sentence or some more."""
        return self.run.__doc__ or ""

    def arguments(self, given: Mapping[str, object]) -> dict[str, Any]:
        """Return every parameter with its value.  Raises UsageError, in one line."""
        known = {parameter.name: parameter for parameter in self.parameters}
        for name in given:
            if name not in known:
                names = ", ".join(known) or "none"
                raise UsageError(f"{self.name}: no parameter {name!r}; there are: {names}")
        for parameter in self.parameters:
            if parameter.needed and parameter.name not in given:
                raise UsageError(f"{self.name}: needs the parameter {parameter.name!r}")
        try:
            return {
                name: parameter.read(given[name]) if name in given else parameter.default
                for name, parameter in known.items()
            }
        except ValueError as error:
            raise UsageError(f"{self.name}: {error}") from None


def _names(value: object) -> frozenset[str] | None:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return frozenset(value)
    raise ValueError("names must be a list of texts")


async def _status(subject: Subject, *, names: frozenset[str] | None) -> Status:
    """Tell what each connection is, does and has done."""

    def connections() -> Iterator[dict[str, object]]:
        for status in subject.served.gateway.each_status():
            if names is None or status.name in names:
                rates = subject.rates.of(status.name, status.heard, status.spoken)
                yield snapshot(status, rates)

    return Status(subject.process, connections())


async def _reload(subject: Subject) -> Changed:
    """Read the configuration file again; put what is different in force, or change nothing."""
    return Changed(subject.process, await subject.served.reload())


async def _restart(subject: Subject) -> Restarting:
    """Begin anew in the same process; USB/IP ports stay open for their applications."""
    await subject.served.restart()
    return Restarting(subject.process)


def _text(value: object) -> str:
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise ValueError("name must be a text")


def _options(value: object) -> Mapping[str, object]:
    if isinstance(value, dict):
        return value
    raise ValueError("options must be a table of options and their values")


async def _add(subject: Subject, *, name: str, options: Mapping[str, object]) -> Changed:
    """Add a connection to the configuration file, and begin with it."""
    from portline.config import editing  # its parser is needed by few who run

    lines = await subject.served.edit(partial(editing.added, name=name, options=options))
    return Changed(subject.process, lines)


async def _update(
    subject: Subject, *, name: str, options: Mapping[str, object], rename: str
) -> Changed:
    """Change options of a connection in the configuration file, and put them in force."""
    from portline.config import editing

    edit = partial(editing.updated, name=name, options=options, rename=rename)
    return Changed(subject.process, await subject.served.edit(edit))


async def _remove(subject: Subject, *, name: str) -> Changed:
    """Take a connection out of the configuration file, and end it."""
    from portline.config import editing

    lines = await subject.served.edit(partial(editing.removed, name=name))
    return Changed(subject.process, lines)


def _sequence(value: object) -> Pulse:
    if isinstance(value, str):
        return pulse(value)
    raise ValueError("sequence must be a text")


async def _pulse(subject: Subject, *, name: str, sequence: Pulse) -> Pulsed:
    """Move DTR and RTS of a connection's real port in a sequence, with its exact timing."""
    connection = subject.served.gateway.connections.get(name)
    if connection is None:
        raise UsageError(f"there is no connection {name!r} here; see `portline status`")
    await connection.resets.pulse(sequence, is_open=connection.keeper.open)
    return Pulsed(subject.process, name, sequence.text)


async def _terminal(subject: Subject, *, name: str) -> Terminal:
    """Open a terminal at a connection: the socket speaks RFC 2217 behind the line of the result."""
    connection = subject.served.gateway.connections.get(name)
    if connection is None:
        raise UsageError(f"there is no connection {name!r} here; see `portline status`")
    admission = await connection.operators.admit()
    return Granted(Terminal(subject.process, name, connection.port.name), admission)


OPERATIONS: Final[Mapping[str, Operation]] = {
    operation.name: operation
    for operation in (
        Operation(
            "status",
            (
                Parameter(
                    "names",
                    "Only these connections, where they exist; all if left out.",
                    _names,
                    None,
                ),
            ),
            Status,
            _status,
            changes=False,
        ),
        Operation("reload", (), Changed, _reload, changes=True),
        Operation(
            "add",
            (
                Parameter("name", "What it is called.", _text, None, needed=True),
                Parameter(
                    "options",
                    "Its options, kind among them, as in a file.",
                    _options,
                    None,
                    needed=True,
                ),
            ),
            Changed,
            _add,
            changes=True,
        ),
        Operation(
            "update",
            (
                Parameter("name", "The connection.", _text, None, needed=True),
                Parameter(
                    "options",
                    "What changes; null takes an option out.",
                    _options,
                    MappingProxyType({}),
                ),
                Parameter("rename", "What it is called from now on.", _text, ""),
            ),
            Changed,
            _update,
            changes=True,
        ),
        Operation(
            "remove",
            (Parameter("name", "The connection.", _text, None, needed=True),),
            Changed,
            _remove,
            changes=True,
        ),
        Operation("restart", (), Restarting, _restart, changes=True),
        Operation(
            "pulse",
            (
                Parameter("name", "The connection.", _text, None, needed=True),
                Parameter(
                    "sequence",
                    'A name like esp32, or steps like "dtr=0 rts=1 wait=0.1 rts=0".',
                    _sequence,
                    None,
                    needed=True,
                ),
            ),
            Pulsed,
            _pulse,
            changes=True,
        ),
        Operation(
            "terminal",
            (Parameter("name", "The connection.", _text, None, needed=True),),
            Terminal,
            _terminal,
            changes=True,
        ),
    )
}
"""Every operation by its name."""
