"""Configuration files: reading them, and saying what is wrong with them, line by line."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pydantic import ValidationError

from portline.config.models import MODELS, GatewayConfig
from portline.config.options import key_of
from portline.config.positions import line_of, positions
from portline.config.refusal import faults_of
from portline.config.secrets import file_faults
from portline.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from portline.config.rules import Fault

    Web: TypeAlias = Mapping[str, object] | None

__all__ = [
    "DOCUMENT_LIMIT",
    "Mistake",
    "check",
    "content",
    "demand_toml",
    "examined",
    "keys_of_connection",
    "load",
    "load_again",
    "parse",
    "refused",
]

DOCUMENT_LIMIT: Final = 4 * 1024**2
"""Bytes; a thousand connections with every option written out are below one MiB."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong in a document.

    ``path`` are the keys as they are written in files, with dots; "" for the document as a whole.
    ``line`` counts from 1; None where the document has no line for it.
    """

    source: str
    line: int | None
    path: str
    text: str

    def __str__(self) -> str:
        """Write ``portline.toml:7: connections.meter.baudrat: unknown option; ...``."""
        place = self.source if self.line is None else f"{self.source}:{self.line}"
        return ": ".join(part for part in (place, self.path, self.text) if part)


def load(path: str | Path, web: Web = None, *, needed: bool = True) -> GatewayConfig:
    """Read a configuration file.

    ``web`` is what the command line says of the page: it goes over what the file says, and None
    says nothing.  A file that is not there says nothing, either, unless it is ``needed``.
    Raises ConfigError with every mistake in it, and in the files with passwords that it names.
    """
    text = content(Path(path)) if needed or Path(path).exists() else ""
    made = parse(text, str(path), web)
    if faults := file_faults(made):
        tree, found = tomllib.loads(text), positions(text)
        raise refused([_placed(fault, tree, found, str(path)) for fault in faults])
    return made


def load_again(path: str | Path, web: Web = None, *, needed: bool = True) -> GatewayConfig:
    """Read a configuration file as ``load`` does, but never wait for a pipe or a device there."""
    found = Path(path)
    if found.exists() and not (found.is_file() or found.is_dir()):
        raise ConfigError([f"{path}: is not a file any more"])
    return load(path, web, needed=needed)


def parse(text: str, source: str = "configuration", web: Web = None) -> GatewayConfig:
    """Read a configuration from text.  Raises ConfigError with every mistake in it."""
    made, mistakes = examined(text, source, web)
    if made is None:
        raise refused(mistakes)
    return made


def check(text: str, source: str = "configuration", web: Web = None) -> list[Mistake]:
    """Return every mistake in a document, in the order of its lines; none if it can be used."""
    return examined(text, source, web)[1]


def demand_toml(text: str, source: str) -> None:
    """Raise ConfigError, with the line, for a text that is no TOML."""
    try:
        tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise refused([_syntax(text, source, error)]) from None


def refused(mistakes: list[Mistake]) -> ConfigError:
    """Return the error that tells of mistakes, with their lines."""
    lines = [str(mistake) for mistake in mistakes]
    return ConfigError(lines, [(mistake.path, mistake.text) for mistake in mistakes])


def keys_of_connection(name: str) -> str:
    """Return the keys of a connection, as ``path`` of a mistake has them."""
    return f"connections.{_shown(name)}"


def content(path: Path) -> str:
    """Return the text of a file.  Raises ConfigError with its name and the reason."""
    try:
        with path.open("rb") as file:
            content = file.read(DOCUMENT_LIMIT + 1)
        if len(content) > DOCUMENT_LIMIT:
            raise ConfigError(
                [f"{path}: is larger than {DOCUMENT_LIMIT} bytes; is it the right file?"]
            )
        return content.decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError([f"{path}: there is no such file"]) from None
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError([f"{path}:{line}: is not UTF-8 text"]) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError([f"{path}: cannot be read: {reason}"]) from None


def examined(text: str, source: str, web: Web) -> tuple[GatewayConfig | None, list[Mistake]]:
    """Return the configuration that a document is, None where it cannot be used, and why not."""
    try:
        tree = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        return None, [_syntax(text, source, error)]
    if web is not None:
        written = tree.get("web", {})
        tree["web"] = {**written, **web} if isinstance(written, dict) else written
    try:
        return GatewayConfig.model_validate(tree), []
    except ValidationError as error:
        found = positions(text)
        mistakes = [
            # What the command line says of the page stands on no line of the file.
            Mistake("--web", None, "", fault.text)
            if fault.location[:1] == ("web",) and fault.location[1:2] in _keys(web)
            else _placed(fault, tree, found, source)
            for fault in faults_of(error)
        ]
        return None, sorted(mistakes, key=lambda mistake: mistake.line or 0)


def _keys(web: Web) -> set[tuple[str, ...]]:
    return {(key,) for key in web or ()}


# --- finding the place ----------------------------------------------------------------------------

_AT: Final = re.compile(r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")


def _syntax(text: str, source: str, error: Exception) -> Mistake:
    """Return what tomllib could not read; its message holds the place in words.

    A ValueError may also be an integer with more digits than Python converts.
    """
    message = str(error)
    if match := _AT.search(message):
        end = text.count("\n") + (not text.endswith("\n"))
        line = int(match["line"]) if match["line"] else max(end, 1)
        column = f", column {match['column']}" if match["column"] else ", at the end"
        hint = _hint(text.splitlines()[line - 1 : line], message)
        return Mistake(source, line, "", f"not TOML{column}: {message[: match.start()]}{hint}")
    return Mistake(source, None, "", f"not TOML: {message}")


def _hint(lines: list[str], message: str) -> str:
    """Return what a mistake of syntax most likely means."""
    key, equals, value = (lines[0] if lines else "").partition("=")
    value = value.strip()
    if equals and message.startswith("Invalid value") and value and value[0] not in "\"'[{":
        return f'; text needs quotes: {key.strip()} = "{value}"'
    if equals and message.startswith("Cannot overwrite"):
        return f'; "{key.strip()}" is written twice'
    return ""


_FIELDS: Final = frozenset().union(*(model.model_fields for model in MODELS.values()))
"""The fields of every kind of connection."""


def _placed(
    fault: Fault, tree: dict[str, Any], found: dict[tuple[str, ...], int], source: str
) -> Mistake:
    """Give a mistake its line, and its keys the spelling that they have in the document."""
    written: list[str] = []
    table: object = tree
    for name in fault.location:
        spellings = (key_of(name), name) if name in _FIELDS else (name,)
        keys = [key for key in spellings if isinstance(table, dict) and key in table]
        # A mistake in both spellings of one key is where the second one stands.
        key = max(keys, key=lambda key: found.get((*written, key), 0), default=spellings[0])
        written.append(key)
        table = table.get(key) if isinstance(table, dict) else None
    path = ".".join(_shown(key) for key in written)
    return Mistake(source, line_of(tuple(written), found), path, fault.text)


def _shown(key: str) -> str:
    """Return a key as TOML would have it, on one line."""
    if re.fullmatch(r"[A-Za-z0-9_-]+", key):
        return key
    return '"' + "".join(c if c.isprintable() else "?" for c in key) + '"'
