"""How much is read in one turn of the loop from a peer that may send commands.

A command costs many times what a byte of data costs, so a read full of them would hold everybody
else.  Reads begin small, double with each turn that brought data, are small again when commands
come, and smaller while nothing else does.
"""

from __future__ import annotations

from typing import Final

from portline.net.link import READ_SIZE

__all__ = ["COMMANDS_LEAST", "COMMANDS_READ", "next_read"]

COMMANDS_READ: Final = 4 * 1024
"""Bytes read in the first turn from a peer that may send commands."""

COMMANDS_LEAST: Final = 512
"""Bytes read in one turn from a peer that sends nothing but commands, or notifications: seventy of
them, which take a few milliseconds, while six hundred would be a pause for all others."""

MANY: Final = 64
"""Events, or words of our own, in one turn that tell commands from data."""

WORD: Final = 3
"""Bytes of the shortest word that we say: IAC WONT and an option."""


def next_read(size: int, events: int, said: int) -> int:
    """Return the bytes to read in the next turn, after one of ``size``.

    It brought ``events``, and our protocol answered with ``said`` bytes by itself.
    """
    many = events > MANY or said // WORD > MANY
    if many:
        return max(COMMANDS_LEAST, min(COMMANDS_READ, size // 2))
    return min(2 * size, READ_SIZE)
