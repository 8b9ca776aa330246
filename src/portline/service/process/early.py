"""Signals that come while the program still begins: kept until there is somebody to act on them.

The kernel ends a process at SIGHUP and SIGUSR2 unless something takes them, and a service manager
may send one right after the start, long before the event loop is there.
"""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["CHANGING", "held", "hold"]

CHANGING: Final = (signal.SIGHUP, signal.SIGUSR2)
"""Signals that a service goes on after: one to reload, one to restart."""

_CAME: Final[set[int]] = set()


def hold() -> None:
    """Keep the signals of CHANGING from now on, until other handlers take their places."""
    if threading.current_thread() is threading.main_thread():
        for number in CHANGING:
            signal.signal(number, _note)


def held() -> frozenset[int]:
    """Return which of them have come since ``hold``, once."""
    came = frozenset(_CAME)
    _CAME.clear()
    return came


def _note(number: int, _frame: FrameType | None) -> None:
    _CAME.add(number)
