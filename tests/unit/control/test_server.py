from __future__ import annotations

import asyncio
import errno
import json
import os
import socket
import stat
from contextlib import ExitStack
from pathlib import Path

import pytest

from portline.control import server as module
from portline.control.message import LINE_MAX
from portline.control.place import Places
from portline.errors import ConfigError
from tests.conftest import Run
from tests.unit.control.conftest import gateway, host
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("folder")

STATUS = b'{"portline": 1, "operation": "status"}\n'
NOBODY = b'{"portline": 1, "operation": "status", "parameters": {"names": []}}\n'
RELOAD = b'{"portline": 1, "operation": "reload"}\n'


def errors(line: bytes) -> list[str]:
    return json.loads(line)["errors"]


def test_the_socket_is_for_this_user_alone_and_gone_afterwards(run: Run, folder: Path) -> None:
    async def scenario() -> None:
        with host() as made:
            assert made.path == folder / f"{os.getpid()}.sock"
            assert stat.S_IMODE(made.path.stat().st_mode) == 0o600
        assert not (folder / f"{os.getpid()}.sock").exists()
        assert made.server.path is None

    run(scenario())


def test_a_request_is_answered_with_one_line(run: Run) -> None:
    async def scenario() -> None:
        with host(gateway(meter={}, scale={"baudrate": 1200})) as made, made.caller() as caller:
            caller.says(STATUS)
            (line,) = await caller.hears()
            result = json.loads(line)["result"]
            assert result["process"]["pid"] == os.getpid()
            assert [each["name"] for each in result["connections"]] == ["meter", "scale"]
            assert result["connections"][1]["options"]["baudrate"] == 1200
            caller.says(NOBODY)
            _, line = await caller.hears(2)
            assert json.loads(line)["result"]["connections"] == []

    run(scenario())


def test_requests_in_pieces_and_several_at_once(run: Run) -> None:
    async def scenario() -> None:
        with host() as made, made.caller() as caller:
            for byte in NOBODY:
                caller.says(bytes((byte,)))
                await asyncio.sleep(0)
            caller.says(NOBODY * 3 + b"x\n" + NOBODY[:10])
            lines = await caller.hears(5)
            assert ["result" in json.loads(line) for line in lines] == [True] * 4 + [False]
            caller.says(NOBODY[10:])
            assert len(await caller.hears(6)) == 6

    run(scenario())


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"status", "a request is a line like"),
        (b"", "a request is a line like"),
        (b"\xff\xfe", "a request is a line like"),
        (b"[" * 50_000, "a request is a line like"),
        (b'{"portline": 2, "operation": "status"}', "speaks version 1"),
        (b'{"portline": 1, "operation": "x"}', "no operation 'x'; there are: status, reload"),
        (b'{"portline": 1, "operation": "status", "parameters": {"a": 1}}', "no parameter 'a'"),
        (b'{"portline": 1, "operation": "status", "parameters": {"names": 1}}', "list of texts"),
    ],
)
def test_nonsense_is_told_and_the_next_request_answered(run: Run, line: bytes, told: str) -> None:
    async def scenario() -> None:
        with host() as made, made.caller() as caller:
            caller.says(line + b"\n")
            (text,) = errors((await caller.hears())[0])
            assert told in text
            assert text.isprintable()
            caller.says(NOBODY)
            assert "result" in json.loads((await caller.hears(2))[1])

    run(scenario())


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_line_that_is_too_long_ends_it(run: Run, end: bytes) -> None:
    async def scenario() -> None:
        with host() as made, made.caller() as caller:
            caller.says(b"x" * LINE_MAX + end)
            assert errors(await caller.hears_end()) == ["a request has at most 65536 bytes"]

    run(scenario())


def test_half_a_request_and_silence(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        monkeypatch.setattr(module, "TIME_LIMIT", 0.01)
        with host() as made, made.caller() as caller, made.caller() as silent:
            caller.says(NOBODY[:10])
            assert errors(await caller.hears_end()) == ["no request came within 0.01 s"]
            assert errors(await silent.hears_end()) == ["no request came within 0.01 s"]

    run(scenario())


def test_who_has_asked_and_finished_is_answered(run: Run) -> None:
    async def scenario() -> None:
        with host() as made, made.caller() as caller, made.caller() as other:
            caller.says(NOBODY * 2)
            caller.socket.shutdown(socket.SHUT_WR)
            assert (await caller.hears_end()).count(b"\n") == 2
            other.says(NOBODY[:10])
            other.socket.shutdown(socket.SHUT_WR)
            assert await other.hears_end() == b""

    run(scenario())


def test_a_hundred_callers(run: Run) -> None:
    async def scenario() -> None:
        with ExitStack() as stack:
            made = stack.enter_context(host())
            callers = []
            for _ in range(100):
                callers.append(stack.enter_context(made.caller()))
                await asyncio.sleep(0)
            refused = callers[module.CALLERS_MAX :]
            for caller in refused:
                assert errors(await caller.hears_end()) == [
                    "too many programs ask already; try again"
                ]
            first = callers[0]
            first.says(NOBODY)
            await first.hears()
            first.socket.close()
            await until(lambda: len(made.server._callers) < module.CALLERS_MAX)
            with made.caller() as another:
                another.says(NOBODY)
                told = json.loads((await another.hears())[0])["result"]["control"]
                assert told == {"callers_refused": len(refused), "streams_refused": 0}

    run(scenario())


def test_a_caller_that_does_not_read_holds_nobody_up(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        many = {f"meter-{number}": {} for number in range(150)}
        with host(gateway(**many)) as made:
            with made.caller() as deaf, made.caller() as caller:
                deaf.says(STATUS * 9)
                caller.says(STATUS)
                (line,) = await caller.hears()
                assert len(json.loads(line)["result"]["connections"]) == 150
            monkeypatch.setattr(module, "TIME_LIMIT", 0.05)
            with made.caller() as deaf:
                deaf.says(STATUS * 9)
                await until(lambda: made.server._callers)
                await until(lambda: not made.server._callers)
                assert (await deaf.hears_end()).count(b"\n") < 9

    run(scenario())


def test_other_things_happen_while_a_long_answer_is_made(run: Run) -> None:
    async def scenario() -> None:
        turns = 0

        def turn() -> None:
            nonlocal turns
            turns += 1
            asyncio.get_running_loop().call_soon(turn)

        many = {f"meter-{number}": {} for number in range(50)}
        with host(gateway(**many)) as made, made.caller() as caller:
            caller.says(STATUS)
            turn()
            await caller.hears()
            assert turns > 50

    run(scenario())


def test_a_caller_that_goes_away_is_forgotten(run: Run) -> None:
    async def scenario() -> None:
        many = {f"meter-{number}": {} for number in range(300)}
        with host(gateway(**many)) as made:
            with made.caller() as caller:
                caller.says(STATUS)
                await until(lambda: caller.look())
            await until(lambda: not made.server._callers)
            with made.caller():
                await until(lambda: made.server._callers)
        assert not made.server._callers

    run(scenario())


def test_a_reload_tells_the_changes_or_the_mistakes(run: Run) -> None:
    async def scenario() -> None:
        def refuse() -> list[str]:
            raise ConfigError(["x.toml:1: one", "x.toml:2: two\nlines"])

        with (
            host(reload=lambda: ["meter: baudrate changed"], file="/x.toml") as made,
            made.caller() as caller,
        ):
            caller.says(RELOAD)
            result = json.loads((await caller.hears())[0])["result"]
            assert result["changes"] == ["meter: baudrate changed"]
            process = result["process"]
            assert (process["file"], process["command"]) == ("/x.toml", "serve")
        with host(reload=refuse) as made, made.caller() as caller:
            caller.says(RELOAD)
            assert json.loads((await caller.hears())[0]) == {
                "portline": 1,
                "errors": ["x.toml:1: one", "x.toml:2: two lines"],
                "mistakes": True,
                "faults": [],
            }

    run(scenario())


def test_where_there_is_no_file_nothing_is_reloaded(run: Run) -> None:
    async def scenario() -> None:
        with host() as made, made.caller() as caller:
            caller.says(RELOAD)
            (text,) = errors((await caller.hears())[0])
            assert text == "there is no file"

    run(scenario())


def test_a_fault_of_ours_ends_the_caller_and_nothing_else(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        def fail() -> list[str]:
            raise RuntimeError("what")

        with host(reload=fail) as made, made.caller() as caller:
            caller.says(RELOAD)
            assert await caller.hears_end() == b""
            assert "a request failed" in caplog.text
            with made.caller() as other:
                other.says(NOBODY)
                await other.hears()

    run(scenario())


# --- the folder -----------------------------------------------------------------------------------


def test_without_a_folder_a_warning_and_no_socket(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        monkeypatch.setenv("RUNTIME_DIRECTORY", "/proc/none")
        with host() as made:
            assert made.server.path is None
        (record,) = caplog.records
        assert record.levelname == "WARNING"
        assert record.getMessage() == (
            "`portline status` will not find this process: "
            "/proc/none cannot be made: No such file or directory"
        )

    run(scenario())


def test_a_path_that_is_too_long_is_a_warning_too(
    run: Run,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> None:
        monkeypatch.setenv("RUNTIME_DIRECTORY", str(folder / ("x" * 120)))
        with host() as made:
            assert made.server.path is None
        assert "AF_UNIX path too long" in caplog.text

    run(scenario())


def test_sockets_of_the_dead_are_removed_at_the_start(run: Run, folder: Path) -> None:
    async def scenario() -> None:
        for name in ("4194304.sock", f"{os.getpid()}.sock"):
            with socket.socket(socket.AF_UNIX) as dead:
                dead.bind(str(folder / name))
        with host() as made, made.caller() as caller:
            caller.says(NOBODY)
            await caller.hears()
            assert os.listdir(folder) == [f"{os.getpid()}.sock"]

    run(scenario())


def test_a_folder_that_vanishes_meanwhile_is_made_again(run: Run, folder: Path) -> None:
    async def scenario() -> None:
        class Vanishing(Places):
            made = 0

            def make(self) -> Path:
                found = super().make()
                self.made += 1
                if self.made == 1:
                    found.rmdir()
                return found

        with host(places=Vanishing()) as made:
            assert made.path.exists()

    run(scenario())


def test_without_descriptors_it_rests(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        monkeypatch.setattr(module, "REST", 0.01)
        failures = iter([errno.EMFILE, errno.ECONNABORTED])
        accept = socket.socket.accept

        def scarce(listening: socket.socket) -> object:
            if number := next(failures, 0):
                raise OSError(number, os.strerror(number))
            return accept(listening)

        with host() as made:
            monkeypatch.setattr(socket.socket, "accept", scarce)
            with made.caller() as caller:
                caller.says(NOBODY)
                await caller.hears()

    run(scenario())


def test_it_ends_while_it_rests(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        def scarce(listening: socket.socket) -> object:
            raise OSError(errno.EMFILE, "Too many open files")

        with host() as made:
            monkeypatch.setattr(socket.socket, "accept", scarce)
            with made.caller():
                await until(lambda: made.server._rest)

    run(scenario())
