"""``portline start``, ``stop``, ``disconnect``, ``lines``, ``break`` and ``set``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from portline.cli import processes as module
from portline.cli.app import main
from portline.control.client import NobodyThere
from portline.errors import ConfigError, PortError, PortlineError

PROCESS = {"pid": 7, "command": "serve", "file": None}


class Processes:
    """The running Portlines by their sockets; ``asked`` is what they were asked for."""

    def __init__(self) -> None:
        self.names: dict[str, list[str]] = {"/1.sock": ["meter", "both"], "/2.sock": ["both"]}
        self.asked: list[tuple[str, str, object]] = []
        self.answer: dict[str, Any] = {}
        self.error: PortlineError | None = None

    def ask(self, path: Path, operation: str, parameters: dict[str, object]) -> dict[str, Any]:
        if str(path) not in self.names:
            raise NobodyThere(f"{path}: no Portline listens there")
        if operation == "status":
            return {
                "process": PROCESS,
                "connections": [{"name": name} for name in self.names[str(path)]],
            }
        self.asked.append((str(path), operation, parameters))
        if self.error is not None:
            raise self.error
        return {"process": PROCESS, "name": parameters["name"]} | self.answer


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Processes]:
    made = Processes()
    monkeypatch.setattr(module.SocketWay, "ask", lambda way, *asked: made.ask(way.path, *asked))
    monkeypatch.setattr(module.Places, "sockets", lambda _self: [Path(each) for each in made.names])
    monkeypatch.setattr(module.Places, "others", lambda _self: False)
    return made


def portline(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, words)
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("command", "answer", "said"),
    [
        ("start", ("listening", "", ["x"]), "meter: started; listening\n"),
        ("start", ("port absent", "is gone\x1b", ["x"]), "meter: started; port absent - is gone"),
        ("start", ("connected", "", []), "meter: runs already; connected\n"),
        ("stop", ("stopped", "stopped by hand", ["x"]), "meter: stopped\n"),
        ("stop", ("stopped", "not enabled", []), "meter: is stopped already: not enabled\n"),
    ],
)
def test_starting_and_stopping(
    processes: Processes, command: str, answer: tuple[object, ...], said: str
) -> None:
    processes.answer = dict(zip(("state", "reason", "changes"), answer, strict=True))
    code, output = portline(command, "meter")
    assert code == 0
    assert output.startswith(said)
    assert "\x1b" not in output
    assert processes.asked == [("/1.sock", command, {"name": "meter"})]
    code, output = portline(command, "meter", "--json")
    assert json.loads(output)["state"] == answer[0]


def test_a_peer_is_disconnected(processes: Processes) -> None:
    processes.answer = {"peer": "127.0.0.1:5", "again": False}
    assert portline("disconnect", "meter", "3") == (0, "meter: 127.0.0.1:5 disconnected\n")
    assert processes.asked == [("/1.sock", "disconnect", {"name": "meter", "peer": "3"})]
    processes.answer["again"] = True
    _, said = portline("disconnect", "meter", "[::1]:5")
    assert said == "meter: 127.0.0.1:5 disconnected; it is called again\n"
    assert json.loads(portline("disconnect", "meter", "3", "--json")[1])["again"] is True


def test_lines_are_shown_and_driven(processes: Processes) -> None:
    processes.answer = {"lines": {"dtr": True, "cts": False}, "driven": ["dtr", "rts"], "note": ""}
    assert portline("lines", "meter") == (0, "meter: DTR on, CTS off\n")
    processes.answer["note"] = "only some can see them"
    code, said = portline("lines", "meter", "DTR=on", "rts=Low", "cts=auto")
    assert (code, said) == (0, "meter: DTR on, CTS off\nonly some can see them\n")
    wanted = {"dtr": True, "rts": False, "cts": None}
    assert [parameters for *_, parameters in processes.asked] == [
        {"name": "meter", "lines": {}},
        {"name": "meter", "lines": wanted},
    ]
    assert json.loads(portline("lines", "meter", "--json")[1])["driven"] == ["dtr", "rts"]


def test_a_break_is_sent(processes: Processes) -> None:
    assert portline("break", "meter") == (0, "meter: a break of 0.25 s\n")
    assert portline("break", "meter", "1") == (0, "meter: a break of 1 s\n")
    assert [parameters for *_, parameters in processes.asked] == [
        {"name": "meter", "seconds": 0.25},
        {"name": "meter", "seconds": 1.0},
    ]


def test_settings_are_put_in_force(processes: Processes) -> None:
    processes.answer = {"notation": "19200-8E1", "settings": {}}
    assert portline("set", "meter", "baudrate=19200", "parity=even") == (0, "meter: 19200-8E1\n")
    options = {"baudrate": "19200", "parity": "even"}
    assert processes.asked == [("/1.sock", "settings", {"name": "meter", "options": options})]
    assert json.loads(portline("set", "meter", "--json")[1])["notation"] == "19200-8E1"
    processes.error = ConfigError(["baudrate: 1 must be", "parity: x must be"])
    code, said = portline("set", "meter", "baudrate=1")
    assert code == 2
    assert said.splitlines() == [
        "portline: error: baudrate: 1 must be",
        "portline: error: parity: x must be",
    ]
    processes.error = PortError("/dev/x", "the driver does not do baudrate = 1")
    assert portline("set", "meter", "baudrate=1")[0] == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("lines", "meter", "dtr"), "'dtr' is no assignment; write it like dtr=on"),
        (("lines", "meter", "dtr=maybe"), "dtr=maybe: the level must be on, off or auto"),
        (("lines", "meter", "dtr=on", "DTR=off"), "dtr is given twice; give it once"),
        (("set", "meter", "baudrate="), "'baudrate=' is no assignment; write it like baudrate"),
        (("set", "meter", "=1"), "is no assignment"),
        (("break", "meter", "long"), "is not a valid float"),
        (("start", "x"), "there is no connection 'x'; there are: both, meter"),
        (("stop", "both"), "choose one with --socket: /1.sock, /2.sock"),
    ],
)
def test_what_cannot_be_meant(processes: Processes, words: tuple[str, ...], told: str) -> None:
    code, said = portline(*words)
    assert (code, processes.asked) == (2, [])
    assert told in said


def test_one_of_several_processes_is_chosen(processes: Processes) -> None:
    processes.answer = {"state": "stopped", "reason": "", "changes": ["x"]}
    assert portline("stop", "both", "--socket", "/2.sock")[0] == 0
    assert processes.asked[0][0] == "/2.sock"
    code, said = portline("stop", "both", "--socket", "/3.sock")
    assert (code, said) == (1, "portline: error: /3.sock: no Portline listens there\n")


def test_nobody_is_running(processes: Processes) -> None:
    processes.names.clear()
    for command in (("start",), ("stop",), ("lines",), ("break",), ("set",)):
        assert portline(*command, "meter") == (
            1,
            "portline: error: no Portline of this user is running\n",
        )
