"""How long to wait before the next try: soon at first, then seldom, and never in step with others.

A server that restarts would be met by all of its clients at the same moment if each waited equally
long; so each delay is a random part of the nominal one.
"""

from __future__ import annotations

import random as _random
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FIRST", "GROWTH", "HIGHEST", "SMALLEST_PART", "Backoff"]

FIRST: Final = 0.2
"""Seconds before the first new try: a cable that was plugged in again is hardly noticed."""

HIGHEST: Final = 5.0
"""Seconds between tries at most: cheap for both sides, and soon enough for whoever waits."""

GROWTH: Final = 2.0
"""How much longer each delay is than the one before."""

SMALLEST_PART: Final = 0.5
"""The part of the nominal delay that is always waited; the rest is left to chance."""


class Backoff:
    """Delays in seconds that double from ``first`` to ``highest``, each cut by chance.

    ``random`` returns numbers from 0 up to 1, as :func:`random.random` does.
    """

    def __init__(
        self,
        first: float = FIRST,
        highest: float = HIGHEST,
        random: Callable[[], float] = _random.random,
    ) -> None:
        if not 0 < first <= highest:
            raise ValueError(f"delays from {first:g} to {highest:g} s do not grow from above 0")
        self.highest = highest
        """Seconds that no delay exceeds."""
        self._first = first
        self._nominal = first
        self._random = random

    def delay(self) -> float:
        """Return the seconds to wait now; the next delay is longer."""
        part = SMALLEST_PART + (1 - SMALLEST_PART) * self._random()
        delay = part * self._nominal
        self._nominal = min(self._nominal * GROWTH, self.highest)
        return delay

    def reset(self) -> None:
        """Begin with ``first`` again."""
        self._nominal = self._first
