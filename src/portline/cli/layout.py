"""Lines for a terminal: entries with a label, columns, and numbers as people read them.

What comes over a control socket may hold anything, so every text goes through :func:`clean`.
"""

from __future__ import annotations

import shutil
import textwrap
import unicodedata
from typing import TYPE_CHECKING, Final

from portline.errors import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "INDENT",
    "LABEL",
    "age",
    "clean",
    "columns",
    "columns_of_terminal",
    "cut",
    "entry",
    "paragraph",
    "quantity",
    "span",
    "together",
]

LABEL: Final = 10
"""Columns of a label with the space behind it."""

INDENT: Final = 2
"""Columns before a label."""

NARROW, WIDE = 32, 120
"""Columns between which lines are broken: below, hardly a word fits behind a label; above, nobody
reads them."""

_HOLD: Final = "\N{NO-BREAK SPACE}"
"""A space at which no line is broken; it is not printable, so no clean text has one."""

_UNITS: Final = ("kB", "MB", "GB", "TB", "PB", "EB")


def columns_of_terminal() -> int:
    """Return how wide lines may be; 80 where that is not known."""
    return min(max(shutil.get_terminal_size((80, 24)).columns, NARROW), WIDE)


def span(text: str) -> int:
    """Return how many columns a text takes; East Asian letters take two, accents none."""
    return sum(
        0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in text
    )


def cut(text: str, width: int) -> str:
    """Return a text of at most ``width`` columns, with "..." where it was longer."""
    if span(text) <= width:
        return text
    text = text[:width]
    while span(text) > width - 3:
        text = text[:-1]
    return text.rstrip() + "..."


def entry(label: str, text: str, width: int, label_width: int = LABEL) -> list[str]:
    """Return ``label`` with a text behind it, which is broken at spaces and goes on below."""
    first = " " * INDENT + label + " " * max(1, label_width - span(label))
    return _broken(text, width, first, " " * span(first)) or [first.rstrip()]


def paragraph(text: str, width: int) -> list[str]:
    """Return a text that begins at the left and goes on indented."""
    return _broken(text, width, "", " " * 2 * INDENT)


def together(texts: Iterable[str], separator: str = ";") -> str:
    """Return texts joined such that lines are broken between them and not within."""
    return f"{separator} ".join(text.replace(" ", _HOLD) for text in texts)


def _broken(text: str, width: int, first: str, further: str) -> list[str]:
    wrapper = textwrap.TextWrapper(
        width,
        initial_indent=first,
        subsequent_indent=further,
        break_long_words=False,
        break_on_hyphens=False,
    )
    lines = wrapper.wrap(text)
    told: list[str] = []
    for line in lines:
        free = line.replace(_HOLD, " ")
        if span(free) <= width or _HOLD not in line:
            told.append(free)
            continue
        # What belongs together and has no room together is broken all the same.
        bare = free.lstrip()
        wrapper.initial_indent = free[: len(free) - len(bare)]
        told += wrapper.wrap(bare)
    return told


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows with their cells below each other."""
    widths = [max(map(span, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell + " " * (width - span(cell)) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]


def quantity(number: float) -> str:
    """Write a number of bytes: ``9999 B``, ``1.2 MB``; exact below 10 000."""
    if number < 10_000:
        return f"{number:.0f} B"
    power = 0
    while number >= 999.5 and power < len(_UNITS):
        number /= 1000
        power += 1
    unit = _UNITS[power - 1]
    return f"{number:.{1 if number < 99.95 else 0}f} {unit}"


def age(seconds: float) -> str:
    """Write a time with its two largest units: ``3 h 12 min``."""
    whole = int(seconds)
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (whole % 60, "s")]
    while len(parts) > 2 and not parts[0][0]:
        del parts[0]
    return " ".join(f"{count} {unit}" for count, unit in parts[:2] if count or unit == "s") or "0 s"
