from __future__ import annotations

import asyncio
import json
import os
import pty
import select
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from portline.cli import replay as module
from portline.cli.app import main
from portline.errors import NetworkError
from portline.recording.pcapng import PcapngWriter
from portline.recording.record import Kind, Record
from tests.unit.cli.streams import AT, happened, heard, spoke
from tests.waiting import LIMIT

real_sleep = asyncio.sleep

SEEN = [
    spoke(b"*IDN?\n"),
    heard(b"one ", AT + 1),
    happened(Kind.SKIPPED, "..."),
    heard(b"two\n", AT + 3),
]


def pcapng(path: Path, *records: Record) -> Path:
    writer = PcapngWriter("meter")
    path.write_bytes(writer.begin() + b"".join(map(writer.encode, records)) + writer.end(AT))
    return path


def lines(path: Path, *records: Record) -> Path:
    path.write_text("".join(json.dumps(record.plain()) + "\n" for record in records))
    return path


@pytest.fixture(params=[pcapng, lines])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return request.param(tmp_path / "x", *SEEN)  # type: ignore[no-any-return]


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited for each piece; nobody waits."""
    found: list[float] = []

    async def sleep(seconds: float) -> None:
        found.append(seconds)

    monkeypatch.setattr(module.asyncio, "sleep", sleep)
    return found


def replay(path: Path | str, *words: str, **options: Any) -> Result:
    return CliRunner().invoke(main, ["replay", str(path), *words], **options)


def test_one_direction_to_a_pipe(file: Path, slept: list[float]) -> None:
    result = replay(file, "-")
    assert (result.exit_code, result.stdout) == (0, "one two\n")
    assert result.stderr == (
        "played 8 bytes in 2 pieces in 0 s; the recording has gaps: 1 time something came too "
        "fast for it\n"
    )
    assert replay(file, "-", "--from", "peers").stdout == "*IDN?\n"
    assert len(slept) == 3


@pytest.mark.parametrize(("speed", "wait"), [("1", 2.0), ("4", 0.5), ("0.5", 4.0)])
def test_the_timing(file: Path, slept: list[float], speed: str, wait: float) -> None:
    assert replay(file, "-", "--speed", speed).exit_code == 0
    first, second = slept
    assert first == 0.0
    assert wait - 1 < second <= wait + 1e-3


def test_a_long_silence_is_told_of(tmp_path: Path, slept: list[float]) -> None:
    path = pcapng(tmp_path / "x", heard(b"a", 0.0), heard(b"b", 1e9))
    result = replay(path, "-")
    assert result.stdout == "ab"
    assert "the next piece is 11574 d 1 h later; --fast does not wait\n" in result.stderr
    assert len(slept) == 2
    assert "later" not in replay(path, "-", "--fast").stderr


def test_as_fast_as_possible(file: Path, slept: list[float]) -> None:
    assert replay(file, "-", "--fast").stdout == "one two\n"
    assert slept == []


def test_from_a_pipe(file: Path, slept: list[float]) -> None:
    assert replay("-", "-", input=file.read_bytes()).stdout == "one two\n"


def test_a_direction_with_nothing(tmp_path: Path) -> None:
    result = replay(pcapng(tmp_path / "x", spoke(b"?")), "-")
    assert "there is nothing from the port, the other direction has something" in result.stderr
    assert replay(pcapng(tmp_path / "y"), "-").exit_code == 0
    (tmp_path / "empty").touch()
    assert "played 0 bytes" in replay(tmp_path / "empty", "-").stderr


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"some text", "is no recording with times: neither pcapng nor JSON"),
        (b'{"at":1}\n', "line 1: is no record of Portline"),
        (b'{"a":' * 100_000, "line 1: is no record of Portline"),
        (b"\x0a\x0d\x0d\x0a" + bytes(30), "is no pcapng file"),
    ],
)
def test_what_is_no_recording(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    result = replay(path, "-")
    assert result.exit_code == 1
    assert f"{path}: {told}" in result.stderr


def test_files_and_settings_that_cannot_be(tmp_path: Path, file: Path) -> None:
    assert "cannot be read: No such file" in replay(tmp_path / "none", "-").stderr
    assert "is not a line setting" in replay(file, "-", "--settings", "fast").stderr
    assert replay(file, "-", "--speed", "0").exit_code == 2
    result = replay(file, str(tmp_path / "ttyNONE"))
    assert result.exit_code == 1
    assert "ttyNONE" in result.stderr
    assert "should not have happened" not in result.stderr


@pytest.fixture
def device() -> Iterator[tuple[int, str]]:
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    yield ours, os.ttyname(theirs)
    os.close(ours)
    os.close(theirs)


def test_to_a_device(file: Path, device: tuple[int, str]) -> None:
    ours, path = device
    os.write(ours, b"back")
    result = replay(file, path, "--fast", "--settings", "19200-8N1")
    assert result.exit_code == 0, result.output
    came = b""
    while len(came) < 8 and select.select([ours], [], [], LIMIT)[0]:
        came += os.read(ours, 100)  # the kernel passes on what it has so far
    assert came == b"one two\n"
    assert result.stdout.startswith(f"played 8 bytes in 2 pieces to {path} in ")


class Port:
    def __init__(self) -> None:
        self.written = b""
        self.options: dict[str, Any] = {}
        self._answers = [b"back", b""]

    async def __aenter__(self) -> Port:
        return self

    async def __aexit__(self, *error: object) -> None:
        pass

    def write(self, data: bytes) -> None:
        self.written += data

    async def drain(self) -> None:
        await real_sleep(0)

    async def read(self) -> bytes:
        return self._answers.pop(0)


def test_to_a_remote_port(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = Port()

    def opened(url: str, **options: Any) -> Port:
        port.options = {"url": url, **options}
        return port

    monkeypatch.setattr("portline.open", opened)
    result = replay(file, "rfc2217://192.0.2.1:4001", "--settings", "1200-7E1", "--speed", "1000")
    assert port.written == b"one two\n"
    assert port.options["baudrate"] == 1200
    assert "to rfc2217://192.0.2.1:4001 in " in result.stdout
    assert "; 4 bytes came back" in result.stdout


def test_a_remote_port_that_is_not_there(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(url: str, **options: Any) -> Port:
        raise NetworkError(url, "nobody answers")

    monkeypatch.setattr("portline.open", opened)
    result = replay(file, "raw://192.0.2.1:4001")
    assert result.exit_code == 1
    assert "raw://192.0.2.1:4001: nobody answers" in result.stderr


def test_ctrl_c_says_how_far_it_came(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def sleep(seconds: float) -> None:
        if seconds > 0:
            raise KeyboardInterrupt

    monkeypatch.setattr(module.asyncio, "sleep", sleep)
    result = replay(file, "-")
    assert result.exit_code == 0
    assert result.stderr.startswith("stopped after 4 bytes in 1 piece")
