"""``portline doctor``."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from portline.cli import doctor as module
from portline.cli.app import main
from portline.cli.diagnosis import Finding, Weight

NOTE = Finding(Weight.NOTE, "--backend usbip", "is not possible here: no module", "`modprobe it`")
WRONG = Finding(Weight.WRONG, "/dev/ttyUSB0", "is held by pid 7 (a\x1b[2J)", "end it")


def run(monkeypatch: pytest.MonkeyPatch, found: list[Finding], *arguments: str) -> Result:
    monkeypatch.setattr(module, "diagnose", lambda machine: found)
    return CliRunner().invoke(main, ["doctor", *arguments])


def test_a_note_is_nothing_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, [NOTE])
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "note   --backend usbip: is not possible here: no module; `modprobe it`",
        "Nothing is wrong.",
    ]


def test_what_is_wrong_is_a_line_and_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, [WRONG])
    assert result.exit_code == 1
    assert result.output == "wrong  /dev/ttyUSB0: is held by pid 7 (a\\x1b[2J); end it\n"


def test_json_for_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, [WRONG, NOTE], "--json")
    assert result.exit_code == 1
    assert [entry["weight"] for entry in json.loads(result.output)] == ["wrong", "note"]
    assert json.loads(result.output)[1] == {
        "weight": "note",
        "subject": "--backend usbip",
        "text": "is not possible here: no module",
        "remedy": "`modprobe it`",
    }
    empty = run(monkeypatch, [], "--json")
    assert (empty.exit_code, json.loads(empty.output)) == (0, [])
