"""One bell for everything that is waited for: each who waits looks again when it rings."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["Bell"]


class Bell:
    """Conditions that become true because something happens, never by themselves."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: set[asyncio.Future[None]] = set()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until ``condition()`` is true; it is looked at now, and at each ring."""
        while not condition():
            future = self._loop.create_future()
            self._waiting.add(future)
            try:
                await future
            finally:
                self._waiting.discard(future)

    def ring(self) -> None:
        """Have everybody look."""
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
