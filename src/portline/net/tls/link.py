"""A link that is encrypted: TLS over the link of a stream.

Theory of operation
-------------------
::

    shaking hands --done--> waiting --start--> open --close_notify--> half closed
         |                                      |                          |
         +--fault, limit--> failed              +--------finish------------+--> finishing --> closed

The link below carries the records (:class:`portline.net.stream.StreamLink`), this one turns them
into plain text and back (:class:`portline.net.tls.channel.Channel`).  Everything that a link tells
is in plain text: what the kernel has taken, what has arrived and what was lost is what is whole of
it (:class:`portline.net.tls.ledger.Ledger`).

``close_notify`` is what FIN is to a stream: who has said it may still hear.  A FIN without it is
a fault, because anybody on the way could have made it.

What the protocol answers by itself (KeyUpdate) may not pile up: a peer that asks for more than
ANSWERS_MAX and does not read is not read either until its answers are gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from portline.net.link import FINISH_LIMIT, GATHER, READ_SIZE
from portline.net.retained import Retaining
from portline.net.tls.certificate import end_point, fingerprint
from portline.net.tls.channel import Security
from portline.net.tls.ledger import Ledger
from portline.net.tls.mistrust import Failure

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from portline.net.link import LinkOwner
    from portline.net.stream import StreamLink
    from portline.net.tls.channel import Channel
    from portline.net.tls.mistrust import TlsFault

__all__ = ["ANSWERS_MAX", "TlsLink"]

ANSWERS_MAX: Final = 16 * 1024
"""Bytes of answers that wait for a peer; more than any peer asks for that reads."""


class TlsLink(Retaining):
    """The way to one peer through ``channel``, over ``stream``, which belongs to this link.

    ``certificate`` is the one of our own that is in use (DER), b"" if there is none.  It begins
    behind the handshake (:class:`portline.net.tls.handshake.Handshake`), which uses ``hear``,
    ``say`` and ``settle``.  ``noted`` is called when a fault of TLS ends it.
    """

    __slots__ = (
        "_answering",
        "_answers",
        "_certificate",
        "_channel",
        "_closed",
        "_eof_told",
        "_finished",
        "_held",
        "_ledger",
        "_loop",
        "_more",
        "_never",
        "_noted",
        "_owner",
        "_paused",
        "_plain",
        "_security",
        "_stream",
        "_waiting",
        "early",
        "login",
        "lost",
        "name",
        "received",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        stream: StreamLink,
        channel: Channel,
        *,
        certificate: bytes = b"",
        noted: Callable[[TlsFault], object] = lambda fault: None,
    ) -> None:
        super().__init__()
        self.name = stream.name
        """The peer's address, for people."""
        self.received = 0
        """Bytes of plain text read from the peer."""
        self.lost = 0
        """Bytes of plain text that were written and that the peer did not get; known at the end."""
        self.login = ""
        """How the peer has proved that it knows the password."""
        self.early = b""
        """What the peer has said behind the login."""
        self._loop = loop
        self._stream = stream
        self._channel = channel
        self._certificate = certificate
        self._noted = noted
        self._owner: LinkOwner | None = None
        self._ledger = Ledger()
        self._plain = b""  # what the owner is still to be given
        self._more: asyncio.Handle | None = None
        self._paused = True
        self._held = False  # paused by the owner, which lasts beyond a start
        self._never = 0  # bytes written that TLS has not taken
        self._answers = 0  # bytes of answers that the kernel has not taken, at most
        self._answering = False  # the peer has to read our answers first
        self._waiting = False  # the owner waits for link_ready
        self._finished = False
        self._eof_told = False
        self._closed: Callable[[], object] | None = None
        self._security: Security | None = None
        stream.when_closed(self._stream_closed)

    # --- what is known --------------------------------------------------------------------------

    @property
    def security(self) -> Security:
        """What protects this link."""
        if self._security is None:
            channel = self._channel
            shown = fingerprint(channel.certificate)
            self._security = Security(channel.version, channel.cipher, shown, channel.subject)
        return self._security

    @property
    def peer_certificate(self) -> bytes:
        """The certificate that the peer has shown (DER); b"" if it has none."""
        return self._channel.certificate

    @property
    def refusal(self) -> str:
        """Why the peer does not want us, in its alert; "" mostly.

        In TLS 1.3 a client is through before the server looks at its certificate.
        """
        fault = self._channel.fault
        return "" if fault is None or fault.failure is not Failure.REFUSED else fault.text

    @property
    def end_point(self) -> bytes:
        """The channel binding ``tls-server-end-point`` of this connection (RFC 5929 section 4).

        At the server that of its own certificate in use here, at the client that of the one that
        the server has shown.
        """
        return end_point(self._certificate if self._channel.server else self._channel.certificate)

    @property
    def hears(self) -> bool:
        """Whether the peer can be sent anything at all: yes."""
        return True

    @property
    def gather(self) -> int:
        """Bytes of waiting packets that may be put together: four records."""
        return GATHER

    @property
    def read_size(self) -> int:
        """Bytes read in one turn, at most READ_SIZE."""
        return self._stream.read_size

    @read_size.setter
    def read_size(self, size: int) -> None:
        self._stream.read_size = size

    @property
    def closed(self) -> bool:
        """Tell whether the socket is closed."""
        return self._stream.closed

    @property
    def sent(self) -> int:
        """Bytes of plain text taken by the kernel for the peer."""
        return self._ledger.plain_in(self._stream.sent)

    @property
    def unsent(self) -> int:
        """Bytes of plain text that the kernel has not taken yet."""
        return self._ledger.plain + self._never - self.sent

    @property
    def acked(self) -> int:
        """Bytes of plain text that the other machine has got, as far as the kernel tells."""
        return self._ledger.plain_in(self._stream.acked)

    def arrived(self, quiet: float) -> int:
        """Return the bytes that the other machine should have got, acknowledged or not."""
        return self._ledger.plain_in(self._stream.arrived(quiet))

    def configure(self, *, nodelay: bool, keepalive: float, retry: float) -> None:
        """Set the TCP options; see :func:`portline.net.tcp.configure`."""
        self._stream.configure(nodelay=nodelay, keepalive=keepalive, retry=retry)

    def dead(self, silence: float) -> bool:
        """Tell whether the peer owes an answer for ``silence`` seconds."""
        return self._stream.dead(silence)

    def stuck_at(self) -> int | None:
        """Return where the data stands that the peer answers and does not take; None if it does."""
        return self._stream.stuck_at()

    def has_left(self) -> bool:
        """Tell whether the peer has closed its end, even if what it sent before is not read yet."""
        return self._channel.ended or self._stream.has_left()

    def when_closed(self, call: Callable[[], object]) -> None:
        """Have ``call`` called once, when the socket is closed; at once if it is already."""
        if self._stream.closed:
            call()
        else:
            self._closed = call

    # --- sending --------------------------------------------------------------------------------

    def start(self, owner: LinkOwner) -> None:
        """Begin to pass on what the peer sends, unless paused; it may have begun before."""
        self._owner = owner
        if not self._held:
            self.resume()

    def write(self, data: bytes) -> bool:
        """Send data; what the kernel does not take now is sent later.

        Returns True when all of it went.  After False the owner should wait for ``link_ready``.
        """
        if self._retained is not None and self._retained.add(data):
            self._retained.forget(self.acked)
        ledger = self._ledger
        if ledger.full:
            ledger.forget(self._stream.acked)
        cipher = self._channel.encrypt(data)
        if not cipher:  # TLS is broken; the owner is told as soon as it has what came before
            self._never += len(data)
            self._soon()
            return False
        ledger.add(len(data), len(cipher))
        if self._stream.write(cipher):
            return True
        self._waiting = True
        return False

    def say(self, words: bytes) -> None:
        """Send words of the protocol itself."""
        if not words:
            return
        self._ledger.skip(len(words))
        if not self._stream.write(words):
            self._answers += len(words)
            if self._answers > ANSWERS_MAX and not self._finished:
                self._answering = True
                self._stream.pause()

    # --- receiving ------------------------------------------------------------------------------

    def pause(self) -> None:
        """Read no more; TCP holds the peer back."""
        self._paused = self._held = True
        self._stream.pause()

    def resume(self) -> None:
        """Read again."""
        self._paused = self._held = False
        if self._plain or self._channel.ended or self._channel.fault is not None:
            self._soon()
        else:
            self._read_on()

    def _soon(self) -> None:
        """Go on in the next turn of the loop."""
        if self._more is None:
            self._more = self._loop.call_soon(self._pass_on)

    def _read_on(self) -> None:
        if not (self._paused or self._answering or self._plain):
            self._stream.resume()

    def _pass_on(self) -> None:
        """Give the owner what lies here, in pieces of the size that it wants to read."""
        self._more = None
        if self._paused or self._owner is None:
            return
        if self._plain:
            piece, self._plain = self._plain[: self.read_size], self._plain[self.read_size :]
            self._give(piece)
        if self._plain:
            self._soon()
        else:
            self._end_reading()
            self._read_on()

    def _give(self, data: bytes) -> None:
        owner = self._owner
        if owner is not None and data:
            self.received += len(data)
            owner.link_data(data)

    def _end_reading(self) -> None:
        """Tell the owner that nothing more comes, or why, once it has everything."""
        owner, channel = self._owner, self._channel
        if owner is None or self._plain or self._paused:
            return
        if channel.fault is not None:
            self._noted(channel.fault)
            self._fail(str(channel.fault))
        elif channel.ended and not self._eof_told:
            self._eof_told = True
            owner.link_eof()

    # --- called by the handshake ----------------------------------------------------------------

    def hear(self, data: bytes) -> None:
        """Take what the peer says before the handshake is over, and answer."""
        self._plain += self._channel.feed(data)
        self.say(self._channel.outgoing())

    def settle(self, *, ended: bool) -> None:
        """Take the stream over; it may have ``ended``, which is told once somebody listens."""
        self._stream.pause()
        self._stream.read_size = READ_SIZE
        if ended:
            self._channel.feed_end()
        self._stream.start(self)

    # --- called by the stream -------------------------------------------------------------------

    def link_data(self, data: bytes) -> None:
        """Take records."""
        channel = self._channel
        plain = channel.feed(data)
        if said := channel.outgoing():
            self.say(said)
        if self._owner is not None and not self._paused and self._fits(plain):
            self._give(plain)
        elif plain:
            self._plain += plain
            self._stream.pause()
            self._soon()
        if channel.ended or channel.fault is not None:
            self._end_reading()

    def _fits(self, plain: bytes) -> bool:
        """Tell whether plain text may be passed on at once, behind nothing that waits."""
        size = self.read_size
        return not self._plain and (len(plain) <= size or size >= READ_SIZE)

    def link_eof(self) -> None:
        """Note that the stream has ended, which somebody on the way may have done."""
        self._channel.feed_end()
        self._end_reading()

    def link_ready(self) -> None:
        """Note that the kernel has taken everything."""
        self._answers = 0
        if self._answering:
            self._answering = False
            self._read_on()
        if self._waiting:
            self._waiting = False
            if self._owner is not None:
                self._owner.link_ready()

    def link_lost(self, reason: str) -> None:
        """Note that the stream is closed by an error."""
        owner, self._owner = self._owner, None
        if owner is not None:
            if self._plain:  # it came before the error
                piece, self._plain = self._plain, b""
                self.received += len(piece)
                owner.link_data(piece)
            owner.link_lost(reason)

    # --- ending ---------------------------------------------------------------------------------

    def finish(self, farewell: bytes = b"", limit: float = FINISH_LIMIT) -> None:
        """Send what waits and ``farewell``, then close; at most ``limit`` seconds.

        No callback of the owner comes afterwards.
        """
        if self.closed or self._finished:
            return
        if farewell:
            self.write(farewell)
        self._leave()
        self._finished = True
        self.say(self._channel.close())
        self._stream.finish(limit=limit)

    def abort(self) -> None:
        """Close now; what waits is lost.  No callback of the owner comes afterwards."""
        self._leave()
        self._stream.abort()

    def _leave(self) -> None:
        self._owner = None
        self._plain = b""
        if self._more is not None:
            self._more.cancel()
            self._more = None

    def _fail(self, reason: str) -> None:
        owner = self._owner
        self.abort()
        if owner is not None:
            owner.link_lost(reason)

    def _stream_closed(self) -> None:
        self.lost = self._ledger.plain + self._never - self.acked
        call, self._closed = self._closed, None
        if call is not None:
            call()
