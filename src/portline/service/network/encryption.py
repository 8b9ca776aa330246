"""How the peers of a server are encrypted: what is read for that, and who is through with it.

Theory of operation
-------------------
Certificates are read in a thread, at the beginning and whenever somebody asks for it::

    reading --read--> ready --renew--> ready, reading
       |                                  |
       +--cannot be read--> RETRY         +--cannot be read--> ready with those of before, RETRY

Until they have been read once nothing is listened on.  Who is connected keeps what it has begun
with; newcomers begin with the new.  With other options newcomers wait until their files have been
read, and go away where they cannot be: the old options would let in whom nobody wants any more.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from portline.errors import PortlineError
from portline.net.tls.certificate import fingerprint
from portline.net.tls.handshakes import HANDSHAKES, Handshakes
from portline.service.process.aside import aside
from portline.service.process.log import NOTICE
from portline.service.status import SecurityStatus

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping

    from portline.net.link import Link
    from portline.net.stream import StreamLink
    from portline.net.tls.contexts import ServerContext, ServerSecurity
    from portline.net.tls.mistrust import Failure, TlsFault

__all__ = ["NEWS", "RETRY", "SESSIONS_MAX", "Encryption"]

SESSIONS_MAX: Final = 1000
"""Sessions of TLS 1.2 that OpenSSL keeps, to be resumed, which nobody here does; it would keep
20 000 of them, and Python has no way to say so.  A new context begins without any."""

RETRY: Final = 5.0
"""Seconds between attempts to read files that cannot be read."""

NEWS: Final = 60.0
"""Seconds for which the same failure of handshakes is no warning again: anybody may cause any
number of them."""


class Encryption:
    """The encryption of one server; without ``security`` everybody is let through as they are.

    ``through(link, protocol)`` is called for each peer that may knock; ``ready()`` when files have
    been read, or could not be.
    """

    def __init__(
        self,
        security: ServerSecurity | None,
        *,
        loop: asyncio.AbstractEventLoop,
        log: logging.LoggerAdapter[logging.Logger],
        through: Callable[[Link, str], object],
        ready: Callable[[], object],
    ) -> None:
        self.security = security
        self.error = ""
        """Why the files cannot be used, with the remedy; empty mostly."""
        self._loop = loop
        self._log = log
        self._through = through
        self._ready = ready
        self._context: ServerContext | None = None
        self._reading: asyncio.Future[ServerContext] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._was_ready = self.ready
        self._waiting: list[tuple[StreamLink, str]] = []  # for the files to be read
        self._handshakes = Handshakes(loop, done=through, failed=self._failed)
        self._told: dict[Failure, float] = {}
        self._warned = ""

    @property
    def ready(self) -> bool:
        """Tell whether peers can be let in."""
        return self.security is None or self._context is not None

    @property
    def admits(self) -> bool:
        """Tell whether newcomers may come: those of a moment wait here."""
        return self.ready or (self._was_ready and self.reading)

    @property
    def reading(self) -> bool:
        """Tell whether files are being read."""
        return self._reading is not None

    @property
    def status(self) -> SecurityStatus | None:
        """What is in force; None without encryption."""
        if self.security is None:
            return None
        own = b"" if self._context is None else self._context.certificate
        return SecurityStatus(
            minimum=self.security.minimum,
            certificate=fingerprint(own),
            handshakes=len(self._handshakes),
        )

    @property
    def counts(self) -> Mapping[str, int]:
        """Handshakes that have failed, by the reason."""
        return self._handshakes.counts

    def open(self) -> None:
        """Read the files, unless that has been done."""
        if not self.ready and self._reading is None:
            self.renew()

    def renew(self) -> None:
        """Read the files again; ``ready`` is called when that is done."""
        self._forget()
        if self.security is not None:
            self._reading = aside(self.security.load)
            self._reading.add_done_callback(self._read)

    def adopt(self, security: ServerSecurity | None) -> None:
        """Go on with other options, once they are opened; who is connected stays."""
        if security != self.security:
            self._forget()
            self._send_away()
            self._was_ready = self._was_ready or self.ready
            self.security, self.error = security, ""
            self._context = None
            self._handshakes.close()

    def close(self) -> None:
        """End what is under way."""
        self._forget()
        self._send_away()
        self._handshakes.close()

    def welcome(self, stream: StreamLink, protocol: str) -> None:
        """Let one who has connected through, or begin the handshake."""
        if self.security is None:
            self._through(stream, protocol)
        elif self._context is None:
            if self.reading and len(self._waiting) < HANDSHAKES:
                self._waiting.append((stream, protocol))
            else:
                stream.abort()
        else:
            self._handshakes.begin(stream, protocol, self._context)
            if self._context.sessions > SESSIONS_MAX and self._reading is None:
                self.renew()

    def _forget(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _send_away(self) -> None:
        waiting, self._waiting = self._waiting, []
        for stream, _ in waiting:
            stream.abort()

    def _read(self, future: asyncio.Future[ServerContext]) -> None:
        if future is not self._reading or future.cancelled():
            return
        self._reading = None
        before = None if self._context is None else self._context.certificate
        try:
            self._context = future.result()
        except PortlineError as error:
            self._complain(str(error))
        else:
            shown = fingerprint(self._context.certificate)
            level = NOTICE if self.error else logging.INFO
            self.error = ""
            if self._context.certificate != before:
                self._log.log(level, "TLS with the certificate %s", shown)
            if self._context.warning not in ("", self._warned):
                self._warned = self._context.warning
                self._log.warning("%s", self._warned)
            waiting, self._waiting = self._waiting, []
            for stream, protocol in waiting:
                self.welcome(stream, protocol)
        self._ready()

    def _complain(self, fault: str) -> None:
        self._was_ready = self.ready
        self._send_away()
        goes_on = "" if self._context is None else "; goes on with what was read before"
        text = f"{fault}{goes_on}"
        if text != self.error:
            self.error = text
            self._log.warning("%s; trying again", text)
        self._timer = self._loop.call_later(RETRY, self.renew)

    def _failed(self, peer: str, fault: TlsFault) -> None:
        now = self._loop.time()
        news = now - self._told.get(fault.failure, -NEWS) >= NEWS
        if news:
            self._told[fault.failure] = now
        write = self._log.warning if news else self._log.info
        write("no TLS peer=%s: %s", peer, fault)
