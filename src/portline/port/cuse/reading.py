"""When a read of a terminal is over: VMIN, VTIME, lines and O_NONBLOCK.  Pure.

The rules are those of Linux' ``n_tty_read`` (termios(3), "Canonical and noncanonical mode"):

=============  =========  ========================================================================
VMIN           VTIME      a read is over
=============  =========  ========================================================================
(line mode)               with the first line, or the part of it that fits
0              0          at once, with what there is
0              t          with the first bytes, or after t
n              0          with n bytes, or as many as fit
n              t          the same, or t after the last byte once there is one
=============  =========  ========================================================================

With O_NONBLOCK it is over at once: with what there is, or with EAGAIN (not where VMIN and VTIME are
both 0: that is the end of the file).
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Manner", "Reading"]


@dataclass(frozen=True, slots=True)
class Manner:
    """How a terminal is read; ``vtime`` in tenths of a second."""

    lines: bool = False
    vmin: int = 1
    vtime: int = 0

    @property
    def polls(self) -> int:
        """How many bytes have to be there for poll(2) to call it readable (``n_tty_poll``)."""
        return 1 if self.lines or self.vtime else max(1, self.vmin)

    @property
    def never_waits(self) -> bool:
        """Whether a read is over at once in any case."""
        return not (self.lines or self.vmin or self.vtime)


class Reading:
    """One read of ``size`` bytes that began at ``now`` (seconds); ``data`` is what it has."""

    def __init__(self, unique: int, size: int, now: float) -> None:
        self.unique = unique
        self.size = size
        self.data = b""
        self._moved = now

    @property
    def room(self) -> int:
        """How many bytes it still takes."""
        return self.size - len(self.data)

    def add(self, data: bytes, now: float) -> None:
        """Give it what has come."""
        self.data += data
        self._moved = now

    def over(self, manner: Manner, now: float) -> bool:
        """Return whether it has waited for enough bytes, or long enough."""
        if not self.room or manner.never_waits:
            return True
        if manner.lines or not manner.vmin:
            enough = len(self.data) > 0
        else:
            enough = len(self.data) >= manner.vmin
        deadline = self.deadline(manner)
        return enough or (deadline is not None and now >= deadline)

    def deadline(self, manner: Manner) -> float | None:
        """Return when it is over though nothing more comes; None for never."""
        if manner.lines or not manner.vtime or (manner.vmin and not self.data):
            return None
        return self._moved + manner.vtime / 10
