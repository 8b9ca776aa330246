"""The name of a device of ours: its own one in /dev, or one that leads to it.

==========================================  ====================================================
the name                                    done
==========================================  ====================================================
plc, /dev/plc, /dev/serial/plc              the device itself is called so; what is there already
                                            is left alone: PortBusy
/tmp/plc                                    a link to /dev/portline/tty0, as with a pseudo
                                            terminal (:mod:`portline.port.names.place`)
/dev/ttyS1 with ``overlap``                 /dev/portline/tty0 lies over the device
                                            (:mod:`portline.port.names.overlap`)
==========================================  ====================================================

A device goes with its process, so no name of the first kind is ever left over.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from portline.errors import PortBusy, PortError
from portline.port.cuse.channel import Channel
from portline.port.names.overlap import Overlap
from portline.port.names.place import Place
from portline.port.pty.master import TERMINALS

if TYPE_CHECKING:
    from portline.port.cuse.channel import Kernel

__all__ = ["NAME_MAX", "UNNAMED", "DeviceName"]

NAME_MAX: Final = 120
"""Characters of a device's name; the kernel takes more, but not all that list devices do."""

UNNAMED: Final = "portline/tty"
"""Beginning of the names, below /dev, of devices that another name leads to."""

UNNAMED_MAX: Final = 1000
"""Such devices at the same time, of all processes."""


class DeviceName(Place):
    """The path of one virtual port, with the methods of Place; ``channel`` is its device."""

    def __init__(
        self,
        name: str,
        kernel: Kernel,
        *,
        directory: str | os.PathLike[str] | None = None,
        overlap: bool = False,
        mode: int,
        group: str | None,
    ) -> None:
        super().__init__(name, TERMINALS, directory)
        self.channel: Channel | None = None
        self._kernel = kernel
        self._mode = mode
        self._group = group
        self._leading = Overlap(name, TERMINALS) if overlap else Place(name, TERMINALS, directory)
        self._overlap = overlap
        self._native = False

    def path(self) -> str:
        """Return where applications find the port.  Raises PortError for an impossible name."""
        dev, name = f"{self._kernel.dev}/", self._name
        if self._overlap or self._directory is not None:
            self._native = False
            return self._leading.path()
        path = self._leading.path() if "/" in name else os.path.normpath(dev + name)
        self._native = path.startswith(dev)
        # The kernel makes a slash of each "!".
        if self._native and (not name.isprintable() or "!" in name or len(path) > NAME_MAX):
            raise PortError(
                repr(name), "is not a name for a device; take one like plc, or /dev/serial/plc"
            )
        if "/" not in name and not self._native:
            raise PortError(repr(name), "is not a name for a device; take one like plc")
        return path

    def put(self, path: str, terminal: str) -> None:
        """Make the device, and what leads to it.  Raises PortError."""
        if self._native:
            self._make_room(path)
            relative = os.path.relpath(path, self._kernel.dev)
            self.channel = self._make(relative)
            return
        self.channel = self._make_unnamed()
        try:
            self._leading.put(path, str(self.channel.node))
        except BaseException:
            self._remove_device()
            raise
        TERMINALS[str(self.channel.node)] = path

    def remove(self, path: str, terminal: str) -> None:
        """Remove what leads to the device, and the device; never raises."""
        if self.channel is not None:
            node = str(self.channel.node)
            TERMINALS.pop(node, None)
            if not self._native:
                self._leading.remove(path, node)
        self._remove_device()

    def fault(self, path: str, terminal: str) -> PortError | None:
        """Return what is wrong with the name by now; ``terminal`` lies behind the device."""
        if self.channel is None:
            return None
        if not self._native:
            return self._leading.fault(path, str(self.channel.node))
        if os.path.lexists(path):
            return None
        return PortError(
            self._name,
            f"{path} is not there any more, somebody has removed it; start Portline again, which "
            "makes it anew",
        )

    def _remove_device(self) -> None:
        channel, self.channel = self.channel, None
        if channel is not None:
            channel.close()

    def _make(self, relative: str) -> Channel:
        return Channel(self._name, relative, self._kernel, mode=self._mode, group=self._group)

    def _make_unnamed(self) -> Channel:
        for number in range(UNNAMED_MAX):
            relative = f"{UNNAMED}{number}"
            if not os.path.lexists(self._kernel.dev / relative):
                # Another process may be quicker.
                with suppress(PortBusy):
                    return self._make(relative)
        raise PortError(self._name, f"there are {UNNAMED_MAX} devices in /dev/portline already")

    def _make_room(self, path: str) -> None:
        """Raise PortBusy when something is there; the old link of another kind of port is not."""
        if os.path.lexists(path) and self._is_leftover(path, ""):
            try:
                os.unlink(path)
            except OSError as error:
                raise self._denied(path, error) from error
