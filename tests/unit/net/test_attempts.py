from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from portline.net.attempts import Attempts

if TYPE_CHECKING:
    from tests.conftest import Run


class Play:
    """Attempts whose work ends when the test says so; ``log`` is what was called."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.log: list[str] = []
        self.work: list[asyncio.Future[str]] = []
        self.attempts = Attempts(
            self.loop,
            self.begin,
            ended=lambda task: self.log.append(f"ended: {task.result()}"),
            dropped=lambda found: self.log.append(f"dropped: {found}"),
        )

    def begin(self) -> None:
        self.log.append("begin")
        self.work.append(self.loop.create_future())
        self.attempts.work(self.wait_for(self.work[-1]))

    async def wait_for(self, work: asyncio.Future[str]) -> str:
        return await work


async def turns(count: int = 4) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_an_attempt_begins_once_and_its_end_is_told(run: Run) -> None:
    async def scenario() -> None:
        play = Play()
        play.attempts.open()
        play.attempts.open()
        assert play.attempts.working
        await turns()
        play.work[0].set_result("it")
        await turns()
        assert play.log == ["begin", "ended: it"]
        assert not play.attempts.working
        assert play.attempts.wanted

    run(scenario())


def test_another_begins_when_its_time_has_come(run: Run) -> None:
    async def scenario() -> None:
        play = Play()
        play.attempts.open()
        await turns()
        play.work[0].set_result("nothing")
        await turns()
        play.attempts.call_at(play.loop.time())
        await turns()
        play.attempts.call_at(play.loop.time(), lambda: play.log.append("another call"))
        await turns()
        assert play.log == ["begin", "ended: nothing", "begin", "another call"]
        play.attempts.close()

    run(scenario())


def test_nothing_is_told_after_a_close(run: Run) -> None:
    async def scenario() -> None:
        play = Play()
        play.attempts.open()
        await turns()
        play.attempts.close()
        play.attempts.call_at(play.loop.time())
        play.attempts.close()
        await turns()
        assert play.log == ["begin"]
        assert not play.attempts.wanted
        assert play.work[0].cancelled()

    run(scenario())


def test_what_was_found_before_a_close_and_not_told_is_dropped(run: Run) -> None:
    async def scenario() -> None:
        play = Play()
        play.attempts.open()
        await turns()
        play.work[0].set_result("it")
        await turns(1)  # the work has ended, and nobody has been told
        play.attempts.close()
        await turns()
        assert play.log == ["begin", "dropped: it"]

    run(scenario())


def test_each_life_has_its_own_work(run: Run) -> None:
    async def scenario() -> None:
        play = Play()
        play.attempts.open()
        await turns()
        play.attempts.close()
        play.attempts.open()
        await turns()
        play.work[1].set_result("second")
        await turns()
        assert play.log == ["begin", "begin", "ended: second"]

    run(scenario())
