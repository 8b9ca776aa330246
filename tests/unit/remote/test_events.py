from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from portline.line import LineFault, ModemChange, ModemLines
from portline.remote.bell import Bell
from portline.remote.events import EVENTS_LIMIT, Events

if TYPE_CHECKING:
    from tests.conftest import Run


def test_it_yields_what_was_put_until_the_end(run: Run) -> None:
    async def scenario() -> None:
        bell = Bell(asyncio.get_running_loop())
        events = Events(bell)
        events.put(LineFault(overrun=True))
        assert await anext(events) == LineFault(overrun=True)
        task = asyncio.get_running_loop().create_task(anext(events))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        change = ModemChange(ModemLines(cts=True))
        events.put(change)
        events.end()
        bell.ring()
        assert await task == change
        assert [event async for event in events] == []

    run(scenario())


def test_the_oldest_give_way(run: Run) -> None:
    async def scenario() -> None:
        events = Events(Bell(asyncio.get_running_loop()))
        events.put(LineFault(overrun=True))
        for _ in range(EVENTS_LIMIT):
            events.put(LineFault(parity=True))
        events.end()
        assert events.dropped == 1
        assert [event async for event in events] == [LineFault(parity=True)] * EVENTS_LIMIT

    run(scenario())
