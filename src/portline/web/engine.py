"""HTTP and WebSockets for an application, by uvicorn's protocols in the loop that carries the data.

Theory of operation
-------------------
Only the protocols of uvicorn are used.  Its server would take the signals of the process, wake ten
times a second, end the process where an address is taken, and bound nothing before a request is
complete; so connections are accepted elsewhere and handed over here.  A connection::

    accepted --TLS handshake, within HANDSHAKE_LIMIT--> asking --header--> answering --+
                                                          ^                  |        |
                                                          +---- answered ----+        +--> WebSocket

While it is *asking*, HEADER_LIMIT seconds are all that it has, however slowly it speaks: for the
first request from the beginning, for each further one from its first byte.  A body has BODY_LIMIT.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections import Counter
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from portline.auth.throttle import origin
from portline.net.address import display_sockaddr, host_of

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping

    from starlette.types import ASGIApp
    from websockets.frames import Frame

__all__ = [
    "BODY_LIMIT",
    "CONNECTIONS_MAX",
    "CONNECTIONS_OF_ONE",
    "HANDSHAKE_LIMIT",
    "HEADER_LIMIT",
    "HEADER_MAX",
    "IDLE_LIMIT",
    "MESSAGE_MAX",
    "UNREAD_LIMIT",
    "Engine",
]

CONNECTIONS_MAX: Final = 256
"""Connections at the same time: a browser opens up to six for a page, and each WebSocket is one."""

CONNECTIONS_OF_ONE: Final = 128
"""Connections from one address, so that nobody takes the places of all others; many people may sit
behind one proxy."""

HANDSHAKE_LIMIT: Final = 10.0
"""Seconds for a TLS handshake."""

HEADER_LIMIT: Final = 10.0
"""Seconds for the header of a request."""

BODY_LIMIT: Final = 10.0
"""Seconds for the body of a request, whose size is bounded, too."""

IDLE_LIMIT: Final = 30.0
"""Seconds that a connection may stay without a request."""

HEADER_MAX: Final = 16 * 1024
"""Bytes of the header of a request."""

SIP: Final = 1024
"""Bytes that are parsed in one turn of the loop: 170 chunks of one byte, two milliseconds."""

MESSAGE_MAX: Final = 64 * 1024
"""Bytes of a message of a WebSocket; pages send keys that were typed and some words."""

FRAGMENTS_MAX: Final = 1024
"""Fragments of a message of a WebSocket; browsers send one."""

PING: Final = 20.0
"""Seconds between two pings of a WebSocket, and until one that is not answered ends it."""

BACKLOG: Final = 64 * 1024
"""Bytes that wait in a connection before who writes has to wait, too."""

UNREAD_LIMIT: Final = 30.0
"""Seconds for which the other end may take nothing of what is sent; else whoever reads no answer
would keep his place for ever.  A phone that changes its network is back sooner."""

_TEXT: Final = b"This page is encrypted: write https:// before its address.\n"

_NOT_ENCRYPTED: Final = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"X-Content-Type-Options: nosniff\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(_TEXT), _TEXT)
)
"""What a browser is answered that speaks without TLS where there is TLS, for a person to read."""

_log: Final = logging.getLogger("portline.web")


class _Valve:
    """A transport that reads on only when what was read before has been taken, in sips.

    It reads 256 KiB at a time, and chunks of a body and fragments of a message may be of a byte, or
    of none, each of which costs a parser some microseconds: taken in one go, a stranger could hold
    the data up for tenths of a second.
    """

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._rest = b""
        self._stopped = False

    def __getattr__(self, name: str) -> Any:
        """Return what the transport itself has."""
        return getattr(self._transport, name)

    def pause_reading(self) -> None:
        """Read no more for now, because of who reads."""
        self._stopped = True
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on, when everything has been taken."""
        self._stopped = False
        if not self._rest:
            self._transport.resume_reading()

    def sip(self, data: bytes, take: Callable[[bytes], None]) -> None:
        """Have ``take`` called with SIP bytes now, and with as many in each further turn."""
        if self._rest:  # it was read before the transport could stop
            self._rest += data
            return
        self._rest = data[SIP:]
        if self._rest:
            self._transport.pause_reading()
            self._loop.call_soon(self._go_on, take)
        take(data[:SIP])

    def _go_on(self, take: Callable[[bytes], None]) -> None:
        if self._transport.is_closing():
            self._rest = b""
            return
        data, self._rest = self._rest[:SIP], self._rest[SIP:]
        reader = self._transport.get_protocol()
        take(data)
        if self._transport.get_protocol() is not reader:  # nobody speaks on before he is answered
            self._rest = b""
        if self._rest:
            self._loop.call_soon(self._go_on, take)
        elif not self._stopped and not self._transport.is_closing():
            self._transport.resume_reading()


class _Protocol(H11Protocol):
    """One connection, with a limit for everything that the other end may take its time for."""

    engine: Engine
    _patience: asyncio.TimerHandle | None = None
    _counted: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the first request."""
        connected = cast("asyncio.Transport", transport)
        connected.set_write_buffer_limits(high=BACKLOG)
        self.engine.pending.pop(self, None)
        self._valve = _Valve(connected, self.loop)
        super().connection_made(cast("asyncio.Transport", self._valve))
        self._wait(HEADER_LIMIT, "slow_headers")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._heard()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take a part of a request, in sips."""
        if self._patience is None:
            self._wait(HEADER_LIMIT, "slow_headers")
        self._valve.sip(data, super().data_received)

    def handle_events(self) -> None:
        """See how far the request has come."""
        before = self.cycle
        super().handle_events()
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            self._heard()
        elif self.cycle is not None and not self.cycle.response_complete:
            if not self.cycle.more_body:
                self._heard()
            elif before is not self.cycle:
                self._wait(BODY_LIMIT, "slow_bodies")

    def on_response_complete(self) -> None:
        """Wait for the next request; what has come of it already is being heard."""
        self._heard()
        if self.conn.trailing_data[0]:
            self._wait(HEADER_LIMIT, "slow_headers")
        super().on_response_complete()

    def _wait(self, limit: float, what: str) -> None:
        self._heard()
        self._patience = self.loop.call_later(limit, self._late, what)

    def _heard(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _late(self, what: str) -> None:
        self._patience = None
        self.engine.counts[what] += 1
        self.transport.abort()


class _Socket(WebSocketsSansIOProtocol):
    """One WebSocket, which whoever does not read makes neither large nor everlasting."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over from who has heard the request."""
        if isinstance(transport, _Valve):
            transport = transport._transport
        self._valve = _Valve(transport, self.loop)
        super().connection_made(cast("asyncio.Transport", self._valve))

    def data_received(self, data: bytes) -> None:
        """Take what has come, in sips."""
        self._valve.sip(data, super().data_received)

    def handle_cont(self, event: Frame) -> None:
        """Take a fragment, but not for ever: none of them has to hold anything."""
        super().handle_cont(event)
        if len(self.frames) > FRAGMENTS_MAX:
            self.transport.abort()

    def handle_ping(self) -> None:
        """Answer it, but keep no answers for who does not read them: no browser does that."""
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.transport.abort()

    def keepalive_timeout(self) -> None:
        """End it at once: who answers no ping would not read what waits for him, either."""
        super().keepalive_timeout()
        self.transport.abort()


class Engine:
    """Serves an ASGI application on connections that are handed over, in the running loop."""

    def __init__(self, application: ASGIApp, loop: asyncio.AbstractEventLoop) -> None:
        self.counts: Counter[str] = Counter(
            {"crowded": 0, "handshakes_failed": 0, "slow_headers": 0, "slow_bodies": 0}
        )
        self._loop = loop
        self._config = Config(
            application,
            interface="asgi3",
            http=H11Protocol,
            ws=_Socket,
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=int(IDLE_LIMIT),
            h11_max_incomplete_event_size=HEADER_MAX,
            ws_max_size=MESSAGE_MAX,
            ws_ping_interval=PING,
            ws_ping_timeout=PING,
            ws_per_message_deflate=False,  # compressed secrets beside what others choose leak
        )
        # What a peer says wrong is not news; what is wrong here is logged by the application.
        for name in ("uvicorn.error", "uvicorn.access"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        self._config.load()
        self._state = ServerState()
        self.pending: dict[asyncio.Protocol, str] = {}
        """Connections in their handshake, with the address that counts as one place."""
        self._handshakes: dict[asyncio.Task[None], socket.socket] = {}

    def __len__(self) -> int:
        return len(self._state.connections) + len(self.pending)

    def welcome(self, sock: socket.socket, context: ssl.SSLContext | None) -> None:
        """Serve a connection that was accepted; the socket belongs to the engine now."""
        try:
            place = origin(host_of(display_sockaddr(sock.getpeername())))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(UNREAD_LIMIT * 1000))
        except OSError:  # it has gone already
            sock.close()
            return
        if len(self) >= CONNECTIONS_MAX or self._from(place) >= CONNECTIONS_OF_ONE:
            self.counts["crowded"] += 1
            sock.close()
            return
        protocol = _Protocol(self._config, self._state, {}, self._loop)
        protocol.engine = self
        self.pending[protocol] = place
        task = self._loop.create_task(self._begin(sock, context, protocol))
        self._handshakes[task] = sock
        task.add_done_callback(partial(self._begun, protocol))

    def close(self) -> None:
        """End everything; who has a WebSocket open is told that we go."""
        for task in tuple(self._handshakes):
            task.cancel()
        for connection in tuple(self._state.connections):
            with suppress(Exception):  # one of them is no reason to leave the others
                connection.shutdown()
                connection.transport.close()
        for task in tuple(self._state.tasks):
            task.cancel()

    def _from(self, place: str) -> int:
        connected = sum(
            origin(client[0]) == place
            for connection in self._state.connections
            if (client := getattr(connection, "client", None)) is not None
        )
        return connected + sum(each == place for each in self.pending.values())

    async def _begin(
        self, sock: socket.socket, context: ssl.SSLContext | None, protocol: _Protocol
    ) -> None:
        limits: Mapping[str, Any] = (
            {}
            if context is None
            else {"ssl_handshake_timeout": HANDSHAKE_LIMIT, "ssl_shutdown_timeout": 1.0}
        )
        with sock.dup() as spare:  # the loop closes its own where a handshake fails
            try:
                await self._loop.connect_accepted_socket(
                    lambda: protocol, sock, ssl=context, **limits
                )
            except (OSError, ssl.SSLError, TimeoutError) as error:
                self.counts["handshakes_failed"] += 1
                sock.close()
                if getattr(error, "reason", "") == "HTTP_REQUEST":
                    with suppress(OSError):
                        spare.send(_NOT_ENCRYPTED)

    def _begun(self, protocol: _Protocol, task: asyncio.Task[None]) -> None:
        self.pending.pop(protocol, None)
        sock = self._handshakes.pop(task)
        if task.cancelled():
            sock.close()
        elif (error := task.exception()) is not None:
            _log.error("a connection of the page failed", exc_info=error)
