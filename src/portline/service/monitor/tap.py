"""A tap on one connection: everything that passes, told to whoever watches.

While nobody does it costs one look at ``watchers`` for each chunk; whoever is on the way of the
bytes looks before it calls.  A tap outlives its connection's beginning anew, and goes with it to
another name.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from portline.errors import UsageError
from portline.line import (
    BreakChange,
    Item,
    LineChange,
    LineFault,
    ModemChange,
    Purge,
    SendBreak,
    SetBreak,
    SetInputs,
    SetLine,
    SetModem,
    Told,
    shown,
)
from portline.recording.record import Kind, Record, Source
from portline.service.monitor.watcher import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable

    from portline.line import ModemLines, PortState, Report, Request

__all__ = ["WATCHERS_MAX", "Tap"]

WATCHERS_MAX: Final = 32
"""Watchers of one connection at the same time: each costs a microsecond for each chunk."""

_TOLD: Final = {
    Item.BAUDRATE: Kind.SETTINGS,
    Item.DATA_BITS: Kind.SETTINGS,
    Item.PARITY: Kind.SETTINGS,
    Item.STOP_BITS: Kind.SETTINGS,
    Item.FLOW_CONTROL: Kind.SETTINGS,
    Item.INBOUND_FLOW: Kind.SETTINGS,
    Item.DTR: Kind.LINES,
    Item.RTS: Kind.LINES,
    Item.BREAK: Kind.BREAK,
}
"""What an access server tells that somebody who watches wants to know."""


class Tap:
    """What happens at one connection, as records for its ``watchers``.

    ``clock`` tells the seconds since 1970.  ``changed()`` is called when the first one comes, and
    when the last one goes.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.watchers: tuple[Watcher, ...] = ()
        """Those who watch; look here before anything is told."""
        self.skipped = 0
        """Bytes of data that watchers did not read fast enough, since the start."""
        self.changed: Callable[[], None] = lambda: None
        self._clock = clock

    def watch(self, ready: Callable[[], None]) -> Watcher:
        """Begin to watch.  Raises UsageError where too many do."""
        if len(self.watchers) >= WATCHERS_MAX:
            raise UsageError(f"{WATCHERS_MAX} watch this connection already; end one of them")
        watcher = Watcher(ready, self._left)
        self.watchers = (*self.watchers, watcher)
        if len(self.watchers) == 1:
            self.changed()
        return watcher

    def _left(self, watcher: Watcher) -> None:
        if watcher in self.watchers:
            self.watchers = tuple(each for each in self.watchers if each is not watcher)
            if not self.watchers:
                self.changed()

    def end(self, reason: str) -> None:
        """Tell all who watch that the connection is no more."""
        record = Record(
            self._clock(),
            Source.PORT,
            Kind.CLOSED,
            text=reason,
            value={"what": "connection", "reason": reason},
        )
        watchers, self.watchers = self.watchers, ()
        for watcher in watchers:
            watcher.end(record)

    # --- data -----------------------------------------------------------------------------------

    def heard(self, data: bytes) -> None:
        """Tell a chunk that came from the port."""
        self._data(Source.PORT, "", data)

    def spoke(self, peer: str, data: bytes) -> None:
        """Tell a chunk that goes to the port."""
        self._data(Source.PEER, peer, data)

    def _data(self, source: Source, peer: str, data: bytes) -> None:
        # Who does not keep up is who is watched most: making a record costs more than all the rest.
        now, size, record = self._clock(), len(data), None
        for watcher in self.watchers:
            if watcher.is_full(size):
                watcher.skip(size, now)
                self.skipped += size
            else:
                record = record or Record(now, source, Kind.DATA, peer, data)
                watcher.put(record)

    def _put(self, record: Record) -> None:
        for watcher in self.watchers:
            self.skipped += watcher.put(record)

    # --- what happens beside it -----------------------------------------------------------------

    def happened(
        self, kind: Kind, text: str, *, source: Source = Source.PORT, peer: str = "", **value: Any
    ) -> None:
        """Tell anything, if somebody watches."""
        if self.watchers:
            self._put(Record(self._clock(), source, kind, peer, b"", text, value))

    def reported(self, report: Report, *, virtual: bool, peer: str | None = None) -> None:
        """Tell what the port reports, or an access server named ``peer`` of its port."""
        if not self.watchers:
            return
        source = Source.PORT if peer is None else Source.PEER
        tell = _Teller(self, source, peer or "")
        match report:
            case ModemChange(lines=lines) if virtual and peer is None:
                # The far end of the cable: what it reads as CTS and DSR the application drives.
                tell.outputs(lines)
            case ModemChange(lines=lines):
                tell.inputs(lines)
            case LineChange(settings=settings):
                tell(Kind.SETTINGS, str(settings), settings=str(settings))
            case BreakChange(on=on):
                tell(Kind.BREAK, shown(on), on=on)
            case LineFault():
                tell.faults(report)
            case Told(item=item, value=value) if item in _TOLD and value is not None:
                tell(_TOLD[item], f"tells {report}", **_told_value(item, value))
            case Told():
                pass

    def asked(
        self, request: Request, state: PortState, peer: str = "", allowed: bool = True
    ) -> None:
        """Tell what a peer, or nobody but us, has asked for, now that it was carried out or not.

        ``state`` is what is in force; nothing is told of questions.
        """
        if not self.watchers:
            return
        tell = _Teller(self, Source.PEER, peer)
        refused: dict[str, Any] = {} if allowed else {"allowed": False}
        no = "" if allowed else " (not allowed)"
        match request:
            case SetLine():
                settings = str(state.settings)
                tell(Kind.SETTINGS, f"{request}{no}: {settings}", settings=settings, **refused)
            case SetModem():
                levels = {"dtr": request.dtr, "rts": request.rts}
                known = {name: level for name, level in levels.items() if level is not None}
                tell(Kind.LINES, f"{_levels(known)}{no}", **(known if allowed else refused))
            case SetBreak(on=on):
                tell(Kind.BREAK, f"{shown(on)}{no}", on=on, **refused)
            case SendBreak(duration=duration):
                tell(Kind.BREAK, f"{duration:g} s{no}", seconds=duration, **refused)
            case Purge():
                sides = {"received": request.received, "unsent": request.unsent}
                what = " ".join(name for name, on in sides.items() if on)
                tell(Kind.PURGE, f"{what}{no}", **sides, **refused)
            case SetInputs(lines=lines):
                tell.inputs(lines)
            case _:
                pass


class _Teller:
    """Tells of one source."""

    def __init__(self, tap: Tap, source: Source, peer: str) -> None:
        self._tap = tap
        self._source = source
        self._peer = peer

    def __call__(self, kind: Kind, text: str, **value: Any) -> None:
        self._tap.happened(kind, text, source=self._source, peer=self._peer, **value)

    def inputs(self, lines: ModemLines) -> None:
        levels = {name: getattr(lines, name) for name in ("cts", "dsr", "dcd", "ri")}
        self(Kind.LINES, _levels(levels), **levels)

    def outputs(self, lines: ModemLines) -> None:
        levels = {"dtr": lines.dsr, "rts": lines.cts}
        self(Kind.LINES, _levels(levels), **levels)

    def faults(self, fault: LineFault) -> None:
        if fault.break_received:
            self(Kind.BREAK, "received")
        names = [name for name in ("overrun", "parity", "framing") if getattr(fault, name)]
        if names:
            text = ", ".join(name if name == "overrun" else f"{name} error" for name in names)
            self(Kind.FAULT, text, **dict.fromkeys(names, True))


def _levels(levels: dict[str, bool]) -> str:
    return " ".join(f"{name.upper()}={shown(on)}" for name, on in levels.items())


def _told_value(item: Item, value: object) -> dict[str, Any]:
    if item is Item.BREAK:
        return {"on": value}
    return {item.value.replace("-", "_"): value if isinstance(value, bool) else shown(value)}
