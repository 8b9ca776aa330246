"""The vocabulary of every layer: what can be said about, to and by a serial line.

Theory of operation
-------------------
An RFC 2217 suboption, a ``tcsetattr`` on a virtual port and a change of a modem line on real
hardware are turned into the same few frozen values here.  Ports and protocols know these values
and nothing of each other; the hub decides who hears and who may speak.

*Data* is plain ``bytes``: it is by far the most frequent event, and a wrapper would cost more than
the rest of the way from the device to the socket.

Two directions, two kinds of word:

* A :data:`Request` goes towards the serial port: :class:`SetLine`, :class:`SetModem`,
  :class:`SetBreak`, :class:`SendBreak`, :class:`Purge`, :class:`Query`, and from nobody but us
  :class:`Hold` and :class:`SetInputs`.  A port carries requests out in the order in which they
  and the data arrived, and answers each one exactly once with the :class:`PortState` that is in
  force afterwards - also when it could not or would not do it.
* A :data:`Report` comes from the serial side or tells about it: :class:`ModemChange`,
  :class:`LineChange`, :class:`BreakChange`, :class:`LineFault`, and from a remote access server
  :class:`Told`.

Everything is a value: equal when the contents are equal, never changed, without I/O.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from enum import Enum
from typing import Final, TypeAlias

__all__ = [
    "BAUDRATE_MAX",
    "BAUDRATE_MIN",
    "BREAK_PULSE",
    "DATA_BITS",
    "BreakChange",
    "Event",
    "Flow",
    "FlowControl",
    "Gone",
    "Hold",
    "Item",
    "LineChange",
    "LineFault",
    "LineSettings",
    "ModemChange",
    "ModemLines",
    "Parity",
    "PortState",
    "Purge",
    "Query",
    "Report",
    "Request",
    "SendBreak",
    "SetBreak",
    "SetInputs",
    "SetLine",
    "SetModem",
    "StopBits",
    "Told",
    "Watch",
    "shown",
]

BAUDRATE_MIN: Final = 50
"""Bits per second; the slowest rate that UARTs offer (POSIX B50)."""

BAUDRATE_MAX: Final = 4_000_000
"""Bits per second; the fastest rate of Linux' table (B4000000)."""

DATA_BITS: Final = (5, 6, 7, 8)

BREAK_PULSE: Final = 0.25
"""Seconds; the shortest pulse that POSIX ``tcsendbreak(fd, 0)`` promises."""


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
    """How bits travel on the line.

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
        return " ".join([str(self.settings), *(f"{k}={_level(v)}" for k, v in levels.items())])


def _level(on: bool) -> str:
    return "on" if on else "off"


def shown(value: object) -> str:
    """Write a setting, a level or text as configuration files spell it."""
    match value:
        case bool():
            return _level(value)
        case Parity():
            return value.name.lower()
        case _:
            return str(getattr(value, "value", value))


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


# --- requests: towards the serial port ----------------------------------------------------------


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
        return " ".join(f"{k}={_level(v)}" for k, v in levels.items() if v is not None)


@dataclass(frozen=True, slots=True)
class SetBreak:
    """Begin (``on``) or end the break condition."""

    on: bool

    def __str__(self) -> str:
        """Write ``break=on``."""
        return f"break={_level(self.on)}"


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
