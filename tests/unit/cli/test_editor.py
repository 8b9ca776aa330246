from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from portline.cli import editor as module
from portline.cli.app import main
from portline.cli.processes import Answer
from portline.control.client import SocketWay
from portline.errors import ConfigError

TEXT = '[connections.meter]\nport = "/dev/x" # left\nbaudrate = 9600\n'

Asked = list[tuple[str, str, dict[str, Any]]]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration of the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "ask_all", lambda *_, **__: iter(()))
    path = tmp_path / "portline.toml"
    path.write_text(TEXT)
    return path


@pytest.fixture
def asked(file: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What running Portlines are asked: one with this file and one with another."""
    made: Asked = []
    files = {"/1.sock": str(file), "/2.sock": "/other.toml", "/3.sock": None}
    names = {"/1.sock": ["meter", "both"], "/2.sock": ["scale", "both"], "/3.sock": ["single"]}

    def ask_all(operation: str, way: SocketWay | None, **given: Any) -> Iterator[Answer]:
        for name, path in files.items():
            if way not in (None, SocketWay(Path(name))):
                continue
            if operation == "status":
                result = {
                    "process": {"file": path},
                    "connections": [{"name": each} for each in names[name]],
                }
                yield Answer(SocketWay(Path(name)), result)
            elif given["name"] == "wrong":
                yield Answer(
                    SocketWay(Path(name)), error=ConfigError(["a: is wrong", "b: is, too"])
                )
            else:
                made.append((name, operation, given))
                note = "the device does not do that\x1b" if "parity" in str(given) else ""
                yield Answer(
                    SocketWay(Path(name)), {"changes": ["meter: changed\x1b"], "note": note}
                )

    monkeypatch.setattr(module, "ask_all", ask_all)
    return made


def portline(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == code, result.output
    return result


def test_without_a_running_portline_the_file_is_changed(file: Path) -> None:
    result = portline(
        "add",
        "scale",
        "--virtual",
        "ttyScale",
        "--packet-size",
        "0300",
        "--listen",
        "127.0.0.1:4002",
    )
    assert result.output == "portline.toml: scale added; no `portline serve` runs it now\n"
    portline("edit", "meter", "--baudrate", "19200", "--data-bits", "7", "--rename", "water")
    assert file.read_text() == (
        '[connections.water]\nport = "/dev/x" # left\nbaudrate = 19200\ndata-bits = 7\n'
        '\n[connections.scale]\nvirtual = "ttyScale"\npacket-size = "0300"\n'
        'listen = "127.0.0.1:4002"\n'
    )
    portline("edit", "water", "--unset", "baudrate", "--unset", "data_bits")
    portline("remove", "scale")
    assert file.read_text() == '[connections.water]\nport = "/dev/x" # left\n'


def test_a_first_connection_makes_the_file(file: Path) -> None:
    file.unlink()
    portline(
        "add",
        "a",
        "--kind",
        "udp",
        "--port",
        "/dev/x",
        "--connect",
        "192.0.2.1:9",
        "--no-exclusive",
    )
    assert file.read_text() == (
        '[connections.a]\nkind = "udp"\nport = "/dev/x"\n'
        'connect = "192.0.2.1:9"\nexclusive = false\n'
    )
    other = file.parent / "other.toml"
    portline("add", "b", "--port", "/dev/y", "--config", str(other))
    assert other.read_text() == '[connections.b]\nport = "/dev/y"\n'


def test_what_is_wrong_is_told_and_changes_nothing(file: Path) -> None:
    def refused(*words: str, code: int = 2) -> str:
        output = portline(*words, code=code).output
        assert file.read_text() == TEXT
        return output

    assert "'meter' already" in refused("add", "meter", "--port", "/dev/z")
    assert "no connection 'x'; there are: meter" in refused("remove", "x")
    assert "no connections; write one" in refused("remove", "meter")
    assert 'did you mean "packet-size"' in refused("edit", "meter", "--unset", "packt-size")
    assert "nothing to change" in refused("edit", "meter")
    told = refused("edit", "meter", "--parity", "x", "--data-bits", "9")
    assert "connections.meter.parity: " in told
    assert "connections.meter.data-bits: " in told
    file.rename(file.parent / "x.toml")
    assert "neither portline.toml" in portline("remove", "meter", code=2).output
    assert "no such file" in portline("remove", "a", "--config", "y.toml", code=2).output


def test_a_running_portline_changes_its_own_file(file: Path, asked: Asked) -> None:
    result = portline("edit", "meter", "--baudrate", "300", "--unset", "port")
    assert result.output == "meter: changed\\x1b\n"
    parameters = {"options": {"port": None, "baudrate": 300}, "rename": "meter"}
    assert asked.pop() == ("/1.sock", "update", {"name": "meter", **parameters})
    portline("remove", "scale")
    assert asked.pop() == ("/2.sock", "remove", {"name": "scale"})
    portline("add", "new", "--port", "/dev/z", "--config", "portline.toml")
    assert asked.pop() == ("/1.sock", "add", {"name": "new", "options": {"port": "/dev/z"}})
    assert file.read_text() == TEXT


def test_what_the_device_does_not_do_is_told(file: Path, asked: Asked) -> None:
    result = portline("edit", "meter", "--parity", "even")
    assert result.stdout == "meter: changed\\x1b\n"
    assert result.stderr == "portline: meter: the device does not do that\\x1b\n"


def test_whose_file_is_meant_must_be_clear(file: Path, asked: Asked) -> None:
    assert "more than one Portline" in portline("remove", "both", code=2).output
    assert "more than one Portline" in portline("add", "new", "--port", "/dev/z", code=2).output
    output = portline("remove", "single", code=2).output
    assert "no connection 'single'; there are: both, meter, scale" in output
    other = file.parent / "mine.toml"
    other.write_text(TEXT)
    portline("edit", "meter", "--baudrate", "300", "--config", "mine.toml")
    assert (asked, "300" in other.read_text()) == ([], True)


def test_mistakes_that_a_portline_tells_are_told(asked: Asked) -> None:
    output = portline("add", "wrong", "--port", "/x", "--config", "portline.toml", code=2).output
    assert "a: is wrong" in output
    assert "b: is, too" in output


def test_a_connection_is_enabled_and_disabled_in_its_file(file: Path) -> None:
    said = portline("disable", "meter").output
    assert said == "portline.toml: meter disabled; no `portline serve` runs it now\n"
    assert file.read_text() == TEXT + "enabled = false\n"
    assert "meter enabled" in portline("enable", "meter").output
    assert file.read_text() == TEXT
    assert "no connection 'x'; there are: meter" in portline("enable", "x", code=2).output


def test_a_connection_is_enabled_where_it_runs(asked: Asked) -> None:
    assert portline("enable", "meter").output == "meter: changed\\x1b\n"
    portline("disable", "scale")
    assert asked == [
        ("/1.sock", "enable", {"name": "meter"}),
        ("/2.sock", "disable", {"name": "scale"}),
    ]


def test_an_option_is_given_or_taken_out(file: Path) -> None:
    result = portline("edit", "meter", "--keepalive", "20s", "--unset", "keepalive", code=2)
    assert "--unset keepalive and --keepalive exclude each other; give one of them" in result.output
    assert file.read_text() == TEXT


def test_a_file_that_is_no_toml_is_named_with_its_line(file: Path) -> None:
    file.write_text(TEXT + "parity = even\n")
    for words in (("edit", "meter", "--baudrate", "300"), ("add", "new", "--port", "/dev/y")):
        result = portline(*words, code=2)
        assert "error: portline.toml:4: not TOML, column 10:" in result.output
        assert 'text needs quotes: parity = "even"' in result.output
