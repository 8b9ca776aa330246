"""The end of a connection that we have closed: what the peer still says, and what it still gets.

Theory of operation
-------------------
::

    saying the rest --say_end--> waiting --FIN of the peer, all acknowledged--> over

A close while unread bytes lie in the kernel would send RST and destroy what is still on its way,
so the peer is read on until its FIN.  In each state ``limit`` ends it, too.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["ACK_POLL", "UNHEARD_MAX", "Ending"]

UNHEARD_MAX: Final = 256 * 1024
"""Bytes read of a peer that is sent away, in order to see its FIN: about what is on its way when it
is told.  One that goes on is read no more, lest it cost the others time, and cut off in the end."""

ACK_POLL: Final = 0.01
"""Seconds between two looks at what is still to be acknowledged: the kernel has no event for it."""


class Ending:
    """The end of one connection, at most ``limit`` seconds long.

    ``heard``: the peer has said its FIN already.  ``settled`` tells whether the peer has got all,
    or will get nothing more.  ``over`` is called when there is nothing more to wait for, and has
    to call ``stop``.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        limit: float,
        *,
        heard: bool,
        settled: Callable[[], bool],
        over: Callable[[], object],
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._heard = heard
        self._said = False
        self._unheard = 0
        self._settled = settled
        self._over = over
        self._limit = loop.call_later(limit, over)
        self._poll: asyncio.TimerHandle | None = None

    def say_end(self) -> None:
        """Send our FIN: the kernel has taken everything that was to be said."""
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._over()
        else:
            self._said = True
            self._look()

    def hear(self, data: bytes) -> bool:
        """Take what the peer still says, b"" for its FIN; tells whether to go on reading."""
        self._unheard += len(data)
        if not data:
            self._heard = True
            self._look()
        return bool(data) and self._unheard <= UNHEARD_MAX

    def stop(self) -> None:
        """Wait for nothing more."""
        self._limit.cancel()
        if self._poll is not None:
            self._poll.cancel()

    def _look(self) -> None:
        """See whether both sides have said all, and the peer has got it; look again if not."""
        self._poll = None
        if not (self._said and self._heard):
            return
        if self._settled():
            self._over()
        else:
            self._poll = self._loop.call_later(ACK_POLL, self._look)
