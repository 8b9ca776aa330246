from __future__ import annotations

import asyncio
import threading

import pytest

from portline.errors import PortlineError, UsageError
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


def test_who_calls_while_it_stops_does_not_wait_for_ever() -> None:
    for _ in range(200):
        thread = LoopThread("elsewhere")
        ends: list[object] = []
        begin = threading.Barrier(3)

        def work(thread: LoopThread, begin: threading.Barrier, ends: list[object]) -> None:
            begin.wait(10)
            for _ in range(20):
                try:
                    ends.append(thread.call(asyncio.sleep(0, "done")))
                except UsageError as error:
                    ends.append(error)

        others = [
            threading.Thread(target=work, args=(thread, begin, ends), daemon=True) for _ in range(2)
        ]
        for each in others:
            each.start()
        begin.wait(10)
        thread.stop()
        for each in others:
            each.join(10)
            assert not each.is_alive()
        assert len(ends) == 40


def test_it_can_be_stopped_by_several_at_once() -> None:
    thread = LoopThread("elsewhere")
    faults: list[BaseException] = []

    def stop() -> None:
        try:
            thread.stop()
        except BaseException as error:
            faults.append(error)

    others = [threading.Thread(target=stop) for _ in range(8)]
    for each in others:
        each.start()
    for each in others:
        each.join(10)
    assert not faults
    with pytest.raises(UsageError, match="elsewhere: is closed"):
        thread.call(asyncio.sleep(0))


def test_who_waits_is_told_that_it_stops() -> None:
    thread = LoopThread("elsewhere")
    ends: list[BaseException] = []
    waits = threading.Event()

    async def wait() -> None:
        waits.set()
        await asyncio.Event().wait()

    def work() -> None:
        try:
            thread.call(wait())
        except BaseException as error:
            ends.append(error)

    other = threading.Thread(target=work, daemon=True)
    other.start()
    assert waits.wait(10)
    thread.stop()
    other.join(10)
    assert [type(end) for end in ends] == [UsageError]


def test_what_begins_while_all_else_ends_ends_too() -> None:
    thread = LoopThread("elsewhere")
    ended = threading.Event()

    async def late() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def wait(tasks: list[asyncio.Task[None]]) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            tasks.append(asyncio.get_running_loop().create_task(late()))
            await asyncio.sleep(0)

    tasks: list[asyncio.Task[None]] = []

    async def begin() -> None:
        tasks.append(asyncio.get_running_loop().create_task(wait(tasks)))

    thread.call(begin())
    thread.stop()
    assert ended.is_set()


def test_a_system_without_threads_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(PortlineError, match=r"elsewhere: can't start new thread; end"):
        LoopThread("elsewhere")
