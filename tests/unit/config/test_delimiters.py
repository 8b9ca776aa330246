from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.config.delimiters import DELIMITERS_MAX, LENGTH_MAX, Delimiters

KIND = Delimiters()


@given(st.lists(st.binary(min_size=1, max_size=8), max_size=DELIMITERS_MAX, unique=True))
def test_what_is_shown_can_be_read_one_by_one(delimiters: list[bytes]) -> None:
    for delimiter in delimiters:
        shown = KIND.show(delimiter)
        if not shown.strip().isdigit() and not shown.lower().startswith("0x"):
            assert KIND.read(shown) == (delimiter,)
    assert KIND.read(delimiters) == tuple(delimiters)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (13, b"\r"),
        (0, b"\0"),
        ("13", b"\r"),
        ("0x0D", b"\r"),
        ("255", b"\xff"),
        (r"\r\n", b"\r\n"),
        ("\r\n", b"\r\n"),
        (r"\x03\\\0\t", b"\x03\\\0\t"),
        ("OK", b"OK"),
        ("\u00e9", "\u00e9".encode()),
    ],
)
def test_codes_and_text(written: object, meant: bytes) -> None:
    assert KIND.read(written) == (meant,)


def test_a_list_without_repetitions() -> None:
    assert KIND.read([13, "\\n", "13"]) == (b"\r", b"\n")
    assert KIND.read([]) == ()
    assert KIND.show([]) == "none"
    assert KIND.show([b"\r\n", b"\x03", b"OK"]) == r"\r\n, \x03, OK"


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (256, "from 0 to 255"),
        (-1, "from 0 to 255"),
        ("999", "from 0 to 255"),
        ("", "must be a character code"),
        (True, "must be a character code"),
        (1.5, "must be a character code"),
        (r"\q", "no escape"),
        ("\\", "no escape"),
        ("x" * (LENGTH_MAX + 1), f"1 to {LENGTH_MAX} bytes"),
        ([1] * (DELIMITERS_MAX + 1), f"must be {DELIMITERS_MAX} at the most"),
    ],
)
def test_what_is_wrong_is_said(written: object, words: str) -> None:
    with pytest.raises(ValueError, match=r"must be|no escape") as caught:
        KIND.read(written)
    assert words in str(caught.value)


def test_every_wrong_item_is_told() -> None:
    with pytest.raises(ValueError, match=r"256.*300"):
        KIND.read([256, 13, 300])


def test_its_description() -> None:
    assert KIND.metavar == "CODE|TEXT"
    assert KIND.choices == ()
    assert "0x0d" in KIND.allowed
