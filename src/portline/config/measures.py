"""Kinds of values with a unit: times and sizes.

Arithmetic is in fractions, so that ``0.1s`` is 100 ms and not a little more, and so that what
``show`` writes is read back as the same value.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from portline.config.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Duration", "Size"]


@dataclass(frozen=True, slots=True)
class _Measure(ABC):
    """A number with an optional unit behind it: what durations and sizes have in common."""

    low: float
    high: float
    zero: str = ""
    """What 0 means, if it is allowed although it is below ``low``; else empty."""

    @property
    def choices(self) -> tuple[str, ...]:
        """None: a range is not listed."""
        return ()

    @property
    def allowed(self) -> str:
        """The range, and what 0 means."""
        spread = f"{self.show(self.low)} to {self.show(self.high)}"
        return f"{spread}, or {self.zero} (0)" if self.zero and self.low > 0 else spread

    @abstractmethod
    def show(self, value: object) -> str:
        """Write a value with the largest unit that leaves it whole."""

    def _within(self, value: object, number: Fraction) -> Fraction:
        low, high = _exactly(self.low), _exactly(self.high)
        if low <= number <= high or (number == 0 and self.zero):
            return number
        near = min(max(number, low), high)
        raise ValueError(
            f"{quoted(value)} must be {self.allowed}; the nearest is {self.show(float(near))}"
        )


def _exactly(number: float) -> Fraction:
    """Return the number that was written: 1/10 for 0.1, which as a float is a little more."""
    return Fraction(str(number))


_MEASURE: Final = re.compile(
    r"\s*(?P<number>[0-9]{1,15}(?:\.[0-9]{1,9})?)\s*(?P<unit>[A-Za-z]*)\s*"
)


def _measured(value: object, units: Mapping[str, Fraction], allowed: str) -> Fraction:
    """Return a number with its unit, in the base unit, exactly; a bare number is in that unit."""
    match value:
        case int() if not isinstance(value, bool):
            return Fraction(value)
        case float() if math.isfinite(value):
            return _exactly(value)
        case str() if found := _MEASURE.fullmatch(value):
            unit = found["unit"].lower()
            if unit in units:
                return Fraction(found["number"]) * units[unit]
    raise ValueError(f"{quoted(value)} must be {allowed}")


_SECONDS: Final = {
    "": Fraction(1),
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "min": Fraction(60),
    "h": Fraction(3600),
}


@dataclass(frozen=True, slots=True)
class Duration(_Measure):
    """A time: a number of seconds, or a number with ``ms``, ``s``, ``min`` or ``h``."""

    whole: bool = False
    """Only whole seconds, because whoever keeps the time counts in them."""

    @property
    def allowed(self) -> str:
        """The range, whether it is in whole seconds, and what 0 means."""
        spread = super(Duration, self).allowed
        return f"whole seconds, {spread}" if self.whole else spread

    @property
    def metavar(self) -> str:
        """A time."""
        return "SECONDS"

    def read(self, value: object) -> float:
        """Return the seconds."""
        if isinstance(value, str) and self.zero and value.strip().lower() == self.zero:
            return 0.0
        allowed = f'{self.allowed}: a number of seconds, or one with ms, s, min or h, like "10s"'
        seconds = self._within(value, _measured(value, _SECONDS, allowed))
        if self.whole and seconds.denominator != 1:
            near = self.show(math.ceil(seconds))
            raise ValueError(f"{quoted(value)} must be {self.allowed}; the next is {near}")
        return float(seconds)

    def show(self, value: object) -> str:
        """Write ``500ms``, ``10s``, ``5min``, ``1h``; 0 as what it means."""
        seconds = Fraction(str(value))
        for unit in ("h", "min", "s", "ms"):
            count = seconds / _SECONDS[unit]
            if count.denominator == 1:
                return f"{count}{unit}" if count else self.zero or "0"
        return f"{value}s"


_BYTES: Final = {
    "": Fraction(1),
    "b": Fraction(1),
    "kb": Fraction(1000),
    "kib": Fraction(1024),
    "mb": Fraction(1000**2),
    "mib": Fraction(1024**2),
}


@dataclass(frozen=True, slots=True)
class Size(_Measure):
    """A number of bytes, or a number with ``kB``, ``KiB``, ``MB`` or ``MiB``."""

    @property
    def metavar(self) -> str:
        """A size."""
        return "BYTES"

    def read(self, value: object) -> int:
        """Return the bytes."""
        allowed = f'{self.allowed}: a number of bytes, or one with kB, KiB, MB or MiB, like "64KiB"'
        number = self._within(value, _measured(value, _BYTES, allowed))
        if number.denominator != 1:
            raise ValueError(f"{quoted(value)} is not a whole number of bytes")
        return int(number)

    def show(self, value: object) -> str:
        """Write ``64KiB``, ``1MiB``, or the plain number of bytes."""
        size = Fraction(str(value))
        for unit, name in (("mib", "MiB"), ("kib", "KiB")):
            count = size / _BYTES[unit]
            if count.denominator == 1 and count:
                return f"{count}{name}"
        return str(size)
