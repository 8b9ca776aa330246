"""Through a proxy to a server: SOCKS5 and HTTP CONNECT, spoken by the library python-socks.

The library is loaded when a proxy is used for the first time.  It does its I/O through five methods
of an event loop, and is given :class:`_Steps` for one, which mends two things:

* it reads an HTTP proxy's answer with whatever the kernel has, and drops what follows the answer -
  the server's first words, which an access server sends at once - or takes the rest of an answer
  that came in two segments for data.  Here it gets the answer's head, and not a byte more;
* it knows an address only as text, which leaves out the scope of a link-local one.
"""

from __future__ import annotations

from contextlib import suppress
from socket import MSG_PEEK
from typing import TYPE_CHECKING, Any, Final, cast

from portline.net.proxy import Proxy, ProxyKind

if TYPE_CHECKING:
    import asyncio
    import socket

__all__ = ["HEAD_LIMIT", "ProxyFault", "through"]

HEAD_LIMIT: Final = 16 * 1024
"""Bytes of an HTTP proxy's answer; Squid's own limit for heads is 64 KiB, and answers are short."""

_HEAD_END: Final = b"\r\n\r\n"

_WHOLE_ANSWER: Final = 65536
"""What the library asks for when it wants all of an HTTP answer."""

_SOCKS_DENIED: Final = 2
_SOCKS_UNREACHED: Final = (3, 4, 5, 6)
"""Replies of RFC 1928: network or host unreachable, connection refused, TTL expired."""

_HTTP_LOGIN: Final = 407
_HTTP_DENIED: Final = (401, 403, 405)
_HTTP_UNREACHED: Final = (502, 503, 504)


class ProxyFault(Exception):
    """The proxy was reached and did not let us through; ``str()`` is the fault and the remedy."""


async def through(
    loop: asyncio.AbstractEventLoop, proxy: Proxy, address: Any, host: str, port: int
) -> socket.socket:
    """Return a socket that is connected to ``host`` by the proxy that listens on ``address``.

    ``address`` is a socket address, ``host`` a name that the proxy looks up, or a literal address.
    Raises OSError where the proxy cannot be reached, :class:`ProxyFault` where it refuses.
    """
    from python_socks import ProxyConnectionError, ProxyError, ProxyType
    from python_socks.async_.asyncio import Proxy as Library

    kinds = {ProxyKind.SOCKS5: ProxyType.SOCKS5, ProxyKind.HTTP: ProxyType.HTTP}
    library = Library(
        proxy_type=kinds[proxy.kind],
        host=address[0].partition("%")[0],
        port=address[1],
        username=proxy.user or None,
        password=proxy.password or None,
        rdns=True,
        loop=cast("asyncio.AbstractEventLoop", _Steps(loop, address)),
    )
    try:
        return await library.connect(host, port, timeout=_NEVER)
    except ProxyConnectionError as error:
        raise (error.__cause__ if isinstance(error.__cause__, OSError) else error) from None
    except ProxyError as error:
        raise ProxyFault(_explain(proxy, error.error_code, str(error))) from None


_NEVER: Final = 24 * 3600.0
"""Seconds; the library needs a limit, and its callers have their own."""


class _Steps:
    """What the library uses of an event loop, for one connection to ``address``."""

    def __init__(self, loop: asyncio.AbstractEventLoop, address: Any) -> None:
        self._loop = loop
        self._address = address

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        await self._loop.sock_connect(sock, self._address)

    async def sock_sendall(self, sock: socket.socket, data: bytes) -> None:
        await self._loop.sock_sendall(sock, data)

    async def sock_recv(self, sock: socket.socket, size: int) -> bytes:
        if size < _WHOLE_ANSWER:
            return await self._loop.sock_recv(sock, size)
        head = bytearray()
        while not head.endswith(_HEAD_END) and len(head) < HEAD_LIMIT:
            byte = await self._loop.sock_recv(sock, 1)
            if not byte:
                break
            head += byte
            _read_on(sock, head)
        return bytes(head)


def _read_on(sock: socket.socket, head: bytearray) -> None:
    """Add to a head what the kernel has of it, and leave what follows it there."""
    with suppress(BlockingIOError):
        whole = head + sock.recv(HEAD_LIMIT, MSG_PEEK)
        end = whole.find(_HEAD_END)
        head += sock.recv((len(whole) if end < 0 else end + len(_HEAD_END)) - len(head))


def _explain(proxy: Proxy, code: int | None, text: str) -> str:
    """Say what is wrong with a way through a proxy and what to do about it."""
    socks = proxy.kind is ProxyKind.SOCKS5
    if (socks and code is None and "authentication" in text.lower()) or code == _HTTP_LOGIN:
        if proxy.user:
            return "it refuses the login; check the user and the password"
        return f"it wants a login; write it as {proxy.kind.value}://USER:PASSWORD@{proxy.address}"
    if code is None:
        return f"it does not answer as {_NAMES[proxy.kind]} proxies do; check its kind and port"
    if (code == _SOCKS_DENIED) if socks else (code in _HTTP_DENIED):
        return f"it does not allow this connection ({text}); ask who runs it"
    if code in (_SOCKS_UNREACHED if socks else _HTTP_UNREACHED):
        return f"it cannot reach the server ({text}); check the address and that the server runs"
    return f"it refuses ({text}); ask who runs it"


_NAMES: Final = {ProxyKind.SOCKS5: "SOCKS5", ProxyKind.HTTP: "HTTP"}
