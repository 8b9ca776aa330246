from __future__ import annotations

from typing import TYPE_CHECKING, cast

from portline.port.pty.poll import LOOKS, TICK, Poll
from tests.ports import SlowLoop

if TYPE_CHECKING:
    import asyncio


def polls(count: int) -> tuple[SlowLoop, list[int], list[Poll]]:
    loop, looks = SlowLoop(), []

    def poll(number: int) -> Poll:
        return Poll(lambda: looks.append(number), cast("asyncio.AbstractEventLoop", loop))

    return loop, looks, [poll(number) for number in range(count)]


def test_a_few_are_looked_at_with_every_tick() -> None:
    loop, looks, _polls = polls(3)
    assert len(loop.waiting) == 1
    loop.pass_time(2 * TICK)
    assert looks == [0, 1, 2, 0, 1, 2]


def test_many_take_turns() -> None:
    loop, looks, _polls = polls(LOOKS * 2 + 1)
    loop.pass_time(TICK)
    assert looks == list(range(LOOKS))
    loop.pass_time(2 * TICK)
    assert looks == list(range(LOOKS * 2 + 1))
    loop.pass_time(TICK)
    assert looks[LOOKS * 2 + 1 :] == list(range(LOOKS))


def test_what_is_closed_is_not_looked_at() -> None:
    loop, looks, made = polls(LOOKS + 2)
    loop.pass_time(TICK)
    looks.clear()
    made[LOOKS].close()
    made[LOOKS].close()
    loop.pass_time(TICK)
    assert looks == [LOOKS + 1]


def test_a_look_may_close_others() -> None:
    loop, looks, made = polls(2)
    made[0].look = made[1].close
    loop.pass_time(TICK)
    assert looks == []


def test_the_timer_ends_with_the_last() -> None:
    loop, looks, made = polls(2)
    for poll in made:
        poll.close()
    assert loop.waiting == []
    loop.pass_time(10 * TICK)
    assert looks == []
    again = Poll(lambda: looks.append(9), cast("asyncio.AbstractEventLoop", loop))
    loop.pass_time(TICK)
    assert looks == [9]
    again.close()
