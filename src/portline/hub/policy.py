"""Whom of several peers the port hears, who hears the port, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, TypeVar

from portline.line import Hold, SendBreak, SetBreak, SetInputs, SetLine, SetModem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from portline.line import Request

__all__ = [
    "BufferOverflow",
    "Occupant",
    "Overflow",
    "Permissions",
    "Selection",
    "WhenFull",
    "give_way",
    "select",
]

P = TypeVar("P")


class Selection(Enum):
    """Which of the peers; the order is the order in which they connected."""

    NONE = "none"
    FIRST = "first"
    LAST = "last"
    LAST_ACTIVE = "last-active"
    ALL = "all"


class WhenFull(Enum):
    """What a newcomer does to a connection that is full."""

    REFUSE = "refuse"
    REPLACE_OLDEST = "replace-oldest"
    REPLACE_IDLE = "replace-idle"
    REPLACE_SAME_ADDRESS = "replace-same-address"


@dataclass(frozen=True, slots=True)
class Occupant:
    """What counts of a peer when its place is wanted.  Times are monotonic, in seconds.

    ``host`` is its address without the port; ``active_at`` when data last moved in either
    direction, which is ``connected_at`` while none has.
    """

    host: str
    connected_at: float
    active_at: float


class Overflow(Enum):
    """What happens to a peer that stays behind while others go on."""

    DROP_OLDEST = "drop-oldest"
    DISCONNECT = "disconnect"


class BufferOverflow(Enum):
    """What happens to what exceeds the buffer for the time while nobody is connected."""

    DROP_NEWEST = "drop-newest"
    DROP_OLDEST = "drop-oldest"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class Permissions:
    """What a controlling peer may do to the line, class by class."""

    settings: bool = True
    dtr: bool = True
    rts: bool = True
    send_break: bool = True

    def allows(self, request: Request) -> bool:
        """Tell whether a request may be carried out; asking and purging always may."""
        match request:
            case SetLine():
                return self.settings
            case SetModem(dtr=dtr, rts=rts):
                return (dtr is None or self.dtr) and (rts is None or self.rts)
            case SetBreak() | SendBreak():
                return self.send_break
            case SetInputs() | Hold():
                return False  # decided here (portline.hub), not by a peer
            case _:
                return True


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


def give_way(
    rule: WhenFull, occupants: Sequence[Occupant], newcomer: str, *, idle_after: float, now: float
) -> int | None:
    """Return which of ``occupants`` is replaced by a peer from the host ``newcomer``.

    ``occupants`` are in the order in which they connected; the result is a place in it, or None
    when nobody has to go.  ``idle_after`` is in seconds.
    """
    candidates = range(len(occupants))
    match rule:
        case WhenFull.REFUSE:
            return None
        case WhenFull.REPLACE_IDLE:
            idle = [i for i in candidates if now - occupants[i].active_at >= idle_after]
            return min(idle, key=lambda i: occupants[i].active_at, default=None)
        case WhenFull.REPLACE_OLDEST:
            found = list(candidates)
        case WhenFull.REPLACE_SAME_ADDRESS:
            found = [i for i in candidates if occupants[i].host == newcomer]
    return found[0] if found else None
