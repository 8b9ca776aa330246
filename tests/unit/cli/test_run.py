"""``portline run``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from portline.cli.run import run
from portline.port.programs import launcher
from portline.port.programs.launcher import NotStarted
from portline.port.programs.lines_client import ServedTerminals

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What would have been started, and the ports that would have been emulated."""
    made: list[Any] = []

    def launch(command: tuple[str, ...]) -> str:
        if command[0] == "missing":
            raise NotStarted("missing: No such file or directory", 127)
        made.append(command)
        return "launched"

    def supervise(launched: str, terminals: Any) -> int:
        assert launched == "launched"
        found = terminals()
        assert isinstance(found, ServedTerminals)
        made.append(found._paths)
        return 42

    monkeypatch.setattr(launcher, "launch", launch)
    monkeypatch.setattr(launcher, "supervise", supervise)
    return made


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(run, arguments, standalone_mode=False)


@pytest.mark.parametrize("dashes", [(), ("--",)])
def test_everything_after_the_program_is_the_programs(
    runs: list[Any], dashes: tuple[str, ...]
) -> None:
    result = invoke(*dashes, "picocom", "--port", "-b", "9600", "--", "-v")
    assert (result.return_value, result.output) == (42, "")
    assert runs == [("picocom", "--port", "-b", "9600", "--", "-v"), []]


def test_ports_are_named_as_they_were_made(
    runs: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portline.port.names.place.folder_for", lambda name: tmp_path)
    monkeypatch.chdir(tmp_path)
    master, slave = os.openpty()
    (tmp_path / "ttyV0").symlink_to(os.ttyname(slave))
    result = invoke("--port", "ttyV0", "--port", "./ttyV0", "true")
    assert result.return_value == 42
    assert runs[1] == [str(tmp_path / "ttyV0")] * 2
    os.close(slave)
    os.close(master)


@pytest.mark.parametrize(
    ("name", "message"),
    [("./gone", "gone: No such file or directory"), ("./file", "file is not a serial port")],
)
def test_a_port_that_is_none_is_refused(
    runs: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    result = CliRunner().invoke(run, ["--port", name, "true"])
    assert result.exit_code == 2
    assert message in result.output
    assert runs == []


def test_a_program_that_cannot_be_started(runs: list[Any]) -> None:
    result = invoke("missing")
    assert result.return_value == 127
    assert result.stderr == "portline: error: missing: No such file or directory\n"


def test_a_program_is_needed() -> None:
    result = CliRunner().invoke(run, [])
    assert result.exit_code == 2
    assert "Missing argument 'PROGRAM [ARGUMENTS]...'" in result.output
