"""How parameters that several operations have are read, each with its JSON schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from portline.control.operations.operation import Parameter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["ITEMS_MAX", "NAME", "OPTIONS", "TABLE", "TEXT", "optional_text", "table", "text"]

ITEMS_MAX: Final = 1024
"""Values of the options of one connection: several times as many as one can have that are right
(two lists of 256 networks), and few enough that a file is changed in some tenths of a second.  The
time grows with their square, and nobody else can change the file meanwhile."""

TEXT: Final[Mapping[str, object]] = {"type": "string", "pattern": r"\S"}
"""The schema of what :func:`text` takes."""

TABLE: Final[Mapping[str, object]] = {"type": "object"}
"""The schema of what :func:`table` takes."""


def text(value: object) -> str:
    """Take a text that is not empty, without the spaces around it."""
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise ValueError("name must be a text that is not empty, like meter")


def optional_text(name: str) -> Callable[[object], str]:
    """Return what takes a text for the parameter ``name``, without the spaces around it."""

    def read(value: object) -> str:
        if isinstance(value, str):
            return value.strip()
        raise ValueError(f"{name} must be a text")

    return read


def table(value: object, name: str = "options") -> Mapping[str, object]:
    """Take options by their keys: ITEMS_MAX values, those in lists counted."""
    if isinstance(value, dict):
        items = _items(value)
        if items > ITEMS_MAX:
            raise ValueError(f"{name}: {items} values; there may be {ITEMS_MAX}")
        return value
    raise ValueError(f"{name} must be a table of options and their values")


def _items(value: object) -> int:
    """Return how many values there are, however deep: JSON nests 200 times at the most."""
    match value:
        case dict():
            return len(value) + sum(map(_items, value.values()))
        case list():
            return len(value) + sum(map(_items, value))
        case _:
            return 0


NAME: Final = Parameter("name", "The connection.", text, TEXT, needed=True)

OPTIONS: Final = Parameter(
    "options", "Its options, kind among them, as in a file.", table, TABLE, needed=True
)
