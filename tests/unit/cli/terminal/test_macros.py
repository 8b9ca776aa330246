from __future__ import annotations

from pathlib import Path

import pytest

from portline.cli.terminal.macros import MACROS_MAX, read_macros, unescaped
from portline.errors import ConfigError


def written(folder: Path, text: str) -> str:
    (folder / "macros.toml").write_text(text, "utf-8")
    return str(folder / "macros.toml")


def test_keys_and_texts(tmp_path: Path) -> None:
    path = written(tmp_path, "[macros]\n1 = 'AT\\r'\nz = \"line\\n\"\n'!' = '\\e[A\\x00\\\\ä'\n")
    assert read_macros(path, "q") == {
        "1": b"AT\r",
        "z": b"line\n",
        "!": b"\x1b[A\0\\" + "ä".encode(),
    }
    assert read_macros(written(tmp_path, ""), "q") == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x", "is not TOML"),
        ("[other]\n", "holds one table [macros]"),
        ("macros = 1", "holds one table [macros]"),
        ("[macros]\nq = 'x'", "macros.q: this key is a command already"),
        ("[macros]\nab = 'x'", "macros.ab: a macro has the name of one key"),
        ("[macros]\n1 = 5", "macros.1: must be a text"),
        ("[macros]\n1 = ''", "macros.1: must be a text"),
        ("[macros]\n1 = '\\y'", r"macros.1: '\\y' is no escape"),
        ("[macros]\n1 = 'x\\'", "is no escape"),
        ("[macros]\n" + "\n".join(f"k{n} = 'x'" for n in range(MACROS_MAX + 1)), "up to 64 lines"),
    ],
)
def test_mistakes(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_macros(written(tmp_path, text), "q")
    (mistake,) = caught.value.mistakes
    assert told in mistake
    assert "\n" not in mistake.removesuffix("\n")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Is a directory"):
        read_macros(str(tmp_path), "")


def test_a_text_has_a_bound() -> None:
    with pytest.raises(ValueError, match="more than 65536 bytes"):
        unescaped("x" * 70000)
