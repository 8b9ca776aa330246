"""The events of the process: its log from INFO on, the last of it, for whoever asks later.

It is kept whatever ``-v`` says, and however fast things happen: RING events, of each connection at
most ``LINES`` in ``PERIOD`` (:mod:`portline.service.process.shares`).
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portline.errors import clean
from portline.plural import plural
from portline.service.process.shares import Shares

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["EVENTS", "RING", "TEXT_MAX", "Event", "Events", "Reader", "message_of"]

RING: Final = 1000
"""Events that are kept: a morning of a quiet gateway, one and a half megabytes at the very most."""

TEXT_MAX: Final = 1000
"""Characters of a text; what is longer is cut."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that has happened ``at`` a time (seconds since 1970), numbered from 1.

    ``level`` is info, warning or error; ``connection`` is "" for what concerns the process.
    """

    number: int
    at: float
    level: str
    connection: str
    text: str


def message_of(record: logging.LogRecord, *, traced: bool = False) -> str:
    """Return the text of a record; the error that it is about follows unless it is ``traced``."""
    text = record.getMessage()
    error = record.exc_info[1] if record.exc_info else None
    if error is not None and not traced:
        text += f" ({type(error).__name__}: {error})"
    return text


class Events(logging.Handler):
    """The last RING events; records come from any thread, readers are of one loop each."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.last = 0
        """The number of the newest event; 0 before the first."""
        self._ring: deque[Event] = deque(maxlen=RING)
        self._shares = Shares()
        self._guard = threading.Lock()
        self._readers: tuple[Reader, ...] = ()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record, unless its connection has had its share."""
        try:
            wanted, left_out = self._shares.admits(record)
            if left_out:
                self._keep(record, f"{plural(left_out, 'event')} left out", logging.INFO)
            if wanted:
                self._keep(record, message_of(record), record.levelno)
        except Exception:
            self.handleError(record)

    def _keep(self, record: logging.LogRecord, text: str, level: int) -> None:
        self.last += 1
        name = "error" if level >= logging.ERROR else logging.getLevelName(level).lower()
        text = clean(text)
        if len(text) > TEXT_MAX:
            text = text[: TEXT_MAX - 3] + "..."
        connection = getattr(record, "connection", "")
        with self._guard:
            self._ring.append(Event(self.last, record.created, name, connection, text))
        for reader in self._readers:
            reader.notify()

    def since(self, number: int, limit: int = RING) -> list[Event]:
        """Return at most ``limit`` events that are newer than ``number``, the oldest first."""
        with self._guard:
            newer = [event for event in self._ring if event.number > number]
        return newer[:limit]

    def read(self, since: int, ready: Callable[[], None]) -> Reader:
        """Begin to read behind the number ``since``; of the loop that is running."""
        reader = Reader(self, since, ready)
        with self._guard:
            self._readers = (*self._readers, reader)
        return reader

    def forget(self, reader: Reader) -> None:
        """Call a reader no more."""
        with self._guard:
            self._readers = tuple(each for each in self._readers if each is not reader)


class Reader:
    """Reads the events of a process one after the other; ``ready()`` is called in its loop.

    Not again before :meth:`take` has left nothing behind.
    """

    def __init__(self, events: Events, since: int, ready: Callable[[], None]) -> None:
        self._events = events
        self._number = min(since, events.last)  # those of an earlier process began at 1, too
        self._ready = ready
        self._loop = asyncio.get_running_loop()
        self._told = False

    @property
    def waiting(self) -> bool:
        """Tell whether there is something to take."""
        return self._events.last > self._number

    def take(self, limit: int = RING) -> tuple[list[Event], int]:
        """Return at most ``limit`` further events, and how many before them are kept no more."""
        self._told = False
        found = self._events.since(self._number, limit)
        if not found:
            return [], 0
        missed = found[0].number - self._number - 1
        self._number = found[-1].number
        self._told = self.waiting
        return found, missed

    def close(self) -> None:
        """Read no more."""
        self._events.forget(self)

    def notify(self) -> None:
        """Note, from any thread, that there is something."""
        if not self._told:
            self._told = True
            with suppress(RuntimeError):  # the loop has ended, and nobody waits
                self._loop.call_soon_threadsafe(self._ready)


EVENTS: Final = Events()
"""Those of this process: as there is one log, there is one of these.  It hears what
:func:`portline.service.process.log.start_logging` lets it."""
