"""The documentation as the tests see it: pages with fenced blocks, and the commands in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["ROOT", "Block", "Command", "blocks", "commands", "links", "pages"]

ROOT: Final = Path(__file__).parents[2]

_PROMPT: Final = "$ "
"""What a command begins with in a ``console`` block; the other lines there are output."""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: the ``language`` after the fence, and the ``line`` of its first line."""

    page: str
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True, slots=True)
class Command:
    """One line that a page asks its reader to type."""

    page: str
    line: int
    text: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[str]:
    """Return the pages, as paths from the root of the repository."""
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [str(path.relative_to(ROOT)) for path in found]


def blocks(page: str) -> list[Block]:
    """Return the fenced blocks of a page; one that is not closed is an error."""
    found: list[Block] = []
    language: str | None = None
    collected: list[str] = []
    for number, line in enumerate(_lines(page), start=1):
        if not line.startswith("```"):
            collected.append(line)
        elif language is None:
            language, collected = line.removeprefix("```").strip(), []
        else:
            first = number - len(collected)
            found.append(Block(page, first, language, "\n".join(collected) + "\n"))
            language = None
    assert language is None, f"{page}: a block is not closed"
    return found


def commands() -> list[Command]:
    """Return every command that is shown on any page."""
    return [
        Command(block.page, number, text)
        for page in pages()
        for block in blocks(page)
        if block.language in ("sh", "console")
        for number, line in enumerate(block.text.splitlines(), start=block.line)
        if (text := _typed(block.language, line))
    ]


def _typed(language: str, line: str) -> str:
    if language == "console":
        return line.removeprefix(_PROMPT) if line.startswith(_PROMPT) else ""
    return line


def links(page: str) -> list[tuple[int, str]]:
    """Return the targets of the links of a page that lead to files, each with its line."""
    return [
        (number, target)
        for number, line in enumerate(_lines(page), start=1)
        for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", line))
        if not target.startswith(("http://", "https://", "mailto:"))
    ]


def _lines(page: str) -> list[str]:
    return (ROOT / page).read_text(encoding="utf-8").splitlines()
