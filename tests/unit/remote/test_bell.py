from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from portline.remote.bell import Bell

if TYPE_CHECKING:
    from tests.conftest import Run


def test_those_who_wait_look_at_each_ring(run: Run) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        bell, true = Bell(loop), [False]
        await bell.until(lambda: True)
        looks: list[int] = []
        waiting = [
            loop.create_task(bell.until(lambda: (looks.append(1), true[0])[1])) for _ in range(2)
        ]
        await asyncio.sleep(0)
        bell.ring()
        bell.ring()
        await asyncio.sleep(0)
        assert len(looks) == 4
        true[0] = True
        bell.ring()
        await asyncio.gather(*waiting)

    run(scenario())


def test_one_may_give_up(run: Run) -> None:
    async def scenario() -> None:
        bell = Bell(asyncio.get_running_loop())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(bell.until(lambda: False), 0.01)
        assert not bell._waiting

    run(scenario())
