"""Datagrams to and from several peers: sockets that take care of themselves, a link per peer.

Theory of operation
-------------------
An endpoint has one socket for each address that is listened on, and one more for what cannot be
sent from those; each link sends by the socket that fits its peer.

::

    closed --open--> trying --bound, hosts known--> open
                       ^  |                          |
                       +--+  RETRY   <--a host is not known yet; the others are served

One write of a link's owner is one datagram, unless the way to the peer does not take as much: then
it is several.  What the kernel cannot take now waits in the link; what it will not take, because
there is no way, no permission or no memory, is lost and counted.  That something did not arrive is
told by ICMP at times, counted, and the end of nothing: whoever is away may come back.

Reading stops while any link is paused, because the kernel's queue is one for all.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from portline.errors import NetworkError
from portline.net import udp
from portline.net.address import display, display_sockaddr, udp_holder
from portline.net.lookup import Lookups
from portline.net.stream import FINISH_LIMIT, READ_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from portline.net.stream import LinkOwner

__all__ = ["LOOKUP_LIMIT", "READS_PER_TURN", "RETRY", "Counts", "DatagramLink", "Endpoint", "Way"]

RETRY: Final = 2.0
"""Seconds between attempts to get an address or to find a host, as for a listener."""

LOOKUP_LIMIT: Final = 5.0
"""Seconds that a look-up may take before the others are served without it."""

READS_PER_TURN: Final = 16
"""Datagrams read in one turn of the loop, so that a flood of them leaves turns for the others."""

TRIES: Final = 2
"""Attempts to send a datagram: the first may be told what became of an earlier one."""

NARROW: Final = 600.0
"""Seconds for which a way is taken to be as narrow as it was told: as long as Linux remembers it
(net.ipv4.route.mtu_expires)."""

Place: TypeAlias = tuple[str, int]
Sockaddr: TypeAlias = tuple[Any, ...]


@dataclass(slots=True)
class Counts:
    """What became of datagrams beside those that went as they should; counted in datagrams."""

    divided: int = 0
    """Packets that were too large for one datagram, and went as several."""
    returned: int = 0
    """Datagrams that did not arrive, as ICMP has told."""
    strangers: int = 0
    """Datagrams from those who are not accepted."""
    echoes: int = 0
    """Datagrams of our own that came back."""
    overrun: int = 0
    """Datagrams that the kernel dropped because they were not read fast enough."""


class Way:
    """One socket of an endpoint."""

    __slots__ = ("family", "overrun", "port", "sock", "waiting")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.port = sock.getsockname()[1]
        self.family = sock.family
        self.overrun = 0
        self.waiting: list[DatagramLink] = []
        """Links for which the kernel has no room now."""

    def reaches(self, address: Sockaddr) -> bool:
        """Tell whether datagrams for an address can be sent from what this one is bound to."""
        bound = self.sock.getsockname()[0]
        if bound in ("0.0.0.0", "::"):
            return True
        return not udp.is_group(bound) and _is_here(bound) == _is_here(address[0])


@dataclass(frozen=True, slots=True)
class Host:
    """One place to send to, found: ``many`` tells whether it stands for more than one machine."""

    place: Place
    address: Sockaddr
    way: Way
    many: bool


class Endpoint:
    """The sockets for ``listen`` and ``connect`` (hosts and ports), from ``open`` to ``close``.

    ``heard(data, source, way)`` is called with each datagram, and ``changed(self)`` on news of
    :attr:`error` or :attr:`hosts`.  ``size`` is the most that is sent in one datagram, in bytes.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        connect: Sequence[Place],
        listen: Sequence[Place],
        settings: udp.Settings,
        size: int,
        counts: Counts,
        heard: Callable[[bytes, Sockaddr, Way], None],
        changed: Callable[[Endpoint], None],
    ) -> None:
        self.size = size
        self.counts = counts
        self.error: NetworkError | None = None
        """Why an address is not listened on, or a host is not sent to."""
        self.hosts: dict[Place, Host] = {}
        """The places to send to that are known, in the order of finding."""
        self.loop = loop
        self._connect = tuple(connect)
        self._listen = tuple(listen)
        self._settings = settings
        self._heard = heard
        self._changed = changed
        self._lookups = Lookups(loop)
        self._found: dict[Place, Sockaddr] = {}
        self._bound: dict[Place, list[Way]] = {}
        self._senders: dict[int, Way] = {}
        self._links: dict[Sockaddr, DatagramLink] = {}
        self._open_links: set[DatagramLink] = set()
        self._paused: set[DatagramLink] = set()
        self._reading = False
        self._wanted = False
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[dict[Place, Sockaddr | OSError]] | None = None

    @property
    def ways(self) -> list[Way]:
        """All sockets."""
        return [way for ways in self._bound.values() for way in ways] + [*self._senders.values()]

    @property
    def ready(self) -> bool:
        """Tell whether everything that is to be listened on is."""
        return self._wanted and len(self._bound) == len(self._listen)

    def listening(self, place: Place) -> str:
        """Return where a place is listened on, for people; with the real port once it is."""
        ways = self._bound.get(place)
        return display(place[0], ways[0].sock.getsockname()[1] if ways else place[1])

    def open(self) -> None:
        """Begin now, or as soon as it is possible; see ``error``."""
        if not self._wanted:
            self._wanted = True
            self._try()

    def close(self) -> None:
        """Hear nothing more and call nobody; links may still send what waits."""
        self._wanted = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._set_reading(False)
        self.error = None
        self._close_sockets()

    # --- beginning ------------------------------------------------------------------------------

    def _try(self) -> None:
        """Look up who is not known yet, then go on."""
        self._timer = None
        places = [
            p for p in (*self._listen, *self._connect) if p not in self._found and p[0] != "*"
        ]
        names = []
        for place in places:
            with suppress(OSError):
                flags = socket.AI_NUMERICHOST
                found = socket.getaddrinfo(*place, type=socket.SOCK_DGRAM, flags=flags)
                self._found[place] = found[0][4]
                continue
            names.append(place)
        if names:
            self._task = self.loop.create_task(self._look_up(names))
            self._task.add_done_callback(self._looked_up)
        else:
            self._go_on({})

    async def _look_up(self, names: list[Place]) -> dict[Place, Sockaddr | OSError]:
        async def one(place: Place) -> Sockaddr | OSError:
            try:
                async with asyncio.timeout(LOOKUP_LIMIT):
                    address: Sockaddr = (await self._lookups.addresses(*place))[0][4]
                    return address
            except TimeoutError:
                return OSError(errno.ETIMEDOUT, "no name server answers; check the DNS")
            except OSError as error:
                return error
            except ValueError:
                return OSError(
                    errno.EINVAL, "this cannot be the name of a host; check its spelling"
                )

        return dict(zip(names, await asyncio.gather(*map(one, names)), strict=True))

    def _looked_up(self, task: asyncio.Task[dict[Place, Sockaddr | OSError]]) -> None:
        if task.cancelled() or task is not self._task:
            return
        self._task = None
        found = task.result()
        self._found |= {place: each for place, each in found.items() if isinstance(each, tuple)}
        self._go_on({place: each for place, each in found.items() if isinstance(each, OSError)})

    def _go_on(self, unknown: Mapping[Place, OSError]) -> None:
        """Bind what can be bound, find the way to each host, and try again if something failed."""
        faults = dict(unknown)
        hosts = len(self.hosts)
        for place in self._listen:
            if place not in self._bound and place not in faults:
                try:
                    self._bound[place] = self._bind(place)
                except OSError as error:
                    faults[place] = error
        if self.ready:
            for place in self._connect:
                if place not in self.hosts and place not in faults:
                    try:
                        self.hosts[place] = self._host(place)
                    except OSError as error:
                        faults[place] = error
        self._set_reading(True)
        told = self._told(faults)
        if faults:
            self._timer = self.loop.call_later(RETRY, self._try)
        news = str(told) != str(self.error) or len(self.hosts) != hosts or not faults
        self.error = told
        if news:
            self._changed(self)

    def _told(self, faults: Mapping[Place, OSError]) -> NetworkError | None:
        if not faults:
            return None
        texts = [f"{display(*place)}: {_explain(fault, place)}" for place, fault in faults.items()]
        first = display(*next(iter(faults)))
        return NetworkError(first, "; ".join(texts).removeprefix(f"{first}: "))

    def _bind(self, place: Place) -> list[Way]:
        """Return the sockets for one place to listen on, members of their groups."""
        host, port = place
        if host == "*":
            addresses: list[tuple[int, Sockaddr]] = [(socket.AF_INET, ("", port))]
            if socket.has_ipv6 and os.path.exists("/proc/net/if_inet6"):
                addresses.append((socket.AF_INET6, ("::", port)))
        else:
            addresses = [_with_family(self._found[place])]
        groups = [self._found[p][0] for p in self._connect if p in self._found]
        groups = [
            group for group in {*groups, *(a[0] for _, a in addresses if a[0])} if _many(group)
        ]
        shared = any(_many(p[0]) for p in (place, *self._connect))
        ways: list[Way] = []
        try:
            for family, address in addresses:
                if ways and not port:  # the other family has found a port
                    address = (address[0], ways[0].sock.getsockname()[1])
                ways.append(Way(udp.make(family, address, self._settings, shared=shared)))
                for group in groups:
                    if _with_family((group, 0))[0] == family:
                        udp.join(ways[-1].sock, group, self._settings.interface)
        except OSError:
            for way in ways:
                way.sock.close()
            raise
        return ways

    def _host(self, place: Place) -> Host:
        family, address = _with_family(self._found[place])
        way = next((w for w in self.ways if w.family == family and w.reaches(address)), None)
        if way is None:
            way = self._senders[family] = Way(udp.make(family, None, self._settings))
            self._watch(way)
        return Host(place, address, way, udp.covers_many(family, address))

    # --- links ----------------------------------------------------------------------------------

    def link(self, address: Sockaddr | None, way: Way | None, name: str = "") -> DatagramLink:
        """Return a link to an address by a socket; without one, a link that only hears."""
        link = DatagramLink(self, way, address, name)
        self._open_links.add(link)
        if address is not None:
            self._links[address[:2]] = link
        return link

    def peer(self, source: Sockaddr) -> DatagramLink | None:
        """Return the link to where a datagram has come from."""
        return self._links.get(source[:2])

    def let_go(self, link: DatagramLink) -> None:
        """Forget a link, which is closed; its owner is the link itself."""
        self._open_links.discard(link)
        self.pause(link, wanted=False)
        if link.address is not None and self._links.get(link.address[:2]) is link:
            del self._links[link.address[:2]]
        if not self._wanted:
            self._close_sockets()

    def pause(self, link: DatagramLink, *, wanted: bool) -> None:
        """Stop reading because of a link, or no longer."""
        if wanted:
            self._paused.add(link)
        else:
            self._paused.discard(link)
        self._set_reading(self._wanted)

    def wait(self, link: DatagramLink) -> None:
        """Call a link when the kernel has room again."""
        way = link.way
        assert way is not None
        if not way.waiting:
            self.loop.add_writer(way.sock.fileno(), self._writable, way)
        if link not in way.waiting:
            way.waiting.append(link)

    def look(self, way: Way) -> None:
        """Read what the kernel has to tell of datagrams that failed."""
        told = list(udp.returned(way.sock))
        for each in told:
            self.counts.returned += each.sent
            if (link := self._links.get(each.address[:2])) is not None:
                link.heard_back(each)
        if told and self._reading:
            # libuv gives a descriptor up that has an error to tell.
            self.loop.remove_reader(way.sock.fileno())
            self._watch(way)

    def _writable(self, way: Way) -> None:
        self.look(way)  # else an error would wake us for ever
        links, way.waiting = way.waiting, []
        self.loop.remove_writer(way.sock.fileno())
        for link in links:
            link.flush()

    # --- hearing --------------------------------------------------------------------------------

    def _set_reading(self, wanted: bool) -> None:
        wanted = wanted and not self._paused
        if wanted:
            self._reading = True
            for way in self.ways:
                self._watch(way)
        elif self._reading:
            self._reading = False
            for way in self.ways:
                self.loop.remove_reader(way.sock.fileno())

    def _watch(self, way: Way) -> None:
        if self._reading:
            self.loop.add_reader(way.sock.fileno(), self._readable, way)

    def _readable(self, way: Way) -> None:
        for count in range(READS_PER_TURN):
            if not self._reading:
                return
            try:
                data, ancillary, _, source = way.sock.recvmsg(READ_SIZE, udp.ANCILLARY)
            except (BlockingIOError, InterruptedError):
                if not count:
                    self.look(way)
                return
            except OSError:  # it is about a datagram that we have sent
                self.look(way)
                continue
            if lost := udp.overrun(ancillary):
                self.counts.overrun += lost - way.overrun
                way.overrun = lost
            if self._is_echo(source, way.family):
                self.counts.echoes += 1
            else:
                self._heard(data, source, way)

    def _is_echo(self, source: Sockaddr, family: int) -> bool:
        return any(
            way.port == source[1] and way.family == family and udp.is_own(way.sock, source)
            for way in self.ways
        )

    def _close_sockets(self) -> None:
        if self._open_links:
            return
        for way in self.ways:
            way.sock.close()  # no link is left that could wait for it
        self._bound.clear()
        self._senders.clear()
        self.hosts.clear()
        self._found.clear()


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
        "heard_at",
        "lost",
        "name",
        "read_size",
        "received",
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
            return min(size, self._room)
        return size

    def arrived(self, quiet: float) -> int:
        """Return the bytes that may have arrived: all that were sent."""
        return self.sent

    def configure(self, *, nodelay: bool, keepalive: float, retry: float) -> None:
        """Do nothing: these are options of TCP."""

    def dead(self, silence: float) -> bool:
        """Tell that nobody can know."""
        return False

    def retain(self) -> None:
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
                way.sock.sendto(piece, self.address)
            except (BlockingIOError, InterruptedError):
                self._endpoint.wait(self)
                return False
            except OSError as error:
                tries += 1
                self._endpoint.look(way)
                if error.errno == errno.EMSGSIZE and self._narrow(len(piece)):
                    continue
                if error.errno != errno.EMSGSIZE and tries < TRIES:
                    continue
                self.lost += len(piece)
                self.trouble = error.strerror or str(error)
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


def _with_family(address: Sockaddr) -> tuple[int, Sockaddr]:
    return (socket.AF_INET6 if ":" in address[0] else socket.AF_INET), address


def _many(host: str) -> bool:
    """Tell whether a host is a group, as far as its text tells."""
    with suppress(ValueError):
        return udp.is_group(host)
    return False


def _is_here(host: str) -> bool:
    """Tell whether an address is one of the loopback interface."""
    return host.startswith("127.") or host == "::1"


def _explain(error: OSError, place: Place) -> str:
    """Say what is wrong with an address and what to do about it."""
    match error.errno:
        case errno.EADDRINUSE:
            holder = None
            with suppress(OSError):
                holder = udp_holder(place[1])
            by = f"by {holder}" if holder else "by another program"
            return f"the UDP port is in use {by}; stop it or choose another port"
        case errno.EACCES:
            return (
                "not permitted: ports below 1024 need root or CAP_NET_BIND_SERVICE; "
                "choose a port from 1024 up"
            )
        case errno.EADDRNOTAVAIL:
            return "this machine has no such address; choose one of its own, or * for all"
        case errno.ENODEV if error.strerror == os.strerror(errno.ENODEV):
            return "no way to this group; name the interface with `interface`"
        case _ if isinstance(error, socket.gaierror):
            return f"the host name is not known ({error.strerror}); check its spelling, or the DNS"
        case _:
            return error.strerror or str(error)
