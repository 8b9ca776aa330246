"""The way from a real line: what a device sends, read from its tty.

Theory of operation
-------------------
========  ==================================  ===================================================
state     the descriptor                      leaves it by
========  ==================================  ===================================================
reading   in the loop's reader set            ``switch(False)``, ``stop()``, loss
paused    in no set, looked at every          ``switch(True)``, ``stop()``, loss
          PAUSED_POLL seconds
========  ==================================  ===================================================

A tty gives at most 4095 bytes a read.  A read that is that full is followed by another one until
one is not; a message that fits into one read is passed on without any further system call.

A hung-up tty reads as b"" for ever, which is the usual sign of an unplugged adapter; one whose VMIN
somebody set to 0 reads as b"" while nothing is wrong.  The attributes tell the two apart.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from portline.port.base import READ_LIMIT
from portline.port.tty.termios2 import read_attributes

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from portline.port.base import PortOwner
    from portline.port.outlet import Outlet
    from portline.port.tty.device import Tty
    from portline.port.tty.direction import Direction
    from portline.port.tty.watch import Watch

__all__ = ["PAUSED_POLL", "Reader"]

READ_SIZE: Final = 4096
"""Bytes asked for in one read: n_tty's whole buffer (N_TTY_BUF_SIZE)."""

BOTH_WAYS_LIMIT: Final = 8 * 1024
"""Bytes gathered while something waits to be written: a tty takes only some KiB at a time, so
reading 64 KiB between two writes would leave the other direction a tenth of the rate."""

FULL_READ: Final = 4095
"""A read of so many bytes may have left some in the kernel."""

PAUSED_POLL: Final = 1.0
"""Seconds between two looks whether a device that is not being read is still there."""


class Reader:
    """The reading of one open tty, from the thread of ``loop``.

    What is read goes to ``owner``, without what ``direction`` knows for an echo; ``lose`` is called
    with the reason when the device is gone, and is expected to call :meth:`stop`.
    """

    def __init__(
        self,
        tty: Tty,
        *,
        watch: Watch,
        outlet: Outlet,
        direction: Direction | None = None,
        owner: PortOwner,
        lose: Callable[[str], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._tty = tty
        self._fd = tty.fd
        self._watch = watch
        self._outlet = outlet
        self._direction = direction
        self._owner = owner
        self._lose = lose
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False

    def switch(self, on: bool) -> None:
        """Read (True), or leave what comes in the kernel (False).

        Raises OSError when the loop cannot watch any more descriptors.
        """
        if on:
            self._stop_looking()
            self._loop.add_reader(self._fd, self._readable)
        else:
            self._loop.remove_reader(self._fd)
            self._look_later()

    def stop(self) -> None:
        """Stop for good; no call follows."""
        self._stopped = True
        self._loop.remove_reader(self._fd)
        self._stop_looking()

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, READ_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(f"the device is gone: {error.strerror}")
            return
        if len(data) >= FULL_READ:
            data = self._gather(data)
        elif not data:
            self._nothing_read()
            return
        if self._direction is not None and not (data := self._direction.heard(data)):
            return
        if self._watch.marks is None:
            self._owner.port_data(data)
        else:
            self._pass_marked(data)

    def _gather(self, first: bytes) -> bytes:
        chunks = [first]
        total = len(first)
        limit = BOTH_WAYS_LIMIT if self._outlet.queued else READ_LIMIT
        while total <= limit - READ_SIZE:
            try:
                chunk = os.read(self._fd, READ_SIZE)
            except OSError:
                break  # empty, or gone: the next callback sees which
            chunks.append(chunk)
            total += len(chunk)
            if len(chunk) < FULL_READ:
                break
        return b"".join(chunks)

    def _pass_marked(self, data: bytes) -> None:
        for event in self._watch.decode(data):
            if self._stopped:
                return  # closed by the owner
            if isinstance(event, bytes):
                self._owner.port_data(event)
            else:
                self._owner.port_report(event)

    def _nothing_read(self) -> None:
        """Tell a hang-up from a VMIN of 0 that another program left, and mend the latter."""
        if not self._tty.mend():
            self._lose("the device hung up; was it unplugged?")

    def _look_later(self) -> None:
        self._timer = self._loop.call_later(PAUSED_POLL, self._look)

    def _look(self) -> None:
        """Notice that a device went away while nobody reads it."""
        try:
            read_attributes(self._fd)
        except OSError as error:
            self._lose(f"the device is gone: {error.strerror}")
        else:
            self._look_later()

    def _stop_looking(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
