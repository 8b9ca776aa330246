"""``portline doctor``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from portline.cli import doctor as module
from portline.cli.app import main
from portline.cli.diagnosis.finding import Finding, Weight
from portline.cli.diagnosis.machine import Listening, Machine
from portline.cli.processes import Answer
from portline.control.client import SocketWay

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


def test_it_looks_at_what_the_configuration_and_running_connections_listen_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[Machine] = []
    monkeypatch.setattr(module, "diagnose", lambda machine: seen.append(machine) or [])
    running = {
        "process": {"pid": 1, "command": "share", "file": None},
        "connections": [
            {"name": "a", "places": ["0.0.0.0:5001 (raw, TLS)", "[::1]:5002 (rfc2217)"]},
            {"name": "same", "places": ["127.0.0.1:4001 (raw)"]},
            {"name": "c", "options": {"kind": "client"}, "places": ["192.0.2.1:1 (raw)"]},
        ],
    }
    monkeypatch.setattr(module, "ask_all", lambda *_: [Answer(SocketWay(tmp_path), running)])
    file = tmp_path / "portline.toml"
    file.write_text(
        '[connections.meter]\nport = "/dev/ttyUSB0"\nlisten = ["4001", "*:4002"]\nopen = true\n'
        '[connections.far]\nkind = "client"\nvirtual = "ttyV0"\nconnect = "192.0.2.1:4001"\n'
        "[web]\n"
    )
    assert CliRunner().invoke(main, ["doctor", "--config", str(file)]).exit_code == 0
    assert seen[0].listening == (
        Listening("meter", "127.0.0.1", 4001),
        Listening("meter", "*", 4002),
        Listening("[web]", "127.0.0.1", 8217),
        Listening("a", "*", 5001),
        Listening("a", "::1", 5002),
    )


def test_a_configuration_with_mistakes_is_wrong(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "portline.toml"
    file.write_text("[connections.meter]\nbaudrate = 1\n")
    result = run(monkeypatch, [], "--config", str(file))
    assert result.exit_code == 1
    assert f"wrong  {file}: 2 mistakes; `portline check {file}` tells all" in result.output
