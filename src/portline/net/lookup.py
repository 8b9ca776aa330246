"""The addresses of a host name, without holding the loop and without piling up.

Theory of operation
-------------------
A name server that does not answer holds whoever asks it for many seconds, and nothing ends that
early.  The threads of the loop are few and shared, and a loop that closes waits for them; so each
look-up has a daemon thread of its own.  Who waits may give up at any time: the thread goes on, and
the next who wants the same name joins it instead of starting another.  So there is at most one
thread per name.

A literal address needs no name server and no thread.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress
from typing import Any, TypeAlias

__all__ = ["Addresses", "Lookups"]

Addresses: TypeAlias = list[tuple[Any, ...]]
"""What ``getaddrinfo`` returns, for stream sockets."""


class Lookups:
    """Look-ups for one user, at most one of each place at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._under_way: dict[tuple[str, int], asyncio.Future[Addresses]] = {}

    async def addresses(self, host: str, port: int) -> Addresses:
        """Return the addresses of a host.

        Raises OSError where it has none (``socket.gaierror``), and ValueError for what cannot be
        the name of a host.
        """
        with suppress(OSError):
            flags = socket.AI_NUMERICHOST
            return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
        place = (host, port)
        if place not in self._under_way:
            future = self._under_way[place] = self._loop.create_future()
            future.add_done_callback(_heard)
            threading.Thread(target=self._look_up, args=place, daemon=True).start()
        return await asyncio.shield(self._under_way[place])

    def _look_up(self, host: str, port: int) -> None:
        """Ask the name server; runs in a thread."""
        found: Addresses | Exception
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, ValueError) as error:
            found = error
        with suppress(RuntimeError):  # the loop is closed: nobody waits for it any more
            self._loop.call_soon_threadsafe(self._found, (host, port), found)

    def _found(self, place: tuple[str, int], found: Addresses | Exception) -> None:
        future = self._under_way.pop(place)
        if isinstance(found, Exception):
            future.set_exception(found)
        else:
            future.set_result(found)


def _heard(future: asyncio.Future[Addresses]) -> None:
    """Note that the end is known, also where nobody waits any more."""
    future.exception()
