"""Agreeing on Telnet options without ever going round in circles (RFC 1143).

Theory of operation
-------------------
An option can be in force on each side independently: on ours (the peer says DO, we say WILL) and
on the peer's (it says WILL, we say DO).  Each of the two is one of three states, and the table
:data:`TRANSITIONS` says for each state and each word what follows and what is said.  RFC 1143 has
three states more for those who also switch options off by themselves; we only offer, so they
cannot occur.

Nothing is said about what is already in force, and every other word gets at most one word back:
two sides that follow the table fall silent, and against one that does not, we say no more than it.
A request for an option that we do not have is refused every time it is made: the peer asked, and
waits for an answer.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from portline.wire.telnet import DO, DONT, IAC, WILL, WONT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["TRANSITIONS", "Options", "Side", "State", "Word"]


class Side(Enum):
    """Who does what the option means."""

    US = auto()
    PEER = auto()


class State(Enum):
    """Where one option of one side stands."""

    OFF = auto()
    OFFERED = auto()
    """We said yes and have not heard."""
    ON = auto()


class Word(Enum):
    """What can happen to one option of one side."""

    OFFER = auto()
    """We want it (and would say yes if asked)."""
    YES = auto()
    """The peer says yes, and so would we."""
    UNWELCOME = auto()
    """The peer says yes to what we do not have."""
    NO = auto()
    """The peer says no."""


TRANSITIONS: Final[Mapping[tuple[State, Word], tuple[State, bool | None]]] = {
    (State.OFF, Word.OFFER): (State.OFFERED, True),
    (State.OFF, Word.YES): (State.ON, True),
    (State.OFF, Word.UNWELCOME): (State.OFF, False),
    (State.OFF, Word.NO): (State.OFF, None),
    (State.OFFERED, Word.OFFER): (State.OFFERED, None),
    (State.OFFERED, Word.YES): (State.ON, None),
    (State.OFFERED, Word.NO): (State.OFF, None),
    (State.ON, Word.OFFER): (State.ON, None),
    (State.ON, Word.YES): (State.ON, None),
    (State.ON, Word.NO): (State.OFF, False),
}
"""What follows, and what we say: yes, no, or nothing (None).

An option that we do not have is always OFF, so only there does UNWELCOME occur."""

_SAYS: Final[Mapping[tuple[Side, bool], int]] = {
    (Side.US, True): WILL,
    (Side.US, False): WONT,
    (Side.PEER, True): DO,
    (Side.PEER, False): DONT,
}

_HEARS: Final[Mapping[int, tuple[Side, bool]]] = {
    DO: (Side.US, True),
    DONT: (Side.US, False),
    WILL: (Side.PEER, True),
    WONT: (Side.PEER, False),
}


class Options:
    """The options of both sides of one connection.

    ``ours`` and ``peers`` are the options that we agree to, on our side and on the peer's; no
    others can be offered or come into force.
    """

    def __init__(self, ours: Iterable[int], peers: Iterable[int]) -> None:
        self._states = {(Side.US, option): State.OFF for option in ours}
        self._states |= {(Side.PEER, option): State.OFF for option in peers}

    def on(self, side: Side, option: int) -> bool:
        """Tell whether the option is in force."""
        return self._states.get((side, option)) is State.ON

    def offer(self, side: Side, option: int) -> bytes:
        """Return what offers the option of our side, or asks for that of the peer.

        b"" where that has been said already; KeyError for an option that we do not agree to.
        """
        return self._turn(side, option, Word.OFFER)

    def hear(self, verb: int, option: int) -> bytes:
        """Take WILL, WONT, DO or DONT from the peer and return our answer, or b""."""
        side, yes = _HEARS[verb]
        if (side, option) in self._states:
            return self._turn(side, option, Word.YES if yes else Word.NO)
        _, says = TRANSITIONS[State.OFF, Word.UNWELCOME if yes else Word.NO]
        return _say(side, option, says)

    def _turn(self, side: Side, option: int, word: Word) -> bytes:
        state = self._states[side, option]
        self._states[side, option], says = TRANSITIONS[state, word]
        return _say(side, option, says)


def _say(side: Side, option: int, says: bool | None) -> bytes:
    return b"" if says is None else bytes((IAC, _SAYS[side, says], option))
