"""How bits travel on a line, and what is in force at a port at one moment."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from enum import Enum
from typing import Final

__all__ = [
    "BAUDRATE_MAX",
    "BAUDRATE_MIN",
    "DATA_BITS",
    "FlowControl",
    "LineSettings",
    "ModemLines",
    "Parity",
    "PortState",
    "StopBits",
    "shown",
]

BAUDRATE_MIN: Final = 50
"""Bits per second; the slowest rate that UARTs offer (POSIX B50)."""

BAUDRATE_MAX: Final = 4_000_000
"""Bits per second; the fastest rate of Linux' table (B4000000)."""

DATA_BITS: Final = (5, 6, 7, 8)


class Parity(Enum):
    """The parity bit; the value is the letter of the usual notation "8N1"."""

    NONE = "N"
    ODD = "O"
    EVEN = "E"
    MARK = "M"
    SPACE = "S"


class StopBits(Enum):
    """The length of the pause after a character; the value is how people write it."""

    ONE = "1"
    ONE_AND_A_HALF = "1.5"
    TWO = "2"


class FlowControl(Enum):
    """How a receiver holds a sender back."""

    NONE = "none"
    XON_XOFF = "xon-xoff"
    HARDWARE = "hardware"


@dataclass(frozen=True, slots=True)
class LineSettings:
    """How bits travel on the line: ``baudrate`` in bits per second, ``data_bits`` from 5 to 8.

    Whether a value is possible is for the port to say; only :meth:`parse` looks at ranges.
    ``flow_control`` is the flow control of what the port sends, and of what it receives too unless
    ``inbound_flow`` says otherwise (RFC 2217 SET-CONTROL 0-3 and 13-16).
    """

    baudrate: int = 9600
    data_bits: int = 8
    parity: Parity = Parity.NONE
    stop_bits: StopBits = StopBits.ONE
    flow_control: FlowControl = FlowControl.NONE
    inbound_flow: FlowControl | None = None

    def __post_init__(self) -> None:
        """Keep one spelling of "the same in both directions", so that equal lines are equal."""
        if self.inbound_flow is self.flow_control:
            object.__setattr__(self, "inbound_flow", None)

    @property
    def inbound(self) -> FlowControl:
        """The flow control of what the port receives."""
        return self.flow_control if self.inbound_flow is None else self.inbound_flow

    @property
    def bits_per_character(self) -> float:
        """Start, data, parity and stop bits: what one character occupies on the line."""
        parity = 0 if self.parity is Parity.NONE else 1
        return 1 + self.data_bits + parity + float(self.stop_bits.value)

    @property
    def character_time(self) -> float:
        """Seconds that one character occupies on the line."""
        return self.bits_per_character / self.baudrate

    def __str__(self) -> str:
        """Write the usual notation: ``9600-8N1``, with flow control: ``115200-8E1 hardware``."""
        text = f"{self.baudrate}-{self.data_bits}{self.parity.value}{self.stop_bits.value}"
        if self.flow_control is not FlowControl.NONE:
            text += f" {self.flow_control.value}"
        if self.inbound_flow is not None:
            text += f" inbound {self.inbound_flow.value}"
        return text

    @classmethod
    def parse(cls, text: str) -> LineSettings:
        """Read ``9600-8N1``, ``9600,8,N,1``, ``9600 8n1`` or a bare ``9600``.

        Raises ValueError, with the shape that is expected, for anything else.
        """
        match = _NOTATION.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text!r} is not a line setting like 9600-8N1")
        settings = cls(baudrate=int(match["baudrate"]))
        if match["bits"]:
            settings = replace(
                settings,
                data_bits=int(match["bits"]),
                parity=Parity(match["parity"].upper()),
                stop_bits=StopBits(match["stop"]),
            )
        if not BAUDRATE_MIN <= settings.baudrate <= BAUDRATE_MAX:
            raise ValueError(f"baudrate {settings.baudrate} is not in 50..4000000")
        return settings


_NOTATION: Final = re.compile(
    r"(?P<baudrate>\d{1,8})"
    r"(?:[-, ]\s*(?P<bits>[5-8])[-, ]?(?P<parity>[noemsNOEMS])[-, ]?(?P<stop>1\.5|1|2))?"
)


@dataclass(frozen=True, slots=True)
class ModemLines:
    """The four lines that a port reads (it is the DTE; RFC 2217 NOTIFY-MODEMSTATE)."""

    cts: bool = False
    dsr: bool = False
    dcd: bool = False
    ri: bool = False

    def __str__(self) -> str:
        """Name the lines that are on: ``CTS DSR``, or ``-`` for none."""
        return " ".join(f.name.upper() for f in fields(self) if getattr(self, f.name)) or "-"


@dataclass(frozen=True, slots=True)
class PortState:
    """What is in force at a port at one moment: the answer to every request.

    ``dtr`` and ``rts`` are the outputs; on a port that has no such lines they are what was last
    asked for.  ``idle`` tells that everything handed over has left the transmitter, as far as the
    hardware can tell.
    """

    settings: LineSettings = LineSettings()
    dtr: bool = False
    rts: bool = False
    break_on: bool = False
    lines: ModemLines = ModemLines()
    idle: bool = True

    def __str__(self) -> str:
        """Write ``9600-8N1 dtr=on rts=off break=off``."""
        levels = {"dtr": self.dtr, "rts": self.rts, "break": self.break_on}
        return " ".join([str(self.settings), *(f"{k}={shown(v)}" for k, v in levels.items())])


def shown(value: object) -> str:
    """Write a setting, a level or text as configuration files spell it."""
    match value:
        case bool():
            return "on" if value else "off"
        case Parity():
            return value.name.lower()
        case _:
            return str(getattr(value, "value", value))
