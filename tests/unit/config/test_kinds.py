from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.config.kinds import Choice, Decimal, Number, Switch
from portline.line import Parity, StopBits

PARITY = Choice({item.name.lower(): item for item in Parity})
STOP_BITS = Choice({item.value: item for item in StopBits})


def test_a_switch_is_a_boolean_and_nothing_else() -> None:
    switch = Switch()
    assert switch.read(True) is True
    assert switch.read(False) is False
    assert (switch.show(True), switch.show(False)) == ("true", "false")
    assert (switch.metavar, switch.allowed, switch.choices) == (
        "",
        "true or false",
        ("true", "false"),
    )
    for wrong in ("false", 0, 1, None):
        with pytest.raises(ValueError, match="must be true or false, without quotes"):
            switch.read(wrong)


def test_a_choice_takes_words_and_what_they_stand_for() -> None:
    assert PARITY.read("even") is Parity.EVEN
    assert PARITY.read(" Even ") is Parity.EVEN
    assert PARITY.read(Parity.ODD) is Parity.ODD
    assert PARITY.metavar == "none|odd|even|mark|space"
    assert PARITY.choices == ("none", "odd", "even", "mark", "space")


@given(st.sampled_from(Parity))
def test_a_choice_is_read_back(parity: Parity) -> None:
    assert PARITY.read(PARITY.show(parity)) is parity


def test_a_choice_of_numbers_takes_numbers() -> None:
    assert [STOP_BITS.read(value) for value in (1, 1.5, 2.0, "1.5")] == [
        StopBits.ONE,
        StopBits.ONE_AND_A_HALF,
        StopBits.TWO,
        StopBits.ONE_AND_A_HALF,
    ]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            "evn",
            '"evn" must be one of none, odd, even, mark, space; did you mean even?',
        ),
        ("xxxxx", '"xxxxx" must be one of none, odd, even, mark, space'),
        (True, "true must be one of none, odd, even, mark, space"),
        (7, "7 must be one of none, odd, even, mark, space"),
        ([], "a list must be one of none, odd, even, mark, space"),
    ],
)
def test_a_wrong_choice_names_the_words_and_the_nearest(value: object, message: str) -> None:
    with pytest.raises(ValueError, match="must be") as caught:
        PARITY.read(value)
    assert str(caught.value) == message


def test_a_choice_of_one_word_says_so() -> None:
    with pytest.raises(ValueError, match=r'^"client" must be server$'):
        Choice({"server": "server"}).read("client")


@given(st.integers(50, 4_000_000))
def test_a_number_in_range_is_read_back(number: int) -> None:
    kind = Number(50, 4_000_000, "bit/s")
    assert kind.read(number) == kind.read(kind.show(number)) == kind.read(f" {number} ") == number


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (4, "4 must be 5 to 8 bits; the nearest is 5"),
        ("9", '"9" must be 5 to 8 bits; the nearest is 8'),
        ("-7", '"-7" must be 5 to 8 bits; the nearest is 5'),
        ("eight", '"eight" must be a whole number, 5 to 8 bits'),
        (7.5, "7.5 must be a whole number, 5 to 8 bits"),
        (True, "true must be a whole number, 5 to 8 bits"),
    ],
)
def test_a_wrong_number_names_the_range_and_the_nearest(value: object, message: str) -> None:
    with pytest.raises(ValueError, match="must be") as caught:
        Number(5, 8, "bits").read(value)
    assert str(caught.value) == message


def test_a_number_describes_itself() -> None:
    assert Number(1, 9).allowed == "1 to 9"
    assert (Number(1, 9).metavar, Number(1, 9).choices) == ("NUMBER", ())


def test_a_decimal_is_read_in_a_range_or_off() -> None:
    kind = Decimal(0.5, 1000, "character times")
    assert [kind.read(value) for value in (3.5, "3.5", 1, 0, "0", "off", " Off ")] == [
        3.5,
        3.5,
        1.0,
        0.0,
        0.0,
        0.0,
        0.0,
    ]
    assert (kind.show(3.5), kind.show(0.0)) == ("3.5", "off")
    for wrong in (0.4, 1001, "much", True, None):
        with pytest.raises(ValueError, match=r"0\.5 to 1000 character times, or off \(0\)"):
            kind.read(wrong)
