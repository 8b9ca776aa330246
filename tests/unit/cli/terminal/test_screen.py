from __future__ import annotations

import re

import pytest

from portline.cli.terminal.screen import Screen

NOW = 1732720000.25


def test_bytes_pass_as_they_are() -> None:
    data = bytes(range(256))
    assert Screen().shows(data, NOW) == data


@pytest.mark.parametrize(
    ("ends", "shown"), [("as-is", b"a\nb\rc"), ("lf", b"a\r\nb\rc"), ("cr", b"a\nb\r\nc")]
)
def test_the_ends_of_lines(ends: str, shown: bytes) -> None:
    assert Screen(ends=ends).shows(b"a\nb\rc", NOW) == shown


def test_control_characters_are_written_out() -> None:
    screen = Screen(cleans=True)
    assert screen.shows(b"\x1b[31ma\tb\r\n\x00\xff", NOW) == b"\\x1b[31ma\tb\r\n\\x00\\xff"
    assert screen.leaves() == b"\r\n"  # nothing to be put back


def test_each_line_has_its_time() -> None:
    screen = Screen(stamps=True)
    shown = b"".join(screen.shows(part, NOW) for part in (b"a", b"b\r\nc", b"\n", b"d\re\n"))
    assert re.fullmatch(rb"(\d\d:\d\d:\d\d\.250 )ab\r\n\1c\n\1d\re\n", shown), shown


def test_hex_in_rows_with_directions() -> None:
    screen = Screen(as_hex=True)
    assert screen.shows(b"x", NOW).startswith(b"< 78 ")
    shown = screen.shows(bytes(range(0x30, 0x42)), NOW, typed=True).splitlines()
    assert shown[0] == b"> 30 31 32 33 34 35 36 37 38 39 3a 3b 3c 3d 3e 3f  |0123456789:;<=>?|"
    assert shown[1] == b"> 40 41" + b" " * 42 + b"  |@A|"
    screen.stamps = True
    assert re.match(rb"\d\d:\d\d:\d\d\.250 < 00 ", screen.shows(b"\0", NOW))


def test_words_of_its_own_have_lines_of_their_own() -> None:
    screen = Screen()
    assert screen.notice("a", "b\x1b") == b"*** a\r\n*** b\\x1b\r\n"
    screen.shows(b"text", NOW)
    assert screen.notice("c") == b"\r\n*** c\r\n"
    assert screen.question("file") == b"*** file: "


def test_a_terminal_is_left_as_it_should_be() -> None:
    screen = Screen()
    assert screen.leaves() == b""
    screen.shows(b"\x1b[31mred", NOW)
    assert screen.leaves() == b"\x1b[0m\x1b[?25h\r\n"
