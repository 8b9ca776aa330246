"""Rates as divisors: what Linux writes is found again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.port.usbip.ftdi import RATES, divisor_of, rate_of


@pytest.mark.parametrize(
    ("rate", "divisor"),
    # ftdi_sio.c and FTDI's AN232B-05
    [
        (3_000_000, 0),
        (2_000_000, 1),
        (1_500_000, 2),
        (9600, 0x4138),
        (115200, 0x001A),
        (300, 0x2710),
    ],
)
def test_divisors_are_those_of_the_driver(rate: int, divisor: int) -> None:
    assert divisor_of(rate) == divisor


@pytest.mark.parametrize("rate", RATES)
def test_usual_rates_are_found_exactly(rate: int) -> None:
    assert rate_of(divisor_of(rate)) == rate


@given(st.integers(200, 3_000_000))
def test_any_other_rate_is_one_that_has_the_same_divisor(rate: int) -> None:
    divisor = divisor_of(rate)
    found = rate_of(divisor)
    assert divisor_of(found) == divisor or found in (3_000_000, 2_000_000, 1_500_000)


@pytest.mark.parametrize("rate", [12345, 7000, 31250, 74880, 10400, 1_000_000, 250_000])
def test_odd_rates_that_people_set_are_found(rate: int) -> None:
    assert rate_of(divisor_of(rate)) == rate


@given(st.integers(0, 0x1FFFF))
def test_every_divisor_is_some_rate(divisor: int) -> None:
    assert rate_of(divisor) > 0
