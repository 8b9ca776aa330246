"""Waits for what may take long, or for ever, without being held by it."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["aside"]

T = TypeVar("T")


def aside(call: Callable[[], T]) -> asyncio.Future[T]:
    """Return what ``call`` will return or raise; it runs in a thread of its own.

    Unlike those of :func:`asyncio.to_thread`, the thread keeps neither the loop nor the process
    from ending: a file behind a network that has gone is read for hours.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()

    def tell(result: T | None, error: Exception | None) -> None:
        if outcome.cancelled():
            return
        if error is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(cast("T", result))

    def run() -> None:
        result, fault = None, None
        try:
            result = call()
        except Exception as error:
            fault = error
        with suppress(RuntimeError):  # the loop is closed: nobody waits for it any more
            loop.call_soon_threadsafe(tell, result, fault)

    threading.Thread(target=run, daemon=True).start()
    return outcome
