from __future__ import annotations

import asyncio
import threading

import pytest

from portline.remote.thread import LoopThread


def test_coroutines_run_elsewhere_and_their_end_comes_back() -> None:
    async def where() -> str:
        return threading.current_thread().name

    async def fail() -> None:
        raise ValueError("this is why")

    thread = LoopThread("elsewhere")
    assert thread.call(where()) == "elsewhere"
    with pytest.raises(ValueError, match="this is why"):
        thread.call(fail())
    called = threading.Event()
    thread.soon(called.set)
    assert called.wait(10)
    thread.stop()
    thread.soon(called.clear)
    assert called.is_set()
    assert "elsewhere" not in [each.name for each in threading.enumerate()]


def test_what_is_under_way_ends_with_it() -> None:
    thread = LoopThread("elsewhere")
    ended = threading.Event()

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def begin() -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(wait())

    task = thread.call(begin())
    thread.stop()
    assert ended.is_set()
    assert task.cancelled()
