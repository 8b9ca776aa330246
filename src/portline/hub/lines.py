"""What the application of a virtual port reads from its signal lines, pure.

Theory of operation
-------------------
A virtual port is the far end of a null modem cable to its application: what the application drives
arrives here crossed over (:func:`crossed`), and what it reads is decided here, line by line, by the
level that is configured for the moment - a peer is connected, or nobody is:

=========  ===========================  =====================================================
level      the remote side tells it     it does not, or may not
=========  ===========================  =====================================================
high, low  held                         held
leave      what it tells                what it was before
follow     what it tells                the application's own output: CTS from RTS, DSR and
                                        DCD from DTR, RI off - a plug that loops them back
=========  ===========================  =====================================================

Each event gives one new value of all four lines.  So a line whose state is the same before and
after a transition is never anything else in between.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import Enum
from typing import TYPE_CHECKING, Final

from portline.line import ModemLines

if TYPE_CHECKING:
    from portline.line import SetModem

__all__ = ["InputRules", "Level", "LineRule", "RemoteLines", "Situation", "crossed"]


class Level(Enum):
    """What is done to a signal line."""

    HIGH = "high"
    LOW = "low"
    LEAVE = "leave"
    FOLLOW = "follow"

    @property
    def driven(self) -> bool | None:
        """True or False for a line that is driven, None for one that is left alone or follows."""
        return self is Level.HIGH if self in (Level.HIGH, Level.LOW) else None


def crossed(*, dtr: bool, rts: bool) -> ModemLines:
    """Return what the far end of a null modem cable reads of these outputs."""
    return ModemLines(cts=rts, dsr=dtr, dcd=dtr)


@dataclass(frozen=True, slots=True)
class LineRule:
    """How one line is decided while somebody is connected, and while nobody is.

    ``taken_over`` allows that the remote side tells the line, where the level leaves it open.
    """

    connected: Level = Level.FOLLOW
    disconnected: Level = Level.FOLLOW
    taken_over: bool = True

    def decided(self, *, connected: bool, told: bool | None, own: bool, before: bool) -> bool:
        """Return the line's state; ``told`` is None for what the remote side does not tell."""
        level = self.connected if connected else self.disconnected
        if level.driven is not None:
            return level.driven
        if told is not None and self.taken_over:
            return told
        return before if level is Level.LEAVE else own


@dataclass(frozen=True, slots=True)
class RemoteLines:
    """What the remote side tells of the lines that the application reads; None: it does not."""

    cts: bool | None = None
    dsr: bool | None = None
    dcd: bool | None = None
    ri: bool | None = None

    @classmethod
    def of_access_server(cls, lines: ModemLines) -> RemoteLines:
        """Return what a remote port's own lines say: they are the application's, uncrossed."""
        return cls(lines.cts, lines.dsr, lines.dcd, lines.ri)

    def driven(self, outputs: SetModem) -> RemoteLines:
        """Return what is told when a peer at the other end of the cable drives its outputs.

        What it leaves alone stays as it was.
        """
        told = self
        if outputs.rts is not None:
            told = replace(told, cts=outputs.rts)
        if outputs.dtr is not None:
            told = replace(told, dsr=outputs.dtr, dcd=outputs.dtr)
        return told


_SILENT: Final = RemoteLines()
_OFF: Final = ModemLines()


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything from which the lines follow.

    ``outputs`` are the application's DTR and RTS, crossed over; ``remote`` is nothing for a peer
    whose protocol has no words for lines, and while nobody is connected.
    """

    connected: bool = False
    outputs: ModemLines = _OFF
    remote: RemoteLines = _SILENT


@dataclass(frozen=True, slots=True)
class InputRules:
    """The rules of all four lines."""

    cts: LineRule = LineRule()
    dsr: LineRule = LineRule()
    dcd: LineRule = LineRule()
    ri: LineRule = LineRule()

    def decided(self, situation: Situation, before: ModemLines) -> ModemLines:
        """Return what the application reads now; ``before`` is what it has read until now."""
        states = {}
        for line in fields(self):
            rule: LineRule = getattr(self, line.name)
            states[line.name] = rule.decided(
                connected=situation.connected,
                told=getattr(situation.remote, line.name) if situation.connected else None,
                own=getattr(situation.outputs, line.name),
                before=getattr(before, line.name),
            )
        return ModemLines(**states)
