"""Keeps a port open while it is wanted, however often the device goes away.

Theory of operation
-------------------
::

    closed --want--> trying --opened--> open --lost--> trying
                      |  ^                                |
                      +--+ RETRY, for ever                +-- the reason stays readable

While it is tried to open a real port, a new device ends the wait at once.  A device that refuses
its settings is asked less often, since each attempt moves DTR and RTS, by which boards reset.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from portline.errors import PortError, SettingRefused
from portline.port.inventory.hotplug import Hotplug

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from portline.port.base import SerialPort

__all__ = ["RETRY", "RETRY_REFUSED", "PortKeeper"]

RETRY: Final = 1.0
"""Seconds between attempts to open a port: a device that was plugged in is there at once for a
human, and an attempt costs one system call."""

RETRY_REFUSED: Final = 30.0
"""Seconds between attempts at a device that refuses its settings: it does so until other ones are
asked for (``hurry``), or another device has its name, and both end the wait."""


class PortKeeper:
    """The wish that a port be open.

    Calls ``changed()`` after each change of ``open`` or ``error``.
    An error is news only when its text differs from the last one.  ``plugs`` tells that the port
    is a device, which may be plugged in.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        port: SerialPort,
        changed: Callable[[], None],
        *,
        plugs: bool = False,
    ) -> None:
        self.port = port
        self.open = False
        """Whether the port is open now."""
        self.error: PortError | None = None
        """Why it is not open although it is wanted."""
        self._loop = loop
        self._changed = changed
        self._wanted = False
        self._plugs = plugs
        self._hotplug: Hotplug | None = None
        self._timer: asyncio.TimerHandle | None = None

    def want(self, wanted: bool) -> None:
        """Open the port now and whenever that becomes possible, or close it."""
        if wanted == self._wanted:
            return
        self._wanted = wanted
        if wanted:
            self._try()
            return
        self._wait_no_more()
        self.error = None
        self.open = False
        self.port.close()
        self._changed()

    def hurry(self) -> None:
        """Try now what is waited for: something has changed."""
        if self._timer is not None:
            self._timer.cancel()
            self._try()

    def lost(self, error: PortError) -> None:
        """Note that the port has closed by itself."""
        self.open = False
        self.error = error
        if self._wanted and self._timer is None:
            self._wait()
        self._changed()

    def _wait(self) -> None:
        seconds = RETRY_REFUSED if isinstance(self.error, SettingRefused) else RETRY
        self._timer = self._loop.call_later(seconds, self._try)
        if self._plugs and self._hotplug is None:
            self._hotplug = Hotplug(self.hurry, self._loop)

    def _wait_no_more(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._hotplug is not None:
            self._hotplug.close()
            self._hotplug = None

    def _try(self) -> None:
        self._timer = None
        before = (self.open, str(self.error))
        try:
            self.port.open()
        except PortError as error:
            self.error = error
            self._wait()
        else:
            self._wait_no_more()
            self.error = None
            self.open = True
        if before != (self.open, str(self.error)):
            self._changed()
