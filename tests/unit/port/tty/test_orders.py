"""What is asked of a tty, which only notes it here; a port with all of it is in test_port.py."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from portline.line import (
    Hold,
    Item,
    LineSettings,
    Purge,
    Query,
    Request,
    SendBreak,
    SetBreak,
    SetLine,
    SetModem,
)
from portline.port.tty import orders as module
from portline.port.tty.direction import Turn
from portline.port.tty.orders import BREAK_LIMIT, Orders
from tests.waiting import until

if TYPE_CHECKING:
    from tests.conftest import Run


class NotedTty:
    """A tty that does everything, or no break."""

    def __init__(self, *, breaks: bool = True) -> None:
        self.settings = LineSettings(9600)
        self.asked: list[object] = []
        self._breaks = breaks

    def configure(self, settings: LineSettings) -> list[str]:
        self.settings = settings
        return []

    def drive(self, outputs: SetModem) -> None:
        self.asked.append(outputs)

    def set_break(self, on: bool) -> bool:
        self.asked.append(on)
        return self._breaks

    def drop_received(self) -> None:
        self.asked.append("dropped")

    def read_modem_lines(self) -> None:
        self.asked.append("read")


def make(tty: NotedTty, direction: Any = None) -> tuple[Orders, Any]:
    outlet = SimpleNamespace(character_time=0.0)
    loop = asyncio.get_running_loop()
    return Orders("meter", tty, outlet, direction, loop), outlet  # type: ignore[arg-type]  # doubles


def test_settings_tell_the_outlet_how_long_a_character_is(run: Run) -> None:
    async def scenario() -> None:
        tty = NotedTty()
        orders, outlet = make(tty)
        assert orders.carry_out(SetLine(baudrate=1200)) == 0.0
        assert tty.settings == LineSettings(1200)
        assert outlet.character_time == tty.settings.character_time

    run(scenario())


@pytest.mark.parametrize(
    ("request_", "asked"),
    [
        (SetModem(dtr=True), [SetModem(dtr=True)]),
        (Purge(received=True), ["dropped"]),
        (Purge(unsent=True), []),
        (Query(Item.MODEM_LINES), ["read"]),
        (Query(Item.BAUDRATE), []),
        (SetBreak(on=False), [False]),
        (SendBreak(0.0), []),
        (Turn(rts=True), []),
    ],
    ids=str,
)
def test_each_request_is_one_call_of_the_tty(
    run: Run, request_: Request, asked: list[object]
) -> None:
    async def scenario() -> None:
        tty = NotedTty()
        orders, _ = make(tty)
        assert orders.carry_out(request_) == 0.0
        assert tty.asked == asked

    run(scenario())


def test_what_has_to_wait_behind_a_request(run: Run) -> None:
    async def scenario() -> None:
        orders, _ = make(NotedTty(), SimpleNamespace(turn=lambda request: 0.25))
        assert orders.carry_out(Hold(0.5)) == 0.5
        assert orders.carry_out(Turn(rts=True)) == 0.25
        assert orders.carry_out(SendBreak(0.3)) == 0.3
        assert orders.carry_out(SendBreak(60.0)) == BREAK_LIMIT
        orders.close()
        orders, _ = make(NotedTty(breaks=False))
        assert orders.carry_out(SendBreak(0.3)) == 0.0

    run(scenario())


def test_a_break_ends_by_itself_or_when_it_is_closed(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        tty = NotedTty()
        orders, _ = make(tty)
        orders.carry_out(SetBreak(on=True))
        orders.close()
        assert tty.asked == [True, False]
        monkeypatch.setattr(module, "BREAK_LIMIT", 0.01)
        orders.carry_out(SetBreak(on=True))
        await until(lambda: tty.asked == [True, False, True, False])

    run(scenario())
