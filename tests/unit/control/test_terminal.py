"""The control socket as a terminal."""

from __future__ import annotations

import asyncio
import json
import socket
from functools import partial
from pathlib import Path

import pytest

from portline.control.client import NobodyThere, take_over
from portline.errors import PortlineError
from portline.remote.opening import over
from tests.conftest import Run
from tests.ports import DeviceBench
from tests.unit.control.conftest import Caller, Host, gateway, host
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("folder")


def asked(name: str) -> bytes:
    words = {"portline": 1, "operation": "terminal", "parameters": {"name": name}}
    return json.dumps(words).encode() + b"\n"


class Stage:
    """A gateway with a device that the test plays, within ``async with``."""

    def __init__(self, folder: Path) -> None:
        self.bench = DeviceBench(folder)
        self.gateway = gateway(meter={"port": str(self.bench.link)}, absent={})
        self.host: Host = host(self.gateway)

    async def __aenter__(self) -> Stage:
        self.gateway.start()
        self.host.__enter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        self.host.__exit__()
        await self.gateway.stop()
        self.bench.close()

    @property
    def operators(self) -> int:
        return len(self.gateway.connections["meter"].operators)


def test_the_socket_becomes_the_terminal_behind_the_result(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Stage(tmp_path) as stage:
            with stage.host.caller() as caller:
                caller.says(asked("meter"))
                await until(lambda: b"\n" in caller.look())
                line, _, words = caller.heard.partition(b"\n")
                result = json.loads(line)["result"]
                assert (result["name"], result["port"]) == ("meter", str(stage.bench.link))
                assert result["has_lines"] is False, "a pseudo terminal has none"
                assert words.startswith(b"\xff\xfd\x2c")  # DO COM-PORT-OPTION
                assert stage.operators == 1
            await until(lambda: stage.operators == 0)

    run(scenario())


def test_it_speaks_rfc2217(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Stage(tmp_path) as stage:
            caller = Caller(stage.host.path)
            caller.says(asked("meter"))
            line = b""
            while not line.endswith(b"\n"):
                await until(lambda: _readable(caller))
                line += caller.socket.recv(1)
            assert b"result" in line
            terminal = await over(asyncio.get_running_loop(), caller.socket, "meter")
            await stage.bench.far.write(b"from the device")
            assert await terminal.read_exactly(15) == b"from the device"
            await terminal.set(baudrate=1200)
            assert str(terminal.settings) == "1200-8N1"
            await asyncio.sleep(0)
            terminal.write(b"typed")
            await stage.bench.far.expect(b"typed")
            await terminal.close()
            await until(lambda: stage.operators == 0)
            # Its time limit is no longer that of a caller, whose place is free.
            assert stage.host.server._callers == set()

    run(scenario())


def _readable(caller: Caller) -> bool:
    import select

    return bool(select.select([caller.socket], [], [], 0)[0])


@pytest.mark.parametrize(
    ("name", "told"),
    [("absent", "/dev/ttyNONE-absent: is not there"), ("other", "no connection 'other'")],
)
def test_it_is_refused_with_the_reason_and_the_caller_may_go_on(
    run: Run, tmp_path: Path, name: str, told: str
) -> None:
    async def scenario() -> None:
        async with Stage(tmp_path) as stage:
            with stage.host.caller() as caller:
                caller.says(asked(name))
                (line,) = await caller.hears()
                assert told in json.loads(line)["errors"][0]
                caller.says(b'{"portline": 1, "operation": "status"}\n')
                await caller.hears(2)

    run(scenario())


def test_nothing_may_come_before_the_answer(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Stage(tmp_path) as stage:
            with stage.host.caller() as caller:
                caller.says(asked("meter") + b"too early")
                line = await caller.hears_end()
                assert "comes behind the answer" in json.loads(line)["errors"][0]
            assert stage.operators == 0

    run(scenario())


def test_a_program_takes_the_socket_over(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Stage(tmp_path) as stage:
            loop = asyncio.get_running_loop()
            path = stage.host.path

            async def taken(name: str, **more: float) -> tuple[dict[str, object], socket.socket]:
                call = partial(take_over, path, "terminal", {"name": name}, **more)
                return await loop.run_in_executor(None, call)

            result, sock = await taken("meter")
            assert result["name"] == "meter"
            terminal = await over(loop, sock, "meter")
            await stage.bench.far.write(b"hello")
            assert await terminal.read_exactly(5) == b"hello"
            await terminal.close()
            with pytest.raises(PortlineError, match="no connection 'other'"):
                await taken("other")
            with pytest.raises(NobodyThere):
                await loop.run_in_executor(None, take_over, tmp_path / "x", "terminal", {})

    run(scenario())


def test_a_program_does_not_wait_for_ever(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(folder / "silent"))
        silent.listen()
        with pytest.raises(PortlineError, match=r"silent: no answer within 0\.05 s"):
            take_over(folder / "silent", "terminal", {}, limit=0.05)


def test_the_end_of_the_service_ends_it(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        stage = Stage(tmp_path)
        async with stage:
            caller = stage.host.caller()
            caller.says(asked("meter"))
            await caller.hears()
        await caller.hears_end()
        caller.socket.close()

    run(scenario())
