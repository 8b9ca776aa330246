from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from portline.net.ending import UNHEARD_MAX, Ending
from tests.waiting import until

if TYPE_CHECKING:
    from tests.conftest import Run


class Bench:
    """An ending of one end of a pair of sockets, and the other end."""

    def __init__(self, limit: float = 60.0, *, heard: bool = False) -> None:
        self.near, self.far = socket.socketpair()
        self.far.setblocking(False)
        self.missing = 0  # looks that find something unacknowledged
        self.looks = 0
        self.over = 0
        self.ending = Ending(
            asyncio.get_running_loop(),
            self.near,
            limit,
            heard=heard,
            settled=self.settled,
            over=self.ended,
        )

    def settled(self) -> bool:
        self.looks += 1
        return self.looks > self.missing

    def ended(self) -> None:
        self.over += 1
        self.ending.stop()

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *error: object) -> None:
        self.ending.stop()
        self.near.close()
        self.far.close()


@pytest.mark.parametrize("order", [("ours", "theirs"), ("theirs", "ours")])
def test_it_is_over_when_both_have_said_all(run: Run, order: tuple[str, str]) -> None:
    async def scenario() -> None:
        with Bench() as bench:
            for side in order:
                assert bench.over == 0
                if side == "ours":
                    bench.ending.say_end()
                    assert bench.far.recv(1) == b""
                else:
                    assert not bench.ending.hear(b"")
            assert (bench.over, bench.looks) == (1, 1)

    run(scenario())


def test_who_had_ended_before_has_said_all(run: Run) -> None:
    async def scenario() -> None:
        with Bench(heard=True) as bench:
            bench.ending.say_end()
            assert bench.over == 1

    run(scenario())


def test_what_is_not_acknowledged_is_waited_for(run: Run) -> None:
    async def scenario() -> None:
        with Bench(heard=True) as bench:
            bench.missing = 3
            bench.ending.say_end()
            assert bench.over == 0
            await until(lambda: bench.over == 1)
            assert bench.looks == 4

    run(scenario())


def test_who_goes_on_is_heard_no_more_after_a_while(run: Run) -> None:
    async def scenario() -> None:
        with Bench() as bench:
            assert bench.ending.hear(bytes(UNHEARD_MAX))
            assert not bench.ending.hear(b"x")
            assert bench.over == 0

    run(scenario())


def test_it_does_not_last_longer_than_its_limit(run: Run) -> None:
    async def scenario() -> None:
        with Bench(limit=0.05) as bench:
            bench.ending.say_end()
            await until(lambda: bench.over == 1)

    run(scenario())


def test_what_cannot_be_said_any_more_is_over(run: Run) -> None:
    async def scenario() -> None:
        with Bench() as bench:
            bench.near.close()
            bench.ending.say_end()
            assert bench.over == 1

    run(scenario())
