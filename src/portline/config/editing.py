"""Changes to the text of a configuration that leave everything else as its author wrote it.

Theory of operation
-------------------
Whole connections are added, removed and renamed by lines, values are changed by tomlkit; comments,
blank lines, order, and the spelling of what is not touched stay.  TOML can say one thing in many
ways (a connection may be an inline table, or keys with dots), so each way to make a change is only
tried: what it makes is read by another parser and must say exactly what it should, else the next
way is tried, and a text that would say something else is never returned.

Pure: text in, text out.
"""

from __future__ import annotations

import re
import tomllib
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Comment, Table, Whitespace

from portline.config.options import key_of
from portline.errors import ConfigError, NameTaken, NameUnknown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping

    Tree = dict[str, Any]
    Edit = Callable[[MutableMapping[str, Any]], None]
    Way = Callable[[str], str]

__all__ = ["added", "removed", "renamed", "updated"]

CONNECTIONS: Final = "connections"


def added(text: str, name: str, options: Mapping[str, object]) -> str:
    """Return the text with a new connection at its end.

    ``options`` are by field or key, with values as TOML has them.  Raises NameTaken when there is
    a connection of that name, ConfigError where the text cannot be edited.
    """
    tree = _read(text)
    if name in _connections(tree):
        raise NameTaken(name, "edit or remove it")
    keys = {key_of(field): value for field, value in options.items()}

    def edit(tree: MutableMapping[str, Any]) -> None:
        tree.setdefault(CONNECTIONS, {})[name] = deepcopy(keys)

    def append(text: str) -> str:
        gap = "" if not text else "\n" if text.endswith("\n") else "\n\n"
        return f"{text}{gap}[{_header(name)}]\n{tomlkit.dumps(keys)}"

    return _edited(text, edit, append, _by_tomlkit(edit))


def updated(text: str, name: str, options: Mapping[str, object], rename: str = "") -> str:
    """Return the text with some options of a connection changed, and those that are None removed.

    ``rename`` is what it is called then.  Raises NameUnknown when there is no such connection,
    NameTaken when another one is called that, ConfigError where the text cannot be edited.
    """
    _demand(text, name)

    def edit(tree: MutableMapping[str, Any]) -> None:
        table = tree[CONNECTIONS][name]
        end = _set_aside(table)
        for field, value in options.items():
            key = _spelling(table, field)
            if value is not None:
                table[key] = value
            elif key in table:
                del table[key]
        for item in end:
            table.add(item)

    def within(text: str) -> str:
        # The time of tomlkit grows with what it is given: tenths of a second for a large file.
        lines = text.splitlines(keepends=True)
        first, end = _section(lines, name)
        section = _by_tomlkit(edit)("".join(lines[first:end]))
        return "".join(lines[:first]) + section + "".join(lines[end:])

    text = _edited(text, edit, within, _by_tomlkit(edit))
    return renamed(text, name, rename) if rename not in ("", name) else text


def removed(text: str, name: str) -> str:
    """Return the text without a connection.

    Raises NameUnknown when there is no such connection, ConfigError where the text cannot be
    edited.
    """
    _demand(text, name)

    def edit(tree: MutableMapping[str, Any]) -> None:
        del tree[CONNECTIONS][name]

    def cut(text: str) -> str:
        lines = text.splitlines(keepends=True)
        first, end = _section(lines, name)
        return "".join(lines[:first] + lines[end:])

    return _edited(text, edit, cut, _by_tomlkit(edit))


def renamed(text: str, name: str, new: str) -> str:
    """Return the text with another name for a connection, at the same place.

    Raises NameUnknown when there is no such connection, NameTaken when there is one of the new
    name, ConfigError where the text cannot be edited.
    """
    _demand(text, name)
    if new in _connections(_read(text)):
        raise NameTaken(new, "take another name")

    def edit(tree: MutableMapping[str, Any]) -> None:
        table = tree[CONNECTIONS]
        entries = [(new if key == name else key, value) for key, value in table.items()]
        for key in list(table):
            del table[key]
        for key, value in entries:
            table[key] = value

    def relabel(text: str) -> str:
        lines = text.splitlines(keepends=True)
        first = next(at for at in range(*_section(lines, name)) if lines[at].strip())
        header = _HEADER.match(lines[first])
        assert header is not None
        lines[first] = f"[{_header(new)}]{lines[first][header.end() :]}"
        return "".join(lines)

    return _edited(text, edit, relabel, _by_tomlkit(edit))


# --- ways to make a change ------------------------------------------------------------------------


def _edited(text: str, edit: Edit, *ways: Way) -> str:
    """Return what the first way makes that says what it should; ``edit`` works on a tree."""
    expected = _read(text)
    edit(expected)
    for way in ways:
        try:
            result = way(text)
            if _said(tomllib.loads(result)) == _said(expected):
                return result
        except (TOMLKitError, LookupError, ValueError, TypeError, RecursionError):
            continue
    raise ConfigError(
        ["the file is written in a way that cannot be changed from here; edit it by hand"]
    )


def _by_tomlkit(edit: Edit) -> Way:
    def way(text: str) -> str:
        document = tomlkit.parse(text)
        edit(document)
        return tomlkit.dumps(document)

    return way


def _set_aside(table: object) -> list[Comment | Whitespace]:
    """Take the comments and blank lines off the end of a table: they belong to what follows."""
    if not isinstance(table, Table):
        return []
    body = table.value.body
    at = len(body)
    while at and body[at - 1][0] is None and isinstance(body[at - 1][1], Comment | Whitespace):
        at -= 1
    end = [item for _, item in body[at:] if isinstance(item, Comment | Whitespace)]
    del body[at:]
    return end


_HEADER: Final = re.compile(r"""\s*\[(?P<keys>(?:"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[^\[\]"'\n])*)\]""")
"""The header of a table: bare keys, and quoted ones, in which anything may stand."""


def _section(lines: list[str], name: str) -> tuple[int, int]:
    """Return the lines of a connection under a header of its own, as a range.

    Comments and blank lines at its end belong to what follows.  Raises ValueError without one.
    """
    headers = [number for number, line in enumerate(lines) if _HEADER.match(line)]
    for place, first in enumerate(headers):
        if _names(lines[first]) != [CONNECTIONS, name]:
            continue
        end = headers[place + 1] if place + 1 < len(headers) else len(lines)
        while end > first + 1 and (not (line := lines[end - 1].strip()) or line.startswith("#")):
            end -= 1
        # One of the two gaps around it goes with it.
        if end < len(lines) and not lines[end].strip():
            end += 1
        elif end == len(lines) and first and not lines[first - 1].strip():
            first -= 1
        return first, end
    raise ValueError(name)


def _names(header: str) -> list[str]:
    """Return the keys of a header: ``[connections."a b"]`` -> connections, a b."""
    try:
        tree: object = tomllib.loads(header)
    except tomllib.TOMLDecodeError:
        return []
    names = []
    while isinstance(tree, dict) and tree:
        ((name, tree),) = tree.items()
        names.append(name)
    return names


def _header(name: str) -> str:
    return f"{CONNECTIONS}.{tomlkit.key(name).as_string()}"


# --- what a text says -----------------------------------------------------------------------------


def _read(text: str) -> Tree:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError([f"not TOML: {error}"]) from None


def _said(tree: Tree) -> Tree:
    """Return the tree without an empty table of connections, which says nothing."""
    return tree if tree.get(CONNECTIONS) else {k: v for k, v in tree.items() if k != CONNECTIONS}


def _connections(tree: Tree) -> Mapping[str, object]:
    found = tree.get(CONNECTIONS, {})
    return found if isinstance(found, dict) else {}


def _demand(text: str, name: str) -> None:
    names = _connections(_read(text))
    if not isinstance(names.get(name), dict):
        raise NameUnknown(name, names)


def _spelling(table: Mapping[str, object], field: str) -> str:
    """Return the key of an option as the table has it, else as files spell it."""
    key = key_of(field)
    return next((each for each in (key, key.replace("-", "_")) if each in table), key)
