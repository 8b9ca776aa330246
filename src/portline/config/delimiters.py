"""The kind of value that says which bytes end a packet."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from portline.config.wording import quoted

__all__ = ["Delimiters"]

DELIMITERS_MAX: Final = 16
"""Delimiters of one connection: CR, LF, ETX, EOT and what protocols add to them."""

LENGTH_MAX: Final = 64
"""Bytes of one delimiter: prompts like ``login:`` are shorter."""

_NAMES: Final = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\"}
_ESCAPE: Final = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|(.))|([^\\])|(\\$)", re.DOTALL)
_SPELLED: Final = {byte: f"\\{name}" for name, byte in _NAMES.items()}


@dataclass(frozen=True, slots=True)
class Delimiters:
    """One character code, one byte string, or a list of them; an empty list means none.

    A code is 0 to 255, also as ``0x0d``; text is UTF-8 with ``\\r``, ``\\n``, ``\\t``, ``\\0``,
    ``\\xHH`` and ``\\\\``.
    """

    @property
    def metavar(self) -> str:
        """A code or text."""
        return "CODE|TEXT"

    @property
    def allowed(self) -> str:
        """The shapes of a delimiter."""
        return (
            r'a character code (13, 0x0d), text with escapes ("\\r\\n", "\\x03"), or a list of up '
            f"to {DELIMITERS_MAX} of them"
        )

    @property
    def choices(self) -> tuple[str, ...]:
        """None: any bytes will do."""
        return ()

    def read(self, value: object) -> tuple[bytes, ...]:
        """Return the byte strings; a ValueError tells of every one that cannot be used."""
        items = list(value) if isinstance(value, list | tuple) else [value]
        if len(items) > DELIMITERS_MAX:
            raise ValueError(f"a list of {len(items)} must be {DELIMITERS_MAX} at the most")
        found: list[bytes] = []
        wrong: list[str] = []
        for item in items:
            try:
                found.append(_one(item))
            except ValueError as error:
                wrong.append(str(error))
        if wrong:
            raise ValueError("; ".join(wrong))
        return tuple(dict.fromkeys(found))

    def show(self, value: object) -> str:
        """Write the delimiters with commas, every byte so that it is seen."""
        return ", ".join(map(_spelled, self.read(value))) or "none"


def _one(item: object) -> bytes:
    match item:
        case bytes() if 1 <= len(item) <= LENGTH_MAX:
            return item
        case int() if not isinstance(item, bool):
            return _code(item, item)
        case str() if re.fullmatch(r"\s*(\d{1,9}|0[xX][0-9A-Fa-f]{1,8})\s*", item):
            return _code(int(item, 0 if "x" in item.lower() else 10), item)
        case str() if item:
            text = b"".join(_unescaped(match) for match in _ESCAPE.finditer(item))
            if len(text) <= LENGTH_MAX:
                return text
        case _:
            pass
    raise ValueError(
        f"{quoted(item)} must be a character code from 0 to 255, or 1 to {LENGTH_MAX} bytes of text"
    )


def _code(code: int, written: object) -> bytes:
    if 0 <= code <= 255:
        return bytes((code,))
    raise ValueError(f"{quoted(written)} must be a character code from 0 to 255")


def _unescaped(match: re.Match[str]) -> bytes:
    hexadecimal, name, plain, _ = match.groups()
    if hexadecimal:
        return bytes.fromhex(hexadecimal)
    if plain:
        return plain.encode()
    if name in _NAMES:
        return _NAMES[name]
    raise ValueError(f"{quoted(match[0])} is no escape; write \\r, \\n, \\t, \\0, \\xHH or \\\\")


def _spelled(delimiter: bytes) -> str:
    return "".join(
        _SPELLED.get(bytes((byte,)), chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}")
        for byte in delimiter
    )
