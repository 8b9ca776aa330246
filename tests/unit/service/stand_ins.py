"""What stands in for a loop, a port and a session where only a part of them is looked at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Timer:
    def __init__(self, clock: Clock, when: float, call: Callable[[], object]) -> None:
        self.clock, self.when, self.call = clock, when, call

    def cancel(self) -> None:
        if self in self.clock.timers:
            self.clock.timers.remove(self)


class Clock:
    """A loop that only tells the time and keeps timers; ``pass_time`` lets them ring."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[Timer] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, call: Callable[..., object], *arguments: Any) -> Timer:
        timer = Timer(self, when, lambda: call(*arguments))
        self.timers.append(timer)
        return timer

    def call_later(self, wait: float, call: Callable[..., object], *arguments: Any) -> Timer:
        return self.call_at(self.now + wait, call, *arguments)

    def call_soon(self, call: Callable[..., object], *arguments: Any) -> Timer:
        return self.call_at(self.now, call, *arguments)

    @property
    def waiting(self) -> list[float]:
        return sorted(timer.when - self.now for timer in self.timers)

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while self.timers and min(self.timers, key=lambda timer: timer.when).when <= end + 1e-9:
            timer = min(self.timers, key=lambda timer: timer.when)
            self.timers.remove(timer)
            self.now = max(self.now, timer.when)
            timer.call()
        self.now = end


class Valve:
    """A port of which only the pausing is looked at."""

    paused = False

    def pause_reading(self) -> None:
        assert not self.paused
        self.paused = True

    def resume_reading(self) -> None:
        assert self.paused
        self.paused = False


class Listener:
    """A session of which only the end and the dropping are looked at."""

    name = "127.0.0.1:50000"

    def __init__(self, now: float = 0.0) -> None:
        self.log: list[str] = []
        self.active_at = self.connected_at = now
        self.link = self
        self.outbox = self
        self.size = 0
        self.owes = False
        self.stuck: int | None = None
        self.left: Callable[[], object] = lambda: None

    def stuck_at(self) -> int | None:
        return self.stuck

    def dead(self, silence: float) -> bool:
        return self.owes

    def shrink(self) -> None:
        self.log.append("shrink")

    def abort(self, reason: str) -> None:
        self.log.append(f"abort: {reason}")
        self.left()

    def close(self, reason: str) -> None:
        self.log.append(f"close: {reason}")
        self.left()

    def tick(self, now: float) -> None:
        self.log.append("tick")
