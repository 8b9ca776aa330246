"""What remote ports tell of themselves, as lines in the log that people can read.

An access server answers a request for settings in five pieces, and may tell a line state a thousand
times a second.  So what it tells is gathered for a moment and written as one line with what is
different now; what changed in between is only counted.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from portline.line import (
    FlowControl,
    Item,
    LineFault,
    LineSettings,
    ModemChange,
    Parity,
    StopBits,
    Told,
    shown,
)
from portline.plural import plural

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

    from portline.line import Report
    from portline.service.peer.session import Session

__all__ = ["GATHER", "PERIOD", "Hearsay"]

GATHER: Final = 0.05
"""Seconds that answers are waited for after the first one: those to one request come together."""

PERIOD: Final = 1.0
"""Seconds between two lines about one remote port, so that none can fill a disk."""

_FORMAT: Final = (Item.BAUDRATE, Item.DATA_BITS, Item.PARITY, Item.STOP_BITS)
_SETTINGS: Final = (*_FORMAT, Item.FLOW_CONTROL, Item.INBOUND_FLOW)
_OUTPUTS: Final = {Item.DTR: "DTR", Item.RTS: "RTS", Item.BREAK: "break"}
_INPUTS: Final = ("cts", "dsr", "dcd", "ri")
_FAULTS: Final = {
    "overrun": "overrun",
    "parity": "parity error",
    "framing": "framing error",
    "break_received": "break received",
}


class Hearsay:
    """The log of what the access servers among the peers of one connection tell."""

    def __init__(
        self, log: logging.LoggerAdapter[logging.Logger], loop: asyncio.AbstractEventLoop
    ) -> None:
        self._log = log
        self._loop = loop
        self._notes: dict[Session, _Notes] = {}

    def told(self, session: Session, report: Report) -> None:
        """Note what a peer tells; what people want to know of it is written soon."""
        if not self._log.isEnabledFor(logging.INFO):
            return
        self._log.debug("peer tells peer=%s %s", session.name, report)
        notes = self._notes.get(session)
        if notes is None:
            notes = self._notes[session] = _Notes()
        if notes.take(report) and notes.timer is None:
            when = max(self._loop.time() + GATHER, notes.next_at)
            notes.timer = self._loop.call_at(when, self._say, session, notes)

    def left(self, session: Session) -> None:
        """Write what is left to be said about a peer that goes; any may be named."""
        notes = self._notes.pop(session, None)
        if notes is not None and notes.timer is not None:
            notes.timer.cancel()
            self._say(session, notes)

    def _say(self, session: Session, notes: _Notes) -> None:
        notes.timer = None
        notes.next_at = self._loop.time() + PERIOD
        self._log.info("remote port peer=%s: %s", session.name, notes.text())


class _Notes:
    """What one remote port is known to have in force, and what of it was not said yet."""

    def __init__(self) -> None:
        self.timer: asyncio.TimerHandle | None = None
        self.next_at = 0.0
        self._known: dict[Item | str, object] = {}
        self._fresh: dict[Item | str, None] = {}  # a set that keeps its order
        self._changes = 0

    def take(self, report: Report) -> bool:
        """Return whether a report tells something that people want to know and did not."""
        before = self._changes
        match report:
            case ModemChange(lines=lines):
                for name in _INPUTS:
                    self._note(name, getattr(lines, name))
            case Told(item=item, value=value) if item in (*_SETTINGS, *_OUTPUTS, Item.SIGNATURE):
                self._note(item, value)
            case LineFault():
                for name in _FAULTS:
                    if getattr(report, name):
                        self._known.pop(name, None)  # another one is news, too
                        self._note(name, True)
            case _:
                pass  # masks and line states: of interest to programs only
        return self._changes > before

    def _note(self, what: Item | str, value: object) -> None:
        if what not in self._known or self._known[what] != value:
            self._known[what] = value
            self._fresh[what] = None
            self._changes += 1

    def text(self) -> str:
        """Return what is different since the last time, with how much more there was."""
        parts = list(self._parts())
        more = self._changes - len(self._fresh)
        self._fresh.clear()
        self._changes = 0
        return ", ".join(parts) + (
            f" ({plural(more, 'change')} in between left out)" if more else ""
        )

    def _parts(self) -> Iterator[str]:
        fresh, known = self._fresh, self._known
        if Item.SIGNATURE in fresh and known[Item.SIGNATURE] is not None:
            yield f'"{known[Item.SIGNATURE]}"'
        if any(item in fresh for item in _SETTINGS):
            yield from self._settings()
        for item, name in _OUTPUTS.items():
            if item in fresh and known[item] is not None:
                yield f"{name} {shown(known[item])}"
        for name in _INPUTS:
            if name in fresh:
                yield f"{name.upper()} {shown(known[name])}"
        yield from (words for name, words in _FAULTS.items() if name in fresh)
        silent = [item for item in fresh if isinstance(item, Item) and known[item] is None]
        if silent:
            yield f"no answer about {', '.join(item.value for item in silent)}"

    def _settings(self) -> Iterator[str]:
        """Yield the settings in the usual notation, or what is known of them."""
        known = self._known
        match [known.get(item) for item in _FORMAT]:
            case [int(baudrate), int(bits), Parity() as parity, StopBits() as stop]:
                flow, inbound = (known.get(item) for item in _SETTINGS[len(_FORMAT) :])
                yield str(
                    LineSettings(
                        baudrate=baudrate,
                        data_bits=bits,
                        parity=parity,
                        stop_bits=stop,
                        flow_control=flow if isinstance(flow, FlowControl) else FlowControl.NONE,
                        inbound_flow=inbound if isinstance(inbound, FlowControl) else None,
                    )
                )
            case _:
                told = (item for item in _SETTINGS if known.get(item) is not None)
                yield from (f"{item.value} {shown(known[item])}" for item in told)
