"""Numbered traffic of programs at ports, and what became of every number.

Each record is ten bytes: the letter of the port, eight hexadecimal digits that count, a semicolon.
A program writes them, the far end notes which it hears and echoes everything, the program notes
which come back.  All of it is in memory that the processes share, so that one which is killed
leaves what it had noted.
"""

from __future__ import annotations

import mmap
import re
import struct
from dataclasses import dataclass
from typing import Final

__all__ = ["RECORD", "Fates", "Numbers", "Reader"]

RECORD: Final = 10
"""Bytes of a record."""

NUMBERS_MAX: Final = 1 << 20
"""Records of one port that are counted: ten times what hundred kills take."""

_FULL: Final = re.compile(rb"[a-z][0-9a-f]{8}")
_PIECES: Final = re.compile(rb"(?:n?[0-9a-f]{0,8}){1,2}")
"""The beginning of a record, the end of one, or the one and then the other."""

ANSWERED, KILLED, GONE, GIVEN_UP = 1, 2, 3, 4
"""How it ended that a program waited for a record: it came; a kill came; the terminal hung up, so
that it was that of a killed one; or nothing of it in time."""


class Numbers:
    """The numbers of the port at ``path``, which has a letter (n, l or o).

    ``far`` and ``near`` say how often each was heard there.
    """

    def __init__(self, path: str, letter: str) -> None:
        self.path = path
        self.letter = letter.encode()
        self.ends = mmap.mmap(-1, NUMBERS_MAX)
        self.far = Heard(self)
        self.near = Heard(self)
        self._counts = mmap.mmap(-1, 16)

    @property
    def issued(self) -> int:
        """How many there are."""
        return int(struct.unpack_from("q", self._counts)[0])

    @property
    def kills(self) -> int:
        """How often the Portline was killed; only the test counts."""
        return int(struct.unpack_from("q", self._counts, 8)[0])

    def killed(self) -> None:
        struct.pack_into("q", self._counts, 8, self.kills + 1)

    def issue(self, count: int) -> bytes:
        """Return that many further records."""
        first = self.issued
        struct.pack_into("q", self._counts, 0, first + count)
        return b"".join(b"%c%08x;" % (self.letter, n) for n in range(first, first + count))

    def take_back(self, count: int) -> None:
        """Forget the last ones, which were not written."""
        struct.pack_into("q", self._counts, 0, self.issued - count)

    def end(self, first: int, end: int, kills: int, *, gone: bool = False) -> None:
        """Note that nobody waits for the records any more that were written after ``kills``.

        ``gone`` says that the terminal has hung up.
        """
        lost = KILLED if self.kills != kills else GONE if gone else GIVEN_UP
        for n in range(first, end):
            self.ends[n] = ANSWERED if self.near.times[n] else lost

    def fates(self) -> Fates:
        """Return what became of all."""
        out = dict.fromkeys((KILLED, GONE, GIVEN_UP, 0), 0)
        back = dict.fromkeys((KILLED, GONE, GIVEN_UP, 0), 0)
        came = late = 0
        for n in range(self.issued):
            end = self.ends[n]
            if self.near.times[n]:
                came += 1
                late += end != ANSWERED
            elif self.far.times[n]:
                back[end] += 1
            else:
                out[end] += 1
        return Fates(self.issued, came, late, out, back, str(self.far), str(self.near))


class Heard:
    """How often each number was heard at one end, and what was heard beside them, in bytes."""

    def __init__(self, numbers: Numbers) -> None:
        self.numbers = numbers
        self.times = mmap.mmap(-1, NUMBERS_MAX)
        self._memory = mmap.mmap(-1, 64)

    NAMES: Final = ("twice", "wrong", "disorder", "pieces")

    def __getitem__(self, name: str) -> int:
        return int(struct.unpack_from("q", self._memory, 8 * self.NAMES.index(name))[0])

    def add(self, name: str, count: int) -> None:
        struct.pack_into("q", self._memory, 8 * self.NAMES.index(name), self[name] + count)

    def __str__(self) -> str:
        return ", ".join(f"{name} {self[name]}" for name in self.NAMES)


class Reader:
    """Reads one stream of bytes, from its beginning to its end."""

    def __init__(self, heard: Heard, *, say: str = "") -> None:
        self._heard = heard
        self._rest = b""
        self._say = say

    def take(self, data: bytes) -> None:
        """Note what came."""
        *tokens, self._rest = (self._rest + data).split(b";")
        for token in tokens:
            self._token(token)

    def cut(self) -> None:
        """Note that the stream has ended, maybe within a record."""
        if self._rest:
            self._piece(self._rest)
        self._rest = b""

    def _token(self, token: bytes) -> None:
        heard, numbers = self._heard, self._heard.numbers
        record = token[-(RECORD - 1) :]
        number = int(record[1:], 16) if _FULL.fullmatch(record) else -1
        if record[:1] != numbers.letter or not 0 <= number < numbers.issued:
            self._piece(token)
            return
        if token != record:
            self._piece(token[: -len(record)])
        if heard.times[number]:
            heard.add("twice", RECORD)
            self._tell("twice", record)
        elif any(heard.times[number + 1 : number + 100]):
            heard.add("disorder", RECORD)
            self._tell("out of order", record)
        heard.times[number] = min(heard.times[number] + 1, 255)

    def _piece(self, token: bytes) -> None:
        rest = token.replace(self._heard.numbers.letter, b"n")
        right = _PIECES.fullmatch(rest) and not _FULL.fullmatch(rest)
        self._heard.add("pieces" if right else "wrong", len(token))
        if not right:
            self._tell("wrong", token)

    def _tell(self, what: str, token: bytes) -> None:
        if self._say:
            print(f"{self._say}: {what}: {token[:60]!r} after {self._heard.numbers.issued}")


@dataclass(frozen=True, slots=True)
class Fates:
    """What became of the records of a port, in records; ``far`` and ``near`` in bytes."""

    issued: int
    came: int
    late: int
    """Came after the program had given up, or was killed."""
    out: dict[int, int]
    """Not heard by the far end, by how the wait for them ended."""
    back: dict[int, int]
    """Heard by the far end, and not back."""
    far: str
    near: str

    def __str__(self) -> str:
        def lost(by: dict[int, int]) -> str:
            return (
                f"{by[KILLED] * RECORD} across a kill, {by[GONE] * RECORD} into a killed one, "
                f"{by[0] * RECORD} with the program killed, {by[GIVEN_UP] * RECORD} otherwise"
            )

        return (
            f"{self.issued * RECORD} bytes written, {self.came * RECORD} came back "
            f"({self.late * RECORD} late); lost on the way out: {lost(self.out)}; "
            f"on the way back: {lost(self.back)}; at the far end {self.far}; back {self.near}"
        )
