from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from portline.cli import status as module
from portline.cli import watch
from portline.cli.app import main
from portline.cli.processes import Answer
from portline.control.client import SocketWay
from portline.errors import PortlineError
from tests.unit.cli.answers import connection, process

METER, SCALE = connection("meter"), connection("scale")


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the processes answer, or the errors that come of asking them."""
    made: list[Any] = []

    def ask_all(operation: str, way: SocketWay | None, **given: object) -> Iterator[Answer]:
        assert operation == "status"
        names = given.get("names")
        for reply in made:
            if isinstance(reply, PortlineError):
                yield Answer(SocketWay(Path("/x/1.sock")), error=reply)
                continue
            found = reply["connections"]
            if isinstance(names, list):
                found = [each for each in found if each["name"] in names]
            yield Answer(SocketWay(Path("/x/1.sock")), reply | {"connections": found})

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


def test_who_was_refused_is_told(answers: list[Any]) -> None:
    answers.append(process(METER, up_for=5) | {"control": {"callers_refused": 2, "streams": 0}})
    assert status().output.splitlines()[0].endswith("up for 5 s, 2 callers refused")


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


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited between looks; the third wait is ended by Ctrl-C."""
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(watch.time, "sleep", sleep)
    return waits


def test_watch_writes_whole_tables_into_a_pipe(answers: list[Any], looks: list[float]) -> None:
    answers.append(process(METER))
    once = status().output
    result = status("--watch", "--interval", "2s")
    assert result.exit_code == 0
    assert result.output == f"{once}\n{once}\n{once}"
    assert 0 < looks[0] <= 2


def test_watch_as_json_is_one_line_each_time(answers: list[Any], looks: list[float]) -> None:
    answers.append(process(METER))
    lines = status("--watch", "--json").output.splitlines()
    assert [json.loads(line) for line in lines] == [json.loads(status("--json").output)] * 3


def test_watch_goes_on_while_nobody_is_there(answers: list[Any], looks: list[float]) -> None:
    assert "no Portline of this user is running" in status("--watch").output
    looks.clear()
    answers.append(PortlineError("/x/1.sock: no answer within 15 s"))
    assert status("--watch").output.count("no answer within 15 s") == 3
    assert "--interval is for --watch" in status("--interval", "2").output


def test_watch_ends_with_its_reader(
    answers: list[Any], looks: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    forgotten: list[int] = []
    monkeypatch.setattr(watch, "forget_output", lambda: forgotten.append(1))
    monkeypatch.setattr(watch.sys, "stdout", Closed())
    picture = watch.Picture()
    assert watch.repeat(lambda: picture.draw(["x"]), 1.0) == 0
    assert forgotten == [1]


def test_a_picture_is_drawn_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(watch.sys, "stdout", terminal)
    monkeypatch.setattr(watch.shutil, "get_terminal_size", lambda _: os.terminal_size((20, 5)))
    picture = watch.Picture()
    picture.draw(["one", "x" * 30])
    assert terminal.getvalue() == "one\x1b[K\n" + "x" * 17 + "...\x1b[K\n\x1b[J"
    terminal.truncate(0)
    terminal.seek(0)
    picture.draw([str(number) for number in range(9)])
    assert terminal.getvalue() == (
        "\x1b[2F0\x1b[K\n1\x1b[K\n2\x1b[K\n... 6 lines witho...\x1b[K\n\x1b[J"
    )
