"""Log records for people and for programs that read them: one line each, ``key=value`` facts.

The standard library's logging is used as it is; a further library would cost 4 to 6 MB of memory
and a tenth of a second at each start for the same lines (docs/explanation/performance.md).
"""

from __future__ import annotations

import logging
import sys
from typing import Final

from portline.errors import clean
from portline.plural import plural
from portline.service.process.events import EVENTS, message_of
from portline.service.process.shares import LINES, NOTICE, PERIOD, Shares

__all__ = ["LINES", "NOTICE", "PERIOD", "hush_asyncio", "start_logging"]

_LEVELS: Final = (NOTICE, logging.INFO, logging.DEBUG)


class _Line(logging.Formatter):
    """``2026-11-22 20:31:05 warning meter: message``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line; a traceback follows only when everything is shown."""
        name = getattr(record, "connection", record.name)
        when = self.formatTime(record, "%Y-%m-%d %H:%M:%S")
        error = record.exc_info[1] if record.exc_info else None
        traced = error is not None and logging.getLogger().isEnabledFor(logging.DEBUG)
        text = f"{when} {record.levelname.lower()} {name}: {message_of(record, traced=traced)}"
        # asyncio's messages have several lines, and an error's text may be anything.
        text = clean(text)
        if traced and record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text


class _Bounded(logging.StreamHandler):  # type: ignore[type-arg]  # of any text stream
    """Writes at most LINES events of each connection in PERIOD, and how many it left out."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self._shares = Shares()

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, unless its connection has had its share."""
        if logging.getLogger().isEnabledFor(logging.DEBUG):
            super().emit(record)
            return
        wanted, left_out = self._shares.admits(record)
        if left_out:
            super().emit(_left_out(record, left_out))
        if wanted:
            super().emit(record)


def _left_out(record: logging.LogRecord, count: int) -> logging.LogRecord:
    """Return a record that tells of lines which were left out, before this one."""
    text = f"{plural(count, 'event')} left out (more than {LINES} in {PERIOD:g} s; -vv writes all)"
    told = logging.LogRecord(record.name, logging.INFO, "", 0, text, None, None)
    told.connection = getattr(record, "connection", "")
    return told


def start_logging(verbose: int) -> None:
    """Write log lines to standard error: 0 notices and what is worse, 1 events too, 2 everything.

    Of the events of one connection, at most LINES in PERIOD; ``-vv`` writes all.  Whatever is
    written, :data:`portline.service.process.events.EVENTS` has the events from now on.
    """
    handler = _Bounded()
    handler.setFormatter(_Line())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    level = _LEVELS[min(verbose, len(_LEVELS) - 1)]
    root.setLevel(level)
    handler.setLevel(level)
    own = logging.getLogger("portline")
    own.setLevel(min(level, logging.INFO))
    if EVENTS not in own.handlers:
        own.addHandler(EVENTS)
    hush_asyncio(logging.DEBUG if verbose > 1 else logging.ERROR)


def hush_asyncio(level: int = logging.ERROR) -> None:
    """Leave out what asyncio says of its own affairs below ``level``.

    Those, slow callbacks in debug mode, are not the user's.
    """
    logging.getLogger("asyncio").setLevel(level)
