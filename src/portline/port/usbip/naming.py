"""The terminal that the kernel makes of an adapter, and the name that it gets.

The kernel numbers terminals (/dev/ttyUSB0) and takes some tenths of a second to make one.  The name
is a link, or lies over a device (:mod:`portline.port.names.place`,
:mod:`portline.port.names.overlap`).
"""

from __future__ import annotations

import grp
import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from portline.port.names.overlap import Overlap
from portline.port.names.place import Place, marked
from portline.port.pty.master import TERMINALS

if TYPE_CHECKING:
    from portline.errors import PortError
    from portline.port.usbip.handover import Handover, Saved
    from portline.port.usbip.vhci import Controller

__all__ = ["Naming", "abandon", "take_away"]


class Naming:
    """The name of one port; the arguments are those of :class:`portline.port.pty.port.PtyPort`."""

    def __init__(
        self,
        name: str,
        controller: Controller,
        *,
        directory: str | os.PathLike[str] | None,
        overlap: bool,
        mode: int,
        group: str | None,
    ) -> None:
        self.path: str | None = None
        """Where applications find the port; None while they do not."""
        self.node: str | None = None
        """The terminal as the kernel calls it."""
        self._controller = controller
        self._overlaps = overlap
        self._mode = mode
        self._group = group
        self._place = Overlap(name, TERMINALS) if overlap else Place(name, TERMINALS, directory)
        self._wanted = ""

    def begin(self, taken_over: str | None = None) -> None:
        """Look at what is under the name now.  Raises PortError, as it might for the terminal.

        ``taken_over`` is a terminal that may have it already, from a process before this one.
        """
        self._wanted = self._place.path()
        self.node = taken_over
        if taken_over is None or self._place.fault(self._wanted, self._spelled(taken_over)):
            self._place.check(self._wanted)

    def find(self, slot: int) -> bool:
        """Give the terminal its name if the kernel has made it.  Raises PortError."""
        node = self._controller.node(slot)
        if node is None:
            return False
        if self.node != node:
            self._give_away(node)
        if self._place.fault(self._wanted, self._spelled(node)):
            self._place.put(self._wanted, self._spelled(node))
        self.node, self.path = node, self._wanted
        TERMINALS[self._spelled(node)] = self.path
        return True

    def fault(self) -> PortError | None:
        """Tell why applications do not find the port, though it is there."""
        if self.path is None or self.node is None:
            return None
        return self._place.fault(self.path, self._spelled(self.node))

    def forget(self, *, leave: bool = False) -> None:
        """Take the name away, or ``leave`` it for another process; never raises."""
        path, node = self.path, self.node
        self.path = self.node = None
        if path is not None and node is not None:
            TERMINALS.pop(self._spelled(node), None)
            if not leave:
                self._place.remove(path, self._spelled(node))

    def _spelled(self, node: str) -> str:
        """Return the terminal as the name leads to it."""
        return node if self._overlaps else marked(node)

    def _give_away(self, node: str) -> None:
        """Let the group use the terminal, where udev does not."""
        with suppress(KeyError, OSError):
            if self._group is not None:
                os.chown(node, -1, grp.getgrnam(self._group).gr_gid)
                os.chmod(node, self._mode)


def abandon(handover: Handover) -> None:
    """Unplug an adapter that no port goes on with, and take its name away; never raises."""
    take_away(handover.saved)
    with suppress(OSError):
        handover.socket.shutdown(socket.SHUT_RDWR)
    handover.close()


def take_away(saved: Saved) -> None:
    """Take away the name of a port that another process has left; never raises."""
    if saved.path is not None and saved.node is not None:
        Place(saved.path, TERMINALS, None).remove(saved.path, marked(saved.node))
        Overlap(saved.name, TERMINALS).remove(saved.path, saved.node)
