from __future__ import annotations

import logging
import re
from collections.abc import Iterator

import pytest

from portline.service.log import start_logging


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root, own = logging.getLogger(), logging.getLogger("asyncio")
    before = (root.handlers[:], root.level, own.level)
    yield
    root.handlers[:], level, own_level = before
    root.setLevel(level)
    own.setLevel(own_level)


def written(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the lines on standard error, without the time that each begins with."""
    lines = capsys.readouterr().err.splitlines()
    return [re.sub(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", "", line) for line in lines]


def fail() -> None:
    raise OSError(5, "Input/output\rerror\nof the disk")


LEVELS = [
    (0, ["warning", "error"]),
    (1, ["info", "warning", "error"]),
    (2, ["debug", "info", "warning", "error"]),
    (7, ["debug", "info", "warning", "error"]),
]


@pytest.mark.parametrize(("verbose", "shown"), LEVELS)
def test_each_v_shows_more(
    capsys: pytest.CaptureFixture[str], verbose: int, shown: list[str]
) -> None:
    start_logging(verbose)
    for level in ("debug", "info", "warning", "error"):
        getattr(logging.getLogger("portline"), level)("%d %s", 1, "line")
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
