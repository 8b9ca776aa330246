"""What goes towards a serial port beside the data, each answered once with the state in force."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import Enum
from typing import Final, TypeAlias

from portline.line.state import (
    FlowControl,
    LineSettings,
    ModemLines,
    Parity,
    PortState,
    StopBits,
    shown,
)

__all__ = [
    "BREAK_PULSE",
    "Hold",
    "Item",
    "Purge",
    "Query",
    "Request",
    "SendBreak",
    "SetBreak",
    "SetInputs",
    "SetLine",
    "SetModem",
]

BREAK_PULSE: Final = 0.25
"""Seconds; the shortest pulse that POSIX ``tcsendbreak(fd, 0)`` promises."""


class Item(Enum):
    """One thing that can be asked about, and that an access server tells."""

    BAUDRATE = "baudrate"
    DATA_BITS = "data-bits"
    PARITY = "parity"
    STOP_BITS = "stop-bits"
    FLOW_CONTROL = "flow-control"
    INBOUND_FLOW = "inbound-flow"
    DTR = "dtr"
    RTS = "rts"
    BREAK = "break"
    PURGE = "purge"
    MODEM_LINES = "modem-lines"
    LINE_STATE = "line-state"
    MODEM_MASK = "modem-mask"
    LINE_MASK = "line-mask"
    SIGNATURE = "signature"


@dataclass(frozen=True, slots=True)
class SetLine:
    """Change those settings that are not None; the others stay as they are."""

    baudrate: int | None = None
    data_bits: int | None = None
    parity: Parity | None = None
    stop_bits: StopBits | None = None
    flow_control: FlowControl | None = None
    inbound_flow: FlowControl | None = None

    def applied_to(self, settings: LineSettings) -> LineSettings:
        """Return ``settings`` with this change made.

        Setting ``flow_control`` means both directions (RFC 2217: "outbound/both"), so it forgets
        an earlier ``inbound_flow``.
        """
        asked = {f.name: getattr(self, f.name) for f in fields(self)}
        change = {name: value for name, value in asked.items() if value is not None}
        if "flow_control" in change:
            change.setdefault("inbound_flow", None)
        return replace(settings, **change)

    def __str__(self) -> str:
        """Write what is to change: ``baudrate=1200 parity=even``."""
        return " ".join(
            f"{f.name.replace('_', '-')}={shown(value)}"
            for f in fields(self)
            if (value := getattr(self, f.name)) is not None
        )

    @classmethod
    def everything(cls, settings: LineSettings) -> SetLine:
        """Return the change that leads to ``settings`` from wherever a line is."""
        return cls(**{f.name: getattr(settings, f.name) for f in fields(settings)})


@dataclass(frozen=True, slots=True)
class SetModem:
    """Drive DTR and RTS; a line that is None stays as it is."""

    dtr: bool | None = None
    rts: bool | None = None

    def applied_to(self, state: PortState) -> PortState:
        """Return ``state`` with these outputs."""
        dtr = state.dtr if self.dtr is None else self.dtr
        rts = state.rts if self.rts is None else self.rts
        return replace(state, dtr=dtr, rts=rts)

    def __str__(self) -> str:
        """Write what is to change: ``dtr=off``."""
        levels = {"dtr": self.dtr, "rts": self.rts}
        return " ".join(f"{k}={shown(v)}" for k, v in levels.items() if v is not None)


@dataclass(frozen=True, slots=True)
class SetBreak:
    """Begin (``on``) or end the break condition."""

    on: bool

    def __str__(self) -> str:
        """Write ``break=on``."""
        return f"break={shown(self.on)}"


@dataclass(frozen=True, slots=True)
class SendBreak:
    """Send a break of ``duration`` seconds and go on (Telnet BRK, a keyboard's Break key)."""

    duration: float = BREAK_PULSE

    def __str__(self) -> str:
        """Write ``a break of 0.25 s``."""
        return f"a break of {self.duration:g} s"


@dataclass(frozen=True, slots=True)
class Hold:
    """Leave the line as it is for ``duration`` seconds; everything behind it waits.

    Between the steps of a reset sequence.  No peer can ask for it.
    """

    duration: float

    def __str__(self) -> str:
        """Write ``wait=0.1``."""
        return f"wait={self.duration:g}"


@dataclass(frozen=True, slots=True)
class Purge:
    """Throw away what was received and not yet delivered, or accepted and not yet sent, or both."""

    received: bool = False
    unsent: bool = False

    def __str__(self) -> str:
        """Write ``purge received unsent``."""
        what = [f.name for f in fields(self) if getattr(self, f.name)]
        return " ".join(["purge", *what])


@dataclass(frozen=True, slots=True)
class Query:
    """Ask for one item, when everything before it has been carried out.

    It changes nothing.  A request that is denied, or that asks for something impossible, is
    carried out as the Query of its item, so that its answer is the value in force.
    """

    item: Item


@dataclass(frozen=True, slots=True)
class SetInputs:
    """Drive all four lines that the application of a virtual port reads, at the same moment.

    No peer can ask for it.  Lines do not travel with the data: it is done at once, whatever waits.
    A real port reads its lines from the device and refuses.
    """

    lines: ModemLines

    def __str__(self) -> str:
        """Write ``inputs=CTS DSR``."""
        return f"inputs={self.lines}"


Request: TypeAlias = SetLine | SetModem | SetBreak | SendBreak | Hold | Purge | Query | SetInputs
