"""Reset sequences in a peer's commands, so that they can be run here with their exact timing.

Theory of operation
-------------------
A program that resets a board through a network moves DTR and RTS one command at a time, and each
takes a round trip.  An ESP32 starts its program in the gap between two edges that should be one.
So, when the commands look like a sequence of the board that is expected, the edges that have to be
close together are held back until the next command confirms it, and then done at once::

    passing --a pattern's first command, in its state--> holding --its second--> running
       ^  ^                                                |                        |
       |  +--anything else, or HOLD_LIMIT: what was held is done--+                 |
       +--the rest of the peer's commands has come: nothing; or has not: the lines are set
          as the peer has asked--------------------------------------------------------+

A pattern without a second command is a pulse, of which the network may have shortened the first
part: it is lengthened to what it should be.

Whatever happens, the lines end as the peer has asked, and each of its commands is answered as if it
had been carried out when it came.  It is pure: time is an argument.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from portline.hub.pulses import Pulse
from portline.line import Hold, SetModem

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BOARDS", "HOLD_LIMIT", "REST_LIMIT", "Pattern", "Recogniser"]

HOLD_LIMIT: Final = 0.5
"""Seconds that a command is held back for the one that confirms it: a slow round trip."""

REST_LIMIT: Final = 1.0
"""Seconds after the end of a sequence, or a repeated command, within which the next of the peer's
commands has to come."""

Step = SetModem | Hold


@dataclass(frozen=True, slots=True)
class Pattern:
    """What is recognised, and what is done instead.

    ``dtr`` and ``rts`` are the levels in force before ``first``, None for any; ``second`` confirms
    it.  Without a second, ``pulse`` seconds must have passed since the line of ``first`` moved.
    ``run`` leads to where the peer is with ``rest`` carried out.
    """

    dtr: bool | None
    rts: bool | None
    first: SetModem
    run: tuple[Step, ...]
    second: SetModem | None = None
    rest: tuple[SetModem, ...] = ()
    pulse: float = 0.0

    def begins(self, command: SetModem, dtr: bool, rts: bool) -> bool:
        """Return whether a command in this state may be the first one."""
        return command == self.first and self.dtr in (None, dtr) and self.rts in (None, rts)


_DTR_ON, _DTR_OFF = SetModem(dtr=True), SetModem(dtr=False)
_RTS_ON, _RTS_OFF = SetModem(rts=True), SetModem(rts=False)


def _steps(text: str) -> tuple[Step, ...]:
    return Pulse.parse(text).steps


_ESP32: Final = (
    Pattern(
        dtr=False,
        rts=True,
        first=_DTR_ON,
        second=_RTS_OFF,
        run=_steps("dtr=1,rts=0 wait=0.05 dtr=0"),
        rest=(_DTR_OFF,),
    ),
    Pattern(dtr=False, rts=True, first=_RTS_OFF, run=(_RTS_OFF,), pulse=0.1),
)

BOARDS: Final[Mapping[str, tuple[Pattern, ...]]] = MappingProxyType(
    {
        "esp32": _ESP32,
        "esp32-usb": (
            Pattern(
                dtr=True,
                rts=False,
                first=_RTS_ON,
                second=_DTR_OFF,
                run=_steps("rts=1 dtr=0 wait=0.1 rts=0"),
                rest=(_RTS_OFF,),
            ),
            _ESP32[1],
        ),
        "arduino": (
            Pattern(dtr=False, rts=None, first=_DTR_ON, run=_steps("dtr=1 wait=0.05"), pulse=0.05),
        ),
        "stm32": (
            Pattern(dtr=True, rts=None, first=_DTR_OFF, run=_steps("dtr=0 wait=0.05"), pulse=0.1),
        ),
        "stm32-swapped": (
            Pattern(dtr=None, rts=True, first=_RTS_OFF, run=_steps("rts=0 wait=0.05"), pulse=0.1),
        ),
    }
)
"""Board -> what its programs do; the first pattern that fits counts."""


@dataclass(slots=True)
class _Held:
    pattern: Pattern
    until: float


@dataclass(slots=True)
class _Rest:
    """A sequence that is being run; ``dtr`` and ``rts`` are where it ends."""

    expected: list[SetModem]
    until: float
    dtr: bool
    rts: bool


@dataclass(slots=True)
class Recogniser:
    """The commands of one peer; ``dtr`` and ``rts`` are what it has asked for last.

    At first they are the port's, as far as is known: something else may still be on its way there.
    So a command counts as one that changes nothing only if the peer itself has given it before.
    """

    patterns: tuple[Pattern, ...]
    dtr: bool
    rts: bool
    recognised: int = 0
    """How many sequences were run."""
    _since: dict[str, float] = field(default_factory=dict)
    _asked: set[str] = field(default_factory=set)
    _held: _Held | None = None
    _rest: _Rest | None = None

    @property
    def deadline(self) -> float | None:
        """When :meth:`tick` has to be called; None while nothing is in between."""
        state = self._held or self._rest
        return None if state is None else state.until

    def feed(self, command: SetModem, now: float, *, begins: bool = True) -> list[Step]:
        """Take a command of the peer; return what is to be done now, in order.

        Without ``begins`` it is not the first one of a sequence, whatever it looks like.
        """
        done = self._continued(command, now)
        if done is None:
            done = [*self.release(), *(self._begun(command, now) if begins else [command])]
        self._note(command, now)
        return done

    def tick(self, now: float) -> list[Step]:
        """Let time pass; return what is to be done."""
        deadline = self.deadline
        return self.release() if deadline is not None and deadline <= now else []

    def release(self) -> list[Step]:
        """Wait for nothing more; return what leads to what the peer has asked for."""
        held, rest = self._held, self._rest
        self._held = self._rest = None
        if held is not None:
            return [held.pattern.first]
        if rest is not None:
            dtr = None if rest.dtr is self.dtr else self.dtr
            rts = None if rest.rts is self.rts else self.rts
            if (dtr, rts) != (None, None):
                return [SetModem(dtr=dtr, rts=rts)]
        return []

    def _continued(self, command: SetModem, now: float) -> list[Step] | None:
        """Return what follows in a sequence; None where the command belongs to none."""
        if self._held is None and self._rest is None:
            return None
        if not self._changes(command):
            if self._rest is not None:
                self._rest.until = now + REST_LIMIT
            return []  # some programs say everything twice
        if self._held is not None and command == self._held.pattern.second:
            pattern = self._held.pattern
            self._held = None
            return self._run(pattern, command, now)
        if self._rest is not None and self._rest.expected[:1] == [command]:
            del self._rest.expected[0]
            if not self._rest.expected:
                self._rest = None
            return []
        return None

    def _begun(self, command: SetModem, now: float) -> list[Step]:
        pattern = next((p for p in self.patterns if p.begins(command, self.dtr, self.rts)), None)
        if pattern is None or not self._changes(command):
            return [command]
        if pattern.second is not None:
            self._held = _Held(pattern, now + HOLD_LIMIT)
            return []
        since = self._since.get("dtr" if command.rts is None else "rts")
        if since is None:
            return [command]  # the peer has not begun it
        left = pattern.pulse - (now - since)
        return [*([Hold(left)] if left > 0 else []), *self._run(pattern, command, now)]

    def _run(self, pattern: Pattern, command: SetModem, now: float) -> list[Step]:
        self.recognised += 1
        if pattern.rest:
            dtr, rts = self.dtr, self.rts
            for step in pattern.run:
                if isinstance(step, SetModem):
                    dtr = dtr if step.dtr is None else step.dtr
                    rts = rts if step.rts is None else step.rts
            lasts = sum(step.duration for step in pattern.run if isinstance(step, Hold))
            self._rest = _Rest(list(pattern.rest), now + lasts + REST_LIMIT, dtr, rts)
        return list(pattern.run)

    def _changes(self, command: SetModem) -> bool:
        unknown = {"dtr", "rts"} - self._asked
        return (
            command.dtr not in (None, self.dtr)
            or command.rts not in (None, self.rts)
            or (command.dtr is not None and "dtr" in unknown)
            or (command.rts is not None and "rts" in unknown)
        )

    def _note(self, command: SetModem, now: float) -> None:
        for line, level in (("dtr", command.dtr), ("rts", command.rts)):
            if level is not None:
                self._asked.add(line)
        if command.dtr not in (None, self.dtr):
            self.dtr = bool(command.dtr)
            self._since["dtr"] = now
        if command.rts not in (None, self.rts):
            self.rts = bool(command.rts)
            self._since["rts"] = now
