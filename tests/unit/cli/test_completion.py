"""What a shell is offered."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import pytest
from click.shell_completion import ShellComplete

from portline.cli import completion as module
from portline.cli.app import COMMANDS, main
from tests.interop.conftest import lacking

SHELLS = ("bash", "zsh", "fish")


def offered(*words: str) -> list[str]:
    """Return what is offered for the last word."""
    maker = ShellComplete(main, {}, "portline", module.VARIABLE)
    found = maker.get_completions(list(words[:-1]), words[-1])
    return [f"{item.type}:{item.value}" if item.type != "plain" else item.value for item in found]


@pytest.fixture(autouse=True)
def ports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_devices", lambda: ["/dev/ttyUSB0", "/dev/ttyUSB1"])
    monkeypatch.setattr(module, "_names", lambda _ctx: ["meter", "motor", "scale"])


def test_commands_are_offered_without_importing_them() -> None:
    code = (
        "import sys\n"
        "from click.shell_completion import ShellComplete\n"
        "from portline.cli.app import main\n"
        "found = ShellComplete(main, {}, 'portline', 'X').get_completions([], '')\n"
        "print(*(item.value for item in found))\n"
        "print(*(name for name in sys.modules if name.startswith('portline.cli.')))\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    values, modules = ended.stdout.splitlines()
    assert values.split() == list(COMMANDS)
    assert {*modules.split()} == {
        f"portline.cli.{name}" for name in ("app", "complaint", "elsewhere")
    }


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (("stat",), ["status"]),
        (("status", "m"), ["meter", "motor"]),
        (("status", "meter", ""), ["meter", "motor", "scale"]),
        (("remove", "s"), ["scale"]),
        (("edit", "s"), ["scale"]),
        (("pulse", ""), ["meter", "motor", "scale", "/dev/ttyUSB0", "/dev/ttyUSB1"]),
        (("pulse", "/dev/ttyUSB1"), ["/dev/ttyUSB1"]),
        (("term", "rfc"), ["rfc2217://", "rfc2217s://"]),
        (("term", "me"), ["meter"]),
        (("term", "/tmp/x"), ["file:/tmp/x"]),
        (("term", "meter", "--log", "x"), ["file:x"]),
        (("term", "meter", "--enter", "c"), ["cr", "crlf"]),
        (("share", ""), ["/dev/ttyUSB0", "/dev/ttyUSB1"]),
        (("share", "x", "--parity", "o"), ["odd"]),
        (("share", "x", "--baud"), ["--baudrate"]),
        (("share", "x", "--password-f"), ["--password-file"]),
        (("share", "x", "--password-file", "y"), ["file:y"]),
        (("attach", "h:1", "--port", ""), ["/dev/ttyUSB0", "/dev/ttyUSB1"]),
        (("serve", "x"), ["file:x"]),
        (("completion", ""), list(SHELLS)),
    ],
)
def test_what_is_offered(words: tuple[str, ...], values: list[str]) -> None:
    assert offered(*words) == values


def test_a_portline_that_cannot_be_asked_offers_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with TemporaryDirectory(prefix="ctl-") as folder:
        monkeypatch.setenv("RUNTIME_DIRECTORY", folder)
        Path(folder, "1.sock").touch(0o600)
        assert module._names(click.Context(main)) == []


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_one_that_the_shell_reads(shell: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "portline", "completion", shell],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stderr == ""
    assert "_PORTLINE_COMPLETE" in ended.stdout
    program = shutil.which(shell)
    if program is None:
        lacking(f"{shell} is not installed")
        return
    script = tmp_path / "script"
    script.write_text(ended.stdout)
    subprocess.run([program, "-n", str(script)], check=True, capture_output=True)


def test_bash_completes(tmp_path: Path) -> None:
    """The whole way: the script, the program, and what bash has then."""
    program = tmp_path / "portline"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m portline "$@"\n')
    program.chmod(0o755)
    code = (
        'eval "$(portline completion bash)"\n'
        "COMP_WORDS=(portline sha); COMP_CWORD=1; _portline_completion portline; "
        'echo "${COMPREPLY[@]}"\n'
    )
    environment: dict[str, Any] = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    ended = subprocess.run(
        ["bash", "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert (ended.stdout, ended.stderr) == ("share\n", "")
