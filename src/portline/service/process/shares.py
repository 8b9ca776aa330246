"""How many log records each connection may have: nobody is to fill a disk, or a page."""

from __future__ import annotations

import logging
import time
from typing import Final

__all__ = ["LINES", "NOTICE", "PERIOD", "Shares"]

LINES: Final = 20
"""Events of one connection that are written in PERIOD; a person reads no faster.  Notices, warnings
and errors, which tell each trouble once, always are."""

PERIOD: Final = 1.0
"""Seconds.  A peer may cause as many events as it likes, and none of them must fill a disk."""

NOTICE: Final = 25
"""What is worth a line always, and is no trouble: that one which was told is over.  The word is
that of syslog (RFC 5424, table 2)."""

logging.addLevelName(NOTICE, "NOTICE")


class Shares:
    """The shares of all connections."""

    def __init__(self) -> None:
        self._periods: dict[str, _Period] = {}

    def admits(self, record: logging.LogRecord) -> tuple[bool, int]:
        """Return whether a record is to be written, and how many were left out before it.

        Those are to be told first; they are told once.
        """
        name = getattr(record, "connection", None)
        if name is None:
            return True, 0
        period = self._periods.get(name)
        now = time.monotonic()
        left_out = 0
        if period is None or now - period.begun >= PERIOD:
            left_out = 0 if period is None else period.left_out
            period = self._periods[name] = _Period(now)
        if record.levelno < NOTICE:
            period.events += 1
            if period.events > LINES:
                period.left_out += 1
                return False, 0
        return True, left_out


class _Period:
    """What one connection has had written since ``begun`` (monotonic seconds)."""

    __slots__ = ("begun", "events", "left_out")

    def __init__(self, begun: float) -> None:
        self.begun = begun
        self.events = 0
        self.left_out = 0
