from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from portline.config.wording import QUOTE_LIMIT, nearest, quoted


def test_values_are_repeated_as_they_were_written() -> None:
    assert quoted("evn") == '"evn"'
    assert quoted(True) == "true"
    assert quoted(False) == "false"
    assert quoted(3) == "3"
    assert quoted(1.5) == "1.5"
    assert quoted([1]) == "a list"
    assert quoted({}) == "a table"
    assert quoted(None) == "a NoneType"
    assert quoted(10**100) == "this number"


@given(st.text())
def test_a_text_stays_printable_and_on_one_line(text: str) -> None:
    shown = quoted(text)
    assert shown.isprintable()
    assert len(shown) <= QUOTE_LIMIT + len('"..."')


def test_a_mistyped_word_is_recognised() -> None:
    words = ["baudrate", "data-bits", "parity"]
    assert nearest("baudrat", words) == "baudrate"
    assert nearest("Data_Bits", words) == "data-bits"
    assert nearest("xyz", words) is None
    assert nearest("", words) is None
