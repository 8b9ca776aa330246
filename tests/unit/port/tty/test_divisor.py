"""What a UART makes of a rate, from words of its driver; the lab has a chip."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.port.tty import divisor as module
from portline.port.tty.divisor import CLOCK, HEAD, divided, real_rate


@pytest.mark.parametrize(
    ("rate", "real"),
    [(115200, 115200), (9600, 9600), (12345, 12800), (31250, 28800), (74880, 57600), (110, 110)],
)
def test_the_nearest_divisor_of_a_pcs_uart(rate: int, real: int) -> None:
    assert divided(CLOCK, rate) == real


@given(st.integers(1, CLOCK * 8), st.sampled_from([CLOCK, 4 * CLOCK, 8 * CLOCK]))
def test_it_is_a_rate_that_the_chip_can_do(rate: int, clock: int) -> None:
    found = divided(clock, rate)
    if rate <= clock:
        assert found == round(clock / round(clock / found))
        assert divided(clock, found) == found or found * found > clock
    else:
        assert found == rate


def asked(
    monkeypatch: pytest.MonkeyPatch,
    rate: int,
    *,
    device: tuple[int, int] = (4, 65),
    chip: int = 4,
    flags: int = 0,
    custom: int = 0,
    clock: int = CLOCK,
) -> int:
    words = HEAD.pack(chip, 1, 0x2F8, 3, flags, 16, custom, clock).ljust(128, b"\0")
    found = SimpleNamespace(st_rdev=os.makedev(*device))
    monkeypatch.setattr(
        module, "os", SimpleNamespace(fstat=lambda _: found, major=os.major, minor=os.minor)
    )
    monkeypatch.setattr(module, "fcntl", SimpleNamespace(ioctl=lambda *_: words))
    return real_rate(7, rate)


def test_only_a_plain_chip_is_known_better_than_its_driver_knows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert asked(monkeypatch, 31250) == 28800
    assert asked(monkeypatch, 31250, clock=8 * CLOCK) == 31779
    assert asked(monkeypatch, 31250, device=(188, 0)) == 31250  # an adapter that names a chip
    assert asked(monkeypatch, 31250, device=(4, 1)) == 31250  # a virtual console
    assert asked(monkeypatch, 31250, chip=10) == 31250  # a 16C950 has fractions
    assert asked(monkeypatch, 31250, clock=3_000_000) == 31250
    assert asked(monkeypatch, 31250, clock=0) == 31250


def test_a_divisor_of_setserials(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(monkeypatch, 38400, flags=0x30, custom=12) == 9600
    assert asked(monkeypatch, 38400, flags=0x30, custom=0) == 38400
    assert asked(monkeypatch, 38400, flags=0x10, custom=12) == 38400
    assert asked(monkeypatch, 19200, flags=0x30, custom=12) == 19200


def test_what_has_no_such_words_is_as_it_says() -> None:
    with open(os.devnull) as nowhere:
        assert real_rate(nowhere.fileno(), 12345) == 12345
