"""What comes from a serial port or from a peer beside the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from portline.line.requests import Item, Request
from portline.line.state import LineSettings, ModemLines, shown

__all__ = [
    "BreakChange",
    "Event",
    "Flow",
    "Gone",
    "LineChange",
    "LineFault",
    "ModemChange",
    "Report",
    "Told",
    "Watch",
]

# --- reports: from the serial side --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ModemChange:
    """The lines that the port reads are now ``lines``."""

    lines: ModemLines

    def __str__(self) -> str:
        """Write ``lines=CTS DSR``."""
        return f"lines={self.lines}"


@dataclass(frozen=True, slots=True)
class LineChange:
    """The settings of the local port are now ``settings`` (an application changed them)."""

    settings: LineSettings


@dataclass(frozen=True, slots=True)
class BreakChange:
    """The application of a virtual port began (``on``) or ended the break condition."""

    on: bool


@dataclass(frozen=True, slots=True)
class LineFault:
    """Something was wrong with what the line received; several may coincide."""

    overrun: bool = False
    parity: bool = False
    framing: bool = False
    break_received: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """A remote access server told the value in force of ``item``.

    ``request`` is our request that this answers, or None when the server told it by itself.  The
    type of ``value`` is that of the item: int, Parity, StopBits, FlowControl, bool, str; it is None
    when no answer has come in time.
    """

    item: Item
    value: object
    request: Request | None = None

    def __str__(self) -> str:
        """Write ``baudrate=9600``."""
        if self.value is None:
            return f"nothing about {self.item.value}"
        return f"{self.item.value}={shown(self.value)}"


# --- what a peer says about the connection itself -----------------------------------------------


@dataclass(frozen=True, slots=True)
class Flow:
    """The peer wants data held back (``suspended``) or coming again."""

    suspended: bool


@dataclass(frozen=True, slots=True)
class Watch:
    """The peer wants to be told of modem line changes and of line faults, or no longer."""

    modem_lines: bool
    faults: bool


@dataclass(frozen=True, slots=True)
class Gone:
    """The peer or the port is gone; ``reason`` is for people."""

    reason: str = ""


Report: TypeAlias = ModemChange | LineChange | BreakChange | LineFault | Told
Event: TypeAlias = bytes | Request | Report | Flow | Watch | Gone
