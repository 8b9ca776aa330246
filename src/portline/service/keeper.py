"""Keeps a port open while it is wanted, however often the device goes away.

Theory of operation
-------------------
::

    closed --want--> trying --opened--> open --lost--> trying
                      |  ^                                |
                      +--+ RETRY, for ever                +-- the reason stays readable

"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from portline.errors import PortError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from portline.port.base import SerialPort

__all__ = ["RETRY", "PortKeeper"]

RETRY: Final = 1.0
"""Seconds between attempts to open a port: a device that was plugged in is there at once for a
human, and an attempt costs one system call."""


class PortKeeper:
    """The wish that a port be open.

    Calls ``changed()`` after each change of ``open`` or ``error``.
    An error is news only when its text differs from the last one.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, port: SerialPort, changed: Callable[[], None]
    ) -> None:
        self.port = port
        self.open = False
        """Whether the port is open now."""
        self.error: PortError | None = None
        """Why it is not open although it is wanted."""
        self._loop = loop
        self._changed = changed
        self._wanted = False
        self._timer: asyncio.TimerHandle | None = None

    def want(self, wanted: bool) -> None:
        """Open the port now and whenever that becomes possible, or close it."""
        if wanted == self._wanted:
            return
        self._wanted = wanted
        if wanted:
            self._try()
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.error = None
        self.open = False
        self.port.close()
        self._changed()

    def lost(self, error: PortError) -> None:
        """Note that the port has closed by itself."""
        self.open = False
        self.error = error
        if self._wanted and self._timer is None:
            self._timer = self._loop.call_later(RETRY, self._try)
        self._changed()

    def _try(self) -> None:
        self._timer = None
        before = (self.open, str(self.error))
        try:
            self.port.open()
        except PortError as error:
            self.error = error
            self._timer = self._loop.call_later(RETRY, self._try)
        else:
            self.error = None
            self.open = True
        if before != (self.open, str(self.error)):
            self._changed()
