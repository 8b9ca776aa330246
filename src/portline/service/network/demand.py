"""Whether peers are wanted, where only an open virtual port makes them so.

Many programs open a port several times in a row, to look at it first.  So peers that were wanted
stay so for HANG_UP seconds after the application has closed the port.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["HANG_UP", "NOBODY_ASKS", "Demand"]

HANG_UP: Final = 1.0
"""Seconds that peers stay after the application has closed the port."""

NOBODY_ASKS: Final = "no application has the virtual port open"
"""Why there are no peers then, for people."""


class Demand:
    """The demand for peers; ``over()`` is called when there was none for HANG_UP seconds."""

    def __init__(self, loop: asyncio.AbstractEventLoop, over: Callable[[], None]) -> None:
        self.there = False
        """Whether peers are wanted now."""
        self._loop = loop
        self._over = over
        self._timer: asyncio.TimerHandle | None = None

    def want(self, wanted: bool) -> None:
        """Want peers from now on; or no longer, in HANG_UP seconds."""
        self._cancel()
        if wanted:
            self.there = True
        elif self.there:
            self._timer = self._loop.call_later(HANG_UP, self._over)

    def end(self) -> None:
        """Want no peers from now on; ``over`` is not called any more."""
        self._cancel()
        self.there = False

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
