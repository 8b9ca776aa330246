"""The network side of a udp connection: whose datagrams are taken, and who is sent to.

Theory of operation
-------------------
Each host in ``connect`` is a peer for as long as the sockets are open, whether it is there or not.
A datagram belongs to the first of these that there is:

1. the peer with its address and port, configured or learned;
2. the configured host with its address, from whatever port it sends;
3. the first host in ``connect`` that stands for more than one machine: a group, or a broadcast
   address;
4. a newcomer where peers are learned, or a peer named ANYBODY, that hears nothing, where any is
   taken;
5. nobody: it is from a stranger, and counted.

A learned peer is forgotten when it has been silent for ``forget_after``.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from portline.auth.exchange import MECHANISM
from portline.auth.seal import OVERHEAD
from portline.config.datagram import Accept, UdpConnection
from portline.net.address import display
from portline.net.udp.counts import Counts
from portline.net.udp.endpoint import Endpoint
from portline.net.udp.socket import Settings
from portline.net.udp.way import same_host
from portline.service.network.associations import Associations, counted
from portline.service.network.demand import NOBODY_ASKS, Demand
from portline.service.status import State

if TYPE_CHECKING:
    import asyncio
    import logging
    from collections.abc import Callable, Iterator
    from typing import Any

    from portline.auth.secret import Secret
    from portline.config.models import ConnectionConfig
    from portline.net.udp.link import DatagramLink
    from portline.net.udp.way import Host, Way
    from portline.service.peer.session import Session

__all__ = ["ANYBODY", "Datagrams"]

ANYBODY: Final = "anybody"
"""The name of the peer for all whose datagrams are taken and who are not sent to."""

PROTOCOL: Final = "udp"
"""What is told of the peers: bytes as they are, in datagrams."""


class Datagrams:
    """The peers of one connection.

    ``enter`` makes a peer of a link and returns it; ``changed`` is called on news of the endpoint.
    """

    lingers = False
    calls = False
    attempting = False
    retains = False
    replaced = 0

    def __init__(
        self,
        config: UdpConnection,
        *,
        loop: asyncio.AbstractEventLoop,
        log: logging.LoggerAdapter[logging.Logger],
        enter: Callable[[DatagramLink, str], Session],
        changed: Callable[[Endpoint], None],
    ) -> None:
        self.counted = Counts()
        self.turned_away = 0
        """Datagrams of those for whom there was no room among the learned."""
        self._config = config
        self._loop = loop
        self._log = log
        self._enter = enter
        self._crowd = ""  # whom nothing can be proved to
        self._changed = changed
        self._denied = 0
        self._logins: Associations | None = None
        self._demand = Demand(loop, self._hang_up)
        self._forgetting: asyncio.TimerHandle | None = None
        self._hosts: dict[DatagramLink, tuple[Host, Session]] = {}
        self._learned: dict[DatagramLink, Session] = {}
        self._anybody: tuple[DatagramLink, Session] | None = None
        self.endpoint = self._made()

    security = None  # Python's ssl has no DTLS

    def renew(self) -> bool:
        """Do nothing: no certificates are read."""
        return False

    @property
    def counts(self) -> dict[str, int]:
        """What became of datagrams (``net.udp.counts.Counts``), and of logins."""
        self.endpoint.count_overrun()
        logins = {} if self._logins is None else counted(self._logins.counts)
        denied = {"denied": self._denied} if self._config.networks.limited else {}
        return {**asdict(self.counted), **denied, **logins}

    @property
    def places(self) -> tuple[str, ...]:
        """Where datagrams go and where they are received."""
        to = [f"to {display(*place)} (udp)" for place in _places(self._config.connect)]
        on = [f"on {self.endpoint.listening(p)} (udp)" for p in _places(self._config.listen)]
        return (*to, *on)

    @property
    def error(self) -> str:
        """What is wrong with an address or a host."""
        known = "" if self.endpoint.error is None else str(self.endpoint.error)
        return "; ".join(filter(None, (known, self._crowd)))

    @property
    def state(self) -> tuple[State, str]:
        """Connected while there is anybody to send to or to hear, with what is wrong about them."""
        links = [link for link, _ in self._sessions()]
        if links:
            troubles = [f"{link.name}: {link.trouble}" for link in links if link.trouble]
            if self._logins is not None and self._logins.trouble:
                troubles.append(self._logins.trouble)
            return State.CONNECTED, "; ".join(troubles)
        if self.endpoint.ready and self._config.listen:
            return State.LISTENING, ""
        if self._demand.there:
            return State.CONNECTING, "" if self._logins is None else self._logins.trouble
        if self._config.connect_when_open:
            return State.WAITING, NOBODY_ASKS
        return State.STOPPED, ""

    def open(self, wanted: bool) -> None:
        """Send and receive from now on; or no longer, a moment later."""
        self._demand.want(wanted)
        if wanted:
            self.endpoint.open()

    def accept(self) -> None:
        """Do nothing: nobody connects."""

    def close(self) -> None:
        """Receive no longer."""
        if self._forgetting is not None:
            self._forgetting.cancel()
            self._forgetting = None
        self._demand.end()
        if self._logins is not None:
            self._logins.close()
        self.endpoint.count_overrun()
        self.endpoint.close()

    def keeps(self, session: Session) -> str:
        """Keep the hosts of the configuration, which are peers for as long as it says so."""
        if any(each is session for _, each in self._hosts.values()):
            return "is sent to because connect names it; take it out there, or stop the connection"
        return ""

    def left(self, session: Session) -> None:
        """Forget a peer."""
        if self._logins is not None:
            gone = [link for link, each in self._sessions() if each is session]
            for link in gone:
                if link.address is not None and link not in self._hosts:
                    self._logins.forget(link.address)
        self._hosts = {k: v for k, v in self._hosts.items() if v[1] is not session}
        self._learned = {k: v for k, v in self._learned.items() if v is not session}
        if self._anybody is not None and self._anybody[1] is session:
            self._anybody = None

    def trust(self, secret: Secret | None) -> None:
        """Demand this password of peers, and prove it to them; who is in stays."""
        if secret is None or self._logins is None:
            if (secret is None) is not (self._logins is None):
                self._start_over(secret)
        else:
            self._logins.secret = secret

    def _start_over(self, secret: Secret | None) -> None:
        """Ask all peers for a password, or no longer: nobody is who he was."""
        if self._logins is not None:
            self._logins.close()
        self._logins = None
        self._end("a password is asked for now" if secret else "no password is asked for any more")
        if secret is not None:
            self._logins = Associations(
                secret,
                loop=self._loop,
                log=self._log,
                send=lambda data, address, way: self.endpoint.send(data, address, way),
                established=self._established,
            )
        self._meet(self.endpoint)

    def adopt(self, name: str, config: ConnectionConfig, *, wanted: bool) -> None:
        """Send to other hosts, or receive elsewhere; who is learned stays if that is the same."""
        assert isinstance(config, UdpConnection)  # another kind is another connection
        before, self._config = self._config, config
        self.endpoint.size = config.datagram_size
        if _way(before) != _way(config):
            self._crowd = ""
            if self._logins is not None:
                self._logins.close()
            self.endpoint.close()
            self._end("it is not sent to in that way any more")
            self.endpoint = self._made()
            if self._demand.there:
                self.endpoint.open()
        elif config.accept is not before.accept:
            for session in [*self._learned.values(), *self._of_anybody()]:
                session.close(f"accept is {config.accept.value} now")
        self.open(wanted)
        self._forget()

    # --- peers ----------------------------------------------------------------------------------

    def _made(self) -> Endpoint:
        config = self._config
        return Endpoint(
            self._loop,
            connect=_places(config.connect),
            listen=_places(config.listen),
            settings=Settings(config.interface, config.multicast_ttl, config.multicast_loop),
            size=config.datagram_size,
            counts=self.counted,
            heard=self._heard,
            changed=self._news,
        )

    def _news(self, endpoint: Endpoint) -> None:
        """Let the hosts that are known now be peers, in the order of the configuration."""
        self._changed(endpoint)
        self._meet(endpoint)

    def _meet(self, endpoint: Endpoint) -> None:
        there = {host.place for host, _ in self._hosts.values()}
        for place in _places(self._config.connect):
            host = endpoint.hosts.get(place)
            if host is None or place in there:
                continue
            if self._logins is None:
                self._join(host)
            elif host.many:
                self._crowd = f"{display(*place)}: a password proves itself to one, and not to many"
            else:
                self._logins.call(host.address, host.way)

    def _join(self, host: Host) -> None:
        link = self._link(host.address, host.way)
        self._hosts[link] = (host, self._enter(link, PROTOCOL))

    def _link(self, address: tuple[Any, ...], way: Way) -> DatagramLink:
        link = self.endpoint.link(address, way)
        if (logins := self._logins) is not None:
            link.login = MECHANISM
            link.overhead = OVERHEAD
            link.seal = lambda data: logins.seal(address, data)
        return link

    def _established(self, address: tuple[Any, ...], way: Way) -> None:
        """Let somebody be a peer who has logged in, or whom we have logged in at."""
        if self.endpoint.peer(address) is not None:
            return
        hosts = self.endpoint.hosts.values()
        host = next((each for each in hosts if _is_at(each.address, address)), None)
        if host is not None:
            self._join(host)
        elif self._config.accept is not Accept.LEARN:
            self.counted.strangers += 1
        elif self._learn(address, way) is None:
            self.turned_away += 1

    def _heard(self, data: bytes, source: tuple[Any, ...], way: Way) -> None:
        if not self._config.networks.admits(source[0]):
            self._denied += 1
            return
        if self._logins is not None:
            proved = self._logins.heard(data, source, way)
            if proved is None:
                return
            data = proved
        link = self._whose(source)
        if link is None and self._config.accept is Accept.LEARN:
            link = self._learn(source, way)
            if link is None:
                self.turned_away += 1
                return
        elif link is None and self._config.accept is Accept.ANY:
            if self._anybody is None:
                stranger = self.endpoint.link(None, None, ANYBODY)
                self._anybody = (stranger, self._enter(stranger, PROTOCOL))
            link = self._anybody[0]
        if link is None:
            self.counted.strangers += 1
        else:
            link.take(data)

    def _whose(self, source: tuple[Any, ...]) -> DatagramLink | None:
        """Return the peer that has sent a datagram, as far as it is one already."""
        exact = self.endpoint.peer(source)
        if exact is not None:
            return exact
        hosts = [(link, host) for link, (host, _) in self._hosts.items()]
        same = (link for link, host in hosts if same_host(host.address, source))
        many = (link for link, host in hosts if host.many)
        return next(same, None) or next(many, None)

    def _learn(self, source: tuple[Any, ...], way: Way) -> DatagramLink | None:
        if len(self._learned) >= self._config.max_learned:
            return None
        link = self._link(source, way)
        self._learned[link] = self._enter(link, PROTOCOL)
        self._forget()
        return link

    def _forget(self) -> None:
        """Forget who was silent for too long, and look again when the next one may have been."""
        if self._forgetting is not None:
            self._forgetting.cancel()
            self._forgetting = None
        limit = self._config.forget_after
        now = self._loop.time()
        for link, session in tuple(self._learned.items()):
            if now - link.heard_at >= limit:
                session.close(f"silent for {limit:g} s")
        if self._learned and self._demand.there:
            first = min(link.heard_at for link in self._learned)
            self._forgetting = self._loop.call_at(first + limit, self._forget)

    def _hang_up(self) -> None:
        self.close()
        self._end(NOBODY_ASKS)

    def _end(self, reason: str) -> None:
        for _, session in tuple(self._sessions()):
            session.close(reason)

    def _of_anybody(self) -> list[Session]:
        return [] if self._anybody is None else [self._anybody[1]]

    def _sessions(self) -> Iterator[tuple[DatagramLink, Session]]:
        yield from ((link, session) for link, (_, session) in self._hosts.items())
        yield from self._learned.items()
        if self._anybody is not None:
            yield self._anybody


def _is_at(named: tuple[Any, ...], address: tuple[Any, ...]) -> bool:
    return bool(named[1] == address[1]) and same_host(named, address)


def _places(addresses: Any) -> list[tuple[str, int]]:
    return [(address.host, address.port) for address in addresses]


def _way(config: UdpConnection) -> tuple[object, ...]:
    """Return everything that decides what the sockets are."""
    return (
        config.connect,
        config.listen,
        config.interface,
        config.multicast_ttl,
        config.multicast_loop,
    )
