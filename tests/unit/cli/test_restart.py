from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from portline.cli import restart as module
from portline.cli.app import main
from portline.cli.processes import Answer
from portline.control.client import SocketWay
from portline.errors import ConfigError, PortlineError
from tests.unit.cli.answers import process


class Running:
    """One process: how long it is up, by the number of times that it was asked."""

    def __init__(self, *up_for: float | PortlineError, fault: PortlineError | None = None) -> None:
        self.up_for = list(up_for)
        self.fault = fault

    def answer(self, path: SocketWay, operation: str) -> Answer:
        if operation == "restart":
            return Answer(path, {}, self.fault)
        now = self.up_for.pop(0) if len(self.up_for) > 1 else self.up_for[0]
        if isinstance(now, PortlineError):
            return Answer(path, error=now)
        status: dict[str, Any] = process()
        status["process"]["up_for"] = now
        return Answer(path, status)


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> dict[str, Running]:
    made: dict[str, Running] = {}

    def ask_all(operation: str, way: SocketWay | None, **given: object) -> Iterator[Answer]:
        assert given == ({"names": []} if operation == "status" else {})
        for name, each in made.items():
            if way in (None, SocketWay(Path(name))):
                yield each.answer(SocketWay(Path(name)), operation)

    monkeypatch.setattr(module, "ask_all", ask_all)
    monkeypatch.setattr(module, "LOOK", 0.001)
    return made


def restart(*words: str) -> Result:
    return CliRunner().invoke(main, ["restart", *words])


def test_it_waits_until_the_next_one_answers(running: dict[str, Running]) -> None:
    running["/1.sock"] = Running(900.0, 900.1, PortlineError("nobody"), 0.0)
    result = restart()
    assert (result.exit_code, result.output) == (0, "pid 7, /x.toml: restarted\n")


def test_mistakes_change_nothing(running: dict[str, Running]) -> None:
    running["/1.sock"] = Running(900.0, fault=ConfigError(["/x.toml:1: one"]))
    result = restart()
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        "portline: error: /x.toml:1: one",
        "portline: error: pid 7, /x.toml: nothing was changed",
    ]


def test_one_that_cannot_says_so(running: dict[str, Running]) -> None:
    running["/1.sock"] = Running(900.0, fault=PortlineError("cannot be restarted in place"))
    result = restart("--socket", "/1.sock")
    assert result.exit_code == 1
    assert result.stderr == "portline: error: cannot be restarted in place\n"


def test_one_that_does_not_come_back_is_told(
    running: dict[str, Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BACK", 0.05)
    running["/1.sock"] = Running(900.0)
    result = restart()
    assert result.exit_code == 1
    assert "does not answer again" in result.stderr


def test_nobody_is_there(running: dict[str, Running]) -> None:
    assert restart().stderr == "portline: error: no `portline serve` of this user is running\n"
