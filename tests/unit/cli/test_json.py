"""``--json``: what each command tells to programs, and the one shape of errors."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import pytest
from click.testing import CliRunner

from portline.cli.app import COMMANDS, main
from portline.cli.complaint import wants_json
from portline.errors import UsageError

RUNS: dict[str, str] = {
    "share": "runs until it is ended; `status --json` tells of it",
    "attach": "runs until it is ended; `status --json` tells of it",
    "udp": "runs until it is ended; `status --json` tells of it",
    "serve": "runs until it is ended; `status --json` tells of it",
    "demo": "runs until it is ended; `status --json` tells of it",
    "run": "runs a program, whose output it is",
    "term": "is a terminal, or prints what a device sends",
    "password": "has nothing to tell but that it is done",
    "completion": "prints a script",
    "record": "writes a file",
    "replay": "sends a file",
}
"""Commands without --json, and why."""


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let no Portline run."""
    with TemporaryDirectory(prefix="ctl-") as folder:
        monkeypatch.setenv("RUNTIME_DIRECTORY", folder)
        yield


def invoke(*words: str) -> tuple[int, Any, Any]:
    """Return the exit code, and what was written to both outputs, read as JSON."""
    result = CliRunner().invoke(main, list(words))
    outputs = (result.stdout, result.stderr)
    return (result.exit_code, *(json.loads(text) if text else None for text in outputs))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_that_tells_something_tells_it_to_programs(name: str) -> None:
    assert isinstance(main, click.Group)
    command = main.get_command(click.Context(main), name)
    assert command is not None
    has = any("--json" in each.opts for each in command.params)
    assert has != (name in RUNS), f"{name}: give it --json, or say why not"


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("status", "--json"), 1, "no Portline of this user is running"),
        (("reload", "--json"), 1, "no `portline serve` of this user is running"),
        (("pulse", "--json", "meter", "esp32"), 1, "is running"),
        (("pulse", "meter", "nonsense", "--json"), 2, "nonsense"),
        (("stop", "meter", "--json"), 1, "no Portline of this user is running"),
        (("remove", "meter", "--config", "/none.toml", "--json"), 2, "/none.toml"),
        (("status", "--json", "--nonsense"), 2, "--nonsense"),
        (("add", "--json"), 2, "Missing argument 'NAME'"),
    ],
)
def test_errors_have_one_shape(words: tuple[str, ...], code: int, told: str) -> None:
    found, output, errors = invoke(*words)
    assert (found, output) == (code, None)
    assert set(errors) == {"errors", "mistakes"}
    assert told in errors["errors"][0]
    assert errors["mistakes"] == []


def test_mistakes_are_told_by_option(tmp_path: Path) -> None:
    file = tmp_path / "portline.toml"
    words = ("--port", "/dev/ttyUSB0", "--parity", "x", "--config", str(file), "--json")
    code, output, errors = invoke("add", "meter", *words)
    assert (code, output) == (2, None)
    assert [each["option"].rpartition(".")[2] for each in errors["mistakes"]] == ["parity"]
    assert "must be one of none, odd, even" in errors["errors"][0]


def test_what_was_not_foreseen_is_told_in_the_same_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: object) -> None:
        raise ZeroDivisionError("by\nzero")

    monkeypatch.setattr("portline.cli.status.ask_all", breaks)
    assert invoke("status", "--json") == (
        1,
        None,
        {"errors": ["ZeroDivisionError: by zero"], "mistakes": []},
    )


def test_a_file_is_changed_and_the_change_is_told(tmp_path: Path) -> None:
    file = tmp_path / "portline.toml"
    where = ("--config", str(file), "--json")
    code, output, errors = invoke("add", "meter", "--port", "/dev/ttyUSB0", *where)
    assert (code, errors) == (0, None)
    assert output == {"process": None, "file": str(file), "changes": ["meter added"]}
    assert invoke("edit", "meter", "--baudrate", "1200", *where)[1]["changes"] == ["meter changed"]
    assert invoke("disable", "meter", *where)[1]["changes"] == ["meter disabled"]
    assert invoke("enable", "meter", *where)[1]["changes"] == ["meter enabled"]
    code, output, _ = invoke("check", str(file), "--json")
    assert (code, output["errors"], output["mistakes"]) == (0, [], [])
    assert output["connections"]["meter"]["baudrate"] == 1200
    invoke("add", "other", "--port", "/dev/ttyUSB1", "--listen", "4002", *where)
    assert invoke("remove", "meter", *where)[1]["changes"] == ["meter removed"]


def test_check_tells_mistakes_by_their_place(tmp_path: Path) -> None:
    file = tmp_path / "portline.toml"
    file.write_text('[connections.meter]\nport = "/dev/ttyUSB0"\nparity = "x"\n')
    code, output, errors = invoke("check", str(file), "--json")
    assert (code, errors) == (1, None)
    assert output["file"] == str(file)
    assert output["mistakes"][0]["option"] == "connections.meter.parity"
    assert len(output["errors"]) == 1


def test_repair_and_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("repair_overlaps", "repair_links"):
        outcome = type("Outcome", (), {"done": ["/dev/x"], "failed": [UsageError("no")]})
        monkeypatch.setattr(f"portline.cli.repair.{name}", lambda *_, found=outcome: found)
    code, output, _ = invoke("repair", "--json")
    assert code == 1
    assert output == {"devices": ["/dev/x"], "links": ["/dev/x"], "errors": ["no", "no"]}
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    made = invoke("token", "grafana", "--json")[1]
    assert made["name"] == "grafana"
    assert len(made["token"]) > 20
    assert invoke("token", "--json")[1] == {"tokens": ["grafana"]}
    assert invoke("token", "--remove", "grafana", "--json")[1] == {"removed": ["grafana"]}


def test_a_flag_of_another_program_is_none_of_ours() -> None:
    assert wants_json(["status", "--json"])
    assert not wants_json(["run", "--", "program", "--json"])
    result = CliRunner().invoke(main, ["run", os.devnull, "--json"])
    assert "portline: error:" in result.stderr
