"""Datagrams to and from one peer, as a link.

Theory of operation
-------------------
One write of a link's owner is one datagram, unless the way to the peer does not take as much: then
it is several.  What the kernel cannot take now waits in the link; what it will not take, because
there is no way, no permission or no memory, is lost and counted.  That something did not arrive is
told by ICMP at times, counted, and the end of nothing: whoever is away may come back.

The socket is shared with other links; it and all reading belong to the endpoint.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

from portline.net.address import display_sockaddr
from portline.net.link import FINISH_LIMIT, READ_SIZE
from portline.net.udp import socket as udp

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from portline.net.link import LinkOwner
    from portline.net.udp.endpoint import Endpoint
    from portline.net.udp.way import Sockaddr, Way

__all__ = ["DatagramLink"]

TRIES: Final = 2
"""Attempts to send a datagram: the first may be told what became of an earlier one."""

NARROW: Final = 600.0
"""Seconds for which a way is taken to be as narrow as it was told: as long as Linux remembers it
(net.ipv4.route.mtu_expires)."""


class DatagramLink:
    """The way to one peer.  Without an ``address`` nothing can be sent, and only heard."""

    __slots__ = (
        "_closed",
        "_closing",
        "_endpoint",
        "_finish_timer",
        "_gone",
        "_narrow_until",
        "_owner",
        "_rest",
        "_room",
        "address",
        "early",
        "heard_at",
        "login",
        "lost",
        "name",
        "overhead",
        "read_size",
        "received",
        "seal",
        "sent",
        "trouble",
        "way",
    )

    def __init__(
        self, endpoint: Endpoint, way: Way | None, address: Sockaddr | None, name: str = ""
    ) -> None:
        self.name = name or display_sockaddr(address)
        self.address = address
        self.way = way
        self.read_size = READ_SIZE
        self.received = 0
        """Bytes heard from the peer."""
        self.sent = 0
        """Bytes taken by the kernel for the peer; nobody tells whether they arrive."""
        self.lost = 0
        """Bytes that the kernel did not take, or that waited when the link was closed."""
        self.login = ""
        self.seal: Callable[[bytes], bytes | None] | None = None
        """Makes the datagram that carries some data, where it has to be proved who sends it."""
        self.overhead = 0
        """Bytes that it adds."""
        self.early = b""
        self.heard_at = endpoint.loop.time()
        """When the peer has last sent something."""
        self.trouble = ""
        """What went wrong since the peer has last been heard."""
        self._endpoint = endpoint
        self._owner: LinkOwner | None = None
        self._rest: list[bytes] = []
        self._room = 0
        self._narrow_until = 0.0
        self._closing = False
        self._closed = False
        self._finish_timer: asyncio.TimerHandle | None = None
        self._gone: Callable[[], object] | None = None

    @property
    def hears(self) -> bool:
        """Whether the peer can be sent anything at all."""
        return self.address is not None

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
        """Bytes of waiting packets that may be put together: each is a datagram of its own."""
        return 1

    @property
    def closed(self) -> bool:
        """Tell whether nothing more is sent."""
        return self._closed

    @property
    def unsent(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return sum(map(len, self._rest))

    @property
    def acked(self) -> int:
        """Bytes that may have arrived: all that were sent."""
        return self.sent

    @property
    def limit(self) -> int:
        """Bytes that one datagram may have now."""
        size = self._endpoint.size
        if self._room and self._endpoint.loop.time() < self._narrow_until:
            size = min(size, self._room)
        return max(1, size - self.overhead)

    def arrived(self, quiet: float) -> int:
        """Return the bytes that may have arrived: all that were sent."""
        return self.sent

    def configure(self, *, nodelay: bool, keepalive: float, retry: float) -> None:
        """Do nothing: these are options of TCP."""

    def dead(self, silence: float) -> bool:
        """Tell that nobody can know."""
        return False

    def trust(self) -> None:
        """Do nothing: nothing is retained."""

    def retain(self, *, doubtful: bool = False) -> None:
        """Do nothing: of datagrams nobody knows whether they were got."""

    def unacknowledged(self) -> tuple[bytes, int]:
        """Return nothing: see :meth:`retain`."""
        return b"", 0

    def stuck_at(self) -> int | None:
        """Return None: nobody has to take datagrams."""
        return None

    def has_left(self) -> bool:
        """Tell that nobody leaves who was never connected."""
        return False

    def when_closed(self, call: Callable[[], object]) -> None:
        """Have ``call`` called once, when the link is closed; at once if it is already."""
        if self._closed:
            call()
        else:
            self._gone = call

    def start(self, owner: LinkOwner) -> None:
        """Pass on what the peer sends from now on."""
        self._owner = owner

    # --- hearing --------------------------------------------------------------------------------

    def take(self, data: bytes) -> None:
        """Pass on what the peer has sent; an empty datagram is a sign of life."""
        self.heard_at = self._endpoint.loop.time()
        self.trouble = ""
        self.received += len(data)
        if data and self._owner is not None:
            self._owner.link_data(data)

    def pause(self) -> None:
        """Read no more, from anybody."""
        if not self._closed:
            self._endpoint.pause(self, wanted=True)

    def resume(self) -> None:
        """Read again."""
        self._endpoint.pause(self, wanted=False)

    # --- sending --------------------------------------------------------------------------------

    def write(self, data: bytes) -> bool:
        """Send a packet, as one datagram if it fits into one.

        Returns True when the kernel has it all, or will never take it (``lost``).  After False the
        owner should wait for ``link_ready``; what it writes nevertheless is kept in order.
        """
        if self.address is None or self._closed:
            self.lost += len(data)
            return True
        if data:
            self._rest.append(data)
        return not self._rest or (len(self._rest) == 1 and self._send())

    def flush(self) -> None:
        """Send what has waited for the kernel."""
        if not self._send():
            return
        if self._closing:
            self._close()
        elif self._owner is not None:
            self._owner.link_ready()

    def _send(self) -> bool:
        """Send what waits; returns whether all of it has gone, one way or the other."""
        rest, way, tries = self._rest, self.way, 0
        assert way is not None
        assert self.address is not None
        while rest:
            piece = rest[0]
            limit = self.limit
            if len(piece) > limit:
                self._endpoint.counts.divided += 1
                rest[:1] = [piece[at : at + limit] for at in range(0, len(piece), limit)]
                continue
            try:
                datagram = piece if self.seal is None else self.seal(piece)
                if datagram is not None:
                    way.sock.sendto(datagram, self.address)
            except (BlockingIOError, InterruptedError):
                self._endpoint.wait(self)
                return False
            except OSError as error:
                tries += 1
                self._endpoint.look(way, failed=True)
                if error.errno == errno.EMSGSIZE and self._narrow(len(piece)):
                    continue
                if tries < TRIES:
                    continue
                self.lost += len(piece)
                self.trouble = error.strerror or str(error)
            else:
                if datagram is None:  # it cannot be proved to the peer any more who we are
                    self.lost += len(piece)
                else:
                    self.sent += len(piece)
            tries = 0
            del rest[0]
        return True

    def _narrow(self, refused: int) -> bool:
        """Find out what the way takes; returns whether that is less than what was refused."""
        assert self.way is not None
        assert self.address is not None
        if self.limit >= refused:
            self._learn(udp.room(self.way.family, self.address))
        return self.limit < refused

    def _learn(self, room: int) -> None:
        self._room = room
        self._narrow_until = self._endpoint.loop.time() + NARROW

    def heard_back(self, told: udp.Returned) -> None:
        """Note what became of a datagram that did not arrive."""
        if told.room:
            self._learn(told.room)
        if told.sent:
            self.trouble = os.strerror(told.number)

    # --- ending ---------------------------------------------------------------------------------

    def finish(self, farewell: bytes = b"", limit: float = FINISH_LIMIT) -> None:
        """Send what waits and ``farewell``, then close; at most ``limit`` seconds.

        No callback of the owner comes afterwards.
        """
        if self._closed or self._closing:
            return
        if farewell:
            self.write(farewell)
        self._owner = None
        self._closing = True
        if self._rest:
            self._finish_timer = self._endpoint.loop.call_later(limit, self._close)
        else:
            self._close()

    def abort(self) -> None:
        """Close now; what waits is lost.  No callback of the owner comes afterwards."""
        self._close()

    def _close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._owner = None
        if self._finish_timer is not None:
            self._finish_timer.cancel()
            self._finish_timer = None
        self.lost += self.unsent
        self._rest.clear()
        if self.way is not None and self in self.way.waiting:
            self.way.waiting.remove(self)
            if not self.way.waiting:
                self._endpoint.loop.remove_writer(self.way.sock.fileno())
        self._endpoint.let_go(self)
        call, self._gone = self._gone, None
        if call is not None:
            call()
