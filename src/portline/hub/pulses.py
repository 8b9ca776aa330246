"""Sequences of DTR and RTS that reset boards, by name or written out.

Theory of operation
-------------------
A sequence is written as words: ``dtr=0 rts=1 wait=0.1 dtr=1,rts=0 wait=50ms dtr=0``.  ``1`` is what
programs call on (the line at its active level, which TTL adapters make a low voltage).  What has a
comma between it moves at the same moment; waits are in seconds, or in ms.

The named ones are what the makers' tools do: esptool (classic, and USB-JTAG of chips with a USB
port of their own), avrdude's ``arduino``, and stm32loader (its default, DTR at NRST and RTS at
BOOT0; swapped as STM32CubeProgrammer wants it).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from portline.line import Hold, SetModem

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["NAMED", "STEPS_MAX", "WAIT_MAX", "Pulse", "pulse"]

STEPS_MAX: Final = 64
"""Steps of one sequence: several times what any board wants."""

WAIT_MAX: Final = 5.0
"""Seconds of all waits of one sequence: data for the device has to wait as long, and so has whoever
asked for it."""

_LEVELS: Final = {"0": False, "1": True, "off": False, "on": True, "low": False, "high": True}
_TIME: Final = re.compile(r"(?P<number>\d{1,5}(?:\.\d{1,6})?)(?P<unit>ms|s|)")
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]*")
"""What is meant as the name of a sequence: a step has an equals sign."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """A sequence; ``text`` is how it is written, ``about`` what it is for."""

    steps: tuple[SetModem | Hold, ...]
    text: str
    about: str = ""

    @property
    def duration(self) -> float:
        """Seconds of all its waits."""
        return sum(step.duration for step in self.steps if isinstance(step, Hold))

    @classmethod
    def parse(cls, text: str, about: str = "") -> Pulse:
        """Read a sequence.  Raises ValueError with what is expected."""
        words = text.split()
        if not words:
            raise ValueError('an empty sequence; write one like "dtr=0 rts=1 wait=0.1 rts=0"')
        if len(words) > STEPS_MAX:
            raise ValueError(f"a sequence has at most {STEPS_MAX} steps, and this has {len(words)}")
        made = cls(tuple(map(_step, words)), " ".join(words), about)
        if made.duration > WAIT_MAX:
            raise ValueError(f"the waits are {made.duration:g} s, and may be {WAIT_MAX:g} s in all")
        return made


def _step(word: str) -> SetModem | Hold:
    name, _, value = word.lower().partition("=")
    if name == "wait" and (match := _TIME.fullmatch(value)):
        return Hold(float(match["number"]) / (1000 if match["unit"] == "ms" else 1))
    levels: dict[str, bool] = {}
    for part in word.lower().split(","):
        line, _, level = part.partition("=")
        if line not in ("dtr", "rts") or level not in _LEVELS or line in levels:
            raise ValueError(
                f'"{word}" is no step; write dtr=0 or dtr=1, rts=0 or rts=1, both at once with a '
                "comma (dtr=1,rts=0), or wait=SECONDS"
            )
        levels[line] = _LEVELS[level]
    return SetModem(dtr=levels.get("dtr"), rts=levels.get("rts"))


_ESP32_RUN: Final = "dtr=0,rts=1 wait=0.1 rts=0"

NAMED: Final[Mapping[str, Pulse]] = MappingProxyType(
    {
        name: Pulse.parse(text, about)
        for name, text, about in (
            (
                "esp32",
                "dtr=0,rts=1 wait=0.1 dtr=1,rts=0 wait=0.05 dtr=0",
                "an ESP32 or ESP8266 into its boot loader, by the usual two transistors",
            ),
            ("esp32-run", _ESP32_RUN, "an ESP32 or ESP8266 into its program"),
            (
                "esp32-usb",
                "dtr=0,rts=0 wait=0.1 dtr=1 wait=0.1 rts=1 dtr=0 wait=0.1 rts=0",
                "an ESP32 with USB of its own (USB-JTAG) into its boot loader",
            ),
            (
                "arduino",
                "dtr=0,rts=0 wait=0.25 dtr=1,rts=1 wait=0.05",
                "an Arduino with a capacitor at DTR into its boot loader",
            ),
            (
                "stm32",
                "rts=0 dtr=1 wait=0.1 dtr=0 wait=0.05",
                "an STM32 into its boot loader: DTR at NRST, RTS at BOOT0",
            ),
            ("stm32-run", "rts=1 dtr=1 wait=0.1 dtr=0", "such an STM32 into its program"),
            (
                "stm32-swapped",
                "dtr=0 rts=1 wait=0.1 rts=0 wait=0.05",
                "an STM32 into its boot loader: RTS at NRST, DTR at BOOT0",
            ),
        )
    }
)
"""Every named sequence."""


def pulse(text: str) -> Pulse:
    """Return the sequence that a name or its steps mean.  Raises ValueError."""
    word = text.strip().lower()
    found = NAMED.get(word)
    if found is not None:
        return found
    names = ", ".join(NAMED)
    if _NAME.fullmatch(word) and word not in ("dtr", "rts", "wait"):
        near = get_close_matches(word, NAMED, 1)
        meant = f"did you mean {near[0]}? " if near else ""
        raise ValueError(
            f'there is no sequence "{word}"; {meant}there are: {names}; or write steps, as in '
            '"dtr=0 rts=1 wait=0.1 rts=0"'
        )
    try:
        return Pulse.parse(text)
    except ValueError as error:
        raise ValueError(f"{error}; or one of: {names}") from None
