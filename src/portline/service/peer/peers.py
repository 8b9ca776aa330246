"""The peers of one connection: who comes in, what they hear, what they may do, and who has gone.

Theory of operation
-------------------
The network side brings a link, and a session begins on it.  Sessions call back here, as those of
operators call :mod:`portline.service.operator.operators`; what they want goes on to the parts of
the connection::

    enter() --> in, heard by the hub's policies --peer_gone--> departures: what did it get?
                 |                                      ^
                 +--peer_finished--> lingering ---------+

The port is opened for the first who comes, where it waits for that, and put back after the last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from portline.errors import UsageError
from portline.line import LineFault, Told
from portline.port.base import QUEUE_HIGH, Ability
from portline.recording.record import Kind, Source
from portline.service.making import make_wire
from portline.service.peer.departures import Departures
from portline.service.peer.linger import Lingering
from portline.service.peer.session import Session

if TYPE_CHECKING:
    import asyncio

    from portline.line import Report, Request
    from portline.net.link import Link
    from portline.service.connection import Connection

__all__ = ["Peers"]

CROWD_LIMIT: Final = 8 * QUEUE_HIGH
"""Bytes waiting in the port beyond which not even a newcomer is read: one read of each of some
peers that came and went while the device took nothing."""


class Peers:
    """Those of one connection; who is in, in which order, its hub knows."""

    def __init__(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> None:
        self._connection = connection
        self._loop = loop
        self._number = 0
        self.lingering = Lingering(connection.hub.keep, loop=loop)
        self.departures = Departures(self.lingering, connection.log)

    @property
    def there(self) -> bool:
        """Tell whether somebody is in, or lingers."""
        return bool(self._connection.hub.peers or self.lingering)

    def next_number(self) -> int:
        """Return the number of the session that begins now."""
        self._number += 1
        return self._number

    def close(self, reason: str, *, limit: float) -> list[Link]:
        """Send everybody away; returns the links that close by themselves in ``limit`` seconds."""
        for session in (*self._connection.hub.peers, *self.lingering):
            session.close(reason, limit=limit)
        return self.departures.links

    def stop(self) -> None:
        """Settle what those who linger got, and forget them."""
        self.lingering.settle()
        self._connection.news.ended(self._connection.hub.keep)
        self.lingering.stop()

    # --- they come and go -----------------------------------------------------------------------

    def enter(self, link: Link, protocol: str) -> Session:
        """Let one in who speaks ``protocol``; returns its session, which has begun."""
        connection = self._connection
        hub, network = connection.hub, connection.network
        self.set_link(link)
        if link.login:
            link.resume()  # nobody was to read what came behind the login
        held = network.calls and connection.config.is_virtual and protocol != "raw"
        session = Session(
            self,
            link,
            make_wire(protocol, connection.name, connection.config),
            number=self.next_number(),
            protocol=protocol,
            backlog=connection.config.backlog_size,
            held=held,
            doubted=network.calls and not held,
            retains=network.retains,
            faults=Ability.BREAK in connection.port.capabilities.abilities,
            clock=self._loop.time,
        )
        connection.log.info(
            "peer connected peer=%s protocol=%s%s", session.name, session.protocol, _shown(link)
        )
        connection.tap.happened(
            Kind.CONNECTED,
            session.protocol,
            source=Source.PEER,
            peer=session.name,
            protocol=session.protocol,
        )
        connection.news.kept(hub.keep)
        if not connection.occupied:
            connection.tenancy.begins()
        self.lingering.settle()
        if not hub.peers and (rest := connection.packets.rest()):
            hub.hear(rest)  # gathered for one who lingers: it is too late
        hub.join(session, hears=link.hears)
        crowded = connection.port.queued > CROWD_LIMIT
        if connection.full and (session.wire.transparent or crowded):
            session.pause_for_port(True)
        session.start()
        self.deliver_kept()
        connection.pace.update()
        connection.sweep.schedule()
        if link.early:
            early, link.early = link.early, b""
            session.link_data(early)
        return session

    def set_link(self, link: Link) -> None:
        """Give a link the TCP options of the configuration."""
        config = self._connection.config
        link.configure(
            nodelay=config.nodelay, keepalive=config.keepalive, retry=config.keepalive_retry
        )

    def disconnect(self, session: Session) -> None:
        """Send a peer away: it gets what waits for it, and then the end of its connection.

        Raises UsageError for one that cannot be, with the reason and the remedy.
        """
        if why := self._connection.network.keeps(session):
            raise UsageError(f"{self._connection.name}: {session.name}: {why}")
        session.close("disconnected by hand")

    def peer_finished(self, session: Session) -> None:
        """Let the peer go, but let a raw one that has just asked hear its answer."""
        reason = session.refusal or "the peer closed the connection"
        if not self._connection.network.lingers:
            session.abort(reason)
            return
        if session in self._connection.hub.listeners and self.lingering.welcome(session):
            self.lingering.begin(session, reason)
            self._forget(session)
        else:
            session.close(reason)

    def peer_gone(self, session: Session, reason: str) -> None:
        """Note that a peer has gone; its link may still be sending what waits."""
        connection = self._connection
        if connection.network.calls and session.refusal == reason:  # it was the peer who has ended
            connection.news.refused(session.name, session.refusal)
        self.departures.note(session, reason)
        connection.tap.happened(
            Kind.DISCONNECTED, reason, source=Source.PEER, peer=session.name, reason=reason
        )
        self._forget(session)
        if session.undelivered:
            connection.hub.keep.put_back(session.undelivered)

    def _forget(self, session: Session) -> None:
        """Take a session out of the hub; put the port back when it was the last."""
        connection = self._connection
        if session in connection.hub.peers:
            connection.hub.leave(session)
            connection.inputs.left(session, connected=connection.occupied)
            connection.asking.left(session)
            connection.resets.left(session)
            connection.pace.update()
            connection.watch()
            if not session.wire.transparent:
                connection.tenancy.restore()
            if not connection.hub.peers:
                self.lingering.vacate()
        if not self.there and (rest := connection.packets.rest()):
            self.hear(rest)
        connection.network.left(session)
        if not connection.occupied:
            connection.tenancy.ends()

    # --- what they hear -------------------------------------------------------------------------

    def hear(self, data: bytes) -> None:
        """Pass a chunk, or a packet, of the port on to whoever hears it."""
        lingering = self.lingering
        if lingering.accounts:
            lingering.look()
        hub = self._connection.hub
        listeners = hub.hear(data)
        for session in listeners:
            session.deliver(data)
        if lingering.accounts:
            lingering.hear(data)
        if not listeners and hub.keep.full:
            self._connection.pace.update()

    def deliver_kept(self) -> None:
        """Pass on what was kept while nobody heard the port, if somebody does now."""
        hub = self._connection.hub
        kept = hub.kept()
        if kept:
            for session in hub.listeners:
                session.deliver(kept)

    # --- called by the sessions -----------------------------------------------------------------

    def peer_data(self, session: Session, data: bytes) -> None:
        """Pass what a peer sent on to the port, if it may speak."""
        connection = self._connection
        hub = connection.hub
        before = hub.listeners
        if hub.speak(session, len(data)):
            if connection.resets.holds:
                connection.resets.release()
            if connection.tap.watchers:
                connection.tap.spoke(session.name, data)
            connection.port.write(data)
            if connection.full:
                # A controlling peer that has written nothing yet is read although the port is
                # full: it may be the one who purges what others left behind.
                session.pause_for_port(True)
        if hub.listeners is not before:
            self.deliver_kept()
            connection.pace.update()

    def peer_request(self, session: Session, request: Request) -> None:
        """Have a request carried out, or answered with what is in force if it is not allowed."""
        connection = self._connection
        allowed = connection.requests.permissions.allows(request)
        if not (allowed and connection.resets.takes(session, request)):
            connection.requests.carry_out(session, request)

    def peer_serves(self, session: Session) -> None:
        """Ask an access server for what the application has in force."""
        self._connection.asking.serves(session)

    def peer_does_not_serve(self, session: Session) -> None:
        """Tell that the settings of the application go nowhere."""
        self._connection.asking.does_not_serve(session)

    def peer_offers_more(self, session: Session) -> None:
        """Tell that what a raw server says are commands and no data."""
        self._connection.news.misunderstood(session.name)

    def peer_settled(self, session: Session) -> None:
        """Tell that a server which has refused us takes us now."""
        self._connection.news.taken(session.name)

    def peer_report(self, session: Session, report: Report) -> None:
        """Note what the access server at the other end tells."""
        connection = self._connection
        connection.asking.told(session, report)
        connection.tap.reported(report, virtual=connection.config.is_virtual, peer=session.name)
        if isinstance(report, LineFault):
            connection.port.show_fault(report)
        if isinstance(report, Told):
            connection.draining.told(session, report)

    def peer_watches(self) -> None:
        """Have the port watch what somebody wants to be told of."""
        self._connection.watch()

    def peer_behind(self, session: Session) -> None:
        """Wait for a peer that reads slowly, or go on without it."""
        if session in self.lingering:
            session.abort("it did not read what it has asked for")
        else:
            self._connection.pace.behind(session)

    def peer_caught_up(self, session: Session) -> None:
        """Read the port again if this peer held it."""
        self._connection.pace.caught_up(session)


def _shown(link: Link) -> str:
    """Write what protects a link; "" for nothing."""
    if (security := link.security) is None:
        return ""
    text = f" tls={security.version} cipher={security.cipher}"
    if security.subject:
        text += f' subject="{security.subject}"'
    return text + (f" certificate={security.fingerprint}" if security.fingerprint else "")
