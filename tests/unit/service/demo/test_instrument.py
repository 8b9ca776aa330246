from __future__ import annotations

from functools import reduce
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.service.demo.instrument import HELP, LINE_LIMIT, PERIOD, Instrument, sentence

UNDEFINED = b'-113,"Undefined header; try HELP"\r\n'
BAD_PARAMETER = b'-224,"Illegal parameter value; write ON or OFF"\r\n'
TOO_LONG = b'-223,"Too much data"\r\n'


@pytest.fixture
def instrument() -> Instrument:
    return Instrument(now=100.0)


def test_a_sentence_has_the_checksum_of_the_standard() -> None:
    # The example of the GGA sentence that every NMEA 0183 page has.
    assert sentence("GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,") == (
        b"$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n"
    )


@given(st.floats(0, 200_000))
def test_every_sentence_is_valid_at_any_time(seconds: float) -> None:
    instrument = Instrument(now=0.0)
    lines = instrument.tick(seconds + PERIOD).split(b"\r\n")
    assert [line[:6] for line in lines] == [b"$WIMWV", b"$IIXDR", b"$GPGGA", b""]
    for line in lines[:-1]:
        body, _, checksum = line[1:].partition(b"*")
        assert reduce(lambda total, byte: total ^ byte, body, 0) == int(checksum, 16)
        assert len(line) + 2 <= 82  # the longest sentence that NMEA 0183 allows


def test_it_talks_once_a_second_and_does_not_catch_up(instrument: Instrument) -> None:
    assert instrument.deadline() == 101.0
    assert instrument.tick(100.9) == b""
    assert instrument.tick(101.0).startswith(b"$WIMWV")
    assert instrument.deadline() == 102.0
    assert instrument.tick(150.5).count(b"$WIMWV") == 1
    assert instrument.deadline() == 151.0


def test_the_values_change_smoothly(instrument: Instrument) -> None:
    angles = [float(instrument.tick(101.0 + n).split(b",")[1]) for n in range(100)]
    assert max(abs(a - b) for a, b in pairwise(angles)) < 7
    assert max(angles) - min(angles) > 150


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (b"*IDN?\n", b"Portline,Simulated instrument,0001,1.0\r\n"),
        (b"*idn?\r\n", b"Portline,Simulated instrument,0001,1.0\r\n"),
        (b" *idn? \r\0", b"Portline,Simulated instrument,0001,1.0\r\n"),
        (b"help\n", HELP.encode() + b"\r\n"),
        (b"MEAS:VOLT?\n", b"+1.2000E+01\r\n"),
        (b"measure:voltage?\n", b"+1.2000E+01\r\n"),
        (b"MEAS:TEMP?\n", b"+2.1500E+01\r\n"),
        (b"MEAS:WIND?\n", b"+6.5000E+00\r\n"),
        (b"OUTP?\n", b"1\r\n"),
        (b"OUTP OFF\nOUTP?\nMEAS:VOLT?\n", b"0\r\n+0.0000E+00\r\n"),
        (b"OUTPUT   0\nOUTP 1\nOUTP?\n", b"1\r\n"),
        (b"OUTP maybe\nSYST:ERR?\n", BAD_PARAMETER * 2),
        (b"TALK maybe\n", BAD_PARAMETER),
        (b"what\nSYST:ERR?\nSYST:ERR?\n", UNDEFINED * 2 + b'0,"No error"\r\n'),
        (b"what\n*CLS\nSYSTEM:ERROR?\n", UNDEFINED + b'0,"No error"\r\n'),
        (b"OUTP OFF\n*RST\nOUTP?\n", b"1\r\n"),
        (b"\r\n\r\n\n", b""),
        (b"\xff\x80\n", b""),
        (b"*IDN?", b""),
    ],
)
def test_it_answers_commands(instrument: Instrument, command: bytes, answer: bytes) -> None:
    assert instrument.feed(command, 100.0) == answer


def test_it_can_be_told_to_be_quiet(instrument: Instrument) -> None:
    assert instrument.feed(b"TALK OFF\nTALK?\n", 100.0) == b"0\r\n"
    assert instrument.deadline() is None
    assert instrument.tick(200.0) == b""
    assert instrument.feed(b"TALK ON\nTALK ON\nTALK?\n", 200.0) == b"1\r\n"
    assert instrument.deadline() == 201.0
    instrument.feed(b"TALK OFF\n*RST\n", 300.0)
    assert instrument.deadline() == 301.0


def test_a_command_that_is_too_long_is_refused_as_a_whole(instrument: Instrument) -> None:
    assert instrument.feed(b"x" * LINE_LIMIT + b"\n", 100.0) == UNDEFINED
    assert instrument.feed(b"x" * 10_000, 100.0) == b""
    assert instrument.feed(b"*IDN?\nSYST:ERR?\n", 100.0) == TOO_LONG * 2
    assert instrument.feed(b"OUTP?\n", 100.0) == b"1\r\n"


@given(st.lists(st.sampled_from([b"*IDN?", b"\r", b"\n", b"OUTP OFF", b"OUTP?", b"x", b"\xff"])))
def test_any_division_of_the_same_bytes_gets_the_same_answers(parts: list[bytes]) -> None:
    one, other = Instrument(now=0.0), Instrument(now=0.0)
    whole = b"".join(parts)
    divided = b"".join(other.feed(bytes([byte]), 0.0) for byte in whole)
    assert one.feed(whole, 0.0) == divided
