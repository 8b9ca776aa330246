from __future__ import annotations

import asyncio
import os

from portline.cli.terminal.console import SHOWN_MAX, Console
from tests.conftest import Run
from tests.waiting import until


def test_what_waits_for_a_screen_that_stands_still_is_bounded(run: Run) -> None:
    async def scenario() -> None:
        source, keyboard = os.pipe()
        screen, target = os.pipe()
        os.close(keyboard)
        typed: list[bytes] = []
        gone: list[bool] = []
        loop = asyncio.get_running_loop()
        try:
            with Console(
                loop, typed.append, lambda: gone.append(True), source=source, target=target
            ) as console:
                console.show(b"")
                console.show(bytes(1024 * 1024))  # more than a pipe takes: it stands still here
                await until(lambda: console.waiting == 0)
                for _ in range(SHOWN_MAX):
                    console.show(b"x")
                assert console.unshown == 0
                console.show(b"x")
                console.show(b"x")
                assert (console.waiting, console.unshown) == (SHOWN_MAX, 2)
                os.close(screen)
                await until(lambda: gone and typed == [b""])
        finally:
            os.close(source)
            os.close(target)
        assert gone == [True]

    run(scenario())
