from __future__ import annotations

import asyncio
import threading

import pytest

from portline.service.process.aside import aside
from tests.conftest import Run


def test_it_returns_and_raises_what_the_call_does(run: Run) -> None:
    async def scenario() -> None:
        assert await aside(threading.current_thread) is not threading.current_thread()
        with pytest.raises(ZeroDivisionError):
            await aside(lambda: 1 // 0)

    run(scenario())


def test_a_call_may_end_when_nobody_waits_any_more(run: Run) -> None:
    late = threading.Event()
    threads: list[threading.Thread] = []

    def call() -> None:
        threads.append(threading.current_thread())
        late.wait()

    async def scenario(*, ends_within: bool) -> None:
        waiting = aside(call)
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        if ends_within:
            late.set()
            await asyncio.to_thread(threads.pop().join)
            await asyncio.sleep(0)

    run(scenario(ends_within=True))
    late.clear()
    run(scenario(ends_within=False))
    late.set()
    threads.pop().join()
