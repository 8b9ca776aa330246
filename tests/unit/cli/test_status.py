from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from portline.cli import status as module
from portline.cli.app import main
from portline.cli.processes import Answer
from portline.errors import PortlineError
from tests.unit.cli.answers import connection, process

METER, SCALE = connection("meter"), connection("scale")


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the processes answer, or the errors that come of asking them."""
    made: list[Any] = []

    def ask_all(operation: str, socket: Path | None, **given: object) -> Iterator[Answer]:
        assert operation == "status"
        names = given.get("names")
        for reply in made:
            if isinstance(reply, PortlineError):
                yield Answer(Path("/x/1.sock"), error=reply)
                continue
            found = reply["connections"]
            if isinstance(names, list):
                found = [each for each in found if each["name"] in names]
            yield Answer(Path("/x/1.sock"), reply | {"connections": found})

    monkeypatch.setattr(module, "ask_all", ask_all)
    monkeypatch.setenv("COLUMNS", "80")
    return made


def status(*words: str) -> Result:
    return CliRunner().invoke(main, ["status", *words])


def test_each_process_with_its_connections(answers: list[Any]) -> None:
    answers += [process(METER, SCALE), process(pid=8, command="share", file=None, up_for=5.2)]
    result = status()
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0] == "portline serve, pid 7, /x.toml, up for 1 h 2 min"
    assert [line for line in lines if line.endswith(": listening")] == [
        "meter: listening",
        "scale: listening",
    ]
    assert lines[-1] == "portline share, pid 8, up for 5 s"
    assert "Counters" not in result.output


def test_a_name_shows_everything_of_that_one(answers: list[Any]) -> None:
    answers += [process(METER, SCALE), process(pid=8)]
    result = status("scale")
    assert "\nscale: listening\n" in result.output
    assert "meter" not in result.output
    assert "pid 8" not in result.output
    assert "\n  Counters\n" in result.output
    assert "\n  Signal lines\n" in result.output


def test_a_name_that_is_nobodys(answers: list[Any]) -> None:
    answers += [process(SCALE), process(METER), PortlineError("no answer")]
    result = status("meter", "metre")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "portline: error: no answer",
        "portline: error: there is no connection metre; there are: meter, scale",
    ]


def test_json_for_programs(answers: list[Any]) -> None:
    answers += [process(METER), process(pid=8)]
    assert json.loads(status("--json").output) == answers
    assert json.loads(status("--json", "meter").output) == answers


@pytest.mark.usefixtures("answers")
def test_nobody_answers() -> None:
    result = status("--json")
    assert (result.exit_code, result.output) == (
        1,
        '{"errors": ["no Portline of this user is running"], "mistakes": []}\n',
    )


def test_one_that_does_not_answer_is_told(answers: list[Any]) -> None:
    answers += [PortlineError("/x/1.sock: no answer within 15 s\n"), process(METER)]
    result = status()
    assert (result.exit_code, result.stderr) == (
        1,
        "portline: error: /x/1.sock: no answer within 15 s\n",
    )
    assert "meter: listening" in result.stdout
    answers.pop()
    assert status().stdout == ""


def test_an_answer_of_another_version(answers: list[Any]) -> None:
    answers.append(process({"name": "meter"}))
    result = status()
    assert result.exit_code == 1
    assert "does not understand; is it of another version?" in result.stderr
    assert status("--json").exit_code == 0
