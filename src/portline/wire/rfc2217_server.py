"""The access server's half of RFC 2217: the peer commands, we carry out, answer and notify.

Theory of operation
-------------------
Each command of the client becomes one request, in the order of arrival; what it asks for in vain
becomes a :class:`portline.line.Query` of the same item.  Whoever owns the port carries the
requests out in order, and the answer to each is a function of the request and the state then in
force; nothing about outstanding requests need be kept but their number.  Where the form of the
answer depends on that of the command, the request is of a subclass that remembers it.

*Modem lines.*  ``_told`` is the four levels as they were last sent, ``_noted`` what they were when
the client could last note a change.  A change is told if the client's mask shows the line's level
or its delta bit; so a line that drops is told too (RFC 2217 could be read as "send if new AND mask
is not 0", which would never say that all lines are off), and a level that the mask hid is told
once it no longer does.

*Settings that others change* are told unasked only if ``notifies`` says so, and only while no
request is outstanding: a client could take them for its answer.  Flow control, break, DTR and RTS
share one answer code, for which pyserial has one slot: they are never told unasked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portline.line import (
    BAUDRATE_MAX,
    BAUDRATE_MIN,
    BreakChange,
    Event,
    Flow,
    Item,
    LineChange,
    LineFault,
    ModemChange,
    PortState,
    Query,
    SendBreak,
    SetLine,
    Told,
    Watch,
)
from portline.wire.rfc2217_codes import (
    ANSWER,
    BAUDRATE_CODES,
    FAULT_BITS,
    IDLE,
    Code,
    Value,
    command,
    encode,
    fault_bits,
    item_of,
    levels_of,
    setting,
    settings_of,
    signature_bytes,
    signature_text,
    value_in_force,
    value_of,
)

if TYPE_CHECKING:
    from portline.line import LineSettings, ModemLines, Report, Request

__all__ = ["ComPortServer", "MaskQuery", "ShortQuery", "ShortSetLine"]

_MODEM_MASK: Final = 0xFF  # RFC 2217: everything is told until the client says otherwise
_LINE_MASK: Final = 0x00  # and nothing of this

_RING: Final = 0x40

_TOLD_UNASKED: Final = (Item.BAUDRATE, Item.DATA_BITS, Item.PARITY, Item.STOP_BITS)

_CODE_OF_BAUDRATE: Final = {rate: code for code, rate in BAUDRATE_CODES.items()}


@dataclass(frozen=True, slots=True)
class ShortSetLine(SetLine):
    """A baud rate that was asked for in one byte, and is answered in one if there is a code."""


@dataclass(frozen=True, slots=True)
class ShortQuery(Query):
    """A query of the baud rate in one byte."""


@dataclass(frozen=True, slots=True)
class MaskQuery(Query):
    """A mask that the client set; it is in force already."""

    mask: int = 0


class ComPortServer:
    """One client's view of our serial port.

    ``active`` tells whether the client is known to be one; ``signature`` is what it hears when it
    asks who we are, ``peer_signature`` what it said itself.
    """

    def __init__(self, signature: str = "") -> None:
        self.active = False
        self.peer_signature = ""
        self._signature = signature_bytes(signature)
        self._modem_mask = _MODEM_MASK
        self._line_mask = _LINE_MASK
        self._told: int | None = None
        self._noted = 0
        self._told_settings: dict[Item, Value] = {}
        self._news_wait = False
        self._outstanding = 0

    def activate(self) -> list[Event]:
        """Begin with a client: it wants the modem lines, and hears their state at once."""
        if self.active:
            return []
        self.active = True
        self._modem_mask, self._line_mask, self._told = _MODEM_MASK, _LINE_MASK, None
        self._outstanding += 1
        return [Watch(modem_lines=True, faults=False), Query(Item.MODEM_LINES)]

    def deactivate(self) -> list[Event]:
        """End: the peer said that it is no client any more."""
        if not self.active:
            return []
        watch = self._watch()
        self.active = False
        self._modem_mask = self._line_mask = 0
        return [] if watch == self._watch() else [self._watch()]

    # --- from the client ------------------------------------------------------------------------

    def take(self, code: int, payload: bytes) -> list[Event] | None:
        """Return what a command means; None if it means nothing.

        A command that means something shows that the peer is a client, whatever it agreed to.
        """
        if code == Code.SIGNATURE and payload:
            self.peer_signature = signature_text(payload)
            return self.activate()
        meaning = _meaning(code, payload)
        if meaning is None:
            return None
        events = self.activate()
        if isinstance(meaning, Flow):
            return [*events, meaning]
        if isinstance(meaning, MaskQuery):
            events += self._set_mask(meaning)
        self._outstanding += 1
        return [*events, meaning]

    def _set_mask(self, query: MaskQuery) -> list[Event]:
        before = self._watch()
        if query.item is Item.MODEM_MASK:
            self._modem_mask = query.mask
        else:
            self._line_mask = query.mask
        watch = self._watch()
        return [] if watch == before else [watch]

    def _watch(self) -> Watch:
        return Watch(modem_lines=bool(self._modem_mask), faults=bool(self._line_mask & FAULT_BITS))

    # --- to the client --------------------------------------------------------------------------

    def answer(self, request: Request, state: PortState) -> bytes:
        """Return the answer to a request that :meth:`take` or :meth:`activate` returned."""
        if isinstance(request, SendBreak):
            return b""
        self._outstanding = max(0, self._outstanding - 1)
        match request:
            case Query():
                reply = self._answer_query(request, state)
            case _:
                reply = b"".join(
                    self._value(item, request, asked, state) for item, asked in settings_of(request)
                )
        if self._news_wait and not self._outstanding:
            self._news_wait = False
            reply += self._tell_settings(state.settings)
        return reply

    def _answer_query(self, query: Query, state: PortState) -> bytes:
        match query.item:
            case Item.SIGNATURE:
                return command(ANSWER + Code.SIGNATURE, self._signature)
            case Item.LINE_STATE:
                return command(ANSWER + Code.NOTIFY_LINESTATE, bytes((IDLE if state.idle else 0,)))
            case Item.MODEM_LINES:
                return self._tell_lines(state.lines, asked=True)
            case Item.LINE_MASK:
                mask = query.mask if isinstance(query, MaskQuery) else self._line_mask
                return command(ANSWER + Code.SET_LINESTATE_MASK, bytes((mask,)))
            case Item.MODEM_MASK:
                mask = query.mask if isinstance(query, MaskQuery) else self._modem_mask
                reply = command(ANSWER + Code.SET_MODEMSTATE_MASK, bytes((mask,)))
                return reply + self._tell_lines(state.lines)
            case item:
                return self._value(item, query, None, state)

    def _value(self, item: Item, request: Request, asked: Value | None, state: PortState) -> bytes:
        """Tell the value in force, as an answer to the request."""
        value = asked if item is Item.PURGE else value_in_force(item, state)
        if value is None:
            return b""
        self._told_settings[item] = value
        short = item is Item.BAUDRATE and isinstance(request, ShortSetLine | ShortQuery)
        if short and isinstance(value, int) and value in _CODE_OF_BAUDRATE:
            return command(ANSWER + Code.SET_BAUDRATE, bytes((_CODE_OF_BAUDRATE[value],)))
        code, payload = encode(item, value)
        return command(ANSWER + code, payload)

    # --- unasked --------------------------------------------------------------------------------

    def report(self, report: Report) -> bytes:
        """Return the report as this client wants to hear it; b"" if it does not."""
        if not self.active:
            return b""
        match report:
            case ModemChange(lines):
                return self._tell_lines(lines)
            case LineFault():
                bits = fault_bits(report) & self._line_mask
                return command(ANSWER + Code.NOTIFY_LINESTATE, bytes((bits,))) if bits else b""
            case LineChange() if self._outstanding:
                self._news_wait = True  # told with the last answer, as they are by then
                return b""
            case LineChange(settings):
                return self._tell_settings(settings)
            case BreakChange() | Told():
                return b""

    def _tell_settings(self, settings: LineSettings) -> bytes:
        """Tell those settings that the client does not know, or knows otherwise."""
        told = b""
        for item in _TOLD_UNASKED:
            value = value_in_force(item, PortState(settings=settings))
            if value is not None and value != self._told_settings.get(item):
                self._told_settings[item] = value
                code, payload = encode(item, value)
                told += command(ANSWER + code, payload)
        return told

    def _tell_lines(self, lines: ModemLines, *, asked: bool = False) -> bytes:
        """Tell the modem lines: those that the mask shows, or all when ``asked``.

        The delta bits are those of the lines that changed since they were last told.
        """
        mask = 0xFF if asked else self._modem_mask
        by_level, by_delta = mask & 0xF0, (mask & 0x0F) << 4
        levels = levels_of(lines)
        first = self._told is None
        told, noted = (levels, levels) if self._told is None else (self._told, self._noted)
        self._noted = noted & ~(by_level | by_delta) | levels & (by_level | by_delta)
        changed = levels ^ noted
        delta = (changed & ~(levels & _RING)) >> 4  # of RI, only the trailing edge
        news = (levels ^ told) & by_level or delta & mask or (first and mask)
        if not asked and not news:
            return b""
        self._told = levels & mask
        return command(ANSWER + Code.NOTIFY_MODEMSTATE, bytes(((levels | delta) & mask,)))


def _meaning(code: int, payload: bytes) -> Request | Flow | None:
    """Return what a command asks for; None if it is none, or of the wrong length."""
    match code, len(payload):
        case Code.SIGNATURE, 0:
            return Query(Item.SIGNATURE)
        case Code.SET_BAUDRATE, 1 | 4:
            return _baudrate(payload)
        case Code.NOTIFY_LINESTATE, 0 | 1:
            return Query(Item.LINE_STATE)
        case Code.NOTIFY_MODEMSTATE, 0 | 1:
            return Query(Item.MODEM_LINES)
        case ((Code.FLOWCONTROL_SUSPEND | Code.FLOWCONTROL_RESUME), 0):
            return Flow(suspended=code == Code.FLOWCONTROL_SUSPEND)
        case Code.SET_LINESTATE_MASK, 1:
            return MaskQuery(Item.LINE_MASK, payload[0])
        case Code.SET_MODEMSTATE_MASK, 1:
            return MaskQuery(Item.MODEM_MASK, payload[0])
        case _, 1 if Code.SET_DATASIZE <= code <= Code.SET_CONTROL or code == Code.PURGE_DATA:
            item, value = item_of(code, payload[0]), value_of(code, payload[0])
            if value is not None:
                return setting(item, value)
            # Which buffers to purge has no value in force, so what is illegal has no answer.
            return None if item is Item.PURGE else Query(item)
        case _:
            return None


def _baudrate(payload: bytes) -> Request:
    """Read a baud rate: four bytes, or one of Cisco's codes; what is out of range is a query."""
    if len(payload) == 1:
        rate = BAUDRATE_CODES.get(payload[0])
        return ShortQuery(Item.BAUDRATE) if rate is None else ShortSetLine(baudrate=rate)
    rate = int.from_bytes(payload, "big")
    if BAUDRATE_MIN <= rate <= BAUDRATE_MAX:
        return SetLine(baudrate=rate)
    return Query(Item.BAUDRATE)
