"""Kinds of values: how each is read, written, and described to people.

A kind is the one place that knows the spelling of a sort of value.  Validation, ``--help``, shell
completion and the reference pages are all made from it.  ``read`` takes what a TOML document or a
command line holds and raises ValueError with a message that reads well after the option's name,
names what is allowed, and, where there is one, the nearest allowed value.

Here are the contract and the plain kinds; :mod:`portline.config.measures` has times and sizes,
:mod:`portline.config.places` ports and addresses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from portline.config.wording import nearest, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Choice", "Decimal", "Kind", "Number", "Switch"]


class Kind(Protocol):
    """What every kind of value offers."""

    @property
    def metavar(self) -> str:
        """What stands for the value in ``--help``."""

    @property
    def allowed(self) -> str:
        """What is allowed, as a phrase."""

    @property
    def choices(self) -> tuple[str, ...]:
        """All allowed spellings, if they can be listed; else empty."""

    def read(self, value: object) -> object:
        """Return the value, or raise ValueError."""

    def show(self, value: object) -> str:
        """Write a value so that :meth:`read` takes it back."""


@dataclass(frozen=True, slots=True)
class Switch:
    """True or false."""

    @property
    def metavar(self) -> str:
        """A switch takes no value on a command line."""
        return ""

    @property
    def allowed(self) -> str:
        """The two words."""
        return "true or false"

    @property
    def choices(self) -> tuple[str, ...]:
        """The two words."""
        return ("true", "false")

    def read(self, value: object) -> bool:
        """Take a boolean only: ``"false"`` in quotes would be true in too many other programs."""
        if isinstance(value, bool):
            return value
        raise ValueError(f"{quoted(value)} must be true or false, without quotes")

    def show(self, value: object) -> str:
        """Write the word."""
        return "true" if value else "false"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several words, each standing for a value."""

    words: Mapping[str, object]
    others: Mapping[str, str] = field(default_factory=dict)
    """Words that other programs use, and what is meant by them here: told, not accepted."""

    @property
    def metavar(self) -> str:
        """The words with bars."""
        return "|".join(self.words)

    @property
    def allowed(self) -> str:
        """The words with commas."""
        return ", ".join(self.words)

    @property
    def choices(self) -> tuple[str, ...]:
        """The words."""
        return tuple(self.words)

    def read(self, value: object) -> object:
        """Take a word, a number that looks like one, or the value itself."""
        for known in self.words.values():
            if value is known:
                return known
        match value:
            case str():
                word = value.strip().lower().replace("_", "-")
            case int() | float() if not isinstance(value, bool):
                word = f"{value:g}"
            case _:
                word = ""
        if word in self.words:
            return self.words[word]
        one_of = "one of " if len(self.words) > 1 else ""
        hint = self.others.get(word) or (nearest(word, self.words) if word else None)
        meant = f"; did you mean {hint}?" if hint else ""
        raise ValueError(f"{quoted(value)} must be {one_of}{self.allowed}{meant}")

    def show(self, value: object) -> str:
        """Write the word that stands for the value."""
        return next(word for word, known in self.words.items() if known == value)


@dataclass(frozen=True, slots=True)
class Number:
    """A whole number in ``low..high``, in ``unit``."""

    low: int
    high: int
    unit: str = ""

    @property
    def metavar(self) -> str:
        """A number."""
        return "NUMBER"

    @property
    def allowed(self) -> str:
        """The range and the unit."""
        return f"{self.low} to {self.high} {self.unit}".rstrip()

    @property
    def choices(self) -> tuple[str, ...]:
        """None: a range is not listed."""
        return ()

    def read(self, value: object) -> int:
        """Take a whole number, or its digits."""
        number: int
        match value:
            case int() if not isinstance(value, bool):
                number = value
            case str() if re.fullmatch(r"\s*[+-]?[0-9]{1,18}\s*", value):
                number = int(value)
            case _:
                raise ValueError(f"{quoted(value)} must be a whole number, {self.allowed}")
        if not self.low <= number <= self.high:
            near = min(max(number, self.low), self.high)
            raise ValueError(f"{quoted(value)} must be {self.allowed}; the nearest is {near}")
        return number

    def show(self, value: object) -> str:
        """Write the digits."""
        return str(value)


_OFF: Final = "off"


@dataclass(frozen=True, slots=True)
class Decimal:
    """A number, also with a fraction, in ``low..high``, in ``unit``; 0 or off turns it off."""

    low: float
    high: float
    unit: str = ""

    @property
    def metavar(self) -> str:
        """A number."""
        return "NUMBER"

    @property
    def allowed(self) -> str:
        """The range and the unit."""
        return f"{self.low:g} to {self.high:g} {self.unit}".rstrip() + ", or off (0)"

    @property
    def choices(self) -> tuple[str, ...]:
        """None: a range is not listed."""
        return ()

    def read(self, value: object) -> float:
        """Return the number."""
        if isinstance(value, str) and value.strip().lower() == _OFF:
            return 0.0
        if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,9}(\.[0-9]{1,9})?\s*", value):
            value = float(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            value = -1.0
        if value == 0 or self.low <= value <= self.high:
            return float(value)
        raise ValueError(f"{quoted(value)} must be {self.allowed}")

    def show(self, value: object) -> str:
        """Write the number; 0 as what it means."""
        return f"{value:g}" if value else _OFF
