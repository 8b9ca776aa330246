"""Whom of several peers the port hears, and who hears the port (mission 1.5)."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Overflow", "Selection", "select"]

P = TypeVar("P")


class Selection(Enum):
    """Which of the peers; the order is the order in which they connected."""

    NONE = "none"
    FIRST = "first"
    LAST = "last"
    LAST_ACTIVE = "last-active"
    ALL = "all"


class Overflow(Enum):
    """What happens to a peer that stays behind while others go on."""

    DROP_OLDEST = "drop-oldest"
    DISCONNECT = "disconnect"


def select(selection: Selection, peers: Sequence[P], activity: Sequence[P]) -> tuple[P, ...]:
    """Return the peers that ``selection`` means.

    ``peers`` are in the order in which they connected, ``activity`` holds those of them that have
    sent something, the one that sent last at the end.  "Last active" is nobody until somebody has
    sent something.
    """
    match selection:
        case Selection.ALL:
            return tuple(peers)
        case Selection.FIRST:
            return tuple(peers[:1])
        case Selection.LAST:
            return tuple(peers[-1:])
        case Selection.LAST_ACTIVE:
            return tuple(activity[-1:])
        case Selection.NONE:
            return ()
