"""A pseudo terminal with everything at our end of it: both ways through it, and who opens it."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Protocol

from portline.errors import PortError
from portline.port.outlet import Line, Outlet
from portline.port.pty.inlet import Inlet, InletOwner
from portline.port.pty.inotify import OpenWatch
from portline.port.pty.master import Master, no_terminal
from portline.port.pty.strict import StrictInlet, StrictOutlet

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from portline.line import LineSettings
    from portline.port.outlet import Done

__all__ = ["Pair", "PairOwner"]


class PairOwner(InletOwner, Line, Protocol):
    """Who reads and writes through a pair."""

    name: str


class Pair:
    """One pseudo terminal; ``look`` is called when somebody has opened or closed it.

    ``settings``, ``mode`` and ``group`` are what :class:`portline.port.pty.master.Master` takes;
    ``strict`` holds both ways to the speed of the line.  Raises PortError, and leaves nothing.
    """

    def __init__(
        self,
        owner: PairOwner,
        settings: LineSettings,
        *,
        mode: int,
        group: str | None,
        strict: bool,
        look: Callable[[], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        try:
            self.master = master = Master(settings, mode=mode, group=group)
        except OSError as error:
            raise no_terminal(owner.name, error) from error
        try:
            self._watch = OpenWatch(master.terminal, look, loop)
        except OSError as error:
            master.close()
            hint = "; see sysctl fs.inotify.max_user_instances and max_user_watches"
            raise PortError(
                owner.name,
                f"inotify: {error.strerror}{hint if error.errno != errno.ENOENT else ''}",
            ) from error
        self.inlet: Inlet
        self.outlet: Outlet
        if strict:
            self.inlet = StrictInlet(owner, master.fd, loop, settings.character_time)
            self.outlet = StrictOutlet(owner, master.fd, loop, settings.character_time)
        else:
            self.inlet = Inlet(owner, master.fd, loop)
            self.outlet = Outlet(owner, master.fd, loop)

    def set_character_time(self, seconds: float) -> None:
        """Go on at another speed, where that matters."""
        for way in (self.inlet, self.outlet):
            if isinstance(way, StrictInlet | StrictOutlet):
                way.set_character_time(seconds)

    def close(self) -> list[Done]:
        """Hang up; return the ``done`` of each request that waited, in order."""
        self.inlet.close()
        waiting = self.outlet.close()
        self._watch.close()
        self.master.close()
        return waiting
