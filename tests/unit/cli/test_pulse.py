"""``portline pulse``: through a running Portline, and at a device of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from portline.cli import pulse as module
from portline.cli.app import main
from portline.cli.processes import Answer
from portline.control.client import SocketWay
from portline.errors import PortlineError
from portline.hub.pulses import NAMED
from tests.ports import Uart


class Processes:
    """The running Portlines; ``asked`` is what they were asked for."""

    def __init__(self) -> None:
        self.connections: list[tuple[str, dict[str, Any]]] = []
        self.asked: list[object] = []
        self.error: PortlineError | None = None

    def ask_all(self, operation: str, way: SocketWay | None, **parameters: object):  # type: ignore[no-untyped-def]
        if operation == "status":
            for path, connection in self.connections:
                yield Answer(SocketWay(Path(path)), {"connections": [connection]})
        else:
            self.asked.append((operation, str(way), parameters))
            yield Answer(SocketWay(Path("x")), {}, error=self.error)


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Processes:
    made = Processes()
    monkeypatch.setattr(module, "ask_all", made.ask_all)
    return made


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["pulse", *arguments])
    return result.exit_code, result.output


def test_a_connection_is_pulsed_by_its_process(processes: Processes) -> None:
    processes.connections = [("/run/1", {"name": "meter", "port": {"path": "/dev/ttyNONE1"}})]
    assert run("meter", "esp32") == (0, f"meter: {NAMED['esp32'].text}\n")
    expected = {"name": "meter", "sequence": NAMED["esp32"].text}
    assert processes.asked == [("pulse", "/run/1", expected)]


def test_a_device_is_pulsed_by_whoever_has_it(processes: Processes, tmp_path: Path) -> None:
    link = tmp_path / "by-id"
    link.symlink_to("/dev/ttyNONE1")
    processes.connections = [
        ("/run/1", {"name": "other", "port": {"path": None}}),
        ("/run/2", {"name": "meter", "port": {"path": "/dev/ttyNONE1"}}),
    ]
    assert run(str(link), "dtr=0", "wait=0.1", "dtr=1")[0] == 0
    assert processes.asked == [
        ("pulse", "/run/2", {"name": "meter", "sequence": "dtr=0 wait=0.1 dtr=1"})
    ]


def test_what_the_process_says_is_told(processes: Processes) -> None:
    processes.connections = [("/run/1", {"name": "meter", "port": {"path": None}})]
    processes.error = PortlineError("/dev/ttyUSB0: is not open now; see `portline status`")
    assert run("meter", "esp32") == (
        1,
        "portline: error: /dev/ttyUSB0: is not open now; see `portline status`\n",
    )


def test_a_name_that_two_processes_have(processes: Processes) -> None:
    processes.connections = [(f"/run/{n}", {"name": "meter", "port": {}}) for n in (1, 2)]
    code, said = run("meter", "esp32")
    assert (code, processes.asked) == (2, [])
    assert "choose one with --socket: /run/1, /run/2" in said


def test_nobody_has_the_connection(processes: Processes) -> None:
    code, said = run("meter", "esp32")
    assert code == 1
    assert "no connection 'meter' of this user is running" in said


@pytest.mark.parametrize("sequence", [["esp23"], ["dtr=0", "rst=1"], ["wait=9"]])
def test_a_sequence_that_is_none(processes: Processes, sequence: list[str]) -> None:
    code, said = run("meter", *sequence)
    assert code == 2
    assert ": esp32, esp32-run" in said


def test_a_device_that_nobody_has(processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    master, slave = os.openpty()
    name = os.ttyname(slave)
    found = os.dup(slave)  # the number that open gets next
    os.close(found)
    uart = Uart(found, monkeypatch)
    uart.took()
    assert run(name, "dtr=0 rts=0", "wait=1ms", "dtr=1,rts=0") == (
        0,
        f"{name}: dtr=0 rts=0 wait=1ms dtr=1,rts=0\n",
    )
    assert uart.took() == ["TIOCMBIC", "TIOCMBIC", "TIOCMBIS"]
    assert uart.lines == 0x002
    uart.broken = {"TIOCMBIS"}
    assert "refused to move" in run(name, "rts=1")[1]
    monkeypatch.undo()
    os.close(master)
    os.close(slave)


def test_a_device_without_lines(processes: Processes) -> None:
    master, slave = os.openpty()
    assert "has no DTR and RTS" in run(os.ttyname(slave), "esp32")[1]
    os.close(master)
    os.close(slave)


def test_help_lists_the_sequences() -> None:
    said = run("--help")[1]
    for name, each in NAMED.items():
        assert name in said
        assert each.text in said
