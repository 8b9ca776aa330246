"""A simulated instrument: what the demo has at the other end of its serial line.

Theory of operation
-------------------
The instrument does two things that real ones do.  It *talks*: every :data:`PERIOD` seconds it sends
a few NMEA 0183 sentences whose values change smoothly.  And it *answers*: a line that ends with CR,
LF or both is a SCPI-like command, and gets one line back, or none if it only sets something.
Nothing is echoed.

It is pure: time is an argument, the same calls give the same bytes.  Whoever owns it passes what
the line brought to :meth:`Instrument.feed` and calls :meth:`Instrument.tick` at
:meth:`Instrument.deadline`; both return what the instrument sends.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Final

__all__ = ["BAUDRATE", "LINE_LIMIT", "PERIOD", "Instrument", "sentence"]

BAUDRATE: Final = 4800
"""Bits per second; NMEA 0183 prescribes it."""

PERIOD: Final = 1.0
"""Seconds between two rounds of sentences; NMEA talkers send once a second."""

LINE_LIMIT: Final = 128
"""Bytes of a command; what is longer is refused as a whole, as SCPI -223 wants it."""

EOL: Final = b"\r\n"

HELP: Final = (
    "*IDN? MEAS:VOLT? MEAS:TEMP? MEAS:WIND? OUTP ON|OFF OUTP? TALK ON|OFF TALK? SYST:ERR? *RST"
)

NO_ERROR: Final = '0,"No error"'
UNDEFINED: Final = '-113,"Undefined header; try HELP"'
BAD_PARAMETER: Final = '-224,"Illegal parameter value; write ON or OFF"'
TOO_LONG: Final = '-223,"Too much data"'


def sentence(body: str) -> bytes:
    """Return an NMEA 0183 sentence: ``$``, the body, ``*``, the XOR of its bytes, CR LF."""
    text = body.encode("ascii")
    checksum = reduce(lambda total, byte: total ^ byte, text, 0)
    return b"$%b*%02X\r\n" % (text, checksum)


@dataclass(frozen=True, slots=True)
class Wave:
    """A quantity that swings around a middle."""

    middle: float
    swing: float
    period: float

    def at(self, seconds: float) -> float:
        """Return the value after so many seconds."""
        return self.middle + self.swing * math.sin(2 * math.pi * seconds / self.period)


# Periods without common factors, so that the picture does not repeat while one looks.
WIND_ANGLE: Final = Wave(180.0, 90.0, 97.0)
WIND_SPEED: Final = Wave(6.5, 4.0, 31.0)
TEMPERATURE: Final = Wave(21.5, 2.5, 211.0)
PRESSURE: Final = Wave(1.0132, 0.002, 307.0)
VOLTAGE: Final = Wave(12.0, 0.25, 13.0)


class Instrument:
    """The instrument, switched on at the time ``now`` (seconds of any steady clock)."""

    def __init__(self, now: float) -> None:
        self._start = now
        self._due = now + PERIOD
        self._line = bytearray()
        self._overlong = False
        self._talking = True
        self._output = True
        self._error = NO_ERROR

    def deadline(self) -> float | None:
        """Return when :meth:`tick` wants to be called; None while told to be quiet."""
        return self._due if self._talking else None

    def tick(self, now: float) -> bytes:
        """Return the sentences that are due.

        After a long absence there is one round only: an instrument does not catch up.
        """
        if not self._talking or now < self._due:
            return b""
        self._due += PERIOD * (1 + math.floor((now - self._due) / PERIOD))
        return self._sentences(now - self._start)

    def feed(self, data: bytes, now: float) -> bytes:
        """Take bytes from the line and return the answers to the commands that they complete."""
        answers = bytearray()
        for byte in data:
            if byte in EOL:
                if answer := self._ended(now):
                    answers += answer.encode("ascii") + EOL
            elif len(self._line) < LINE_LIMIT:
                self._line.append(byte)
            else:
                self._overlong = True
        return bytes(answers)

    def _ended(self, now: float) -> str | None:
        """Return the answer to the line that has just ended; LF after CR ends an empty one."""
        line, overlong = bytes(self._line), self._overlong
        self._line.clear()
        self._overlong = False
        if overlong:
            self._error = TOO_LONG
            return TOO_LONG
        # Telnet programs send NUL after CR; other invisible bytes are noise of a wrong baudrate.
        command = re.sub(rb"[^\x21-\x7e]+", b" ", line).decode("ascii").strip().upper()
        return self._answered(command, now - self._start) if command else None

    def _answered(self, command: str, seconds: float) -> str | None:
        for pattern, answer in _COMMANDS:
            if match := pattern.fullmatch(command):
                return answer(self, match, seconds)
        self._error = UNDEFINED
        return UNDEFINED

    def _sentences(self, seconds: float) -> bytes:
        clock = int(12 * 3600 + seconds) % 86400
        time = f"{clock // 3600:02}{clock // 60 % 60:02}{clock % 60:02}.00"
        east = 11 * 60 + seconds / 600 % 60
        return b"".join(
            (
                sentence(f"WIMWV,{WIND_ANGLE.at(seconds):.1f},R,{WIND_SPEED.at(seconds):.1f},M,A"),
                sentence(
                    f"IIXDR,C,{TEMPERATURE.at(seconds):.2f},C,AIR,"
                    f"P,{PRESSURE.at(seconds):.4f},B,BARO,U,{self._volts(seconds):.3f},V,OUT"
                ),
                sentence(
                    f"GPGGA,{time},4807.038,N,{int(east // 60):03}{east % 60:06.3f},E,"
                    "1,08,0.9,545.4,M,46.9,M,,"
                ),
            )
        )

    def _volts(self, seconds: float) -> float:
        return VOLTAGE.at(seconds) if self._output else 0.0

    # --- commands ---------------------------------------------------------------------------------

    def _measure(self, match: re.Match[str], seconds: float) -> str:
        match match["what"][:4]:
            case "VOLT":
                return f"{self._volts(seconds):+.4E}"
            case "TEMP":
                return f"{TEMPERATURE.at(seconds):+.4E}"
            case _:
                return f"{WIND_SPEED.at(seconds):+.4E}"

    def _switch_output(self, match: re.Match[str], seconds: float) -> str | None:
        state = self._on_or_off(match)
        if state is None:
            return BAD_PARAMETER
        self._output = state
        return None

    def _switch_talk(self, match: re.Match[str], seconds: float) -> str | None:
        state = self._on_or_off(match)
        if state is None:
            return BAD_PARAMETER
        if state and not self._talking:
            self._due = self._start + seconds + PERIOD
        self._talking = state
        return None

    def _on_or_off(self, match: re.Match[str]) -> bool | None:
        state = {"ON": True, "1": True, "OFF": False, "0": False}.get(match["state"])
        if state is None:
            self._error = BAD_PARAMETER
        return state

    def _reset(self, match: re.Match[str], seconds: float) -> None:
        self._output = True
        self._error = NO_ERROR
        if not self._talking:
            self._talking = True
            self._due = self._start + seconds + PERIOD

    def _last_error(self, match: re.Match[str], seconds: float) -> str:
        told, self._error = self._error, NO_ERROR
        return told


_Answer = Callable[[Instrument, re.Match[str], float], "str | None"]

_COMMANDS: Final[tuple[tuple[re.Pattern[str], _Answer], ...]] = tuple(
    (re.compile(pattern), answer)
    for pattern, answer in (
        (r"\*IDN\?", lambda self, match, seconds: "Portline,Simulated instrument,0001,1.0"),
        (r"HELP\??", lambda self, match, seconds: HELP),
        (r"MEAS(URE)?:(?P<what>VOLT(AGE)?|TEMP(ERATURE)?|WIND)\?", Instrument._measure),
        (r"OUTP(UT)?\?", lambda self, match, seconds: str(int(self._output))),
        (r"OUTP(UT)? (?P<state>\S+)", Instrument._switch_output),
        (r"TALK\?", lambda self, match, seconds: str(int(self._talking))),
        (r"TALK (?P<state>\S+)", Instrument._switch_talk),
        (r"SYST(EM)?:ERR(OR)?\?", Instrument._last_error),
        (r"\*(RST|CLS)", Instrument._reset),
    )
)
"""What the instrument understands, upper case, words divided by one space."""
