"""One attempt after another at what may not be possible yet: to listen, to dial, to find a host.

Theory of operation
-------------------
::

    closed --open--> attempt --it ends--> (its owner decides)
      ^                 ^  |                  |
      +------close------+--+------call_at-----+

An attempt may have work that takes a while, in a task.  What a task finds that nobody waits for any
more, because of a close meanwhile, is dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine

__all__ = ["Attempts"]

T = TypeVar("T")


class Attempts(Generic[T]):
    """Attempts at one thing, one at a time, while they are ``wanted``.

    ``begin()`` is called for each; ``ended(task)`` when its ``work`` is done or has failed, and
    ``dropped(found)`` instead when they were closed meanwhile.  Nothing is called for what was
    cancelled.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        begin: Callable[[], None],
        *,
        ended: Callable[[asyncio.Task[T]], None],
        dropped: Callable[[T], None] = lambda found: None,
    ) -> None:
        self.wanted = False
        self._loop = loop
        self._begin = begin
        self._ended = ended
        self._dropped = dropped
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[T] | None = None

    @property
    def working(self) -> bool:
        """Tell whether there is work under way."""
        return self._task is not None

    def open(self) -> None:
        """Begin now, unless that has been done."""
        if not self.wanted:
            self.wanted = True
            self._begin()

    def close(self) -> None:
        """Attempt nothing more."""
        self.wanted = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def call_at(self, when: float, call: Callable[[], None] | None = None) -> None:
        """Begin again at ``when`` in the loop's time; or make another ``call`` then."""
        self._timer = self._loop.call_at(when, self._ring, call or self._begin)

    def work(self, coroutine: Coroutine[object, object, T]) -> None:
        """Have the work of this attempt done."""
        self._task = self._loop.create_task(coroutine)
        self._task.add_done_callback(self._done)

    def _ring(self, call: Callable[[], None]) -> None:
        self._timer = None
        call()

    def _done(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            return
        if task is self._task:
            self._task = None
            self._ended(task)
        elif task.exception() is None:
            self._dropped(task.result())
