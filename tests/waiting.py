"""Bounded waiting: conditions instead of sleeps."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = 10.0
"""Seconds after which a condition that does not come true fails the test: only a bound."""


async def until(condition: Callable[[], object], limit: float = LIMIT) -> None:
    """Let the loop run until ``condition()`` is true."""
    loop = asyncio.get_running_loop()
    end = loop.time() + limit
    while not condition():
        assert loop.time() < end, f"waited {limit:g} s in vain"
        await asyncio.sleep(0.001)
