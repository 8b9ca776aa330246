"""Bounded waiting: conditions instead of sleeps."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

IN_LAB = "PORTLINE_LAB" in os.environ
"""Whether this is the lab's machine (`make lab`), with the kernel that some tests need."""

SLOWNESS = 16.0 if IN_LAB else 1.0
"""What to multiply bounds by: how much slower than others this machine may be."""

LIMIT = 10.0 * SLOWNESS
"""Seconds after which a condition that does not come true fails the test: only a bound."""


async def until(condition: Callable[[], object], limit: float = LIMIT) -> None:
    """Let the loop run until ``condition()`` is true."""
    loop = asyncio.get_running_loop()
    end = loop.time() + limit
    while not condition():
        assert loop.time() < end, f"waited {limit:g} s in vain"
        await asyncio.sleep(0.001)
