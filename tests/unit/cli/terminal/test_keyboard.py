from __future__ import annotations

import pytest

from portline.cli.terminal.keyboard import Keyboard, Pressed, Prompt, Typed, key_named, key_shown
from portline.errors import UsageError


def everything(keyboard: Keyboard, data: bytes) -> list[Typed | Pressed]:
    found = []
    while data:
        one, data = keyboard.take(data)
        if one is not None:
            found.append(one)
    return found


@pytest.mark.parametrize(
    ("name", "code"),
    [("ctrl-]", 0x1D), ("^A", 1), ("Ctrl-\\", 0x1C), ("ctrl-@", 0), ("none", None)],
)
def test_the_escape_key_has_a_name(name: str, code: int | None) -> None:
    assert key_named(name) == code
    if code is not None:
        assert key_named(key_shown(code)) == code


@pytest.mark.parametrize("name", ["", "a", "ctrl-", "ctrl-1", "ctrl-m", "^J", "f1", "ctrl-aa"])
def test_other_keys_cannot_be(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the escape key"):
        key_named(name)


def test_what_is_typed_and_what_is_a_command() -> None:
    keyboard = Keyboard(0x1D, b"\r\n")
    typed = everything(keyboard, b"a\rb\x1dqc\x1d\x1d\x1d")
    assert typed == [Typed(b"a\r\nb"), Pressed("q"), Typed(b"c"), Typed(b"\x1d")]
    assert keyboard.pending
    assert everything(keyboard, b"\x1dx") == [Typed(b"\x1d"), Typed(b"x")]
    assert everything(Keyboard(None, b"\r"), b"\x1dq\r") == [Typed(b"\x1dq\r")]


def test_a_prompt_takes_a_line_and_leaves_the_rest() -> None:
    answers: list[str | None] = []
    prompt = Prompt("file", answers.append)
    assert prompt.take("ä!\x7f\x7fxy\x15z".encode()) == (
        "ä!".encode() + b"\b \b" * 2 + b"xy" + b"\b \b" * 2 + b"z",
        b"",
    )
    assert not prompt.over
    assert prompt.take(b"\x00\x7f\x7f/tmp\rrest") == (b"\b \b/tmp\r\n", b"rest")
    assert prompt.over
    assert answers == []  # what was typed is to be shown first
    prompt.tell()
    assert answers == ["/tmp"]


@pytest.mark.parametrize("key", [b"\x1b", b"\x03"])
def test_a_prompt_can_be_left(key: bytes) -> None:
    answers: list[str | None] = []
    prompt = Prompt("file", answers.append)
    assert prompt.take(b"x" + key + b"y") == (b"x\r\n", b"y")
    prompt.tell()
    assert answers == [None]


def test_a_prompt_has_a_bound() -> None:
    answers: list[str | None] = []
    prompt = Prompt("file", answers.append)
    shown, _ = prompt.take(b"x" * 10000 + b"\r")
    assert len(shown) == 4096 + 2
    prompt.tell()
    assert answers == ["x" * 4096]
