"""Operations on a running Portline as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from portline.control.operations.operation import Operation, Parameter, Result
from portline.control.schema import snapshot_schema
from portline.control.snapshot import snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from portline.control.operations.subject import PageStatus, Subject

__all__ = ["PROCESS", "Changed", "Restarting", "Status"]


@dataclass(frozen=True, slots=True)
class Status(Result):
    """The result of ``status``.

    A connection is a :func:`portline.control.snapshot.snapshot`, made when it is its turn, because
    a thousand of them at once would hold the data up.  ``control`` counts whom the control socket
    has refused.
    """

    connections: Iterator[dict[str, object]] = field(metadata={"schema": snapshot_schema})
    page: PageStatus | None
    control: dict[str, int]


@dataclass(frozen=True, slots=True)
class Changed(Result):
    """The result of what may change the configuration: a line for each change."""

    changes: list[str]


@dataclass(frozen=True, slots=True)
class Restarting(Result):
    """The result of ``restart``: who is about to begin anew, under the same pid."""


def _names(value: object) -> frozenset[str] | None:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return frozenset(value)
    raise ValueError("names must be a list of texts")


async def _status(subject: Subject, *, names: frozenset[str] | None) -> Status:
    """Tell what each connection is, does and has done."""

    def connections() -> Iterator[dict[str, object]]:
        for status in subject.served.gateway.each_status(names):
            rates = subject.rates.of(status.name, status.heard, status.spoken)
            yield snapshot(status, rates)

    return Status(subject.process, connections(), subject.page, dict(subject.control))


async def _reload(subject: Subject) -> Changed:
    """Read the configuration file again; put what is different in force, or change nothing."""
    return Changed(subject.process, await subject.served.reload())


async def _restart(subject: Subject) -> Restarting:
    """Begin anew in the same process; USB/IP ports stay open for their applications."""
    await subject.served.restart()
    return Restarting(subject.process)


PROCESS: Final = (
    Operation(
        "status",
        (
            Parameter(
                "names",
                "Only these connections, where they exist; all if left out.",
                _names,
                {"type": "array", "items": {"type": "string"}},
            ),
        ),
        Status,
        _status,
        changes=False,
    ),
    Operation("reload", (), Changed, _reload, changes=True),
    Operation("restart", (), Restarting, _restart, changes=True),
)
"""status, reload, restart."""
