from __future__ import annotations

import pytest

from portline.hub.pulses import NAMED, STEPS_MAX, Pulse, pulse
from portline.line import Hold, SetModem


def test_steps() -> None:
    made = Pulse.parse("  DTR=0 rts=on   wait=0.1 dtr=1,rts=0 wait=50ms wait=1s dtr=low ")
    assert made.steps == (
        SetModem(dtr=False),
        SetModem(rts=True),
        Hold(0.1),
        SetModem(dtr=True, rts=False),
        Hold(0.05),
        Hold(1.0),
        SetModem(dtr=False),
    )
    assert made.duration == pytest.approx(1.15)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "empty sequence"),
        ("dtr", '"dtr" is no step'),
        ("dtr=2", "is no step"),
        ("cts=1", "is no step"),
        ("dtr=1,dtr=0", "is no step"),
        ("dtr=1,", "is no step"),
        ("wait=-1", "is no step"),
        ("wait=1h", "is no step"),
        ("wait=nan", "is no step"),
        ("wait=3 wait=3", "may be 5 s in all"),
        ("dtr=1 " * (STEPS_MAX + 1), "at most 64 steps"),
        ("rst=0", "or one of: esp32, esp32-run"),
        ("esp33", r'no sequence "esp33"; did you mean esp32\? there are: esp32, esp32-run'),
        ("STM32run", "did you mean stm32-run"),
        ("zx81", 'no sequence "zx81"; there are: esp32'),
    ],
)
def test_what_is_no_sequence(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        pulse(text)


def test_names() -> None:
    for name, made in NAMED.items():
        assert pulse(f" {name.upper()} ") is made
        assert Pulse.parse(made.text).steps == made.steps
        assert made.about
