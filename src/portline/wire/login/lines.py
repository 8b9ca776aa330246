"""What both ends of a login have in common: its words, its lines, and their bounds."""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Final

from portline.errors import LoginError

__all__ = [
    "BYTES_MAX",
    "GREETING",
    "HIDE",
    "LINE_MAX",
    "PREFIX",
    "PROMPT",
    "SHOW",
    "VERSION",
    "Lines",
    "Stage",
    "is_greeting",
    "may_become_greeting",
    "refusal",
]

VERSION: Final = "1"

LINE_MAX: Final = 1024
"""Bytes of one line with its end; the longest of ours has 350."""

BYTES_MAX: Final = 2 * LINE_MAX
"""Bytes that a client may say before it is in: two lines."""

GREETING: Final = b"portline: login "
"""How a server begins that wants a login."""

PROMPT: Final = b"Password: "
"""What is said in addition to people and programs that know nothing of all this."""

HIDE: Final = b"\xff\xfb\x01"
"""IAC WILL ECHO (RFC 857): said before the prompt where Telnet is spoken, so that a terminal does
not show what is typed."""

SHOW: Final = b"\xff\xfc\x01"
"""IAC WONT ECHO: the terminal shows again what is typed."""

PREFIX: Final = "portline: "
_GREETING: Final = re.compile(rb"portline: login ([0-9,]{1,20}) ([A-Z0-9 -]{1,100})\r?\n")


class Stage(Enum):
    """How far a login is."""

    FIRST = auto()
    FINAL = auto()
    TYPED = auto()
    KEYS = auto()
    PROVED = auto()
    IN = auto()
    REFUSED = auto()


def refusal(reason: str, text: str) -> bytes:
    """Return the line that refuses a login; ``reason`` is a word, ``text`` is for people."""
    plain = "".join(c if c.isascii() and c.isprintable() else "?" for c in text)[:400]
    return f"{PREFIX}refused {reason} {plain}\r\n".encode()


def is_greeting(data: bytes) -> bool:
    """Tell whether the first ``data`` of a server asks for a login, maybe by a prompt too."""
    match = _GREETING.match(data)
    if match is None:
        return False
    rest = data[match.end() :]
    return PROMPT.startswith(rest) or (HIDE + PROMPT).startswith(rest)


def may_become_greeting(data: bytes) -> bool:
    """Tell whether the first ``data`` of a server is the beginning of a greeting, or all of it."""
    if is_greeting(data):
        return True
    whole = data.startswith(GREETING) and len(data) <= LINE_MAX and b"\n" not in data
    return whole or GREETING.startswith(data)


class Lines:
    """Divides what a peer says into lines, within bounds."""

    def __init__(self) -> None:
        self.rest = b""
        self._heard = 0

    def feed(self, data: bytes, limit: int) -> None:
        """Take what the peer says; raises LoginError when that is more than ``limit`` bytes."""
        self.rest += data
        self._heard += len(data)
        if self._heard > limit:
            raise LoginError("too-long", f"it has said more than {limit} bytes before the login")

    def next(self) -> bytes | None:
        """Return the next line without its end, None if it is not whole yet.

        Raises LoginError for one that is longer than LINE_MAX.
        """
        end = self.rest.find(b"\n")
        if end >= LINE_MAX or (end < 0 and len(self.rest) > LINE_MAX):
            raise LoginError("too-long", f"a line has more than {LINE_MAX} bytes")
        if end < 0:
            return None
        line, self.rest = self.rest[:end], self.rest[end + 1 :]
        return line.removesuffix(b"\r")
