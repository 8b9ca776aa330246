"""What happens at a remote port, for a program that wants to follow it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from portline.remote.bell import Bell
    from portline.remote.cable import News

__all__ = ["EVENTS_LIMIT", "Events"]

EVENTS_LIMIT: Final = 1000
"""Events that wait for one reader of them; the oldest give way (``Events.dropped``)."""


class Events:
    """An iterator for ``async for`` over ModemChange, LineFault, and LineChange (by somebody else).

    It ends with the connection.
    """

    def __init__(self, bell: Bell) -> None:
        self.dropped = 0
        """Events that were lost because too many waited."""
        self._bell = bell
        self._waiting: deque[News] = deque(maxlen=EVENTS_LIMIT)
        self._ended = False

    def put(self, event: News) -> None:
        """Take an event; who iterates sees it when the bell rings."""
        self.dropped += len(self._waiting) == EVENTS_LIMIT
        self._waiting.append(event)

    def end(self) -> None:
        """Note that no more will come."""
        self._ended = True

    def __aiter__(self) -> Events:
        return self

    async def __anext__(self) -> News:
        await self._bell.until(lambda: self._waiting or self._ended)
        if not self._waiting:
            raise StopAsyncIteration
        return self._waiting.popleft()
