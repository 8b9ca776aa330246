"""An event loop in a thread of its own, for programs that have none."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any, TypeVar

from portline.errors import PortlineError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Future

__all__ = ["LoopThread"]

_T = TypeVar("_T")


class LoopThread:
    """A running loop; ``name`` is for those who look at the threads of a program.

    The thread does not keep the program from ending.  All methods may be called from any other
    thread, and from several at once.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop = asyncio.new_event_loop()
        self._lock = threading.Lock()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # the system has no thread left
            self._loop.close()
            raise PortlineError(f"{name}: {error}; end other threads or programs") from None

    def _run(self) -> None:
        """Run until a stop, and let everything end that was begun before; runs in the thread."""
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(_cancel_others())
        finally:
            self._loop.close()

    def call(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine in the thread; return what it returns, or raise what it raises.

        When the caller is interrupted meanwhile (Ctrl-C), the coroutine is cancelled.  UsageError
        where the thread is stopped before it is done.
        """
        with self._lock:  # what gets in before a stop is ended by it, so nobody waits for ever
            future = None if self._stopped else self._schedule(coroutine)
        if future is None:
            coroutine.close()
            raise self._over()
        try:
            return future.result()
        except CancelledError:
            raise self._over() from None
        except BaseException:
            future.cancel()
            raise

    def _schedule(self, coroutine: Coroutine[Any, Any, _T]) -> Future[_T]:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def _over(self) -> UsageError:
        return UsageError(f"{self._name}: is closed; open it again")

    def soon(self, call: Callable[..., object], *arguments: Any) -> None:
        """Have something called in the thread, without waiting for it; nothing after a stop."""
        with self._lock:
            if not self._stopped:
                self._loop.call_soon_threadsafe(call, *arguments)

    def stop(self) -> None:
        """End what is under way, the thread, and the loop; returns when all has ended."""
        with self._lock:
            if not self._stopped:
                self._stopped = True
                self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


async def _cancel_others() -> None:
    """Let everything that is still under way end, also what begins because of that."""
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
