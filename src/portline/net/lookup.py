"""The addresses of a host name, without holding the loop and without piling up.

Theory of operation
-------------------
Names are looked up in the threads of :mod:`portline.net.resolver`.  Who waits may give up at any
time: the look-up goes on, and what it finds when nobody waits is kept for a while (KEPT), for the
one who asks again.  So also who has less patience than a queue of look-ups lasts gets an answer.

A literal address needs no name server and no thread.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from portline.net.resolver import RESOLVER, SLOW

if TYPE_CHECKING:
    from portline.net.resolver import Addresses, Place, Resolver

__all__ = ["KEPT", "Lookups"]

KEPT: Final = 30.0
"""Seconds for which what was found too late is good: no longer than a name server's shortest."""


class Lookups:
    """Look-ups for one user."""

    def __init__(self, loop: asyncio.AbstractEventLoop, resolver: Resolver = RESOLVER) -> None:
        self._loop = loop
        self._resolver = resolver
        self._under_way: dict[Place, asyncio.Future[Addresses]] = {}
        self._waiting: dict[Place, int] = {}
        self._kept: dict[Place, tuple[asyncio.Future[Addresses], float]] = {}

    async def addresses(self, host: str, port: int) -> Addresses:
        """Return the addresses of a host.

        Raises OSError where it has none (``socket.gaierror``), and ValueError for what cannot be
        the name of a host.
        """
        with suppress(OSError):
            flags = socket.AI_NUMERICHOST
            return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
        place = (host, port)
        future, until = self._kept.pop(place, (None, 0.0))
        if future is None or until < self._loop.time():
            future = self._ask(place)
        self._waiting[place] = self._waiting.get(place, 0) + 1
        try:
            while not future.done():
                await asyncio.wait((future,), timeout=SLOW)
                self._resolver.advance()
        finally:
            self._waiting[place] -= 1
            if not self._waiting[place]:
                del self._waiting[place]
        return future.result()

    def _ask(self, place: Place) -> asyncio.Future[Addresses]:
        if place not in self._under_way:
            future = self._under_way[place] = self._loop.create_future()
            future.add_done_callback(_heard)
            self._resolver.ask(place, partial(self._tell, place))
        return self._under_way[place]

    def _tell(self, place: Place, found: Addresses | Exception) -> None:
        """Pass on what was found; runs in a thread."""
        with suppress(RuntimeError):  # the loop is closed: nobody waits for it any more
            self._loop.call_soon_threadsafe(self._found, place, found)

    def _found(self, place: Place, found: Addresses | Exception) -> None:
        future = self._under_way.pop(place)
        if isinstance(found, Exception):
            future.set_exception(found)
        else:
            future.set_result(found)
        if place not in self._waiting:
            self._kept[place] = (future, self._loop.time() + KEPT)


def _heard(future: asyncio.Future[Addresses]) -> None:
    """Note that the end is known, also where nobody waits any more."""
    future.exception()
