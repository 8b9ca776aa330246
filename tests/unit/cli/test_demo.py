from __future__ import annotations

import asyncio
import importlib.util
import os
import socket
import sys
from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner

from portline.cli import demo as module
from portline.cli.app import main
from portline.cli.demo import HOST, TRIES, Demo, Greeting, free_port, things_to_try
from portline.config.models import GatewayConfig
from portline.config.saving import ConfigFile
from portline.errors import NetworkError, PortError
from portline.service.process import announcement as told
from portline.service.process import log, run
from tests.conftest import Run
from tests.waiting import until


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server((HOST, 0)) as server:
        yield server


def test_a_demo_is_a_connection_of_a_real_port_in_both_protocols() -> None:
    async def scene() -> str:
        async with Demo() as demo:
            connection = demo.config.connections["demo"]
            assert connection.port is not None
            assert os.path.exists(connection.port)
            assert connection.baudrate == 4800
            assert [str(place) for place in connection.places()] == [
                f"raw://{HOST}:{demo.raw_port}",
                f"rfc2217://{HOST}:{demo.rfc2217_port}",
            ]
            return connection.port

    path = asyncio.run(scene())
    assert not os.path.exists(path)


def test_a_demo_has_a_page_and_brings_its_own_instrument_back() -> None:
    async def scene() -> None:
        async with Demo() as demo:
            config = demo.config
            assert config.web is not None
            assert [str(each) for each in config.web.listen] == [f"{HOST}:{demo.web_port}"]
            far = config.connections["far"]
            assert far.virtual == str(demo.folder / "ttyDemo")
            assert [str(place) for place in far.places()] == [
                f"rfc2217://{HOST}:{demo.rfc2217_port}"
            ]

    asyncio.run(scene())


def test_a_port_that_is_taken_is_replaced_and_that_is_said(listener: socket.socket) -> None:
    taken = listener.getsockname()[1]
    demo = Demo(raw_port=taken, rfc2217_port=taken, web_port=taken)
    assert taken < demo.rfc2217_port < demo.raw_port < demo.web_port
    assert demo.notes == [
        f"TCP port {taken} is in use; taking {demo.raw_port} instead.",
        f"TCP port {taken} is in use; taking {demo.rfc2217_port} instead.",
        f"TCP port {taken} is in use; taking {demo.web_port} instead.",
    ]


def test_it_gives_up_when_no_port_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TRIES", 1)
    with pytest.raises(NetworkError, match="no TCP port up to 65535 can be used"):
        free_port(65535, 65535)
    assert TRIES > 1


def test_a_machine_without_pseudo_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OSError(28, "No space left on device")

    async def scene() -> None:
        async with Demo():
            pass

    monkeypatch.setattr(os, "openpty", refuse)
    with pytest.raises(PortError, match="gives no pseudo terminal: No space left on device"):
        asyncio.run(scene())


def everything_but(*missing: str) -> Callable[[str], bool]:
    return lambda program: program not in missing


def test_what_to_try_marks_what_is_not_installed() -> None:
    lines = things_to_try(1, 2, everything_but("telnet", "picocom"))
    assert lines[0] == f"  raw bytes:        nc {HOST} 1"
    assert lines[1] == f"  Telnet:           telnet {HOST} 2   (telnet: not installed here)"
    assert f" -m serial.tools.miniterm rfc2217://{HOST}:2 4800" in lines[2]
    assert lines[3].endswith(" --virtual /tmp/ttyDemo &   (picocom: not installed here)")
    assert f"portline attach rfc2217://{HOST}:2 " in lines[3]
    assert lines[4].endswith("portline run -- picocom -b 4800 /tmp/ttyDemo")
    assert lines[5].endswith("tcp:127.0.0.1:1 &   (picocom: not installed here)")
    assert lines[6].split() == ["picocom", "/tmp/ttyDemo2"]


@pytest.mark.parametrize(
    ("there", "called"),
    [(True, ".venv/bin/portline attach "), (False, ".venv/bin/python -m portline attach ")],
)
def test_what_to_try_calls_the_portline_that_says_so(
    monkeypatch: pytest.MonkeyPatch, there: bool, called: str
) -> None:
    monkeypatch.setattr(sys, "executable", os.path.join(os.getcwd(), ".venv/bin/python"))
    monkeypatch.setattr(os, "access", lambda path, mode: there)
    assert f" {called}" in things_to_try(1, 2)[3]


def test_what_to_try_says_how_to_get_pyserial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "executable", os.path.join(os.getcwd(), ".venv/bin/python"))
    line = things_to_try(1, 2)[2]
    assert ".venv/bin/python -m serial.tools.miniterm" in line
    assert line.endswith("(first: .venv/bin/python -m pip install pyserial)")


def born(path: str) -> int:
    """Return when a pseudo terminal was made, 0 where it is gone; another may have its name now."""
    try:
        return os.stat(path).st_ctime_ns
    except FileNotFoundError:
        return 0


def test_the_command_shares_the_instrument_and_says_what_to_try(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shared: list[str] = []
    made_at: list[int] = []
    files: list[ConfigFile] = []
    levels: list[int] = []

    class Service:
        def __init__(self, config: GatewayConfig, file: ConfigFile) -> None:
            shared.append(config.connections["demo"].port or "")
            made_at.append(born(shared[0]))
            files.append(file)
            assert file.path.parent.stat().st_mode & 0o777 == 0o700

        async def run(self, *, started: Callable[[object], None], companion: object) -> None:
            started(None)

    monkeypatch.setattr(run, "Service", Service)
    monkeypatch.setattr(told, "announcement", lambda gateway: ["demo: shared"])
    monkeypatch.setattr(run, "new_event_loop", asyncio.new_event_loop)
    monkeypatch.setattr(log, "start_logging", levels.append)
    free = free_port(20000)
    arguments = f"demo -v --raw-port {free} --rfc2217-port {free} --web-port {free}"
    result = CliRunner().invoke(main, arguments.split())
    lines = result.output.splitlines()
    assert (result.exit_code, levels) == (0, [1])
    assert lines[0].startswith(f"TCP port {free} is in use; taking ")
    assert lines[1].startswith(f"TCP port {free} is in use; taking ")
    assert lines[2] == "demo: shared"
    assert f"  Telnet:           telnet {HOST} {free}" in "\n".join(lines)
    assert lines[-1] == "Ctrl-C ends the demo."
    assert born(shared[0]) != made_at[0]
    assert not files[0].path.parent.exists()


def test_the_page_is_told_before_what_to_try_and_the_end_is_last(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        both = "before\nHome: x\nbehind\nCtrl-C ends the demo.\n"
        behind = ["behind", "Ctrl-C ends the demo."]
        usual = Greeting(loop)
        usual.started(["before"], behind)
        assert capsys.readouterr().out == ""
        usual.told(["Home: x"])
        assert capsys.readouterr().out == both
        usual.told(["Home: y"])  # the page has been moved
        usual.say()
        assert capsys.readouterr().out == "Home: y\n"
        quick = Greeting(loop)
        quick.told(["Home: x"])
        assert capsys.readouterr().out == ""
        quick.started(["before"], behind)
        assert capsys.readouterr().out == both
        monkeypatch.setattr(module, "GREETING", 0.01)
        alone = Greeting(loop)
        alone.started(["before"], behind)
        said = ""

        def look() -> bool:
            nonlocal said
            said += capsys.readouterr().out
            return bool(said)

        await until(look)
        assert said == "before\nbehind\nCtrl-C ends the demo.\n"

    run(scenario())
