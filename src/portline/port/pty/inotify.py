"""Being told that a file is opened or closed: Linux' inotify, one instance per event loop.

Theory of operation
-------------------
A user may have 128 instances (``fs.inotify.max_user_instances``) and many more watches, so all
virtual ports of a loop share one instance, which exists while there is a watch.  Python has no
binding; three functions of the C library are called by ctypes.

Equal events that follow each other merge, so an event says "look", never "one more".  When the
kernel's queue overflows, everybody is told to look.
"""

from __future__ import annotations

import ctypes
import os
import struct
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["OpenWatch"]

IN_CLOSE_WRITE: Final = 0x08
IN_CLOSE_NOWRITE: Final = 0x10
IN_OPEN: Final = 0x20
IN_Q_OVERFLOW: Final = 0x4000

EVENT: Final = struct.Struct("=iIII")
"""``struct inotify_event`` without the name, which is empty for a watched file."""

READ_SIZE: Final = 256 * EVENT.size
"""Bytes read at once: the loop comes back for more."""


class OpenWatch:
    """A watch on one file: ``look`` is called from the loop after it was opened or closed.

    Raises OSError when the file is not there or the system's limits are reached.
    """

    def __init__(
        self, path: str, look: Callable[[], None], loop: asyncio.AbstractEventLoop
    ) -> None:
        instance = _INSTANCES.get(loop)
        if instance is None:
            instance = _INSTANCES[loop] = _Instance(loop)
        self._instance = instance
        try:
            self._number = instance.add(path, look)
        except BaseException:
            instance.close_if_idle()
            raise

    def close(self) -> None:
        """Watch no longer; no call follows."""
        self._instance.remove(self._number)


class _Instance:
    """One inotify descriptor in the reader set of its loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._looks: dict[int, Callable[[], None]] = {}
        self._fd = _checked(_LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        loop.add_reader(self._fd, self._readable)

    def add(self, path: str, look: Callable[[], None]) -> int:
        mask = IN_OPEN | IN_CLOSE_WRITE | IN_CLOSE_NOWRITE
        number = _checked(_LIBC.inotify_add_watch(self._fd, os.fsencode(path), mask))
        self._looks[number] = look
        return number

    def remove(self, number: int) -> None:
        if self._looks.pop(number, None) is not None:
            # Fails when the file went away, and the watch with it.
            _LIBC.inotify_rm_watch(self._fd, number)
            self.close_if_idle()

    def close_if_idle(self) -> None:
        if not self._looks and self._fd >= 0:
            del _INSTANCES[self._loop]
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _readable(self) -> None:
        try:
            raw = os.read(self._fd, READ_SIZE)
        except BlockingIOError:
            return
        numbers: set[int] = set()
        offset = 0
        while offset < len(raw):
            number, mask, _, name_size = EVENT.unpack_from(raw, offset)
            offset += EVENT.size + name_size
            numbers |= set(self._looks) if mask & IN_Q_OVERFLOW else {number}
        for number in numbers:
            look = self._looks.get(number)
            if look is not None:
                look()


_INSTANCES: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, _Instance]] = WeakKeyDictionary()

_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> int:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result
