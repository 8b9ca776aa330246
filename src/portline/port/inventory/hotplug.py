"""News that a serial port has come, from the kernel and from udev.

Theory of operation
-------------------
The kernel tells of every device by a broadcast on a netlink socket (``NETLINK_KOBJECT_UEVENT``,
lib/kobject_uevent.c), and udev tells of it once more when it has set permissions and made its
links (libudev's "monitor").  A message is taken as a hint only: something that is a tty has come,
so who waits for a port should look again.  That is why a library that reads the messages (pyudev:
60 ms and 5 MB at start, and libudev) would be of no use here, and why nobody has to be trusted.

A plug is a burst of messages, one for each interface; who looks between two of them finds half of a
double adapter.  So the look comes when there was silence: :data:`SETTLE` seconds after udev's
message, or the kernel's where there is no udev; :data:`UDEV_TIME` seconds after the kernel's where
udev is still at work.  Where there is no silence it comes :data:`NOISE_LIMIT` after the first one.

A container with a network of its own may hear nothing.  Nothing tells that it does not, and so
everybody who waits goes on looking from time to time; this only makes it quick.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["LOOKS", "NOISE_LIMIT", "SETTLE", "UDEV_TIME", "Hotplug", "announces_tty"]

NETLINK_KOBJECT_UEVENT: Final = 15
GROUPS: Final = 1 | 2
"""The kernel's own messages and those of udev (linux/netlink.h, libudev's device monitor)."""

UDEV_CONTROL: Final = Path("/run/udev/control")
"""Exists while udevd runs."""

UDEV_PREFIX: Final = b"libudev\0"

MESSAGE_SIZE: Final = 8 * 1024
"""Bytes of a message that are looked at: the kernel makes none above 2 KiB, udev few above 4."""

MESSAGES: Final = 256
"""Messages read in one turn of the loop; a hub full of adapters makes about a hundred."""

SETTLE: Final = 0.05
"""Seconds of silence before a look: the interfaces of one adapter come within a few ms."""

NOISE_LIMIT: Final = 1.0
"""Seconds after which a look comes without silence: an adapter with a loose contact comes and goes
many times a second, and nobody who waits for another one may wait for its end."""

UDEV_TIME: Final = 0.5
"""Seconds that udev has for its rules; its own message mostly comes earlier, and then counts."""

LOOKS: Final = 20
"""Looks in one turn of the loop: each may read all of sysfs' ttys, some ms."""


class Hotplug:
    """Calls ``plugged`` from the loop after ports have come, until it is closed."""

    def __init__(self, plugged: Callable[[], None], loop: asyncio.AbstractEventLoop) -> None:
        self.plugged = plugged
        found = _EARS.get(loop)
        if found is None:
            found = _EARS[loop] = _Ear(loop)
        self._ear = found
        found.add(self)

    def close(self) -> None:
        """Stop; no call follows."""
        self._ear.remove(self)


def announces_tty(message: bytes) -> bool:
    """Return whether a message tells that a tty has come, or that udev has changed one.

    Both kinds of message end with ``KEY=value`` texts, each with a NUL behind it.
    """
    texts = message.split(b"\0")
    return b"SUBSYSTEM=tty" in texts and not {b"ACTION=remove", b"ACTION=unbind"} & set(texts)


class _Ear:
    """The socket of one loop; it is open while somebody waits."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._all: dict[Hotplug, None] = {}  # in the order of their coming
        self._due: list[Hotplug] = []
        self._latest: float | None = None  # when the next look comes, whatever is heard meanwhile
        self._timer: asyncio.TimerHandle | None = None
        self._socket = self._opened()

    def add(self, hotplug: Hotplug) -> None:
        self._all[hotplug] = None

    def remove(self, hotplug: Hotplug) -> None:
        self._all.pop(hotplug, None)
        if self._all:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._socket is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None
        _EARS.pop(self._loop, None)

    def _opened(self) -> socket.socket | None:
        """Return the socket; None where there is no netlink, or no descriptor left."""
        with suppress(OSError):
            kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
            made = socket.socket(socket.AF_NETLINK, kind, NETLINK_KOBJECT_UEVENT)
            try:
                made.bind((0, GROUPS))
                self._loop.add_reader(made.fileno(), self._hear, made)
            except OSError:
                made.close()
                raise
            return made
        return None

    def _hear(self, made: socket.socket) -> None:
        quiet = None
        for _ in range(MESSAGES):
            try:
                message = made.recv(MESSAGE_SIZE)
            except BlockingIOError:
                break
            except OSError:
                quiet = SETTLE  # some were lost (ENOBUFS), so it may have been among them
                break
            if announces_tty(message):
                finished = message.startswith(UDEV_PREFIX) or not UDEV_CONTROL.exists()
                quiet = SETTLE if finished else UDEV_TIME
        if quiet is not None:
            self._look_in(quiet)

    def _look_in(self, seconds: float) -> None:
        now = self._loop.time()
        if self._latest is None:
            self._latest = now + NOISE_LIMIT
        if self._due:
            return  # those who are next look first; then it begins anew
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(min(seconds, self._latest - now), self._begin)

    def _begin(self) -> None:
        self._latest = None
        self._due = list(self._all)
        self._look()

    def _look(self) -> None:
        self._timer = None
        batch, self._due = self._due[:LOOKS], self._due[LOOKS:]
        for hotplug in batch:
            if hotplug in self._all:
                hotplug.plugged()
        if not self._all:
            self._due = []
        elif self._due:
            self._timer = self._loop.call_later(0, self._look)
        elif self._latest is not None:
            self._look_in(SETTLE)  # what was heard while they looked


_EARS: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, _Ear]] = WeakKeyDictionary()
