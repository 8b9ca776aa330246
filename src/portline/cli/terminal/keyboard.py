"""What is typed, pure: bytes for the port, commands behind the escape key, and lines of prompts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portline.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "ALSO",
    "COMMANDS",
    "ENTER",
    "ESCAPE",
    "Keyboard",
    "Pressed",
    "Prompt",
    "Typed",
    "key_named",
    "key_shown",
]

ESCAPE: Final = "ctrl-]"
"""The key before a command, as in telnet and miniterm: hardly any device wants it."""

ENTER: Final = {"cr": b"\r", "lf": b"\n", "crlf": b"\r\n"}
"""What the key Enter may send, by its name."""

COMMANDS: Final[Mapping[str, str]] = {
    "h": "this help (also ?)",
    "q": "quit (also x)",
    "s": "settings and lines, as they are now",
    "d": "DTR on or off",
    "r": "RTS on or off",
    "b": "send a break",
    "u": "other settings: 115200, or 9600-7E1",
    "v": "hex view on or off",
    "e": "local echo on or off",
    "n": "what Enter sends: CR, LF, CR LF",
    "i": "what ends a line that comes: as it is, LF, CR",
    "t": "times on or off",
    "c": "clean view on or off: control characters are written out",
    "l": "log what comes to a file, or end that",
    "f": "send a file, or stop that",
    "m": "list the macros",
}
"""Key behind the escape key -> what it does."""

ALSO: Final = {"?": "h", "x": "q", "\x11": "q", "\x18": "q"}
"""Further keys for commands; with Ctrl still held, too."""


LINE_MAX: Final = 4096
"""Bytes of a line that answers a prompt: the longest path."""

_CONTROL: Final = re.compile(r"(?:ctrl-|\^)([a-z@\[\\\]^_])", re.IGNORECASE)


def key_named(name: str) -> int | None:
    """Return the byte of a key like ``ctrl-a`` or ``^A``; None for ``none``.  Raises UsageError."""
    if name.lower() == "none":
        return None
    match = _CONTROL.fullmatch(name)
    code = ord(match[1].upper()) & 0x1F if match else -1
    # Enter, and what ends a line for some: who presses it wants to send it.
    if code in (-1, 0x0A, 0x0D):
        raise UsageError(
            f"{name!r} cannot be the escape key; take one like ctrl-a or ctrl-], or none"
        )
    return code


def key_shown(code: int) -> str:
    """Write the key of a control character: ``Ctrl-]``."""
    return f"Ctrl-{chr(code | 0x40)}"


@dataclass(frozen=True, slots=True)
class Typed:
    """Bytes for the port."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Pressed:
    """A key behind the escape key."""

    key: str


class Keyboard:
    """Divides what is typed; ``escape`` is None where everything is for the port."""

    def __init__(self, escape: int | None, enter: bytes) -> None:
        self.escape = escape
        self.enter = enter
        self.pending = False
        """Whether the escape key was pressed, and nothing behind it yet."""

    def take(self, data: bytes) -> tuple[Typed | Pressed | None, bytes]:
        """Return the first thing in ``data``, which is not empty, and the rest."""
        if self.pending:
            self.pending = False
            if data[0] != self.escape:
                return Pressed(chr(data[0])), data[1:]
            return Typed(data[:1]), data[1:]
        mine = -1 if self.escape is None else data.find(self.escape)
        if mine == 0:
            self.pending = True
            return None, data[1:]
        text, rest = (data, b"") if mine < 0 else (data[:mine], data[mine:])
        return Typed(text.replace(b"\r", self.enter)), rest


class Prompt:
    """A question on the screen, answered with a line.

    Where it is ``over``, and what was typed is shown, ``tell()`` calls ``answered`` with the line,
    or with None for one that was left.
    Esc and Ctrl-C leave it; Backspace takes a byte back and Ctrl-U all.
    """

    def __init__(self, question: str, answered: Callable[[str | None], object]) -> None:
        self.question = question
        self.over = False
        self._answered = answered
        self._answer: str | None = None
        self._line = bytearray()

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        """Take what is typed up to the end of the line; return what to show, and the rest."""
        shown = bytearray()
        for place, byte in enumerate(data):
            match byte:
                case 0x0D | 0x0A:
                    self._end(self._line.decode("utf-8", "replace"))
                    return bytes(shown) + b"\r\n", data[place + 1 :]
                case 0x1B | 0x03:
                    self._end(None)
                    return bytes(shown) + b"\r\n", data[place + 1 :]
                case 0x7F | 0x08 if self._line:
                    shown += b"\b \b" * self._take_back()
                case 0x15:
                    while self._line:
                        shown += b"\b \b" * self._take_back()
                case _ if byte >= 0x20 and byte != 0x7F and len(self._line) < LINE_MAX:
                    self._line.append(byte)
                    shown.append(byte)
        return bytes(shown), b""

    def _take_back(self) -> int:
        """Remove the last character; return its columns."""
        while len(self._line) > 1 and self._line[-1] & 0xC0 == 0x80:
            del self._line[-1]
        del self._line[-1]
        return 1

    def _end(self, line: str | None) -> None:
        self.over = True
        self._answer = line

    def tell(self) -> None:
        """Pass the answer on."""
        self._answered(self._answer)
