"""Where in a TOML document each key stands, which tomllib does not tell.

Theory of operation
-------------------
The scanner walks a document that tomllib has accepted already, so it only has to find the ends of
things, never to judge them.  It knows comments, the four kinds of strings, bare and dotted keys,
headers, arrays and inline tables; every key that it passes is noted with its line.  On a document
that tomllib would refuse it ends early and tells what it found so far.
"""

from __future__ import annotations

import re
import tomllib
from typing import Final, TypeAlias

__all__ = ["Path", "line_of", "positions"]

Path: TypeAlias = tuple[str, ...]
"""The keys that lead to a value; elements of arrays are counted from "0"."""

_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE: Final = re.compile(r"[ \t]*")
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_STRING: Final = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_SCALAR: Final = re.compile(r"[^,\]}#\n]*")
DEPTH_MAX: Final = 64
"""Brackets within brackets that are followed; a configuration needs three."""


def positions(text: str) -> dict[Path, int]:
    """Return the line, counted from 1, on which each key of a document is first written."""
    return _Scanner(text).document()


def line_of(path: Path, found: dict[Path, int]) -> int | None:
    """Return the line of a path, or of the nearest table around it; None if none is known."""
    for length in range(len(path), 0, -1):
        if path[:length] in found:
            return found[path[:length]]
    return None


class _Scanner:
    """One walk through one document."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._found: dict[Path, int] = {}
        self._arrays: dict[Path, int] = {}
        self._counted = 0
        self._line = 1

    def document(self) -> dict[Path, int]:
        table: Path = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            before = self._at
            if self._next("["):
                table = self._header()
            else:
                self._pair(table, 0)
            self._skip(_BLANK)
            if self._at == before:
                break
        return self._found

    def _header(self) -> Path:
        is_array = self._next("[", 1)
        self._at += 2 if is_array else 1
        path = self._key(())
        if is_array:
            index = self._arrays[path] = self._arrays.get(path, -1) + 1
            path = (*path, str(index))
            self._note(path, self._at)
        self._at = self._text.find("]", self._at) % (len(self._text) + 1)
        self._at += 2 if is_array else 1
        return path

    def _pair(self, table: Path, depth: int) -> None:
        path = self._key(table)
        if self._next("="):
            self._at += 1
            self._skip(_SPACE)
            self._value(path, depth)

    def _key(self, table: Path) -> Path:
        """Pass a possibly dotted key, noting each of its parts."""
        path = table
        while True:
            self._skip(_SPACE)
            start = self._at
            if match := _STRING.match(self._text, start):
                part = _unquoted(match[0])
            elif match := _BARE_KEY.match(self._text, start):
                part = match[0]
            else:
                return path
            self._at = match.end()
            path = (*path, part)
            self._note(path, start)
            self._skip(_SPACE)
            if not self._next("."):
                return path
            self._at += 1

    def _value(self, path: Path, depth: int) -> None:
        if depth > DEPTH_MAX:
            self._at = len(self._text)
        elif self._next("["):
            self._inside(path, "]", depth + 1)
        elif self._next("{"):
            self._inside(path, "}", depth + 1)
        else:
            self._skip(_STRING if self._text[self._at : self._at + 1] in ('"', "'") else _SCALAR)

    def _inside(self, path: Path, end: str, depth: int) -> None:
        """Pass an array or an inline table, up to and including its end."""
        self._at += 1
        count = 0
        while True:
            self._skip(_BLANK)
            if self._at >= len(self._text):
                return
            before = self._at
            if self._next(end):
                self._at += 1
                return
            if self._next(","):
                self._at += 1
                count += 1
            elif end == "}":
                self._pair(path, depth)
            else:
                item = (*path, str(count))
                self._note(item, self._at)
                self._value(item, depth)
            if self._at == before:
                self._at = len(self._text)

    def _note(self, path: Path, at: int) -> None:
        """Note a path that begins at ``at``, which never goes back."""
        self._line += self._text.count("\n", self._counted, at)
        self._counted = at
        self._found.setdefault(path, self._line)

    def _next(self, token: str, ahead: int = 0) -> bool:
        return self._text.startswith(token, self._at + ahead)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        if match := pattern.match(self._text, self._at):
            self._at = match.end()


def _unquoted(token: str) -> str:
    try:
        return str(tomllib.loads(f"key = {token}")["key"])
    except tomllib.TOMLDecodeError:
        return token
