"""One attempt to connect to one place, directly or through a proxy.

Theory of operation
-------------------
A name may have several addresses.  They are tried in the order in which the system gives them, and
each gets an equal share of the time that is left, so that a dead one leaves time for the next.

Whoever dials a port that nobody listens on, on this machine, may be given the very same port for
its own end; TCP then connects the socket to itself, and all that is sent comes back.  Such a
connection is as good as refused.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import TYPE_CHECKING, Any

from portline.errors import NetworkError
from portline.net.address import display, display_sockaddr
from portline.net.faults import name_fault, seconds
from portline.net.through import ProxyFault, through

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from portline.net.lookup import Lookups
    from portline.net.proxy import Proxy
    from portline.net.resolver import Addresses

__all__ = ["reach"]


async def reach(
    loop: asyncio.AbstractEventLoop,
    lookups: Lookups,
    host: str,
    port: int,
    *,
    proxy: Proxy | None,
    limit: float,
) -> tuple[socket.socket, str]:
    """Return a connected socket, not blocking, and the peer's name for people.

    ``limit`` is in seconds and for everything together: looking up a name, all its addresses, and
    what a proxy wants to hear.  Raises NetworkError, with fault and remedy.
    """
    address = display(host, port)
    end = loop.time() + limit
    way = "" if proxy is None else f"through the proxy {proxy}: "
    found: Addresses | None = None
    try:
        async with asyncio.timeout(limit):
            if proxy is None:
                found = await lookups.addresses(host, port)
                sock = await _any(loop, found, end, lambda at: _connect(loop, *at))
            else:
                found = await lookups.addresses(proxy.host, proxy.port)
                sock = await _any(
                    loop, found, end, lambda at: through(loop, proxy, at[1], host, port)
                )
        return sock, _name(sock) if proxy is None else address
    except TimeoutError:
        if found is None:
            text = f"its name was not found within {seconds(limit)} s, no name server answers"
            fault = f"{way}{text}; check the DNS, or give an IP address"
        else:
            way = "" if proxy is None else f"through the proxy {proxy} "
            text = (
                f"no answer {way}within {seconds(limit)} s; check the address, and that no firewall"
            )
            fault = f"{text} drops it"
        raise NetworkError(address, fault) from None
    except ProxyFault as error:
        raise NetworkError(address, f"{way}{error}") from None
    except (OSError, ValueError) as error:
        raise NetworkError(address, f"{way}{_explain(error)}") from None


async def _any(
    loop: asyncio.AbstractEventLoop,
    found: Addresses,
    end: float,
    connect: Callable[[tuple[int, Any]], Awaitable[socket.socket]],
) -> socket.socket:
    """Try each address until ``end``; raise what went wrong with the last."""
    fault: OSError = ConnectionRefusedError(errno.ECONNREFUSED, "no address")
    for position, (family, _, _, _, address) in enumerate(found):
        share = max(0.0, end - loop.time()) / (len(found) - position)
        try:
            async with asyncio.timeout(share):
                return await connect((family, address))
        except OSError as error:  # TimeoutError too
            fault = error
    raise fault


async def _connect(loop: asyncio.AbstractEventLoop, family: int, address: Any) -> socket.socket:
    sock = _socket(family)
    try:
        await loop.sock_connect(sock, address)
        if sock.getsockname() == sock.getpeername():
            raise ConnectionRefusedError(errno.ECONNREFUSED, "connected to itself")  # noqa: TRY301
    except BaseException:
        sock.close()
        raise
    return sock


def _socket(family: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setblocking(False)
    return sock


def _name(sock: socket.socket) -> str:
    """Return the address of the other end, or close the socket if it is gone already."""
    try:
        return display_sockaddr(sock.getpeername())
    except OSError:
        sock.close()
        raise


def _explain(error: OSError | ValueError) -> str:
    """Say what is wrong with a server and what to do about it."""
    if (text := name_fault(error)) is not None:
        return text
    said = getattr(error, "strerror", None) or str(error)
    match error:
        case ConnectionRefusedError():
            return "connection refused, nothing listens there; start the server or check the port"
        case ConnectionResetError():
            return "connection reset while connecting; check that the server is well"
        case _:
            pass
    match getattr(error, "errno", None):
        case errno.ENETUNREACH | errno.EHOSTUNREACH | errno.ENETDOWN | errno.EHOSTDOWN:
            return f"unreachable ({said}); check the address and the network"
        case errno.EACCES | errno.EPERM:
            return f"not permitted ({said}); check the firewall of this machine"
        case errno.EMFILE | errno.ENFILE:
            return f"{said}; raise the limit (ulimit -n)"
        case _:
            return said
