"""The client's half of RFC 2217: we command, the access server of the peer carries out and tells.

Theory of operation
-------------------
What we ask is sent at once, one command after the other, without waiting.  ``_pending`` remembers
it in the order of asking; an answer belongs to the oldest that waits for the same item, and what
nobody waits for was told unasked.  Servers differ: some answer with another value, some not at
all (ser2net where a setting failed, pyserial's example server queries and masks), some broadcast
the answers to others.  So nothing here depends on an answer; what has not come after
:data:`ANSWER_TIMEOUT` is given up and counted.

An answer that comes later still must not be taken for that to a newer command.  So what was given
up is remembered in ``_late``, and is older than all in ``_pending``; an answer belongs to the
oldest of both.  Servers answer in order, so an answer to a newer command tells that the late ones
before it will stay without.  A command like one that is late is sent behind a *fence*, a question
for something else, by which it is known in time which of the two is answered.  Without one (nothing
else is left) a command whose answer was given to a late one, and that gets none itself, is not
remembered: one answer is missing for good, and the next is in step again.

sredird answers DTR and RTS with its flow control, and zero where it has no value.  Such an answer
retires the oldest command of SET-CONTROL that waits, and says nothing.

Cisco's answer SET-BAUDRATE in one byte, a code.  One that does so is asked in the same way from
then on, beginning with the newest rate that was asked for in four, as far as there is a code.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portline.line import (
    Event,
    Flow,
    Item,
    LineFault,
    ModemChange,
    Query,
    Told,
)
from portline.wire.rfc2217_codes import (
    BAUDRATE_CODES,
    QUERIES,
    Code,
    command,
    encode,
    fault_of,
    item_of,
    lines_of,
    settings_of,
    signature_bytes,
    signature_text,
    value_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Set

    from portline.line import Request
    from portline.wire.rfc2217_codes import Value

__all__ = ["ANSWER_TIMEOUT", "PENDING_LIMIT", "ComPortClient"]

ANSWER_TIMEOUT: Final = 3.0
"""Seconds that an access server has for an answer; as in pyserial."""

PENDING_LIMIT: Final = 256
"""Commands that may wait for an answer; with more, the oldest is given up.

All settings and lines together are eight, so this is an application that changes its settings
thirty times while a server is silent."""

SIGNATURES_TOLD: Final = 16
"""How often a server may ask who we are: our answer is thirty times as long as its question."""

_CONTROL: Final = frozenset(
    (Item.FLOW_CONTROL, Item.INBOUND_FLOW, Item.BREAK, Item.DTR, Item.RTS),
)

_FENCES: Final = (Item.BAUDRATE, Item.DATA_BITS, Item.PARITY, Item.STOP_BITS, Item.FLOW_CONTROL)
"""Questions that every server answers, if it answers any."""

_CODES: Final[Mapping[object, int]] = {rate: code for code, rate in BAUDRATE_CODES.items()}


@dataclass(eq=False, slots=True)
class _Pending:
    item: Item
    request: Request | None
    asked_at: float
    fenced: bool = True
    passed_over: bool = False
    """An answer came that was given to one of the same item that is late."""
    coded: bool = False
    """A rate that was asked for in one byte."""

    @property
    def rate(self) -> object:
        """The rate that is asked for; None for anything else."""
        if self.item is not Item.BAUDRATE or self.request is None:
            return None
        return dict(settings_of(self.request)).get(Item.BAUDRATE)


class ComPortClient:
    """Our view of a serial port that the peer owns.

    ``active`` tells whether the peer is known to be an access server.  ``unanswered`` counts the
    commands that were given up, ``unanswered_items`` says what they were about.
    """

    def __init__(self, signature: str = "") -> None:
        self.active = False
        self.peer_signature = ""
        self.unanswered = 0
        self.unanswered_items: set[Item] = set()
        self._signature = signature_bytes(signature)
        self._signatures_left = SIGNATURES_TOLD
        self._pending: deque[_Pending] = deque()
        self._late: deque[_Pending] = deque(maxlen=PENDING_LIMIT)
        self._coded = False
        """Whether the server has told a rate in one byte."""

    # --- to the server --------------------------------------------------------------------------

    def ask(self, request: Request, now: float) -> bytes:
        """Return the commands that ask for this; b"" if the protocol has none."""
        if isinstance(request, Query):
            query = QUERIES.get(request.item)
            return self._send(request.item, *query, request, now) if query else b""
        return b"".join(
            self._send(item, *self._encoded(item, value), request, now)
            for item, value in settings_of(request)
        )

    def _encoded(self, item: Item, value: Value) -> tuple[int, bytes]:
        code, payload = encode(item, value)
        if self._coded and item is Item.BAUDRATE and value in _CODES:
            payload = bytes((_CODES[value],))
        return code, payload

    def set_masks(self, modem: int, line: int, now: float) -> bytes:
        """Return the commands that set both masks (one byte each, RFC 2217's bits)."""
        return self._send(
            Item.LINE_MASK, Code.SET_LINESTATE_MASK, bytes((line,)), None, now
        ) + self._send(Item.MODEM_MASK, Code.SET_MODEMSTATE_MASK, bytes((modem,)), None, now)

    def _send(
        self, item: Item, code: int, payload: bytes, request: Request | None, now: float
    ) -> bytes:
        late = {each.item for each in self._late}
        fence = self._fence(late, now) if item in late else b""
        fenced = item not in late or any(each.item not in late for each in self._pending)
        coded = item is Item.BAUDRATE and len(payload) == 1
        self._wait(_Pending(item, request, now, fenced, coded=coded))
        return fence + command(code, payload)

    def _fence(self, late: Set[Item], now: float) -> bytes:
        """Return a question whose answer will be told from all that is late, if one is needed."""
        waiting = {each.item for each in self._pending}
        free = [item for item in _FENCES if item not in late]
        if not free or waiting.intersection(free):
            return b""
        self._wait(_Pending(free[0], None, now))
        return command(*QUERIES[free[0]])

    def _wait(self, pending: _Pending) -> None:
        if len(self._pending) == PENDING_LIMIT:
            self._give_up()
        self._pending.append(pending)

    def waits(self, request: Request) -> bool:
        """Tell whether an answer to this very request (not to one like it) may still come."""
        return any(pending.request is request for pending in self._pending)

    # --- time -----------------------------------------------------------------------------------

    def deadline(self) -> float | None:
        """Return when the oldest command is to be given up."""
        return self._pending[0].asked_at + ANSWER_TIMEOUT if self._pending else None

    def tick(self, now: float) -> list[Event]:
        """Give up what should have been answered by now; returns what that was."""
        given_up: list[Event] = []
        while self._pending and self._pending[0].asked_at + ANSWER_TIMEOUT <= now:
            given_up.append(self._give_up())
        return given_up

    def _give_up(self) -> Told:
        pending = self._pending.popleft()
        if not pending.passed_over:
            self._late.append(pending)
        self.unanswered += 1
        self.unanswered_items.add(pending.item)
        return Told(pending.item, None, pending.request)

    # --- from the server ------------------------------------------------------------------------

    def take(self, code: int, payload: bytes) -> tuple[list[Event], bytes] | None:
        """Return what an answer or notification (without ANSWER) means, and what we reply.

        None if it means nothing.  An answer longer than needed is read as far as it goes.
        """
        if code == Code.SIGNATURE:
            return self._take_signature(payload)
        if code in (Code.FLOWCONTROL_SUSPEND, Code.FLOWCONTROL_RESUME):
            return [Flow(suspended=code == Code.FLOWCONTROL_SUSPEND)], b""
        if code == Code.SET_BAUDRATE and len(payload) == 1:
            self._coded = True
            if again := self._ask_again(payload[0]):
                return [], again
        events = self._take_value(code, payload) if payload else None
        return None if events is None else (events, b"")

    def _ask_again(self, told: int) -> bytes:
        """Ask in one byte for the rate that was asked for in four, unless it has been understood.

        The command waits anew, in the place and with the time limit that it had.  Of some that were
        on their way before the first answer, only the last counts: its answer will be this one's.
        """
        if any(each.item is Item.BAUDRATE for each in self._late):
            return b""
        asking = [each for each in self._pending if each.item is Item.BAUDRATE]
        if not asking or asking[0].coded or any(each.rate is not None for each in asking[1:]):
            return b""
        code = _CODES.get(asking[0].rate)
        if code in (None, told):
            return b""
        asking[0].coded = True
        return command(Code.SET_BAUDRATE, bytes((code,)))

    def _take_signature(self, payload: bytes) -> tuple[list[Event], bytes]:
        if payload or any(pending.item is Item.SIGNATURE for pending in self._pending):
            self.peer_signature = signature_text(payload)
            return self._told(Item.SIGNATURE, self.peer_signature), b""
        if not self._signatures_left:
            return [], b""
        self._signatures_left -= 1
        return [], command(Code.SIGNATURE, self._signature)

    def _take_value(self, code: int, payload: bytes) -> list[Event] | None:
        byte = payload[0]
        match code:
            case Code.SET_BAUDRATE:
                return self._take_baudrate(payload)
            case Code.NOTIFY_LINESTATE:
                fault = fault_of(byte)
                events: list[Event] = [] if fault == LineFault() else [fault]
                return events + self._answer(Item.LINE_STATE, byte)
            case Code.NOTIFY_MODEMSTATE:
                lines = lines_of(byte)
                return [ModemChange(lines), *self._answer(Item.MODEM_LINES, lines)]
            case Code.SET_LINESTATE_MASK:
                return self._told(Item.LINE_MASK, byte)
            case Code.SET_MODEMSTATE_MASK:
                return self._told(Item.MODEM_MASK, byte)
            case Code.SET_CONTROL:
                return self._take_control(byte)
            case Code.SET_DATASIZE | Code.SET_PARITY | Code.SET_STOPSIZE | Code.PURGE_DATA:
                item, value = item_of(code, byte), value_of(code, byte)
                return self._told(item, value) if value is not None else self._retire({item})
            case _:
                return None

    def _take_baudrate(self, payload: bytes) -> list[Event] | None:
        if len(payload) == 1:
            rate = BAUDRATE_CODES.get(payload[0], 0)
        else:
            rate = int.from_bytes(payload[:4], "big") if len(payload) >= 4 else 0
        return self._told(Item.BAUDRATE, rate) if rate else self._retire({Item.BAUDRATE})

    def _take_control(self, byte: int) -> list[Event] | None:
        item, value = item_of(Code.SET_CONTROL, byte), value_of(Code.SET_CONTROL, byte)
        waiting = {pending.item for pending in (*self._late, *self._pending)} & _CONTROL
        quirk = item is Item.FLOW_CONTROL and waiting and item not in waiting
        if value is not None and not quirk:
            return self._told(item, value)
        return self._retire({item} if item in waiting else _CONTROL)

    # --- what waits for an answer ---------------------------------------------------------------

    def _pop(self, items: Set[Item], *, unasked: bool = False) -> _Pending | None:
        """Take the oldest that waits for one of the items, late or not.

        What the server may also have told ``unasked`` tells nothing of those before it.
        """
        for late in self._late:
            if late.item in items:
                self._no_longer_late(late, alone=unasked)
                newer = (pending for pending in self._pending if pending.item in items)
                if (first := next(newer, None)) is not None:
                    first.passed_over = not first.fenced
                return late
        for position, pending in enumerate(self._pending):
            if pending.item in items:
                del self._pending[position]
                if not unasked:
                    self._late.clear()
                return pending
        return None

    def _no_longer_late(self, late: _Pending, *, alone: bool) -> None:
        if alone:
            self._late.remove(late)
            return
        while self._late.popleft() is not late:
            pass

    def _told(self, item: Item, value: object) -> list[Event]:
        pending = self._pop({item})
        return [Told(item, value, pending.request if pending else None)]

    def _answer(self, item: Item, value: object) -> list[Event]:
        """Do as :meth:`_told` for what has an event of its own when it comes unasked."""
        pending = self._pop({item}, unasked=True)
        return [Told(item, value, pending.request)] if pending else []

    def _retire(self, items: Set[Item]) -> list[Event] | None:
        """Take an answer without a value; it means nothing where none is waited for."""
        return None if self._pop(items) is None else []
