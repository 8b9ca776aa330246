"""Log records for people and for programs that read them: one line each, ``key=value`` facts.

The standard library's logging is used as it is; a further library would cost 4 to 6 MB of memory
and a tenth of a second at each start for the same lines (docs/explanation/performance.md).
"""

from __future__ import annotations

import logging
import sys
from typing import Final

__all__ = ["start_logging"]

_LEVELS: Final = (logging.WARNING, logging.INFO, logging.DEBUG)


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
        text = text.replace("\r", "\\r").replace("\n", "\\n")
        if traced and record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text


def start_logging(verbose: int) -> None:
    """Write log lines to standard error: 0 warnings and errors, 1 events too, 2 everything."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS[min(verbose, len(_LEVELS) - 1)])
    # asyncio warns of its own affairs (slow callbacks in debug mode), which are not the user's.
    logging.getLogger("asyncio").setLevel(logging.DEBUG if verbose > 1 else logging.ERROR)
