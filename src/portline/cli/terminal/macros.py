"""Texts that one key sends, from a file: ``[macros]`` in TOML, a character and its text."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from portline.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

__all__ = ["MACROS_MAX", "read_macros", "unescaped"]

MACROS_MAX: Final = 64
"""Macros of a file: there are not many more keys."""

TEXT_MAX: Final = 65536
"""Bytes of a macro; what is longer is a file to send."""

_NAMES: Final = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "e": b"\x1b", "\\": b"\\"}
_ESCAPE: Final = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|(.))|([^\\]+)|(\\$)", re.DOTALL)


def read_macros(path: str, taken: Container[str]) -> Mapping[str, bytes]:
    r"""Return key -> bytes of a file like this; ``taken`` are keys of commands::

        [macros]
        1 = 'AT\r'
        2 = 'reboot\r'

    Raises ConfigError with every mistake.
    """
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}"]) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError([f"{path}: is not TOML: {error}"]) from error
    macros = table.pop("macros", {})
    if table or not isinstance(macros, dict) or len(macros) > MACROS_MAX:
        raise ConfigError(
            [f"{path}: holds one table [macros] with up to {MACROS_MAX} lines like 1 = 'AT\\r'"]
        )
    found, mistakes = {}, []
    for key, text in macros.items():
        try:
            found[_key(key, taken)] = unescaped(text)
        except ValueError as error:
            mistakes.append(f"{path}: macros.{key}: {error}")
    if mistakes:
        raise ConfigError(mistakes)
    return found


def _key(key: str, taken: Container[str]) -> str:
    if len(key) != 1 or not " " < key <= "~":
        raise ValueError("a macro has the name of one key, a character of ASCII")
    if key in taken:
        raise ValueError("this key is a command already; take a digit or another letter")
    return key


def unescaped(text: object) -> bytes:
    r"""Return text in UTF-8, with ``\r``, ``\n``, ``\t``, ``\e``, ``\0``, ``\xHH`` and ``\\``.

    Raises ValueError.
    """
    if not isinstance(text, str) or not text:
        raise ValueError("must be a text")
    parts = []
    for match in _ESCAPE.finditer(text):
        code, name, plain, _ = match.groups()
        if code:
            parts.append(bytes.fromhex(code))
        elif plain:
            parts.append(plain.encode())
        elif name in _NAMES:
            parts.append(_NAMES[name])
        else:
            raise ValueError(rf"{match[0]!r} is no escape; there are \r \n \t \e \0 \xHH \\")
    found = b"".join(parts)
    if len(found) > TEXT_MAX:
        raise ValueError(f"has more than {TEXT_MAX} bytes; send it as a file")
    return found
