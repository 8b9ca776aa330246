from __future__ import annotations

import io
import json
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from portline.cli import record as module
from portline.cli.app import main
from portline.errors import PortlineError
from portline.recording.pcapng import read_pcapng
from portline.recording.record import Kind, Record
from portline.recording.writing import RawWriter
from tests.unit.cli.streams import AT, happened, heard, spoke, watch
from tests.unit.recording.shark import packets

SEEN = [spoke(b"*IDN?\n"), heard(b"answer\n"), happened(Kind.BREAK, "received")]


def record(path: Path | str, *words: str) -> Result:
    return CliRunner().invoke(main, ["record", "meter", str(path), *words])


def test_a_file_for_wireshark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "meter.pcapng"
    stream = watch(monkeypatch, SEEN[:1], SEEN[1:])
    result = record(path)
    assert result.exit_code == 0
    about, found = packets(path.read_bytes())
    assert (about["name"], about["description"]) == ("meter", "/dev/ttyUSB0 9600-8N1")
    assert [packet["data"] for packet in found] == [b"*IDN?\n", b"answer\n", b"", b""]
    assert [packet["event"] for packet in found] == [1, 2, 9, 6]
    assert found[0]["lines"] == 0x11
    assert result.stdout.splitlines() == [
        f"{path}: {path.stat().st_size} B",
        "0 s, 3 records: 7 bytes from the port, 6 bytes to it",
    ]
    assert stream.closed


@pytest.mark.parametrize(
    ("name", "words", "start"),
    [
        ("x.txt", [], b"# meter: <- from"),
        ("x.json", [], b'{"at":'),
        ("x.bin", ["--from", "port"], b"answer\n"),
        ("x.dat", ["--from", "peers"], b"*IDN?\n"),
        ("x.txt", ["--format", "json"], b'{"at":'),
        ("x", [], b"\x0a\x0d\x0d\x0a"),
    ],
)
def test_the_name_tells_the_format(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, words: list[str], start: bytes
) -> None:
    watch(monkeypatch, SEEN)
    assert record(tmp_path / name, *words).exit_code == 0
    assert (tmp_path / name).read_bytes().startswith(start)


def test_an_ending_that_is_not_known_wants_a_format(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    watch(monkeypatch, SEEN)
    path = tmp_path / "x.csv"
    result = record(path)
    assert result.exit_code == 2
    assert f"{path}: .csv is no ending of a recording; there are: .pcapng, .pcap, .txt" in (
        result.stderr
    )
    assert "--format (pcapng, hex, json, raw)" in result.stderr
    assert not path.exists()
    assert record(path, "--format", "hex").exit_code == 0
    assert path.read_text().startswith("# meter")


def test_raw_data_has_a_file_for_each_direction(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    watch(monkeypatch, SEEN)
    result = record(tmp_path / "x", "--format", "raw")
    assert (tmp_path / "x.from-port").read_bytes() == b"answer\n"
    assert (tmp_path / "x.to-port").read_bytes() == b"*IDN?\n"
    assert result.stdout.splitlines()[0] == f"{tmp_path / 'x.from-port'}: 7 B"
    watch(monkeypatch, SEEN)
    assert "choose with --from" in record("-", "--format", "raw").stderr


def test_one_direction_and_what_happens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    watch(monkeypatch, SEEN)
    record(tmp_path / "x.json", "--from", "port")
    lines = (tmp_path / "x.json").read_text().splitlines()
    assert [Record.of(json.loads(line)) for line in lines] == SEEN[1:]


def test_a_pipe_gets_the_file_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    watch(monkeypatch, SEEN)
    result = record("-")
    assert result.exit_code == 0
    assert [r.data for r in read_pcapng(io.BytesIO(result.stdout_bytes).read)] == [
        b"*IDN?\n",
        b"answer\n",
        b"",
    ]
    assert "3 records" in result.stderr
    assert "standard output is one file" in record("-", "--files", "2").stderr


def test_a_file_that_is_there_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b"precious")
    watch(monkeypatch, SEEN)
    result = record(path, "--from", "port")
    assert (result.exit_code, path.read_bytes()) == (2, b"precious")
    assert "is there already; name another file, or give --overwrite" in result.stderr
    watch(monkeypatch, SEEN)
    assert record(path, "--from", "port", "--overwrite").exit_code == 0
    assert path.read_bytes() == b"answer\n"


def test_a_place_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    watch(monkeypatch, SEEN)
    result = record(tmp_path / "none" / "x")
    assert result.exit_code == 1
    assert "cannot be written: No such file or directory" in result.stderr


def test_a_full_file_ends_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    watch(monkeypatch, [heard(bytes(1000), AT + turn) for turn in range(10)])
    result = record(tmp_path / "x.pcapng", "--size", "4096")
    assert result.exit_code == 0
    assert "ended: the file is full (--size 4KiB)" in result.stdout
    data = (tmp_path / "x.pcapng").read_bytes()
    assert len(data) <= 4096
    _, found = packets(data)
    assert [len(packet["data"]) for packet in found] == [1000, 1000, 1000, 0]
    assert "3 records: 3000 bytes" in result.stdout


def test_files_take_turns(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    watch(monkeypatch, [heard(b"%d" % turn + bytes(1000), AT + turn) for turn in range(10)])
    result = record(tmp_path / "x.pcapng", "--size", "4096", "--files", "3")
    assert "2 older files" in result.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "x.1.pcapng",
        "x.2.pcapng",
        "x.pcapng",
    ]
    kept = b""
    for name in ("x.2.pcapng", "x.1.pcapng", "x.pcapng"):
        _, found = packets((tmp_path / name).read_bytes())
        assert found[-1]["event"] == 6
        kept += b"".join(packet["data"][:1] for packet in found)
    assert kept == b"3456789"


def test_skips_and_the_end_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    watch(monkeypatch, [*SEEN, happened(Kind.SKIPPED, "...", bytes=5, records=2)], None)
    result = record(tmp_path / "x")
    assert result.exit_code == 1
    assert "skipped 2 records with 5 bytes, which came faster" in result.stdout
    assert "ended: its Portline has ended" in result.stdout


def test_a_signal_completes_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stream = watch(monkeypatch, SEEN)
    before = signal.getsignal(signal.SIGTERM)
    wait = stream.wait

    def ended(limit: float | None) -> Any:
        if stream.waited:
            os.kill(os.getpid(), signal.SIGTERM)
        return wait(limit)

    monkeypatch.setattr(stream, "wait", ended)
    assert record(tmp_path / "x").exit_code == 0
    _, found = packets((tmp_path / "x").read_bytes())
    assert found[-1]["event"] == 6
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    output = module.Output(Path("/dev/full"), RawWriter(), limit=10**9, files=1, overwrite=True)
    output.add(heard(b"x"))
    with pytest.raises(PortlineError, match="/dev/full: cannot be written: No space left"):
        output.flush()
    with suppress(OSError):
        output._file.close()
