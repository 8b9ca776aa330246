"""Running scenarios in which everything belongs to one bench, which is closed after them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from tests.conftest import Run


class Closes(Protocol):
    def close(self) -> None: ...


B = TypeVar("B", bound=Closes)

Served = Callable[[Callable[[B], Awaitable[None]]], None]


def with_bench(run: Run, make: Callable[[], B]) -> Served[B]:
    """Return what runs a scenario with a bench that ``make`` makes in the loop."""

    def run_it(scenario: Callable[[B], Awaitable[None]]) -> None:
        async def whole() -> None:
            bench = make()
            try:
                await scenario(bench)
            finally:
                bench.close()

        run(whole())

    return run_it
