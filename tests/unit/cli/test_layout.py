from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.cli.layout import (
    age,
    clean,
    columns,
    columns_of_terminal,
    entry,
    paragraph,
    quantity,
    span,
    together,
)


@given(st.text(st.characters(codec=None)))
def test_clean_text_is_printable_and_of_one_line(text: str) -> None:
    assert clean(text).isprintable()
    assert clean(clean(text)) == clean(text)


def test_what_is_not_printable_is_seen() -> None:
    assert clean("a\x1b[2J\n\u202eb\udcff") == "a\\x1b[2J\\n\\u202eb\\udcff"
    assert clean("Zähler 電力計") == "Zähler 電力計"
    assert clean(5) == "5"


def test_a_text_goes_on_below_itself() -> None:
    assert entry("port", "one two three", 22) == ["  port      one two", "            three"]
    assert entry("port", "", 22) == ["  port"]
    assert entry("a-long-label", "one", 22) == ["  a-long-label one"]
    assert paragraph("one two three", 8) == ["one two", "    three"]


def test_what_belongs_together_stays_together() -> None:
    assert entry("x", together(["a = 1", "b = 2"]), 20) == [
        "  x         a = 1;",
        " " * 12 + "b = 2",
    ]


def test_what_has_no_room_together_is_broken_all_the_same() -> None:
    assert entry("x", together(["a long = 1", "b = 2"]), 20) == [
        "  x         a long =",
        "            1;",
        "            b = 2",
    ]


def test_columns_are_as_wide_as_what_is_seen() -> None:
    assert span("電a\u0301") == 3
    assert columns([["ab", "c"], ["電力", "d"]]) == ["ab    c", "電力  d"]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (9999, "9999 B"),
        (10_000, "10.0 kB"),
        (123_456, "123 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (1_234_567, "1.2 MB"),
        (10**18, "1.0 EB"),
        (10**24, "1000000 EB"),
        (0.4, "0 B"),
    ],
)
def test_quantities(number: float, text: str) -> None:
    assert quantity(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.9, "59 s"),
        (60, "1 min 0 s"),
        (3725, "1 h 2 min"),
        (7200, "2 h"),
        (90000, "1 d 1 h"),
    ],
)
def test_ages(seconds: float, text: str) -> None:
    assert age(seconds) == text


@pytest.mark.parametrize(("columns", "width"), [("20", 32), ("40", 40), ("100", 100), ("500", 120)])
def test_the_width_has_limits(monkeypatch: pytest.MonkeyPatch, columns: str, width: int) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert columns_of_terminal() == width


def test_the_width_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)

    def fail(fd: int) -> None:
        raise OSError(25, "Inappropriate ioctl for device")

    monkeypatch.setattr(os, "get_terminal_size", fail)
    assert columns_of_terminal() == 80
