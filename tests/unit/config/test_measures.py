from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.config.measures import Duration, Size

DURATION = Duration(0.001, 30 * 86400, "off")
SIZE = Size(0, 64 * 1024**2)


@given(st.integers(0, 30 * 86_400_000).map(lambda ms: ms / 1000))
def test_a_duration_is_read_back(seconds: float) -> None:
    assert DURATION.read(seconds) == seconds
    assert DURATION.read(DURATION.show(seconds)) == seconds


@pytest.mark.parametrize("value", [0.1, "0.1", "100ms"])
def test_a_limit_that_is_no_binary_fraction_is_itself_allowed(value: object) -> None:
    assert Duration(0.1, 0.1).read(value) == 0.1


@given(st.integers(0, 64 * 1024**2))
def test_a_size_is_read_back(size: int) -> None:
    assert SIZE.read(size) == SIZE.read(SIZE.show(size)) == SIZE.read(f"{size}B") == size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10", 10.0),
        (10, 10.0),
        (0.25, 0.25),
        ("500ms", 0.5),
        ("0.1s", 0.1),
        ("10 s", 10.0),
        ("5min", 300.0),
        ("1H", 3600.0),
        ("1.5h", 5400.0),
        (0, 0.0),
        ("0s", 0.0),
    ],
)
def test_the_spellings_of_a_duration(text: object, seconds: float) -> None:
    assert DURATION.read(text) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "off"), (0.5, "500ms"), (10.0, "10s"), (90, "90s"), (300, "5min"), (3600, "1h")],
)
def test_a_duration_is_shown_with_the_largest_whole_unit(seconds: float, text: str) -> None:
    assert DURATION.show(seconds) == text


@pytest.mark.parametrize("seconds", [0.00025, 1e-7])
def test_a_duration_of_no_whole_unit_is_shown_in_seconds(seconds: float) -> None:
    assert DURATION.show(seconds) == f"{seconds}s"


@pytest.mark.parametrize(
    "wrong", ["", "ten", "10d", "10 m", "-1s", "1e3", "s", True, math.nan, math.inf, None, [1]]
)
def test_what_is_no_duration(wrong: object) -> None:
    with pytest.raises(
        ValueError, match=r"must be .*: a number of seconds, or one with ms, s, min or h"
    ):
        DURATION.read(wrong)


def test_the_word_for_zero_is_read_too() -> None:
    assert Duration(1, 60, "off").read(" OFF ") == 0.0
    with pytest.raises(ValueError, match="must be 1s to 1min: a number of seconds"):
        Duration(1, 60).read("off")


def test_a_part_of_a_second_is_refused_where_whole_seconds_count() -> None:
    whole = Duration(1, 60, "off", whole=True)
    assert [whole.read(value) for value in ("2s", "2000ms", 1, "1min", "off", 0)] == [
        *(2.0, 2.0, 1.0, 60.0, 0.0, 0.0)
    ]
    for value in ("2500ms", 2.5):
        with pytest.raises(ValueError, match=r"must be whole seconds, 1s to 1min, .* next is 3s"):
            whole.read(value)


def test_a_duration_out_of_range_names_the_range_and_the_nearest() -> None:
    with pytest.raises(ValueError, match="must be") as caught:
        Duration(1, 60, "off").read("2min")
    assert str(caught.value) == '"2min" must be 1s to 1min, or off (0); the nearest is 1min'
    with pytest.raises(ValueError, match="0 must be 1s to 1min; the nearest is 1s"):
        Duration(1, 60).read(0)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (4096, 4096),
        ("4096", 4096),
        ("64kB", 64_000),
        ("64KiB", 65536),
        ("64 kib", 65536),
        ("1MB", 10**6),
        ("1MiB", 2**20),
        ("1.5KiB", 1536),
    ],
)
def test_the_spellings_of_a_size(text: object, size: int) -> None:
    assert SIZE.read(text) == size


@pytest.mark.parametrize("wrong", ["", "64k", "1GiB", "-1", True, None])
def test_what_is_no_size(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"must be .*: a number of bytes, or one with kB, KiB"):
        SIZE.read(wrong)


def test_a_size_is_whole_bytes_within_the_range() -> None:
    with pytest.raises(ValueError, match=r'"0\.3KiB" is not a whole number of bytes'):
        SIZE.read("0.3KiB")
    with pytest.raises(ValueError, match="the nearest is 64MiB"):
        SIZE.read("65MiB")


def test_measures_describe_themselves() -> None:
    assert (DURATION.metavar, DURATION.choices) == ("SECONDS", ())
    assert Size(1, 2048, "none").allowed == "1 to 2KiB, or none (0)"
    assert (SIZE.metavar, SIZE.choices, SIZE.allowed) == ("BYTES", (), "0 to 64MiB")
    assert Duration(0, 60).allowed == "0 to 1min"
