from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from portline.cli import reload as module
from portline.cli.app import main
from portline.cli.processes import Answer
from portline.control.client import SocketWay
from portline.errors import ConfigError, PortlineError
from tests.unit.cli.answers import process

Replies = dict[str, tuple[dict[str, Any] | PortlineError, list[str] | PortlineError]]


@pytest.fixture
def replies(monkeypatch: pytest.MonkeyPatch) -> Replies:
    """Socket -> what is there, and what comes of a reload."""
    made: Replies = {}

    def ask_all(operation: str, way: SocketWay | None, **given: object) -> Iterator[Answer]:
        for name, (status, outcome) in made.items():
            path = SocketWay(Path(name))
            if way not in (None, path):
                continue
            if operation == "status":
                assert given == {"names": []}
                reply: Any = status
            else:
                reply = {"changes": outcome} if isinstance(outcome, list) else outcome
            failed = isinstance(reply, PortlineError)
            yield Answer(path, error=reply) if failed else Answer(path, reply)

    monkeypatch.setattr(module, "ask_all", ask_all)
    return made


def reload(*words: str) -> Result:
    return CliRunner().invoke(main, ["reload", *words])


def test_the_changes_of_each_are_printed(replies: Replies) -> None:
    replies["/1.sock"] = process(), ["meter: baudrate changed", "scale: added"]
    replies["/2.sock"] = process(pid=8, file="/y\x1b.toml"), []
    replies["/3.sock"] = process(pid=9, command="share", file=None), PortlineError("no file")
    result = reload()
    assert (result.exit_code, result.output.splitlines()) == (
        0,
        [
            "pid 7, /x.toml: reloaded",
            "  meter: baudrate changed",
            "  scale: added",
            "pid 8, /y\\x1b.toml: nothing has changed",
        ],
    )


def test_mistakes_change_nothing(replies: Replies) -> None:
    replies["/1.sock"] = process(), ConfigError(["/x.toml:1: one", "/x.toml:2: two"])
    replies["/2.sock"] = process(pid=8, file="/y.toml"), ["added"]
    result = reload()
    assert result.exit_code == 2
    assert result.stdout.splitlines() == ["pid 8, /y.toml: reloaded", "  added"]
    assert result.stderr.splitlines() == [
        "portline: error: /x.toml:1: one",
        "portline: error: /x.toml:2: two",
        "portline: error: pid 7, /x.toml: nothing was changed",
    ]


def test_a_socket_that_is_named_is_asked_in_any_case(replies: Replies) -> None:
    replies["/1.sock"] = process(command="share", file=None), PortlineError("it has no file")
    assert (reload("--socket", "/1.sock").exit_code, reload().exit_code) == (1, 1)
    assert reload("--socket", "/1.sock").stderr == "portline: error: it has no file\n"
    assert reload().stderr == "portline: error: no `portline serve` of this user is running\n"


def test_one_that_does_not_answer(replies: Replies) -> None:
    replies["/1.sock"] = PortlineError("/1.sock: no answer"), []
    result = reload()
    assert (result.exit_code, result.stderr) == (1, "portline: error: /1.sock: no answer\n")


def test_one_that_ends_meanwhile(replies: Replies) -> None:
    replies["/1.sock"] = process(), PortlineError("/1.sock: no Portline listens there")
    assert reload().exit_code == 1
