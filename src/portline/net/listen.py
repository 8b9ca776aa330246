"""A listening TCP address that takes care of itself.

Theory of operation
-------------------
::

    closed --open--> trying --bound--> listening
                       ^  |               |
                       +--+  RETRY        +--out of descriptors--> resting --REST--> listening

An address that cannot be used - taken, not permitted, not of this machine - is a state with a
reason and a retry, never an exit.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from portline.errors import NetworkError
from portline.net.address import display, display_sockaddr
from portline.net.attempts import Attempts
from portline.net.faults import address_fault
from portline.net.lookup import Lookups
from portline.net.stream import StreamLink

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from portline.net.resolver import Addresses

__all__ = ["ACCEPTS_PER_TURN", "BACKLOG", "REST", "RETRY", "Listener"]

RETRY: Final = 2.0
"""Seconds between attempts to get an address: soon after its holder has gone, and cheap."""

NEWS: Final = 60.0
"""Seconds for which the same shortage of descriptors is not told again."""

REST: Final = 1.0
"""Seconds without accepting when the process has no descriptors left, as nginx and asyncio do."""

BACKLOG: Final = 128
"""Connections that the kernel completes ahead of us."""

ACCEPTS_PER_TURN: Final = 16
"""Connections accepted in one turn of the loop, so that a flood of them leaves turns for data."""


class Listener:
    """One address; calls ``accepted(link)`` for each connection and ``changed(self)`` on news.

    ``host`` "*" means every address of the machine, IPv4 and IPv6.  ``port`` 0 lets the kernel
    choose; ``address`` then shows which.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        host: str,
        port: int,
        *,
        accepted: Callable[[StreamLink], None],
        changed: Callable[[Listener], None] = lambda listener: None,
    ) -> None:
        self.host = host
        self.port = port
        self.error: NetworkError | None = None
        """Why it is not listening although it should be."""
        self._loop = loop
        self._accepted = accepted
        self._changed = changed
        self._sockets: list[socket.socket] = []
        self._fault: int | None = None
        self._lookups = Lookups(loop)
        self._attempts: Attempts[Addresses] = Attempts(loop, self._try, ended=self._looked_up)
        self._told_at: float | None = None

    @property
    def listening(self) -> bool:
        """Tell whether connections are accepted now."""
        return bool(self._sockets)

    @property
    def address(self) -> str:
        """The address, for people; with the real port once it listens."""
        if self._sockets and self.port == 0:
            return display(self.host, self._sockets[0].getsockname()[1])
        return display(self.host, self.port)

    def open(self) -> None:
        """Listen now, or as soon as that is possible; see ``error``."""
        self._attempts.open()

    def close(self) -> None:
        """Stop listening; connections that were accepted stay."""
        self._attempts.close()
        for sock in self._sockets:
            self._loop.remove_reader(sock.fileno())
            sock.close()
        self._sockets.clear()
        self.error = None

    def accept(self) -> None:
        """Accept who has connected already, without waiting for the loop to tell."""
        if self.error is None:
            for sock in tuple(self._sockets):
                self._acceptable(sock)

    def _try(self) -> None:
        """Listen on a literal address now, on a host name when it has been looked up."""
        if _is_literal(self.host):
            self._take(None)
        else:
            self._attempts.work(self._lookups.addresses(self.host, self.port))

    def _looked_up(self, task: asyncio.Task[Addresses]) -> None:
        error = task.exception()
        if isinstance(error, OSError | ValueError):
            self._failed(error)
        else:
            self._take(task.result())

    def _take(self, found: Addresses | None) -> None:
        """Listen on what was found, or try again later."""
        try:
            self._sockets = _bind(self.host, self.port, found)
        except OSError as error:
            self._failed(error)
        else:
            self._fault = self.error = None
            self._watch()
            self._changed(self)

    def _failed(self, error: OSError | ValueError) -> None:
        fault = getattr(error, "errno", None)
        news = fault != self._fault or self.error is None
        self._fault = fault
        self._attempts.call_at(self._loop.time() + RETRY)
        if news:  # looking for the holder takes some milliseconds: not at each attempt
            text = address_fault(error, self.port, "TCP")
            self.error = NetworkError(display(self.host, self.port), text)
            self._changed(self)

    def _watch(self) -> None:
        for sock in self._sockets:
            self._loop.add_reader(sock.fileno(), self._acceptable, sock)

    def _acceptable(self, sock: socket.socket) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            try:
                connected, address = sock.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    self._rest(error)
                    return
                continue  # the peer went away while it waited to be accepted (man 2 accept)
            self._accepted(StreamLink(self._loop, connected, display_sockaddr(address)))
            if not self._sockets:
                return

    def _rest(self, error: OSError) -> None:
        """Accept nothing for a while: the waiting connection would wake us again at once."""
        for sock in self._sockets:
            self._loop.remove_reader(sock.fileno())
        remedy = "; raise the limit (ulimit -n)" if error.errno == errno.EMFILE else ""
        text = f"{error.strerror}{remedy}; accepting again in {REST:g} s"
        self.error = NetworkError(self.address, text)
        now = self._loop.time()
        self._attempts.call_at(now + REST, self._rested)
        if self._told_at is None or now - self._told_at > NEWS:
            self._told_at = now
            self._changed(self)

    def _rested(self) -> None:
        self.error = None
        self._watch()


def _is_literal(host: str) -> bool:
    """Tell whether a host needs no name server."""
    with suppress(ValueError):
        ipaddress.ip_address(host)
        return True
    return host == "*"


def _resolve(host: str, port: int) -> Addresses:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)


def _bind(host: str, port: int, found: Addresses | None = None) -> list[socket.socket]:
    """Return listening sockets for every address that ``host`` means, or raise OSError.

    ``found`` is what a look-up of a host name gave; literal addresses need none.
    """
    if host == "*":
        if socket.has_dualstack_ipv6():
            return [_listen(socket.AF_INET6, ("::", port), dual=True)]
        host = "0.0.0.0"
    found = _resolve(host, port) if found is None else found
    sockets: list[socket.socket] = []
    try:
        for family, _, _, _, address in found:
            sockets.append(_listen(family, address))
            if port == 0:
                break  # another address would get another port
    except OSError:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def _listen(family: int, address: tuple[object, ...], *, dual: bool = False) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not dual)
        sock.bind(address)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock
