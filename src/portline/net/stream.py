"""One network connection as a link: bytes in, bytes out, nothing understood.

Theory of operation
-------------------
The socket is used directly with the event loop's readiness callbacks, because a chunk has to reach
the kernel in the callback that brought it (docs/explanation/performance.md).  What the kernel does
not take at once of a write, the link keeps.  There is no limit to that: an owner to whom
:meth:`StreamLink.write` has returned False should wait for :meth:`LinkOwner.link_ready`.

===========  ==============  ===============  ===================================================
state        the peer sends  we send          leaves it by
===========  ==============  ===============  ===================================================
open         yes             yes              the peer's FIN, ``finish``, ``abort``, an error
half closed  no              yes              ``finish``, ``abort``, an error
finishing    is not heard    what waits, FIN  all said and acknowledged by both, an error, ``limit``
                                              (:mod:`portline.net.ending`)
closed       no              no
===========  ==============  ===============  ===================================================

Errors are reported from a later turn of the loop, never from within a call of the owner.

What the kernel has taken is not what the peer has got: a close waits, within the limit of
``finish``, until the other machine has acknowledged everything, so that :attr:`StreamLink.lost` is
what really was lost.  ``abort`` does not wait: it resets the connection if something is missing,
because a peer that saw an ordinary end would believe that it has everything.

What a peer has sent before a reset is still there to be read, but libuv watches a socket no longer
once it has told of an error, even if the owner has read only a part.  So the error is taken off the
socket after each read, and the socket is watched anew.
"""

from __future__ import annotations

import os
from contextlib import suppress
from socket import SO_ERROR, SOL_SOCKET
from typing import TYPE_CHECKING

from portline.net import tcp
from portline.net.ending import Ending
from portline.net.link import FINISH_LIMIT, GATHER, READ_SIZE
from portline.net.retained import Retaining

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable

    from portline.net.link import LinkOwner

__all__ = ["StreamLink"]


class StreamLink(Retaining):
    """A connected stream socket, owned and closed by this object."""

    __slots__ = (
        "_acked",
        "_acked_before",
        "_closed",
        "_ended",
        "_ending",
        "_fault",
        "_fd",
        "_loop",
        "_owner",
        "_paused",
        "_reading",
        "_rest",
        "_sock",
        "_writing",
        "early",
        "login",
        "lost",
        "name",
        "read_size",
        "received",
        "sent",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket, name: str) -> None:
        super().__init__()
        sock.setblocking(False)
        self.name = name
        """The peer's address, for people."""
        self.read_size = READ_SIZE
        """Bytes read in one turn, at most READ_SIZE."""
        self.received = 0
        """Bytes read from the peer."""
        self.sent = 0
        """Bytes taken by the kernel for the peer."""
        self.lost = 0
        """Bytes that were written and that the peer did not get; known when it is closed."""
        self.login = ""
        self.early = b""
        self._loop = loop
        self._sock = sock
        self._fd = sock.fileno()
        self._owner: LinkOwner | None = None
        self._rest: list[bytes | memoryview] = []
        self._reading = False
        self._writing = False
        self._paused = False
        self._ended = False
        self._fault = ""  # why the connection has ended, known before the rest is read
        self._ending: Ending | None = None
        self._acked = 0
        self._acked_before = tcp.acknowledged(sock) or 0  # our SYN, what was said to a proxy
        self._closed: Callable[[], object] | None = None

    @property
    def hears(self) -> bool:
        """Whether the peer can be sent anything at all: yes."""
        return True

    @property
    def security(self) -> None:
        """What protects the way: nothing."""
        return None

    @property
    def refusal(self) -> str:
        """Why the peer does not want us: it has no way to tell."""
        return ""

    @property
    def end_point(self) -> bytes:
        """The channel binding: there is none."""
        return b""

    @property
    def gather(self) -> int:
        """Bytes of waiting packets that may be put together: a stream knows no packets."""
        return GATHER

    @property
    def socket(self) -> socket.socket:
        """The socket, for its options; not for reading or writing."""
        return self._sock

    @property
    def closed(self) -> bool:
        """Tell whether the socket is closed."""
        return self._fd < 0

    @property
    def unsent(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return sum(map(len, self._rest))

    @property
    def acked(self) -> int:
        """Bytes that the other machine has got, as far as the kernel tells."""
        if self._fd < 0:
            return self._acked
        acked = tcp.acknowledged(self._sock)
        return self.sent if acked is None else min(acked - self._acked_before, self.sent)

    def arrived(self, quiet: float) -> int:
        """Return the bytes that the other machine should have got, acknowledged or not.

        Nothing was written for ``quiet`` seconds.
        """
        arrived = None if self._fd < 0 else tcp.arrived(self._sock, self.sent, quiet)
        return self.acked if arrived is None else arrived

    def configure(self, *, nodelay: bool, keepalive: float, retry: float) -> None:
        """Set the TCP options; see :func:`portline.net.tcp.configure`."""
        with suppress(OSError):  # the peer may be gone already; reading will tell
            tcp.configure(self._sock, nodelay=nodelay, keepalive=keepalive, retry=retry)

    def dead(self, silence: float) -> bool:
        """Tell whether the peer owes an answer for ``silence`` seconds; 0 does not ask for one."""
        return tcp.is_dead(self._sock, silence)

    def stuck_at(self) -> int | None:
        """Return where the data stands that the peer answers and does not take; None if it does."""
        return tcp.stuck_at(self._sock)

    def has_left(self) -> bool:
        """Tell whether the peer has closed its end, even if what it sent before is not read yet."""
        return tcp.has_left(self._sock)

    def when_closed(self, call: Callable[[], object]) -> None:
        """Have ``call`` called once, when the socket is closed; at once if it is already."""
        if self._fd < 0:
            call()
        else:
            self._closed = call

    def start(self, owner: LinkOwner) -> None:
        """Begin to read."""
        self._owner = owner
        self._set_reading(True)

    # --- sending --------------------------------------------------------------------------------

    def write(self, data: bytes) -> bool:
        """Send data; what the kernel does not take now is sent later.

        Returns True when all of it went.  After False the owner should wait for ``link_ready``;
        what it writes nevertheless is kept in order.
        """
        if self._retained is not None and self._retained.add(data):
            self._retained.forget(self.acked)
        if self._rest:
            self._rest.append(data)
            return False
        try:
            taken = self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            taken = 0
        except OSError as error:
            self._rest.append(data)
            self._loop.call_soon(self._fail, _reason(error))
            return False
        self.sent += taken
        if taken == len(data):
            return True
        self._rest.append(memoryview(data)[taken:])
        if not self._writing:
            self._writing = True
            self._loop.add_writer(self._fd, self._writable)
        return False

    def _writable(self) -> None:
        rest = self._rest
        try:
            while rest:
                chunk = rest[0]
                taken = self._sock.send(chunk)
                self.sent += taken
                if taken < len(chunk):
                    rest[0] = memoryview(chunk)[taken:]
                    return
                del rest[0]
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._fail(_reason(error))
            return
        if self._owner is not None and self._ending is None:
            self._owner.link_ready()
        if not rest and self._writing:
            self._writing = False
            self._loop.remove_writer(self._fd)
            if self._ending is not None:
                self._ending.say_end()

    # --- receiving ------------------------------------------------------------------------------

    def pause(self) -> None:
        """Read no more; TCP holds the peer back."""
        self._paused = True
        self._set_reading(False)

    def resume(self) -> None:
        """Read again."""
        self._paused = False
        self._set_reading(True)

    def _set_reading(self, wanted: bool) -> None:
        wanted = wanted and not self._paused and not self._ended and self._fd >= 0
        if wanted and not self._reading:
            self._loop.add_reader(self._fd, self._readable)
        elif not wanted and self._reading and self._fd >= 0:
            self._loop.remove_reader(self._fd)
        self._reading = wanted

    def _readable(self) -> None:
        try:
            data = self._sock.recv(self.read_size)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._fail(_reason(error))
            return
        if self._ending is not None:
            if not self._ending.hear(data):
                self._set_reading(False)
            elif self._reading and (code := self._sock.getsockopt(SOL_SOCKET, SO_ERROR)):
                self._read_on(code)
            return
        owner = self._owner
        if owner is None:
            return
        if data:
            self.received += len(data)
            owner.link_data(data)
            if self._reading and (code := self._sock.getsockopt(SOL_SOCKET, SO_ERROR)):
                self._read_on(code)
            return
        if self._fault:
            self._fail(self._fault)
            return
        self._ended = True
        self._set_reading(False)
        owner.link_eof()

    def _read_on(self, code: int) -> None:
        """Go on reading although the connection has ended with an error meanwhile."""
        self._fault = _reason(OSError(code, os.strerror(code)))
        self._set_reading(False)
        self._set_reading(True)

    # --- ending ---------------------------------------------------------------------------------

    def finish(self, farewell: bytes = b"", limit: float = FINISH_LIMIT) -> None:
        """Send what waits and ``farewell``, then FIN, then close; at most ``limit`` seconds.

        No callback of the owner comes afterwards.
        """
        if self._fd < 0 or self._ending is not None:
            return
        if farewell:
            self.write(farewell)
        self._owner = None
        self._ending = Ending(
            self._loop,
            self._sock,
            limit,
            heard=self._ended,
            settled=self._is_settled,
            over=self._close,
        )
        self._paused = False
        self._set_reading(True)
        if not self._rest:
            self._ending.say_end()

    def _is_settled(self) -> bool:
        """Tell whether the peer has got everything, or is dead."""
        return self.acked == self.sent or tcp.is_dead(self._sock, 0)

    def abort(self) -> None:
        """Close now; what waits is lost.  No callback of the owner comes afterwards."""
        if self._fd >= 0 and self.unsent + self.sent > self.acked:
            tcp.give_up(self._sock)
        self._close()

    def _close(self) -> None:
        if self._fd < 0:
            return
        if self._ending is not None:
            self._ending.stop()
        self._acked = self.acked
        self.lost = self.sent + self.unsent - self._acked
        self._set_reading(False)
        if self._writing:
            self._writing = False
            self._loop.remove_writer(self._fd)
        self._fd = -1
        self._rest.clear()
        self._owner = None
        self._sock.close()
        call, self._closed = self._closed, None
        if call is not None:
            call()

    def _fail(self, reason: str) -> None:
        owner = self._owner
        self.abort()
        if owner is not None:
            owner.link_lost(self._fault or reason)


def _reason(error: OSError) -> str:
    match error:
        case ConnectionResetError():
            return "connection reset by the peer"
        case BrokenPipeError():
            return "the peer closed the connection"
        case TimeoutError():
            return "the peer did not answer any more (keepalive)"
        case _:
            return error.strerror or str(error)
