from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from portline.cli import watching
from portline.cli.app import main
from portline.recording.record import Kind, Record
from tests.unit.cli.streams import ABOUT, AT, happened, heard, spoke, watch


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def monitor(*words: str) -> Result:
    return CliRunner().invoke(main, ["monitor", "meter", *words])


def test_what_passes_is_shown_until_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = watch(
        monkeypatch,
        [spoke(b"*IDN?\n"), heard(b"Port"), heard(b"line\n", AT + 0.01)],
        [happened(Kind.LINES, "CTS=off"), heard(b"x", AT + 1)],
    )
    result = monitor()
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"15:06:40.250000 -> 2a 49 44 4e 3f 0a{'':31} *IDN?.   192.0.2.1:4",
        f"15:06:40.250000 <- 50 6f 72 74 6c 69 6e 65 0a{'':22} Portline.",
        "15:06:40.250000 <- lines: CTS=off",
    ]
    assert result.stderr.splitlines() == [
        "meter: /dev/ttyUSB0 9600-8N1, CTS DTR on",
        "<- from the port   -> to the port",
        "3 records: 9 bytes from the port, 6 bytes to it",
    ]
    assert stream.closed


def test_what_waits_for_the_rest_of_its_row_is_shown_after_a_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = watch(monkeypatch, [heard(b"prompt> ")], [])
    assert "prompt>" in monitor("--text").stdout
    assert stream.waited == [None, 0.05, None]


def test_each_piece_as_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    watch(monkeypatch, [heard(b"a"), heard(b"b", AT + 0.001)])
    lines = monitor("--gap", "0", "--hex", "--time", "relative").stdout.splitlines()
    assert lines == ["     0.000000 <- 61", "     0.001000 <- 62"]


def test_json_is_one_object_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    records = [heard(b"a"), spoke(b"\xff"), happened(Kind.SKIPPED, "...", bytes=5, records=1)]
    watch(monkeypatch, records)
    result = monitor("--json")
    assert [Record.of(json.loads(line)) for line in result.stdout.splitlines()] == records
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["--only", "data"], ["heard", "spoke"]),
        (["--only", "lines,peers"], ["lines", "connected"]),
        (["--from", "peers"], ["spoke"]),
        (["--from", "port", "--only", "data"], ["heard"]),
        (["--match", "hea"], ["heard"]),
        (["--count", "2"], ["heard", "spoke"]),
        ([], ["heard", "spoke", "lines", "connected"]),
    ],
)
def test_filters(monkeypatch: pytest.MonkeyPatch, words: list[str], shown: list[str]) -> None:
    watch(
        monkeypatch,
        [heard(b"heard"), spoke(b"spoke")],
        [
            happened(Kind.LINES, "lines"),
            happened(Kind.CONNECTED, "connected"),
            happened(Kind.SKIPPED, "gap", bytes=7, records=2),
        ],
    )
    result = monitor("--text", *words)
    everything = ("heard", "spoke", "lines:", "connected:")
    assert [word.rstrip(":") for word in everything if word in result.stdout] == shown
    assert ("skipped: gap" in result.stdout) is ("--count" not in words)
    if "--count" not in words:
        assert "skipped 2 records with 7 bytes" in result.stderr


def test_it_ends_after_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = watch(monkeypatch, *[[]] * 1000)
    now = iter(range(1000))
    monkeypatch.setattr(watching.time, "monotonic", lambda: next(now) / 2)
    assert monitor("--seconds", "2").exit_code == 0
    assert stream.waited == [1.5, 1.0, 0.5]


def test_the_end_of_the_connection_and_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = happened(Kind.CLOSED, "the connection was removed", what="connection")
    watch(monkeypatch, [gone], None)
    result = monitor("--only", "data")
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (
        1,
        "meter: the connection was removed",
    )
    assert "closed: the connection was removed" in result.stdout
    watch(monkeypatch, [heard(b"x")], None)
    result = monitor()
    assert result.stderr.splitlines()[-1] == "meter: its Portline has ended"
    assert " x" in result.stdout


def test_a_reader_that_has_seen_enough_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    watch(monkeypatch, [heard(b"x")], BrokenPipeError())
    forgotten: list[int] = []
    monkeypatch.setattr("portline.cli.monitor.forget_output", lambda: forgotten.append(1))
    assert monitor().exit_code == 0
    assert forgotten == [1]


def test_nothing_moves_the_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    about = ABOUT | {"port": "\x1b[2Jport", "lines": None}
    watch(monkeypatch, [happened(Kind.BREAK, "\x1b[2J"), heard(b"\x1b[2J")], about=about)
    for words in ([], ["--text"], ["--hex"]):
        assert "\x1b" not in monitor(*words).output
    watch(monkeypatch, [happened(Kind.BREAK, "\x1b[2J")], about=about | {"open": False})
    result = monitor("--json")
    assert "\x1b" not in result.output
    watch(monkeypatch, about=about | {"open": False})
    assert monitor().stderr.splitlines()[0] == "meter: \\x1b[2Jport not open"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--only", "noise"], "'noise' is none of data, lines"),
        (["--json", "--hex"], "--json has no columns"),
        (["--seconds", "-1"], "must be"),
        (["--gap", "1d"], 'like "10s"'),
    ],
)
def test_wrong_options(monkeypatch: pytest.MonkeyPatch, words: list[str], told: str) -> None:
    watch(monkeypatch)
    result = monitor(*words)
    assert result.exit_code == 2
    assert told in result.stderr


def test_another_version_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Strange(Record):
        def plain(self) -> dict[str, object]:
            return {"kind": "smell"}

    odd = Strange(AT, heard(b"").source, Kind.DATA)
    watch(monkeypatch, [odd])
    result = monitor()
    assert result.exit_code == 1
    assert "is that process of another version?" in result.stderr
