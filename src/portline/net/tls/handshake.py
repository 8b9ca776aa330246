"""The beginning of an encrypted connection: one handshake, with a limit in time and in bytes.

Theory of operation
-------------------
A handshake costs a server half a millisecond of CPU, and it is done in the loop that carries the
data.  So steps of those that wait are taken one in a turn of the loop (:class:`Turns`): a flood of
them makes data wait for one step, never for all.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from portline.net.faults import seconds
from portline.net.tls.link import TlsLink
from portline.net.tls.mistrust import Failure, TlsFault

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from portline.net.stream import StreamLink
    from portline.net.tls.channel import Channel

__all__ = ["HANDSHAKE_BYTES", "Handshake", "Turns"]

HANDSHAKE_BYTES: Final = 64 * 1024
"""Bytes that a peer may send before its handshake is over: a dozen certificates of 4 KiB, and what
it says right after the handshake."""

_READ: Final = 8 * 1024
"""Bytes read in one turn during a handshake; most are below 2 KiB."""

_ALERT_LIMIT: Final = 1.0
"""Seconds that a peer has to take the reason why its handshake has failed."""


class Turns:
    """Lets calls wait for their turn: one in each turn of the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[Callable[[], None]] = deque()

    def wait(self, call: Callable[[], None]) -> None:
        """Have ``call`` called in a turn of its own."""
        self._waiting.append(call)
        if len(self._waiting) == 1:
            self._loop.call_soon(self._next)

    def _next(self) -> None:
        call = self._waiting[0]
        try:
            call()
        finally:
            self._waiting.popleft()
            if self._waiting:
                self._loop.call_soon(self._next)


class Handshake:
    """One handshake over ``stream``, which belongs to it until it is over.

    Then either ``done(link)`` is called or ``failed(self, fault)``, unless ``stop`` came before.
    ``limit`` is in seconds.  ``certificate`` is our own (DER); ``noted`` is the link's.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        stream: StreamLink,
        channel: Channel,
        *,
        certificate: bytes = b"",
        limit: float,
        turns: Turns,
        done: Callable[[TlsLink], object],
        failed: Callable[[Handshake, TlsFault], object],
        noted: Callable[[TlsFault], object] = lambda fault: None,
    ) -> None:
        self.name = stream.name
        """The peer's address, for people."""
        self._stream = stream
        self._channel = channel
        self._link = TlsLink(loop, stream, channel, certificate=certificate, noted=noted)
        self._limit = limit
        self._timer = loop.call_later(limit, self._late)
        self._turns = turns
        self._done: Callable[[TlsLink], object] | None = done
        self._failed: Callable[[Handshake, TlsFault], object] | None = failed
        self._unheard: list[bytes] = []
        self._ended = False
        self._over = False
        stream.read_size = _READ

    def begin(self) -> None:
        """Say the first words, and hear the peer."""
        self._channel.begin()
        self._say()
        self._stream.start(self)

    def stop(self, fault: TlsFault | None = None) -> None:
        """End it now, as failed where there is a ``fault``."""
        if not self._over:
            self._stream.abort()
            self._end(fault)

    def _late(self) -> None:
        said = seconds(self._limit)
        self.stop(TlsFault.of(Failure.TIMEOUT, server=self._channel.server, said=said))

    def _end(self, fault: TlsFault | None) -> None:
        """Be over, and tell that it has failed where there is a fault."""
        done, failed = self._done, self._failed
        # Who was called may hold this object: a flood of them would wait for the collector.
        self._done = self._failed = None
        self._over = True
        self._timer.cancel()
        self._unheard.clear()
        if fault is not None and failed is not None:
            failed(self, fault)
        elif self._channel.established and done is not None:
            done(self._link)

    def _say(self) -> None:
        self._link.say(self._channel.outgoing())

    # --- called by the stream -------------------------------------------------------------------

    def link_data(self, data: bytes) -> None:
        """Take bytes of the peer, which wait for their turn."""
        self._unheard.append(data)
        self._stream.pause()
        self._turns.wait(self._step)

    def link_eof(self) -> None:
        """Note that the peer went away."""
        self._ended = True
        if not self._unheard:
            self._step()

    def link_ready(self) -> None:
        """Do nothing: the words of a handshake wait for answers, not for room."""

    def link_lost(self, reason: str) -> None:
        """Note that the connection is lost."""
        if not self._over:
            fault = TlsFault.of(Failure.LEFT, server=self._channel.server)
            self._end(TlsFault(fault.failure, f"{fault.text} ({reason})"))

    def _step(self) -> None:
        if self._over:
            return
        channel = self._channel
        heard = b"".join(self._unheard)
        self._unheard.clear()
        if heard:
            self._link.hear(heard)
        if channel.established and channel.fault is None:
            self._link.settle(ended=self._ended)
            self._end(None)
            return
        if channel.fault is None and self._stream.received > HANDSHAKE_BYTES:
            said = f"a handshake of more than {HANDSHAKE_BYTES} bytes"
            channel.fault = TlsFault.of(Failure.BROKEN, server=channel.server, said=said)
        if channel.fault is None and self._ended:
            channel.feed_end()
        if channel.fault is not None:
            self._stream.finish(limit=_ALERT_LIMIT)
            self._end(channel.fault)
            return
        self._stream.resume()
