"""The sockets for all peers of one connection by UDP, which take care of themselves.

Theory of operation
-------------------
An endpoint has one socket for each address that is listened on, and one more for what cannot be
sent from those; each link sends by the socket that fits its peer.

::

    closed --open--> trying --bound, hosts known--> open
                       ^  |                          |
                       +--+  RETRY   <--a host is not known yet; the others are served

Reading stops while any link is paused, because the kernel's queue is one for all.
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeAlias

from portline.errors import NetworkError
from portline.net.address import display
from portline.net.attempts import Attempts
from portline.net.faults import address_fault
from portline.net.link import READ_SIZE
from portline.net.lookup import Lookups
from portline.net.udp import socket as udp
from portline.net.udp.link import DatagramLink
from portline.net.udp.way import Host, Way, anywhere, end_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from portline.net.udp.counts import Counts
    from portline.net.udp.way import End, Place, Sockaddr

__all__ = ["LOOKUP_LIMIT", "READS_PER_TURN", "RETRY", "Endpoint"]

RETRY: Final = 2.0
"""Seconds between attempts to get an address or to find a host, as for a listener."""

LOOKUP_LIMIT: Final = 5.0
"""Seconds that a look-up may take before the others are served without it."""

READS_PER_TURN: Final = 16
"""Datagrams read in one turn of the loop, so that a flood of them leaves turns for the others."""

Fault: TypeAlias = OSError | ValueError  # of a look-up or a socket


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
        self._links: dict[End, DatagramLink] = {}
        self._open_links: set[DatagramLink] = set()
        self._paused: set[DatagramLink] = set()
        self._reading = False
        self._attempts: Attempts[dict[Place, Sockaddr | Fault]] = Attempts(
            loop, self._try, ended=self._looked_up
        )

    @property
    def ways(self) -> list[Way]:
        """All sockets."""
        return [way for ways in self._bound.values() for way in ways] + [*self._senders.values()]

    @property
    def ready(self) -> bool:
        """Tell whether everything that is to be listened on is."""
        return self._attempts.wanted and len(self._bound) == len(self._listen)

    def listening(self, place: Place) -> str:
        """Return where a place is listened on, for people; with the real port once it is."""
        ways = self._bound.get(place)
        return display(place[0], ways[0].sock.getsockname()[1] if ways else place[1])

    def count_overrun(self) -> None:
        """Count what the kernel has dropped while nothing was read."""
        for way in self.ways:
            if dropped := udp.dropped(way.sock):
                self.counts.overrun += way.overruns(dropped)

    def open(self) -> None:
        """Begin now, or as soon as it is possible; see ``error``."""
        self._attempts.open()

    def close(self) -> None:
        """Hear nothing more and call nobody; links may still send what waits."""
        self._attempts.close()
        self._set_reading(False)
        self.error = None
        self._close_sockets()

    # --- beginning ------------------------------------------------------------------------------

    def _try(self) -> None:
        """Look up who is not known yet, then go on."""
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
            self._attempts.work(self._look_up(names))
        else:
            self._go_on({})

    async def _look_up(self, names: list[Place]) -> dict[Place, Sockaddr | Fault]:
        async def one(place: Place) -> Sockaddr | Fault:
            try:
                async with asyncio.timeout(LOOKUP_LIMIT):
                    address: Sockaddr = (await self._lookups.addresses(*place))[0][4]
                    return address
            except (OSError, ValueError) as error:
                return error

        return dict(zip(names, await asyncio.gather(*map(one, names)), strict=True))

    def _looked_up(self, task: asyncio.Task[dict[Place, Sockaddr | Fault]]) -> None:
        found = task.result()
        self._found |= {place: each for place, each in found.items() if isinstance(each, tuple)}
        self._go_on({place: each for place, each in found.items() if not isinstance(each, tuple)})

    def _go_on(self, unknown: Mapping[Place, Fault]) -> None:
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
            self._attempts.call_at(self.loop.time() + RETRY)
        news = str(told) != str(self.error) or len(self.hosts) != hosts or not faults
        self.error = told
        if news:
            self._changed(self)

    def _told(self, faults: Mapping[Place, Fault]) -> NetworkError | None:
        if not faults:
            return None
        texts = [
            f"{display(*place)}: {address_fault(fault, place[1], 'UDP')}"
            for place, fault in faults.items()
        ]
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
            self._links[end_of(address)] = link
        return link

    def send(self, data: bytes, address: Sockaddr, way: Way) -> None:
        """Send a datagram beside the links; it may get lost, as any may."""
        with suppress(OSError):
            way.sock.sendto(data, address)

    def peer(self, source: Sockaddr) -> DatagramLink | None:
        """Return the link to where a datagram has come from."""
        end = end_of(source)
        return self._links.get(end) or self._links.get(anywhere(end))

    def let_go(self, link: DatagramLink) -> None:
        """Forget a link, which is closed; its owner is the link itself."""
        self._open_links.discard(link)
        self.pause(link, wanted=False)
        end = None if link.address is None else end_of(link.address)
        if end is not None and self._links.get(end) is link:
            del self._links[end]
        if not self._attempts.wanted:
            self._close_sockets()

    def pause(self, link: DatagramLink, *, wanted: bool) -> None:
        """Stop reading because of a link, or no longer."""
        if wanted:
            self._paused.add(link)
        else:
            self._paused.discard(link)
        self._set_reading(self._attempts.wanted)

    def wait(self, link: DatagramLink) -> None:
        """Call a link when the kernel has room again."""
        way = link.way
        assert way is not None
        if not way.waiting:
            self.loop.add_writer(way.sock.fileno(), self._writable, way)
        if link not in way.waiting:
            way.waiting.append(link)

    def look(self, way: Way, *, failed: bool = False) -> None:
        """Read what the kernel has to tell of datagrams that failed.

        ``failed``: that something did was told by a call.  That alone says nothing about what: a
        kernel that has no room for more datagrams has none for what became of ours either.
        """
        told = list(udp.returned(way.sock))
        for each in told:
            self.counts.returned += each.sent
            if (link := self.peer(each.address)) is not None:
                link.heard_back(each)
        if (told or failed) and not way.renewing:
            # libuv gives a descriptor up that has an error to tell, after it has called us.
            way.renewing = True
            self.loop.call_soon(self._watch_anew, way)

    def _watch_anew(self, way: Way) -> None:
        way.renewing = False
        if (fd := way.sock.fileno()) < 0:
            return  # closed meanwhile
        self.loop.remove_reader(fd)
        self.loop.remove_writer(fd)
        if way.waiting:
            self.loop.add_writer(fd, self._writable, way)
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
        # Always, also after data: sending may have met the error for which we are called.
        self.look(way, failed=self._read(way))

    def _read(self, way: Way) -> bool:
        """Take what has come, at most READS_PER_TURN datagrams; tell whether an error was met."""
        failed = False
        for _ in range(READS_PER_TURN):
            if not self._reading:
                break
            try:
                data, ancillary, _, source = way.sock.recvmsg(READ_SIZE, udp.ANCILLARY)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:  # it is about a datagram that we have sent
                failed = True
                continue
            if lost := udp.overrun(ancillary):
                self.counts.overrun += way.overruns(lost)
            if self._is_echo(source, way.family):
                self.counts.echoes += 1
            else:
                self._heard(data, source, way)
        return failed

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


def _with_family(address: Sockaddr) -> tuple[int, Sockaddr]:
    return (socket.AF_INET6 if ":" in address[0] else socket.AF_INET), address


def _many(host: str) -> bool:
    """Tell whether a host is a group, as far as its text tells."""
    with suppress(ValueError):
        return udp.is_group(host)
    return False
