"""The Telnet codec: data, commands, option words and suboptions in one stream of bytes (RFC 854).

Theory of operation
-------------------
``IAC`` (255) introduces a command; 255 as data is written twice, everywhere.  So a stretch of
bytes is nothing but data if, and only if, every IAC in it stands in a pair, and pairs are counted
from where the stretch begins::

    count(IAC) == 2 * count(IAC IAC)        and its data is  replace(IAC IAC, IAC)

Both are single passes in C.  :func:`_run_end` finds the end of such a stretch by trying ever larger
windows and, near a command, ever smaller ones; its cost is proportional to what it finds, so that
neither a long stretch nor a flood of commands is slow.  A chunk without IAC is returned itself.

What follows the stretch is a command, or the beginning of one: then those one or two bytes are
held back and put before the next chunk.  That, and the suboption being gathered, is all the state
there is, so the reader can be interrupted at any byte::

    DATA       -- IAC SB ------------> SUBOPTION
    SUBOPTION  -- IAC SE ------------> DATA        the suboption is passed on
    SUBOPTION  -- IAC anything else -> DATA        the suboption is abandoned, the command counts

A suboption longer than :data:`SUBOPTION_LIMIT` is skipped up to its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "AYT",
    "BINARY",
    "BRK",
    "COM_PORT",
    "DO",
    "DONT",
    "ECHO",
    "IAC",
    "NAWS",
    "SB",
    "SE",
    "SUBOPTION_LIMIT",
    "SUPPRESS_GO_AHEAD",
    "TERMINAL_TYPE",
    "WILL",
    "WONT",
    "Command",
    "OptionWord",
    "Suboption",
    "TelnetReader",
    "Token",
    "escape",
    "suboption",
]

SUBOPTION_LIMIT: Final = 4096
"""Bytes between IAC SB and IAC SE that are kept; the longest that is known is a signature."""

# Commands (RFC 854).  Those below FIRST_COMMAND are not defined (RFC 1184 begins with EOF, 236).
FIRST_COMMAND: Final = 236
SE: Final = 240
BRK: Final = 243
AYT: Final = 246
SB: Final = 250
WILL: Final = 251
WONT: Final = 252
DO: Final = 253
DONT: Final = 254
IAC: Final = 255

# Options.
BINARY: Final = 0  # RFC 856
ECHO: Final = 1  # RFC 857
SUPPRESS_GO_AHEAD: Final = 3  # RFC 858
TERMINAL_TYPE: Final = 24  # RFC 1091
NAWS: Final = 31  # RFC 1073, window size
COM_PORT: Final = 44  # RFC 2217

_IAC: Final = b"\xff"
_PAIR: Final = b"\xff\xff"

_FIRST_WINDOW: Final = 256
"""Bytes looked at first; a suboption is a dozen, and counting 256 bytes costs nothing."""

_DENSE: Final = 16
"""IACs in the first window above which replacing is faster than splitting and joining."""

_LAST_WINDOW: Final = 16
"""Bytes at which looking at each IAC becomes cheaper than counting."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command of two bytes: NOP, BRK, AYT and the like."""

    code: int


@dataclass(frozen=True, slots=True)
class OptionWord:
    """WILL, WONT, DO or DONT, and the option that it is about."""

    verb: int
    option: int


@dataclass(frozen=True, slots=True)
class Suboption:
    """What stood between IAC SB and IAC SE, unescaped; ``body[0]`` is the option."""

    body: bytes


Token: TypeAlias = bytes | Command | OptionWord | Suboption


def escape(data: bytes) -> bytes:
    """Return data with each IAC doubled; the argument itself where there is none.

    An erased flash or an idle line read at the wrong rate is nothing but 0xFF; doubling that as a
    whole is twenty times as fast as replacing byte by byte.
    """
    if data.startswith(_IAC) and data.count(_IAC) == len(data):
        return data + data
    return data.replace(_IAC, _PAIR)


def suboption(body: bytes) -> bytes:
    """Return the suboption with this body as it goes to the network."""
    return b"\xff\xfa" + escape(body) + b"\xff\xf0"


class TelnetReader:
    """Take a Telnet stream apart, in chunks of any size.

    ``malformed`` counts what had to be left out: suboptions that are empty, too long, or broken
    off by another command, and commands that do not exist.
    """

    def __init__(self) -> None:
        self.malformed = 0
        self._held = b""
        self._body: bytearray | None = None
        self._too_long = False

    def feed(self, data: bytes) -> Sequence[Token]:
        """Return what the bytes say, in order; data is non-empty and divided at commands only."""
        if self._held:
            data = self._held + data
            self._held = b""
        if self._body is None and _IAC not in data:
            return (data,) if data else ()
        tokens: list[Token] = []
        position, size = 0, len(data)
        while position < size:
            end = _run_end(data, position)
            if end > position:
                self._run(_unescape(data[position:end]), tokens)
            position = self._command(data, end, tokens) if end < size else size
        return tokens

    def _run(self, data: bytes, tokens: list[Token]) -> None:
        """Take a stretch without commands: data, or a part of a suboption."""
        if self._body is None:
            tokens.append(data)
        elif self._too_long or len(self._body) + len(data) > SUBOPTION_LIMIT:
            self._too_long = True
        else:
            self._body += data

    def _command(self, data: bytes, position: int, tokens: list[Token]) -> int:
        """Take the command at ``position``, where an IAC stands; return where it ends."""
        size = len(data)
        code = data[position + 1] if position + 1 < size else None
        if code is None or (code >= WILL and position + 2 == size):
            self._held = data[position:]
            return size
        if self._body is not None:
            self._end_suboption(self._body, code, tokens)
            if code == SE:
                return position + 2
        if code >= WILL:
            tokens.append(OptionWord(code, data[position + 2]))
            return position + 3
        if code == SB:
            self._body = bytearray()
        elif code < FIRST_COMMAND:
            self.malformed += 1
        elif code != SE:  # a stray one is left over from a suboption that was abandoned
            tokens.append(Command(code))
        return position + 2

    def _end_suboption(self, body: bytearray, code: int, tokens: list[Token]) -> None:
        if code == SE and body and not self._too_long:
            tokens.append(Suboption(bytes(body)))
        else:
            self.malformed += 1
        self._body = None
        self._too_long = False


def _unescape(data: bytes) -> bytes:
    """Return data with each pair of IAC made one; the argument itself where there is none."""
    first = data.find(_IAC)
    if first < 0:
        return data
    if data.count(_IAC, first, first + _FIRST_WINDOW) > _DENSE:
        return data.replace(_PAIR, _IAC)
    return _IAC.join(data.split(_PAIR))


def _run_end(data: bytes, start: int) -> int:
    """Return where the data that begins at ``start`` ends.

    That is at the IAC of a command, at a last IAC whose successor has not arrived, or at the end.
    """
    size = len(data)
    window, growth = _FIRST_WINDOW, 4
    while (start := data.find(_IAC, start)) >= 0:
        if start + 1 == size or data[start + 1] != IAC:
            return start
        end = min(start + window, size)
        if not _only_pairs(data, start, end):
            end -= 1  # the window may have cut a pair in two
            if data[end] != IAC or not _only_pairs(data, start, end):
                if window <= _LAST_WINDOW:
                    return _next_command(data, start)
                window, growth = window // 4, 1
                continue
        start = end
        window *= growth
    return size


def _only_pairs(data: bytes, start: int, end: int) -> bool:
    """Tell whether each IAC in ``data[start:end]`` stands in a pair, counted from ``start``."""
    return data.count(_IAC, start, end) == 2 * data.count(_PAIR, start, end)


def _next_command(data: bytes, start: int) -> int:
    """Return where the next IAC stands that is not one of a pair; there is one."""
    while data.startswith(_PAIR, start := data.find(_IAC, start)):
        start += 2
    return start
