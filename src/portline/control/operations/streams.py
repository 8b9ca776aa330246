"""Operations that go on telling: the events of the process, and what passes at a connection."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portline.control.operations.operation import Operation, Parameter, Result
from portline.control.operations.parameters import NAME
from portline.control.schema import RECORD, schema_of
from portline.control.snapshot import plain
from portline.plural import plural
from portline.service.process.events import EVENTS, Event

if TYPE_CHECKING:
    from collections.abc import Callable

    from portline.control.operations.subject import Subject
    from portline.service.monitor.watcher import Watcher
    from portline.service.process.events import Reader

__all__ = ["STREAMS", "EventFeed", "Following", "Levels", "Monitored", "RecordFeed"]

EVENTS_TAKEN: Final = 100
"""Events that are told at once."""


@dataclass(frozen=True, slots=True)
class Following(Result):
    """The result of ``events``: the number of the newest event."""

    last: int


@dataclass(frozen=True, slots=True)
class Levels:
    """The signal lines of a real port: what it reads, and what it drives."""

    cts: bool
    dsr: bool
    dcd: bool
    ri: bool
    dtr: bool
    rts: bool


@dataclass(frozen=True, slots=True)
class Monitored(Result):
    """The result of ``monitor``: the connection as it is when the watch begins.

    ``lines`` are those of a real port; None for a virtual one, and one that has none.
    """

    name: str
    port: str
    virtual: bool
    open: bool
    settings: str
    lines: Levels | None
    peers: list[str]


class EventFeed:
    """The events of this process."""

    def __init__(self, since: int, ready: Callable[[], None]) -> None:
        self._reader: Reader = EVENTS.read(since, ready)
        self._begun = since <= 0

    @property
    def waiting(self) -> bool:
        """Tell whether something can be taken."""
        return self._reader.waiting

    @property
    def ended(self) -> bool:
        """It does not end by itself."""
        return False

    def take(self) -> list[dict[str, object]]:
        """Return events as JSON has them; one without a number of its own tells of a gap."""
        found, missed = self._reader.take(EVENTS_TAKEN)
        told = [_event(event) for event in found]
        if missed and not self._begun:
            # Who asks for all there is has missed nothing.
            text = f"{plural(missed, 'event')} skipped: not read while kept"
            gap = Event(found[0].number - 1, time.time(), "warning", "", text)
            told.insert(0, _event(gap))
        self._begun = self._begun and not found
        return told

    def close(self) -> None:
        """Take no more."""
        self._reader.close()


def _event(event: Event) -> dict[str, object]:
    told = plain(event)
    assert isinstance(told, dict)
    return told


class RecordFeed:
    """What passes at a connection."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher

    @property
    def waiting(self) -> bool:
        """Tell whether something can be taken."""
        return self._watcher.waiting

    @property
    def ended(self) -> bool:
        """Tell whether the connection is no more, and everything has been taken."""
        return self._watcher.ended

    def take(self) -> list[dict[str, object]]:
        """Return records as JSON has them."""
        return [record.plain() for record in self._watcher.take()]

    def close(self) -> None:
        """Watch no more."""
        self._watcher.close()


def _since(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError("since must be the number of an event, or 0")


async def _events(subject: Subject, *, since: int) -> Following:
    """Tell the events of this process, those that it still has and those to come."""
    return Following(subject.process, EVENTS.last)


def _follow(_subject: Subject, ready: Callable[[], None], *, since: int) -> EventFeed:
    return EventFeed(since, ready)


async def _monitor(subject: Subject, *, name: str) -> Monitored:
    """Tell everything that passes and happens at a connection, from now on."""
    connection = subject.connection(name)
    port = connection.port
    state = port.state
    lines = state.lines
    real = not connection.config.is_virtual and port.has_lines
    return Monitored(
        subject.process,
        name,
        port.name,
        connection.config.is_virtual,
        connection.keeper.open,
        str(connection.settings),
        Levels(lines.cts, lines.dsr, lines.dcd, lines.ri, state.dtr, state.rts) if real else None,
        [session.name for session in connection.hub.peers],
    )


def _watch(subject: Subject, ready: Callable[[], None], *, name: str) -> RecordFeed:
    return RecordFeed(subject.served.gateway.watch(name, ready))


STREAMS: Final = (
    Operation(
        "events",
        (
            Parameter(
                "since",
                "Only events with a higher number; 0 for all that are kept.",
                _since,
                {"type": "integer", "minimum": 0},
                0,
            ),
        ),
        Following,
        _events,
        changes=False,
        opens=_follow,
        item=lambda: schema_of(Event),
    ),
    Operation(
        "monitor",
        (NAME,),
        Monitored,
        _monitor,
        changes=False,
        opens=_watch,
        item=lambda: RECORD,
    ),
)
"""events, monitor."""
