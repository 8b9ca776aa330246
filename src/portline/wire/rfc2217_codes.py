"""The numbers of RFC 2217, and what they mean in the vocabulary of :mod:`portline.line`.

The client of a serial port sends commands 0 to 12; the access server answers and notifies with
the same numbers plus :data:`ANSWER`.  Both say values in the same way, so both halves of
:mod:`portline.wire.rfc2217` read and write with the tables here.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final, TypeAlias

from portline.line import (
    DATA_BITS,
    FlowControl,
    Item,
    LineFault,
    ModemLines,
    Parity,
    PortState,
    Purge,
    SetBreak,
    SetLine,
    SetModem,
    StopBits,
)
from portline.wire.telnet import COM_PORT, suboption

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from portline.line import Request

__all__ = [
    "ANSWER",
    "BAUDRATE_CODES",
    "FAULT_BITS",
    "IDLE",
    "QUERIES",
    "SIGNATURE_LIMIT",
    "Code",
    "Value",
    "command",
    "encode",
    "fault_bits",
    "fault_of",
    "item_of",
    "levels_of",
    "lines_of",
    "setting",
    "settings_of",
    "signature_bytes",
    "signature_text",
    "value_in_force",
    "value_of",
]

Value: TypeAlias = int | Parity | StopBits | FlowControl | Purge

ANSWER: Final = 100
"""What the access server adds to a command."""


class Code(IntEnum):
    """The commands of the client."""

    SIGNATURE = 0
    SET_BAUDRATE = 1
    SET_DATASIZE = 2
    SET_PARITY = 3
    SET_STOPSIZE = 4
    SET_CONTROL = 5
    NOTIFY_LINESTATE = 6
    NOTIFY_MODEMSTATE = 7
    FLOWCONTROL_SUSPEND = 8
    FLOWCONTROL_RESUME = 9
    SET_LINESTATE_MASK = 10
    SET_MODEMSTATE_MASK = 11
    PURGE_DATA = 12


SIGNATURE_LIMIT: Final = 200
"""Bytes of a signature; gensio cuts longer suboptions off."""

IDLE: Final = 0x60
"""Line state: transfer shift register and transmit holding register empty."""

FAULT_BITS: Final = 0x1E
"""Line state: break, framing error, parity error, overrun."""

BAUDRATE_CODES: Final[Mapping[int, int]] = {
    3: 300,
    4: 600,
    5: 1200,
    6: 2400,
    7: 4800,
    8: 9600,
    10: 19200,
    12: 38400,
    13: 57600,
    14: 115200,
    15: 230400,
}
"""SET-BAUDRATE in one byte, as Cisco's access servers and gensio understand it."""

_VALUES: Final[Mapping[int, Mapping[int, tuple[Item, Value]]]] = {
    Code.SET_DATASIZE: {bits: (Item.DATA_BITS, bits) for bits in DATA_BITS},
    Code.SET_PARITY: {
        1: (Item.PARITY, Parity.NONE),
        2: (Item.PARITY, Parity.ODD),
        3: (Item.PARITY, Parity.EVEN),
        4: (Item.PARITY, Parity.MARK),
        5: (Item.PARITY, Parity.SPACE),
    },
    Code.SET_STOPSIZE: {
        1: (Item.STOP_BITS, StopBits.ONE),
        2: (Item.STOP_BITS, StopBits.TWO),
        3: (Item.STOP_BITS, StopBits.ONE_AND_A_HALF),
    },
    Code.SET_CONTROL: {
        1: (Item.FLOW_CONTROL, FlowControl.NONE),
        2: (Item.FLOW_CONTROL, FlowControl.XON_XOFF),
        3: (Item.FLOW_CONTROL, FlowControl.HARDWARE),
        5: (Item.BREAK, True),
        6: (Item.BREAK, False),
        8: (Item.DTR, True),
        9: (Item.DTR, False),
        11: (Item.RTS, True),
        12: (Item.RTS, False),
        14: (Item.INBOUND_FLOW, FlowControl.NONE),
        15: (Item.INBOUND_FLOW, FlowControl.XON_XOFF),
        16: (Item.INBOUND_FLOW, FlowControl.HARDWARE),
    },
    Code.PURGE_DATA: {
        1: (Item.PURGE, Purge(received=True)),
        2: (Item.PURGE, Purge(unsent=True)),
        3: (Item.PURGE, Purge(received=True, unsent=True)),
    },
}

QUERIES: Final[Mapping[Item, tuple[int, bytes]]] = {
    Item.SIGNATURE: (Code.SIGNATURE, b""),
    Item.BAUDRATE: (Code.SET_BAUDRATE, b"\0\0\0\0"),
    Item.DATA_BITS: (Code.SET_DATASIZE, b"\0"),
    Item.PARITY: (Code.SET_PARITY, b"\0"),
    Item.STOP_BITS: (Code.SET_STOPSIZE, b"\0"),
    Item.FLOW_CONTROL: (Code.SET_CONTROL, b"\0"),
    Item.BREAK: (Code.SET_CONTROL, b"\4"),
    Item.DTR: (Code.SET_CONTROL, b"\7"),
    Item.RTS: (Code.SET_CONTROL, b"\x0a"),
    Item.INBOUND_FLOW: (Code.SET_CONTROL, b"\x0d"),
    Item.LINE_STATE: (Code.NOTIFY_LINESTATE, b"\0"),
    Item.MODEM_LINES: (Code.NOTIFY_MODEMSTATE, b"\0"),
}
"""How each item is asked for; the masks and purging cannot be.

The states are asked for with the one octet of value that RFC 2217 gives these commands, though it
says nothing here: without it sredird takes the end of the command, and the byte of data after it,
for its value."""

_UNOFFERED: Final[Mapping[int, Item]] = {
    17: Item.FLOW_CONTROL,  # DCD holds back what is sent
    18: Item.INBOUND_FLOW,  # DTR holds back what is received
    19: Item.FLOW_CONTROL,  # DSR holds back what is sent
}
"""Values of SET-CONTROL for which there is no word, and what they are about."""

_ITEMS: Final[Mapping[int, Mapping[int, Item]]] = {
    code: {byte: item for byte, (item, _) in values.items()}
    | {query[0]: item for item, (of, query) in QUERIES.items() if of == code}
    | dict(_UNOFFERED.items() if code == Code.SET_CONTROL else ())
    for code, values in _VALUES.items()
}

_DEFAULT_ITEM: Final[Mapping[int, Item]] = {
    Code.SET_DATASIZE: Item.DATA_BITS,
    Code.SET_PARITY: Item.PARITY,
    Code.SET_STOPSIZE: Item.STOP_BITS,
    Code.SET_CONTROL: Item.FLOW_CONTROL,
    Code.PURGE_DATA: Item.PURGE,
}

_CODES: Final[Mapping[tuple[Item, Value], tuple[int, int]]] = {
    meaning: (code, byte) for code, values in _VALUES.items() for byte, meaning in values.items()
}

_LEVELS: Final = (("cts", 0x10), ("dsr", 0x20), ("ri", 0x40), ("dcd", 0x80))

_FAULTS: Final = (
    ("overrun", 0x02),
    ("parity", 0x04),
    ("framing", 0x08),
    ("break_received", 0x10),
)


def command(code: int, payload: bytes = b"") -> bytes:
    """Return the suboption for this command as it goes to the network."""
    return suboption(bytes((COM_PORT, code)) + payload)


# --- values -------------------------------------------------------------------------------------


def encode(item: Item, value: Value) -> tuple[int, bytes]:
    """Return the client's command and the bytes for a value of a settable item."""
    if item is Item.BAUDRATE and isinstance(value, int):
        return Code.SET_BAUDRATE, value.to_bytes(4, "big")
    code, byte = _CODES[item, value]
    return code, bytes((byte,))


def value_of(code: int, byte: int) -> Value | None:
    """Return the value that a byte says in commands 2 to 5 and 12; None if it says none."""
    meaning = _VALUES[code].get(byte)
    return None if meaning is None else meaning[1]


def item_of(code: int, byte: int) -> Item:
    """Return what a byte in commands 2 to 5 and 12 is about, whether it says a value or not."""
    return _ITEMS[code].get(byte, _DEFAULT_ITEM[code])


def value_in_force(item: Item, state: PortState) -> Value | None:
    """Return the value of a settable item; None for the others."""
    settings = state.settings
    match item:
        case Item.BAUDRATE:
            return settings.baudrate
        case Item.DATA_BITS:
            return settings.data_bits
        case Item.PARITY:
            return settings.parity
        case Item.STOP_BITS:
            return settings.stop_bits
        case Item.FLOW_CONTROL:
            return settings.flow_control
        case Item.INBOUND_FLOW:
            return settings.inbound
        case Item.DTR:
            return state.dtr
        case Item.RTS:
            return state.rts
        case Item.BREAK:
            return state.break_on
        case _:
            return None


def setting(item: Item, value: Value) -> Request:
    """Return the request that sets one item; ValueError where item and value do not belong."""
    match item, value:
        case Item.BAUDRATE, int():
            return SetLine(baudrate=value)
        case Item.DATA_BITS, int():
            return SetLine(data_bits=value)
        case Item.PARITY, Parity():
            return SetLine(parity=value)
        case Item.STOP_BITS, StopBits():
            return SetLine(stop_bits=value)
        case Item.FLOW_CONTROL, FlowControl():
            return SetLine(flow_control=value)
        case Item.INBOUND_FLOW, FlowControl():
            return SetLine(inbound_flow=value)
        case Item.DTR, bool():
            return SetModem(dtr=value)
        case Item.RTS, bool():
            return SetModem(rts=value)
        case Item.BREAK, bool():
            return SetBreak(value)
        case Item.PURGE, Purge():
            return value
        case _:
            raise ValueError(f"{item.value} cannot be set to {value!r}")


def settings_of(request: Request) -> Iterator[tuple[Item, Value]]:
    """Yield each item that a request sets, and its value, in the order in which to say them.

    The inbound flow control comes after the other, which sets both.
    """
    match request:
        case SetLine():
            pairs: tuple[tuple[Item, Value | None], ...] = (
                (Item.BAUDRATE, request.baudrate),
                (Item.DATA_BITS, request.data_bits),
                (Item.PARITY, request.parity),
                (Item.STOP_BITS, request.stop_bits),
                (Item.FLOW_CONTROL, request.flow_control),
                (Item.INBOUND_FLOW, request.inbound_flow),
            )
        case SetModem():
            pairs = ((Item.DTR, request.dtr), (Item.RTS, request.rts))
        case SetBreak():
            pairs = ((Item.BREAK, request.on),)
        case Purge() if request.received or request.unsent:
            pairs = ((Item.PURGE, request),)
        case _:
            pairs = ()
    for item, value in pairs:
        if value is not None:
            yield item, value


# --- states -------------------------------------------------------------------------------------


def levels_of(lines: ModemLines) -> int:
    """Return the upper four bits of NOTIFY-MODEMSTATE."""
    return sum(bit for name, bit in _LEVELS if getattr(lines, name))


def lines_of(bits: int) -> ModemLines:
    """Return the lines that NOTIFY-MODEMSTATE says are on."""
    return ModemLines(**{name: bool(bits & bit) for name, bit in _LEVELS})


def fault_bits(fault: LineFault) -> int:
    """Return the bits of NOTIFY-LINESTATE."""
    return sum(bit for name, bit in _FAULTS if getattr(fault, name))


def fault_of(bits: int) -> LineFault:
    """Return the faults among the bits of NOTIFY-LINESTATE."""
    return LineFault(**{name: bool(bits & bit) for name, bit in _FAULTS})


def signature_bytes(text: str) -> bytes:
    """Return a signature, cut at SIGNATURE_LIMIT bytes, but not within a character."""
    cut = text.encode("utf-8", "replace")[:SIGNATURE_LIMIT]
    return cut.decode("utf-8", "ignore").encode()


def signature_text(payload: bytes) -> str:
    """Return a peer's signature, fit to be shown: no control characters, of bounded length."""
    text = payload[:SIGNATURE_LIMIT].decode("utf-8", "replace")
    return "".join(character if character.isprintable() else "?" for character in text)
