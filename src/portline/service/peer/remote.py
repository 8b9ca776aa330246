"""The port at the other end: what its access server was asked, and what it says is in force.

Servers differ (docs/explanation/rfc2217.md): some answer with another value, some leave commands
without an answer.  Neither ends the connection unless that is wanted; it is told once for each
setting, and the status shows what was asked beside what is in force.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portline.hub.drain import Transmitter
from portline.line import Item, Query, SetBreak, SetLine, SetModem, shown
from portline.wire.profiles import UNKNOWN, profile_of
from portline.wire.rfc2217_codes import settings_of

if TYPE_CHECKING:
    from portline.line import Request, Told

__all__ = ["EVERY_FAULT", "EVERY_LINE", "NO_FAULT", "RemoteSetting", "RemoteState"]

EVERY_LINE: Final = 0xFB
"""The modem state mask for an access server (RFC 2217 section 3): every line, each change of one.

Only the bit for RI's trailing edge is left out, which tells nothing that RI itself does not: 255
would have to be doubled, and of a doubled 255 in a command sredird sends the rest to the device."""

NO_FAULT: Final = 0
"""The line state mask for the virtual port that has no way to show an application what went wrong
there, which most are."""

EVERY_FAULT: Final = 0x1E
"""The one for the others: overrun, parity, framing, break (RFC 2217 section 3)."""

TOLERANCE: Final = 0.02
"""Part by which a baudrate may differ from what was asked: a UART's divider seldom meets it, and a
receiver samples in the middle of a bit for ten bits."""


@dataclass(frozen=True, slots=True)
class RemoteSetting:
    """One setting of the remote port.  ``in_force`` is None until the access server tells it."""

    item: Item
    asked: object
    in_force: object


class RemoteState:
    """What is known of the port of one access server."""

    def __init__(self) -> None:
        self.transmitter = Transmitter()
        self._asked: dict[Item, object] = {}
        self._told: dict[Item, object] = {}
        self._complained: set[Item] = set()
        self._profile = UNKNOWN

    @property
    def settings(self) -> tuple[RemoteSetting, ...]:
        """What was asked and what is in force, in the order of asking."""
        return tuple(
            RemoteSetting(item, value, self._told.get(item)) for item, value in self._asked.items()
        )

    def asks(self, request: Request) -> None:
        """Note what is asked for."""
        if isinstance(request, SetLine | SetModem | SetBreak):
            self._asked.update(settings_of(request))

    def told(self, report: Told) -> str:
        """Note what the server tells; returns what is wrong with it, if that is news."""
        item = report.item
        if item is Item.SIGNATURE:
            self._profile = profile_of(None if report.value is None else str(report.value))
        if report.value is None:
            if item in self._profile.unsaid:
                return ""
            if report.request is None or isinstance(report.request, Query):
                return ""
            return self._complain(item, "was asked for and not answered")
        self._told[item] = report.value
        if item is Item.LINE_STATE and isinstance(report.value, int):
            self.transmitter.told(report.value)
        asked = dict(settings_of(report.request)).get(item) if report.request else None
        if asked is None or _fits(asked, report.value):
            self._complained.discard(item)
            return ""
        return self._complain(item, f"is {shown(report.value)} and not {shown(asked)}")

    def _complain(self, item: Item, text: str) -> str:
        if item in self._complained:
            return ""
        self._complained.add(item)
        return f"{item.value} {text}"


def _fits(asked: object, told: object) -> bool:
    if isinstance(asked, bool) or not isinstance(asked, int) or not isinstance(told, int):
        return asked == told
    return abs(asked - told) <= TOLERANCE * asked
