from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.config import editing
from portline.config.editing import added, removed, renamed, updated
from portline.errors import ConfigError, UsageError

TEXT = """\
# my ports

[connections.meter]   # the meter
port = "/dev/ttyUSB0"  # left socket
baudrate = 9_600
listen = [
  "127.0.0.1:4001", # raw
]

# the second
[connections."b c"]
virtual = 'x'
max_connections = 3

# the end
"""

OTHER_WAYS = {
    "keys with dots": 'connections.a.port = "x"\nconnections.a.baudrate = 300\n',
    "inline": 'connections = { a = { port = "x", baudrate = 300 } }\n',
    "half inline": '[connections]\na = { port = "x", baudrate = 300 } # c\nb.port = "y"\n',
    "out of order": '[connections.a]\nport = "x"\nbaudrate = 300\n[z]\ny = 1\n[connections.b]\n',
    "spaces": '[ connections . "a" ]\nport = "x"\nbaudrate = 300\n',
    "no newline": '[connections.a]\nport = "x"\nbaudrate = 300',
    "header in a text": '[connections.a]\nport = """\n[connections.b]\n"""\nbaudrate = 300\n# c\n',
}


def lines(text: str) -> list[str]:
    return text.splitlines()


def test_a_change_has_tomlkit_read_that_connection_only(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    parse = editing.tomlkit.parse

    def counted(text: str) -> object:
        read.append(text)
        return parse(text)

    monkeypatch.setattr(editing.tomlkit, "parse", counted)
    many = "".join(f'[connections.c{n}]\nport = "p{n}" # {n}\n\n' for n in range(100))
    after = updated(many, "c50", {"port": "x", "baudrate": 300})
    assert after == many.replace('port = "p50" # 50\n', 'port = "x" # 50\nbaudrate = 300\n')
    assert [len(text) < len(many) / 50 for text in read] == [True]


def test_a_new_one_comes_last() -> None:
    options = {"port": "/dev/x", "packet_size": 5, "listen": ["a", "b"]}
    assert added(TEXT, "new one", options) == TEXT + (
        '\n[connections."new one"]\nport = "/dev/x"\npacket-size = 5\nlisten = ["a", "b"]\n'
    )
    assert added("", "a", {"port": "x"}) == '[connections.a]\nport = "x"\n'
    with pytest.raises(UsageError, match="'b c' already"):
        added(TEXT, "b c", {})


def test_changed_options_keep_their_place_and_their_spelling() -> None:
    result = updated(TEXT, "b c", {"max-connections": 5, "virtual": None, "packet_size": 7})
    assert lines(result)[:11] == lines(TEXT)[:11]
    assert lines(result)[11:] == ["max_connections = 5", "packet-size = 7", "", "# the end"]
    result = updated(TEXT, "meter", {"port": "/dev/y", "interface": None})
    assert result == TEXT.replace("/dev/ttyUSB0", "/dev/y")
    assert updated(TEXT, "meter", {}) == TEXT


def test_what_stands_around_a_connection_stays_when_it_goes() -> None:
    assert lines(removed(TEXT, "meter")) == ["# my ports", "", *lines(TEXT)[9:]]
    assert lines(removed(TEXT, "b c")) == [*lines(TEXT)[:10], "# the end"]


def test_a_renamed_one_stays_where_it_is() -> None:
    assert renamed(TEXT, "meter", "a.b") == TEXT.replace("connections.meter", 'connections."a.b"')
    assert updated(TEXT, "meter", {"baudrate": 300}, "m") == TEXT.replace(
        "connections.meter", "connections.m"
    ).replace("9_600", "300")
    with pytest.raises(UsageError, match="'b c' already"):
        renamed(TEXT, "meter", "b c")


@pytest.mark.parametrize("change", [removed, lambda t, n: updated(t, n, {"port": "x"})])
def test_one_that_is_not_there(change: Any) -> None:
    with pytest.raises(UsageError, match="there is no connection 'x'; there are: meter, b c"):
        change(TEXT, "x")
    with pytest.raises(ConfigError, match="not TOML"):
        change("[", "x")


@pytest.mark.parametrize("way", OTHER_WAYS)
def test_another_way_to_write_it_is_changed_rightly_or_not_at_all(way: str) -> None:
    text = OTHER_WAYS[way]
    before = tomllib.loads(text)["connections"]
    changes = {
        "add": (lambda: added(text, "n", {"port": "z"}), before | {"n": {"port": "z"}}),
        "update": (
            lambda: updated(text, "a", {"port": "z", "baudrate": None}),
            before | {"a": {"port": "z"}},
        ),
        "remove": (
            lambda: removed(text, "a"),
            {name: each for name, each in before.items() if name != "a"},
        ),
        "rename": (
            lambda: renamed(text, "a", "q"),
            {("q" if name == "a" else name): each for name, each in before.items()},
        ),
    }
    done = 0
    for change, expected in changes.values():
        try:
            after = tomllib.loads(change())
        except ConfigError:
            continue
        done += 1
        assert after.get("connections", {}) == expected
        assert after.get("z") == tomllib.loads(text).get("z")
    assert done >= 2


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=8)
VALUES = st.one_of(
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12),
    st.lists(st.text("ab#[]\"'\\\n", max_size=5), max_size=3),
)
KEYS = st.sampled_from(["port", "baudrate", "packet-size", "listen", "virtual"])
TABLES = st.dictionaries(KEYS, VALUES, max_size=4)
COMMENTS = st.lists(
    st.sampled_from(["", "# [connections.a]", "# c", "#", "  # 'x"]), max_size=3
).map("\n".join)


@given(
    st.dictionaries(NAMES, TABLES, min_size=1, max_size=4),
    st.data(),
)
def test_any_document_says_afterwards_what_it_should(
    tables: dict[str, dict[str, Any]], data: st.DataObject
) -> None:
    text = ""
    for name, table in tables.items():
        text = added(text, name, table) + data.draw(COMMENTS) + "\n"
    assert tomllib.loads(text) == {"connections": tables}
    name = data.draw(st.sampled_from(sorted(tables)))
    options = data.draw(st.dictionaries(KEYS, st.one_of(st.none(), VALUES), max_size=3))
    changed = updated(text, name, options)
    expected = {
        **{key: value for key, value in tables[name].items() if key not in options},
        **{key: value for key, value in options.items() if value is not None},
    }
    assert tomllib.loads(changed)["connections"] == tables | {name: expected}
    gone = removed(text, name)
    left = {each: table for each, table in tables.items() if each != name}
    assert tomllib.loads(gone).get("connections", {}) == left
    assert _comments(changed) == _comments(text)
    other = data.draw(NAMES.filter(lambda each: each not in tables))
    said = tomllib.loads(renamed(text, name, other))["connections"]
    assert list(said) == [other if each == name else each for each in tables]


def _comments(text: str) -> list[str]:
    """Return the lines that can only be comments: those that the test has put in."""
    known = {"# [connections.a]", "# c", "#", "  # 'x"}
    return [line for line in text.splitlines() if line in known]


@pytest.mark.parametrize("header", ['"a]b"', "'a]b'", '"a[]b"', '"a\\"]b"', '"]"'])
def test_a_name_with_brackets_is_renamed_in_its_place(header: str) -> None:
    text = (
        f"# first\n[connections.{header}] # own\nport = '/dev/x'\n\n"
        "# second\n[connections.c]\nport = '/dev/y'\n"
    )
    name = next(iter(tomllib.loads(text)["connections"]))
    assert renamed(text, name, "new") == text.replace(f"connections.{header}", "connections.new")
    assert "/dev/x" not in removed(text, name)
