"""What a server has sent and nobody has read yet, within bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from portline.net.link import Link

__all__ = ["ASKING_LIMIT", "RECEIVE_LIMIT", "Inbox"]

RECEIVE_LIMIT: Final = 256 * 1024
"""Bytes that may lie unread before the server is held back."""

ASKING_LIMIT: Final = 32 * 1024 * 1024
"""Bytes that may lie unread while an answer is waited for: more than the queues on the way hold,
and what the fastest line brings in the seconds that an answer may take."""


class Inbox:
    """The ``data`` that has come by a link, to which whoever hears the link adds.

    ``hold_back`` is to be called after that, and stops the link beyond RECEIVE_LIMIT, or beyond
    ASKING_LIMIT while an answer is waited for, because that comes behind the data.
    """

    def __init__(self, link: Link) -> None:
        self.data = bytearray()
        self._link = link
        self._asking = 0
        self._paused = False
        self._ended = False

    def take(self, size: int) -> bytes:
        """Remove and return at most ``size`` bytes; have the server go on where there is room."""
        data = bytes(self.data[:size])
        del self.data[:size]
        if self._paused and len(self.data) < RECEIVE_LIMIT:
            self._paused = False
            self._link.resume()
        return data

    def clear(self) -> None:
        """Forget what has come."""
        self.take(len(self.data))

    def begin_asking(self) -> None:
        """Go on reading, because an answer is waited for."""
        self._asking += 1
        self._link.resume()
        self.hold_back()

    def end_asking(self) -> None:
        """Wait for that answer no longer; others may be waited for."""
        self._asking -= 1
        self.hold_back()

    def end(self) -> None:
        """Hold nobody back from now on: nothing more comes, and a link that ends has to be read."""
        self._ended = True

    def hold_back(self) -> None:
        """Hold the server back if too much lies here."""
        limit = ASKING_LIMIT if self._asking else RECEIVE_LIMIT
        if not self._ended and len(self.data) >= limit:
            self._paused = True
            self._link.pause()
