from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator

import pytest

from portline.service.process.log import LINES, PERIOD, start_logging


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root, own, asyncios = map(logging.getLogger, (None, "portline", "asyncio"))
    before = [(log, log.handlers[:], log.level) for log in (root, own, asyncios)]
    yield
    for log, handlers, level in before:
        log.handlers[:] = handlers
        log.setLevel(level)


def written(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the lines on standard error, without the time that each begins with."""
    lines = capsys.readouterr().err.splitlines()
    return [re.sub(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", "", line) for line in lines]


def fail() -> None:
    raise OSError(5, "Input/output\rerror\nof the disk")


LEVELS = [
    (0, ["notice", "warning", "error"]),
    (1, ["info", "notice", "warning", "error"]),
    (2, ["debug", "info", "notice", "warning", "error"]),
    (7, ["debug", "info", "notice", "warning", "error"]),
]


@pytest.mark.parametrize(("verbose", "shown"), LEVELS)
def test_each_v_shows_more(
    capsys: pytest.CaptureFixture[str], verbose: int, shown: list[str]
) -> None:
    start_logging(verbose)
    for level in ("DEBUG", "INFO", "NOTICE", "WARNING", "ERROR"):
        logging.getLogger("portline").log(logging.getLevelNamesMapping()[level], "%d %s", 1, "line")
    assert written(capsys) == [f"{level} portline: 1 line" for level in shown]


def test_a_line_names_its_connection(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging(0)
    log = logging.LoggerAdapter(logging.getLogger("portline.connection"), {"connection": "meter"})
    log.warning("the port is absent")
    assert written(capsys) == ["warning meter: the port is absent"]


def test_an_error_is_one_line_and_its_traceback_is_for_debugging(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for verbose in (0, 2):
        start_logging(verbose)
        try:
            fail()
        except OSError:
            logging.getLogger("asyncio").exception("Exception in callback\nhandle: <Handle>")
    line, short, *more = written(capsys)
    assert line == (
        "error asyncio: Exception in callback\\nhandle: <Handle> "
        "(OSError: [Errno 5] Input/output\\rerror\\nof the disk)"
    )
    assert short == "error asyncio: Exception in callback\\nhandle: <Handle>"
    assert more[0] == "Traceback (most recent call last):"
    assert any(line.startswith("OSError: ") for line in more)


def test_asyncios_own_affairs_are_shown_only_when_everything_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for verbose in (0, 1, 2):
        start_logging(verbose)
        logging.getLogger("asyncio").warning("Executing took 0.2 seconds")
    assert written(capsys) == ["warning asyncio: Executing took 0.2 seconds"]


def test_events_of_a_connection_are_bounded_and_what_is_left_out_is_counted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 50.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    start_logging(1)
    log = logging.getLogger("portline.connection")
    meter, other = ({"connection": name} for name in ("meter", "other"))
    for number in range(1000):
        log.info("event %d", number, extra=meter)
    log.warning("trouble", extra=meter)
    log.info("hello", extra=other)
    log.info("no connection's")
    lines = written(capsys)
    assert lines[:LINES] == [f"info meter: event {number}" for number in range(LINES)]
    assert lines[LINES:] == [
        "warning meter: trouble",
        "info other: hello",
        "info portline.connection: no connection's",
    ]
    now += PERIOD
    log.info("another", extra=meter)
    first, last = written(capsys)
    assert first.startswith(f"info meter: {1000 - LINES} events left out (")
    assert last == "info meter: another"


def test_everything_is_everything(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging(2)
    for number in range(1000):
        logging.getLogger("x").info("event %d", number, extra={"connection": "meter"})
    assert len(written(capsys)) == 1000


def test_no_line_moves_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging(0)
    logging.getLogger("portline").error("%s: is held by \x1b]0;me\x07 \u202e\udcff", "/dev/ttyUSB0")
    [line] = written(capsys)
    assert line == r"error portline: /dev/ttyUSB0: is held by \x1b]0;me\x07 \u202e\udcff"
