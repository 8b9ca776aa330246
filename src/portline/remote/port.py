"""A remote serial port as an asyncio object.

Theory of operation
-------------------
The link calls back, the program awaits.  In between stands one bell: everything that a program can
wait for - data, an answer, room, an event, the end - is a condition that is looked at again each
time something has happened.

What has come and is not read lies in the :mod:`inbox <portline.remote.inbox>`, which holds the
server back when it is full.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from portline.errors import (
    LoginError,
    NetworkError,
    PeerError,
    PortlineError,
    SettingRefused,
    UsageError,
)
from portline.line import (
    Item,
    LineSettings,
    Purge,
    Query,
    SendBreak,
    SetBreak,
    SetModem,
)
from portline.net.link import FINISH_LIMIT
from portline.plural import plural
from portline.remote.bell import Bell
from portline.remote.cable import Cable
from portline.remote.events import Events
from portline.remote.inbox import Inbox
from portline.remote.knowledge import Knowledge
from portline.remote.place import wanted
from portline.wire.login.lines import LINE_MAX, is_greeting

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from portline.line import Request
    from portline.net.link import Link
    from portline.net.tls.channel import Security
    from portline.remote.cable import Asked, News
    from portline.wire.rfc2217 import Rfc2217Wire

__all__ = ["AGREEMENT", "RemotePort"]

AGREEMENT: Final = 3.0
"""Seconds that a server has to agree to RFC 2217; as in pyserial."""

GRACE: Final = 0.25
"""Seconds that an answer may come after one that was asked for later."""

MODEM_MASK: Final = 0xFF
LINE_MASK: Final = 0x1E
"""What the server is asked to notify: every change of a line; break, framing, parity, overrun."""

NO_PASSWORD: Final = (
    "the server asks for a password, and none was given; name it (password=, password_file= or the "
    "environment variable PORTLINE_PASSWORD)"
)

FAREWELL: Final = 200
"""Bytes of a server's last words that are shown."""

_log = logging.getLogger("portline.remote")


class RemotePort(Knowledge):
    """A serial port of another machine; made by :func:`portline.open`.

    ``strict``: a setting that the server does not confirm is an error, not a warning in the log
    (logger ``portline.remote``).  All methods belong to the thread of the event loop.

    Once it is closed, whatever needs the server raises UsageError; after the connection has ended,
    NetworkError.  So do settings, lines, breaks and purges of a raw port: UsageError.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        link: Link,
        name: str,
        wire: Rfc2217Wire | None,
        *,
        strict: bool = False,
    ) -> None:
        super().__init__(name, None if wire is None else Cable(wire))
        self.happened: Callable[[], object] = lambda: None
        """Called each time something has happened; what it raises, the loop's handler is told."""
        self._loop = loop
        self._link = link
        self._strict = strict
        self._inbox = Inbox(link)
        self._received = self._inbox.data
        self._held: list[bytes] = []
        self._error: PortlineError | None = None
        self._ended = False
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._bell = Bell(loop)
        self._events: list[Events] = []

    # --- what is known --------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """Bytes that have come and are not read."""
        return len(self._received)

    @property
    def unsent(self) -> int:
        """Bytes that were written and that the kernel has not taken."""
        return self._link.unsent + sum(map(len, self._held))

    @property
    def security(self) -> Security | None:
        """What protects the connection; None where everybody on the way can read along."""
        return self._link.security

    @property
    def ended(self) -> bool:
        """Tell whether the connection has ended; what has come before can still be read."""
        return self._ended

    @property
    def error(self) -> PortlineError | None:
        """Why it has ended; None while it has not, and after an orderly end."""
        return self._error

    # --- data -----------------------------------------------------------------------------------

    async def read(self, size: int = 65536) -> bytes:
        """Return from 1 to ``size`` bytes as soon as there are any.

        b"" when the server has ended the connection in order, or the port is closed; NetworkError
        when the connection was lost.
        """
        await self._bell.until(lambda: self._received or self._ended)
        return self.take(size)

    async def read_exactly(self, size: int) -> bytes:
        """Return ``size`` bytes; NetworkError where the connection ends before."""
        got = bytearray()
        while len(got) < size:
            data = await self.read(size - len(got))
            if not data:
                wanted = plural(size, "byte")
                raise NetworkError(
                    self.name, f"the connection ended after {len(got)} of {wanted}; open again"
                )
            got += data
        return bytes(got)

    def take(self, size: int) -> bytes:
        """Return at most ``size`` bytes of those that have come; b"" if there are none."""
        if not self._received and self._error is not None and not self._closed:
            raise self._error
        return self._inbox.take(size)

    def write(self, data: bytes) -> None:
        """Send data; never waits, so await :meth:`drain` before much more is written."""
        self._check()
        if data:
            self._held.append(bytes(data))
            self._send()

    async def drain(self) -> None:
        """Wait until the kernel has taken all that was written."""
        await self._bell.until(lambda: not self.unsent or self._ended)
        self._check()

    def _send(self) -> None:
        if self._cable is None or not self._cable.suspended:
            for data in self._held:
                self._link.write(data if self._cable is None else self._cable.wire.encode(data))
            self._held.clear()

    # --- settings and lines ---------------------------------------------------------------------

    async def set(self, **settings: Any) -> LineSettings:
        """Change settings (as :func:`portline.open` takes them); return those in force.

        Waits for the answers of the server, for 3 s at most.  A value that it does not confirm is a
        warning in the log; with ``strict`` it is a SettingRefused.
        """
        await self.ask(wanted(**settings))
        return self.settings

    async def set_lines(self, *, dtr: bool | None = None, rts: bool | None = None) -> None:
        """Drive DTR and RTS; a line that is None stays as it is."""
        await self.ask(SetModem(dtr=dtr, rts=rts))

    async def set_break(self, on: bool) -> None:
        """Begin or end a break."""
        await self.ask(SetBreak(on))

    async def send_break(self) -> None:
        """Have the server send a break of the usual length."""
        await self.ask(SendBreak())

    async def purge(self, *, received: bool = False, unsent: bool = False) -> None:
        """Throw away what the remote port has received, or not sent yet; here, what lies unread."""
        await self.ask(Purge(received=received, unsent=unsent))
        if received:
            self._inbox.clear()

    def events(self) -> Events:
        """Return an iterator over what happens from now on: line changes and faults."""
        made = Events(self._bell)
        self._events.append(made)
        if self._ended:
            made.end()
        return made

    async def ask(self, *requests: Request) -> None:
        """Send requests, all at once, and wait for the answers.

        A question that every server answers comes last: what is still open shortly after its answer
        will not be answered (ser2net is silent about lines that a port does not have).
        SettingRefused with ``strict``, for the first value that was not confirmed.
        """
        known = self._known
        self._check()
        said, pending = b"", []
        for request in (*requests, Query(Item.BAUDRATE)):
            words, asked = known.ask(request, self._loop.time())
            said += words
            pending.append(asked)
        self._link.write(said)
        self._watch()
        self._inbox.begin_asking()
        last = pending.pop()

        def settled() -> bool:
            return self._ended or all(asked.done for asked in pending)

        try:
            await self._bell.until(lambda: settled() or last.done)
            with suppress(TimeoutError):
                async with asyncio.timeout(GRACE):
                    await self._bell.until(settled)
        finally:
            self._inbox.end_asking()
        self._check()
        for asked in pending:
            self._judge(asked)

    def _judge(self, asked: Asked) -> None:
        for item, value, in_force in asked.differences():
            shown = "was not confirmed" if in_force is None else f"is now {_word(in_force)}"
            text = f"{item.value} {shown}, asked for {_word(value)}; check what the port can do"
            if self._strict:
                raise SettingRefused(self.name, item.value, value, text)
            _log.warning("%s: %s", self.name, text)

    # --- beginning and ending -------------------------------------------------------------------

    async def begin(self, *requests: Request) -> None:
        """Begin to talk; with RFC 2217, agree on it and send the first requests.

        PeerError where the server does not speak it.
        """
        self._link.start(self)
        if self._link.early:
            early, self._link.early = self._link.early, b""
            self.link_data(early)
        if self._cable is None:
            return
        wire, now = self._cable.wire, self._loop.time()
        self._link.write(wire.start(now))
        with suppress(TimeoutError):
            async with asyncio.timeout(AGREEMENT):
                await self._bell.until(lambda: wire.asking or self._ended)
        if not wire.asking:
            if isinstance(self._error, LoginError):
                raise self._error
            if not self._ended:
                fault = f"does not speak RFC 2217 (no agreement within {AGREEMENT:g} s)"
                raise PeerError(self.name, f"{fault}; open it as raw:// if it only passes data")
            last = " ".join(self._received[:FAREWELL].decode("utf-8", "replace").split())
            words = f"saying: {last}" if last.isprintable() and last else "look into its log"
            raise PeerError(self.name, f"the server closed the connection; {words}")
        self._link.write(wire.set_masks(MODEM_MASK, LINE_MASK, now))
        await self.ask(*requests)

    async def close(self, limit: float = FINISH_LIMIT) -> None:
        """Send what was written, and close, within ``limit`` seconds; may be called twice."""
        self._closed = True
        self._end(None)
        self._send()
        self._link.finish(limit=limit)
        self._link.when_closed(self._ring)
        await self._bell.until(lambda: self._link.closed)

    def abort(self) -> None:
        """Close at once."""
        self._closed = True
        self._end(None)
        self._link.abort()

    async def __aenter__(self) -> RemotePort:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def _check(self) -> None:
        """Raise what keeps this port from being used."""
        if self._closed:
            raise UsageError(f"{self.name}: the port is closed; open it again")
        if self._error is not None:
            raise self._error
        if self._ended:
            raise NetworkError(self.name, "the server closed the connection; open it again")

    def _end(self, error: PortlineError | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._error = self._error or error
        self._ended = True
        self._inbox.end()
        for reader in self._events:
            reader.end()
        self._ring()

    # --- waiting --------------------------------------------------------------------------------

    def _ring(self) -> None:
        self._bell.ring()
        try:
            self.happened()
        except Exception as error:  # of whoever is called: the port works on, and closes
            fault = f"{self.name}: the callback 'happened' failed"
            self._loop.call_exception_handler({"message": fault, "exception": error})

    def _watch(self) -> None:
        """Be there when an answer is overdue."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = None if self._cable is None or self._ended else self._cable.wire.deadline()
        if due is not None:
            self._timer = self._loop.call_at(due, self._overdue)

    def _overdue(self) -> None:
        self._known.tick(self._loop.time())
        self._watch()
        self._ring()

    # --- called by the link -----------------------------------------------------------------------

    def link_data(self, data: bytes) -> None:
        """Take what the server sent."""
        if self._cable is None:
            self._received += data
        else:
            for event in self._cable.feed(data, self._loop.time()):
                if isinstance(event, bytes):
                    self._received += event
                else:
                    self._tell(event)
            if words := self._cable.wire.outgoing():
                self._link.write(words)
            self._send()
            self._watch()
        if self._link.received <= LINE_MAX and is_greeting(bytes(self._received)):
            self._received.clear()
            self._link.abort()
            self._end(LoginError("no-password", f"{self.name}: {NO_PASSWORD}"))
            return
        self._inbox.hold_back()
        self._ring()

    def _tell(self, event: News) -> None:
        for reader in self._events:
            reader.put(event)

    def link_eof(self) -> None:
        """Note that the server has ended the connection."""
        self._end(None)

    def link_ready(self) -> None:
        """Note that the kernel has taken all."""
        self._ring()

    def link_lost(self, reason: str) -> None:
        """Note that the connection is lost."""
        self._end(NetworkError(self.name, f"the connection is lost ({reason}); open it again"))


def _word(value: object) -> str:
    return str(getattr(value, "value", value))
