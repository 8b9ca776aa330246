"""Log records for people and for programs that read them: one line each, ``key=value`` facts.

The standard library's logging is used as it is; a further library would cost 4 to 6 MB of memory
and a tenth of a second at each start for the same lines (docs/explanation/performance.md).
"""

from __future__ import annotations

import logging
import sys
import time
from typing import Final

from portline.errors import clean

__all__ = ["LINES", "NOTICE", "PERIOD", "start_logging"]

LINES: Final = 20
"""Events of one connection that are written in PERIOD; a person reads no faster.  Notices, warnings
and errors, which tell each trouble once, always are, and so is everything with ``-vv``."""

PERIOD: Final = 1.0
"""Seconds.  A peer may cause as many events as it likes, and none of them must fill a disk."""

NOTICE: Final = 25
"""What is worth a line always, and is no trouble: that one which was told is over.  The word is
that of syslog (RFC 5424, table 2)."""

logging.addLevelName(NOTICE, "NOTICE")

_LEVELS: Final = (NOTICE, logging.INFO, logging.DEBUG)


class _Line(logging.Formatter):
    """``2026-11-22 20:31:05 warning meter: message``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line; a traceback follows only when everything is shown."""
        name = getattr(record, "connection", record.name)
        when = self.formatTime(record, "%Y-%m-%d %H:%M:%S")
        text = f"{when} {record.levelname.lower()} {name}: {record.getMessage()}"
        error = record.exc_info[1] if record.exc_info else None
        traced = error is not None and logging.getLogger().isEnabledFor(logging.DEBUG)
        if error is not None and not traced:
            text += f" ({type(error).__name__}: {error})"
        # asyncio's messages have several lines, and an error's text may be anything.
        text = clean(text)
        if traced and record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text


class _Bounded(logging.StreamHandler):  # type: ignore[type-arg]  # of any text stream
    """Writes at most LINES events of each connection in PERIOD, and how many it left out."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self._periods: dict[str, _Period] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, unless its connection has had its share."""
        name = getattr(record, "connection", None)
        if name is None or logging.getLogger().isEnabledFor(logging.DEBUG):
            super().emit(record)
            return
        period = self._periods.get(name)
        now = time.monotonic()
        if period is None or now - period.begun >= PERIOD:
            left_out = 0 if period is None else period.left_out
            period = self._periods[name] = _Period(now)
            if left_out:
                super().emit(_left_out(record, left_out))
        if record.levelno < NOTICE:
            period.events += 1
            if period.events > LINES:
                period.left_out += 1
                return
        super().emit(record)


class _Period:
    """What one connection has had written since ``begun`` (monotonic seconds)."""

    __slots__ = ("begun", "events", "left_out")

    def __init__(self, begun: float) -> None:
        self.begun = begun
        self.events = 0
        self.left_out = 0


def _left_out(record: logging.LogRecord, count: int) -> logging.LogRecord:
    """Return a record that tells of lines which were left out, before this one."""
    text = f"{count} events left out (more than {LINES} in {PERIOD:g} s; -vv writes all)"
    told = logging.LogRecord(record.name, logging.INFO, "", 0, text, None, None)
    told.connection = getattr(record, "connection", "")
    return told


def start_logging(verbose: int) -> None:
    """Write log lines to standard error: 0 notices and what is worse, 1 events too, 2 everything.

    Of the events of one connection, at most LINES in PERIOD.
    """
    handler = _Bounded()
    handler.setFormatter(_Line())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS[min(verbose, len(_LEVELS) - 1)])
    # asyncio warns of its own affairs (slow callbacks in debug mode), which are not the user's.
    logging.getLogger("asyncio").setLevel(logging.DEBUG if verbose > 1 else logging.ERROR)
