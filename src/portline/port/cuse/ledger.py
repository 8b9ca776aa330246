"""Sees to it that every request of the kernel is answered, once.

Theory of operation
-------------------
A program whose request is read and not answered hangs, and not even SIGKILL ends it.  So each
request is entered here before anything is done about it:

=========  ==============================================  ======================================
state      means                                           leaves it by
=========  ==============================================  ======================================
begun      it is being looked at                           ``answer``; ``hold``; ``settle``, which
                                                           answers EIO: something went wrong
held       it waits for something, and its ``give_up``     ``answer``; ``interrupt`` and
           knows what to say when it waits no more         ``close`` answer what that says
answered   it is forgotten; answering again does nothing
=========  ==============================================  ======================================

Not more than ``limit`` requests are held; one more fails with ENOMEM at once.  Pure.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final, TypeAlias

from portline.port.cuse.wire import failure

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["HELD_MAX", "GiveUp", "Ledger"]

HELD_MAX: Final = 256
"""Requests that wait at the same time: one for each thread that waits for a port."""

GiveUp: TypeAlias = "Callable[[int], bytes]"
"""Returns the answer to a request that is to wait no longer, given an error number to fail with
where nothing has been done yet.  It forgets the request."""


class Ledger:
    """The requests of one device that are not answered; ``send`` takes the answers."""

    def __init__(self, send: Callable[[bytes], None], limit: int = HELD_MAX) -> None:
        self.refused = 0
        """Requests that were one too many."""
        self._send = send
        self._limit = limit
        self._begun: set[int] = set()
        self._held: dict[int, GiveUp] = {}

    @property
    def held(self) -> int:
        """How many requests are held."""
        return len(self._held)

    def begin(self, unique: int) -> None:
        """Enter a request."""
        self._begun.add(unique)

    def hold(self, unique: int, give_up: GiveUp) -> bool:
        """Let a request wait; False, and it is answered, when too many do."""
        if unique not in self._begun:
            return False
        if len(self._held) >= self._limit:
            self.refused += 1
            self.answer(unique, failure(unique, errno.ENOMEM))
            return False
        self._begun.discard(unique)
        self._held[unique] = give_up
        return True

    def answer(self, unique: int, message: bytes) -> bool:
        """Send the answer to a request, if it has none yet; return whether it had none."""
        if unique in self._begun:
            self._begun.discard(unique)
        elif self._held.pop(unique, None) is None:
            return False
        self._send(message)
        return True

    def settle(self, unique: int) -> bool:
        """Answer EIO to a request that is neither answered nor held; False if it was."""
        return unique not in self._begun or not self.answer(unique, failure(unique, errno.EIO))

    def interrupt(self, unique: int) -> None:
        """Let a held request wait no longer: a signal has come."""
        self._end(unique, errno.EINTR)

    def close(self, error: int) -> None:
        """Answer everything."""
        for unique in tuple(self._begun):
            self.answer(unique, failure(unique, error))
        for unique in tuple(self._held):
            self._end(unique, error)

    def _end(self, unique: int, error: int) -> None:
        give_up = self._held.get(unique)
        if give_up is not None:
            message = failure(unique, errno.EIO)
            try:
                message = give_up(error)
            finally:
                self.answer(unique, message)
