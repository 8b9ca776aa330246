"""What is shown of a port's data, pure: text or hex, line ends, times; time is an argument."""

from __future__ import annotations

import time
from typing import Final

from portline.errors import clean

__all__ = ["LINE_ENDS", "Screen"]

LINE_ENDS: Final = ("as-is", "lf", "cr")
"""What ends a line of the device: both as a terminal wants it, or one of them alone."""

ROW: Final = 16
"""Bytes of a row in the hex view."""

RESET: Final = b"\x1b[0m\x1b[?25h"
"""Plain characters and a cursor that is seen (ECMA-48 SGR 0, DEC mode 25)."""

_ESC: Final = 0x1B


class Screen:
    """Makes text for a terminal in raw mode of bytes; what it does may be changed at any time."""

    def __init__(
        self,
        *,
        as_hex: bool = False,
        stamps: bool = False,
        cleans: bool = False,
        ends: str = "as-is",
    ) -> None:
        self.as_hex = as_hex
        self.stamps = stamps
        self.cleans = cleans
        self.ends = ends
        self._fresh = True  # at the beginning of a line
        self._escaped = False  # the device has sent control sequences

    def shows(self, data: bytes, now: float, *, typed: bool = False) -> bytes:
        """Return what a terminal is to get for data of the port, or for what was ``typed``.

        ``now`` is in seconds since the epoch.
        """
        if self.as_hex:
            return self._dump(data, now, "> " if typed else "< ")
        if self.cleans:
            data = _cleaned(data)
        elif not typed and _ESC in data:
            self._escaped = True
        if self.ends != "as-is":
            data = data.replace(*((b"\n", b"\r\n") if self.ends == "lf" else (b"\r", b"\r\n")))
        if self.stamps:
            data = self._stamped(data, _clock(now).encode() + b" ")
        if data:
            self._fresh = data.endswith(b"\n")
        return data

    def notice(self, *lines: str) -> bytes:
        """Return lines of Portline's own, which begin on a line of their own."""
        text = "".join(f"*** {clean(line)}\r\n" for line in lines)
        return self._begin() + text.encode("utf-8", "replace")

    def question(self, text: str) -> bytes:
        """Return a question; what is typed comes behind it, and then the end of its line."""
        return self._begin() + f"*** {text}: ".encode()

    def leaves(self) -> bytes:
        """Return what puts a terminal back to plain characters on a new line."""
        return (RESET if self._escaped else b"") + self._begin()

    def _begin(self) -> bytes:
        fresh, self._fresh = self._fresh, True
        return b"" if fresh else b"\r\n"

    def _stamped(self, data: bytes, stamp: bytes) -> bytes:
        lines = data.splitlines(keepends=True) if b"\n" in data else [data]
        # splitlines() divides at a lone CR, too, where the line goes on.
        shown, fresh = bytearray(), self._fresh
        for line in lines:
            shown += (stamp if fresh else b"") + line
            fresh = line.endswith(b"\n")
        return bytes(shown)

    def _dump(self, data: bytes, now: float, mark: str) -> bytes:
        stamp = f"{_clock(now)} " if self.stamps else ""
        rows = []
        for start in range(0, len(data), ROW):
            row = data[start : start + ROW]
            text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
            rows.append(f"{stamp}{mark}{row.hex(' '):{3 * ROW - 1}}  |{text}|\r\n")
        return self._begin() + "".join(rows).encode()


def _clock(now: float) -> str:
    return f"{time.strftime('%H:%M:%S', time.localtime(now))}.{int(now % 1 * 1000):03d}"


def _cleaned(data: bytes) -> bytes:
    """Write every byte that is neither text nor the end of a line so that it is seen."""
    shown = bytearray()
    for byte in data:
        plain = 0x20 <= byte < 0x7F or byte in b"\r\n\t"
        shown += bytes((byte,)) if plain else b"\\x%02x" % byte
    return bytes(shown)
