"""How wrong values and mistyped words are repeated to the user."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["nearest", "quoted"]

QUOTE_LIMIT: Final = 60
"""Characters of a wrong value that a message repeats: a line of a terminal stays one line."""

LIKENESS: Final = 0.6
"""How alike two words must be (0..1, difflib's own default) for "did you mean"."""


def quoted(value: object) -> str:
    """Return a wrong value as the user wrote it: on one line, printable, not too long."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            text = "".join(c if c.isprintable() else "?" for c in value[: QUOTE_LIMIT + 1])
            return f'"{text}"' if len(text) <= QUOTE_LIMIT else f'"{text[:QUOTE_LIMIT]}..."'
        case int() if abs(value) >= 10**QUOTE_LIMIT:
            return "this number"
        case int() | float():
            return str(value)
        case list() | tuple():
            return "a list"
        case dict():
            return "a table"
        case _:
            return f"a {type(value).__name__}"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that a mistyped one most likely meant, or None if none comes close."""
    folded = word[:QUOTE_LIMIT].lower().replace("_", "-")
    found = difflib.get_close_matches(folded, list(known), 1, LIKENESS)
    return found[0] if found else None
