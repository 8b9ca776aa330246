"""What is known of a remote port and what it was asked: the part without I/O.

Theory of operation
-------------------
A request is sent at once and answered later, item by item.  :class:`Asked` gathers the answers to
one request; it is done when the wire waits for none of them any more, be it that they came, that
one came without a value, or that the server kept silent for too long.  Servers differ in all of
this, so a missing or different answer is for whoever asked to judge.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from portline.line import (
    Flow,
    Item,
    LineChange,
    LineFault,
    ModemChange,
    PortState,
    SetBreak,
    SetLine,
    SetModem,
    Told,
)
from portline.wire.rfc2217_codes import setting, settings_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    from portline.line import Request
    from portline.wire.rfc2217 import Rfc2217Wire

    News: TypeAlias = ModemChange | LineChange | LineFault

__all__ = ["Asked", "Cable"]


@dataclass(eq=False, slots=True)
class Asked:
    """A request that was sent, and what was told in answer to it."""

    request: Request
    told: dict[Item, object] = field(default_factory=dict)
    done: bool = False

    def differences(self) -> Iterator[tuple[Item, object, object]]:
        """Yield each item that is not as asked: the value asked for, and that in force.

        The latter is None where the server did not tell it.
        """
        for item, value in settings_of(self.request):
            if self.told.get(item) != value:
                yield item, value, self.told.get(item)


class Cable:
    """One remote port as its wire tells of it."""

    def __init__(self, wire: Rfc2217Wire) -> None:
        self.state = PortState()
        """What is in force, as far as it was told."""
        self.suspended = False
        """The server wants data held back."""
        self.wire = wire
        self.tells_outputs = False
        """The server has told DTR or RTS."""
        self._asked: list[Asked] = []

    def ask(self, request: Request, now: float) -> tuple[bytes, Asked]:
        """Return what to send for a request, and where its answers will be gathered."""
        said, asked = self.wire.ask(request, now), Asked(request)
        self._asked.append(asked)
        self._settle()
        return said, asked

    def feed(self, data: bytes, now: float) -> list[bytes | News]:
        """Take bytes from the network; return the data in them, and what changed by itself."""
        heard: list[bytes | News] = []
        for event in self.wire.feed(data, now):
            match event:
                case bytes() | LineFault():
                    heard.append(event)
                case ModemChange(lines):
                    if lines != self.state.lines:
                        self.state = replace(self.state, lines=lines)
                        heard.append(event)
                case Flow(suspended):
                    self.suspended = suspended
                case Told():
                    heard += self._take(event)
                case _:
                    pass  # what an access server has no reason to say
        self._settle()
        return heard

    def tick(self, now: float) -> None:
        """Let time pass: give up what should have been answered by now."""
        self.wire.tick(now)
        self._settle()

    def _take(self, told: Told) -> list[LineChange]:
        settings = self.state.settings
        self.state = _told(self.state, told.item, told.value)
        self.tells_outputs = self.tells_outputs or told.item in (Item.DTR, Item.RTS)
        for asked in self._asked:
            if asked.request is told.request:
                asked.told[told.item] = told.value
                return []
        changed = self.state.settings != settings
        return [LineChange(self.state.settings)] if changed else []

    def _settle(self) -> None:
        for asked in self._asked:
            asked.done = not self.wire.waits(asked.request)
        self._asked = [asked for asked in self._asked if not asked.done]


def _told(state: PortState, item: Item, value: object) -> PortState:
    """Return the state after one item was told."""
    try:
        request = setting(item, value)  # type: ignore[arg-type]  # it looks at the type itself
    except ValueError:
        return state
    match request:
        case SetLine():
            return replace(state, settings=request.applied_to(state.settings))
        case SetModem():
            return request.applied_to(state)
        case SetBreak(on):
            return replace(state, break_on=on)
        case _:
            return state
