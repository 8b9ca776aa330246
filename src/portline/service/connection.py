"""One connection: a local port, its hub, and its network side.  The composition root.

Theory of operation
-------------------
This is where configuration becomes plain values for the rooms below, and where their callbacks
meet: the port calls ``port_*``, sessions call ``peer_*``, the network side calls ``_enter``.
Everything happens in callbacks of one event loop, so nothing needs a lock, and no callback blocks.

A connection never ends because something is wrong with it: an address that is taken, a device that
is away, are states with a reason and a retry (``NetworkSide``, ``PortKeeper``).
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from portline.errors import UsageError
from portline.hub.core import Hub
from portline.line import (
    LineChange,
    LineFault,
    ModemChange,
    SetLine,
    Told,
)
from portline.net import tcp
from portline.port.base import QUEUE_HIGH, Ability
from portline.recording.record import Kind, Source
from portline.service.local.absence import Absence
from portline.service.local.asking import Asking
from portline.service.local.draining import Draining
from portline.service.local.inputs import Inputs, input_rules
from portline.service.local.keeper import PortKeeper
from portline.service.local.pace import Pace
from portline.service.local.packets import PacketFlow
from portline.service.local.panel import Panel
from portline.service.local.requests import Requests
from portline.service.local.resets import Resets
from portline.service.local.tenancy import Tenancy
from portline.service.making import (
    make_network,
    make_packetizer,
    make_permissions,
    make_port,
    make_wire,
)
from portline.service.monitor.tap import Tap
from portline.service.news import News
from portline.service.operator.operators import Operators
from portline.service.peer.departures import Departures
from portline.service.peer.linger import Lingering
from portline.service.peer.session import Session
from portline.service.peer.sweep import Sweep

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from portline.auth.secret import Secret
    from portline.config.models import ConnectionConfig
    from portline.errors import PortError
    from portline.line import LineSettings, Report, Request
    from portline.net.link import Link
    from portline.service.process.store import Store

__all__ = ["Connection"]

CROWD_LIMIT: Final = 8 * QUEUE_HIGH
"""Bytes waiting in the port beyond which not even a newcomer is read: one read of each of some
peers that came and went while the device took nothing."""


class Connection:
    """A connection named ``name``; see :mod:`portline.config.models`.

    ``store`` outlives the process; without one nothing is left to the next.  ``secret`` is what it
    knows of the password, where its configuration wants one.  Who watches is told through ``tap``.
    ``rests`` tells why it is there and not started; "" for one that is to be.  ``start`` and
    ``stop`` may each be called once.
    """

    def __init__(
        self,
        name: str,
        config: ConnectionConfig,
        loop: asyncio.AbstractEventLoop,
        store: Store | None = None,
        secret: Secret | None = None,
        tap: Tap | None = None,
        *,
        rests: str = "",
    ) -> None:
        if config.wants_password and secret is None:
            raise UsageError(f"{name}: a connection with a password cannot be made without it")
        self.name = name
        self.config = config
        self.rests = rests
        self.log = logging.LoggerAdapter(
            logging.getLogger("portline.connection"), {"connection": name}
        )
        self.tap = Tap() if tap is None else tap
        self.tap.changed = self.peer_watches
        self.hub: Hub[Session] = Hub(
            receive_from=config.receive_from,
            send_to=config.send_to,
            buffer_size=config.buffer_size,
            buffer_overflow=config.buffer_overflow,
        )
        self.port = make_port(config, owner=self, loop=loop, log=self.log, store=store)
        self.keeper = PortKeeper(loop, self.port, self._port_changed, plugs=not config.is_virtual)
        self.absence = Absence(self, loop)
        self.news = News(self.log)
        self.inputs = Inputs(input_rules(config), self.port, told=self._drove)
        self.asking = Asking(
            self.port, self.inputs, self.log, lambda: self.config, loop=loop, told=self._drove
        )
        self.tenancy = Tenancy(
            config,
            self.port,
            self.keeper,
            self.inputs,
            loop=loop,
            occupied=lambda: self.occupied,
            told=self._drove,
        )
        self._loop = loop
        self.network = make_network(
            name,
            config,
            loop=loop,
            peers=lambda: self.hub.peers,
            moved=lambda: self.port.sent,
            enter=self._enter,
            news=self.news,
            log=self.log,
        )
        self.network.trust(secret)
        self.operators = Operators(self, loop)
        self._lingering = Lingering(self.hub.keep, loop=loop)
        self.departures = Departures(self._lingering, self.log)
        self._number = 0
        self.full = False
        """Whether the port takes no more for now."""
        self._absent_since = 0.0
        self.pace = Pace(self.hub, self.port, overflow=config.overflow, loop=loop, log=self.log)
        self.sweep = Sweep(
            loop=loop,
            peers=lambda: self.hub.peers,
            absent_since=lambda: self._absent_since if self.keeper.error is not None else None,
            silence=tcp.death_time(config.keepalive, config.keepalive_retry),
            inactivity=config.inactivity,
            lasting=config.kind == "udp",
        )
        self.packets = PacketFlow(
            make_packetizer(config), loop=loop, send=self._send, full=self.pace.packets_full
        )
        self.requests = Requests(
            self.port,
            make_permissions(config),
            inputs=self.inputs,
            packets=self.packets,
            log=self.log,
            settled=self._settled,
            told=self.tap.asked,
        )
        self.resets = Resets(
            self.port,
            self.log,
            lambda: self.config,
            loop=loop,
            answer=self.requests.answer,
            told=self._drove,
        )
        self.panel = Panel(
            self.port,
            self.keeper,
            self.inputs,
            self.resets,
            self.log,
            config=lambda: self.config,
            ruled=lambda: self.tenancy.levels,
            settled=self.time_packets,
            peers=lambda: self.hub.peers,
        )
        self.draining = Draining(
            loop=loop,
            peers=lambda: self.hub.listeners,
            gathering=lambda: self.packets.coming,
            character_time=lambda: self.settings.character_time,
        )

    # --- life -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Open the port and listen, each now or as soon as it is possible."""
        self._absent_since = self._loop.time()
        if Ability.LINES not in self._abilities:
            self.news.unreadable_lines(self.config)
        self.news.unheard_groups(self.config)
        self.news.open_doors(self.config)
        self.tenancy.start()
        self.pace.update()
        if self.network_wanted:
            self.network.open(True)

    def leave_port(self, *, named: bool) -> None:
        """Leave a virtual port to the process after this one, if that can be; its name, too."""
        kept = self.hub.keep.empty()
        if not self.port.leave(kept, named=named) and kept:
            self.hub.keep.put_back(kept)

    def stop(self, limit: float) -> list[Link]:
        """Say goodbye to the peers and stop listening; the port stays open for what it has to send.

        Returns the links that close by themselves within ``limit`` seconds.  Call ``close`` then.
        """
        self.network.close()
        operators = self.operators.close("Portline stops", limit=limit)
        for session in (*self.hub.peers, *self._lingering):
            session.close("Portline stops", limit=limit)
        return [*self.departures.links, *operators]

    def close(self) -> None:
        """Close the port; its lines stay as configured for "nobody connected"."""
        self._lingering.settle()
        self.news.ended(self.hub.keep)
        self._lingering.stop()
        self.absence.stop()
        self.resets.stop()
        self.pace.stop()
        self.sweep.stop()
        self.draining.stop()
        self.keeper.want(False)

    def repack(self) -> None:
        """Gather packets by the configuration of now; what is gathered already is sent."""
        self.packets.gather_by(make_packetizer(self.config))
        self.time_packets(self.settings)

    def refresh(self) -> None:
        """Look again at everything that may follow from other policies."""
        self._deliver_kept()
        self.pace.update()
        self.sweep.schedule()
        self.absence.update()

    @property
    def network_wanted(self) -> bool:
        """Tell whether peers are wanted now."""
        if self.absence.disconnects:
            return False
        application = self.port.application
        in_use = application is not None and application.there
        return in_use or not self.config.only_when_open

    # --- peers come and go ----------------------------------------------------------------------

    def _enter(self, link: Link, protocol: str) -> Session:
        self.set_link(link)
        if link.login:
            link.resume()  # nobody was to read what came behind the login
        held = self.network.calls and self.config.is_virtual and protocol != "raw"
        session = Session(
            self,
            link,
            make_wire(protocol, self.name, self.config),
            number=self.next_number(),
            protocol=protocol,
            backlog=self.config.backlog_size,
            held=held,
            doubted=self.network.calls and not held,
            retains=self.network.retains,
            faults=Ability.BREAK in self._abilities,
            clock=self._loop.time,
        )
        self.log.info(
            "peer connected peer=%s protocol=%s%s", session.name, session.protocol, _shown(link)
        )
        self.tap.happened(
            Kind.CONNECTED,
            session.protocol,
            source=Source.PEER,
            peer=session.name,
            protocol=session.protocol,
        )
        self.news.kept(self.hub.keep)
        if not self.occupied:
            self.tenancy.begins()
        self._lingering.settle()
        if not self.hub.peers and (rest := self.packets.rest()):
            self.hub.hear(rest)  # gathered for one who lingers: it is too late
        self.hub.join(session, hears=link.hears)
        if self.full and (session.wire.transparent or self.port.queued > CROWD_LIMIT):
            session.pause_for_port(True)
        session.start()
        self._deliver_kept()
        self.pace.update()
        self.sweep.schedule()
        if link.early:
            early, link.early = link.early, b""
            session.link_data(early)
        return session

    def set_link(self, link: Link) -> None:
        """Give a link the TCP options of the configuration."""
        config = self.config
        link.configure(
            nodelay=config.nodelay, keepalive=config.keepalive, retry=config.keepalive_retry
        )

    @property
    def settings(self) -> LineSettings:
        """The settings of the line: the application's, or what is in force at the device."""
        application = self.port.application
        return self.port.state.settings if application is None else application.settings

    @property
    def _abilities(self) -> frozenset[Ability]:
        """What the application of the virtual port can see."""
        return self.port.capabilities.abilities

    @property
    def occupied(self) -> bool:
        """Tell whether somebody uses the port through this connection now."""
        return self._peopled or len(self.operators) > 0

    @property
    def _peopled(self) -> bool:
        return bool(self.hub.peers or self._lingering)

    def next_number(self) -> int:
        """Return the number of the session that begins now."""
        self._number += 1
        return self._number

    def peer_finished(self, session: Session) -> None:
        """Let the peer go, but let a raw one that has just asked hear its answer."""
        reason = session.refusal or "the peer closed the connection"
        if not self.network.lingers:
            session.abort(reason)
            return
        if session in self.hub.listeners and self._lingering.welcome(session):
            self._lingering.begin(session, reason)
            self._forget(session)
        else:
            session.close(reason)

    def disconnect(self, session: Session) -> None:
        """Send a peer away: it gets what waits for it, and then the end of its connection.

        Raises UsageError for one that cannot be, with the reason and the remedy.
        """
        if why := self.network.keeps(session):
            raise UsageError(f"{self.name}: {session.name}: {why}")
        session.close("disconnected by hand")

    def peer_gone(self, session: Session, reason: str) -> None:
        """Note that a peer has gone; its link may still be sending what waits."""
        if self.network.calls and session.refusal == reason:  # it was the peer who has ended
            self.news.refused(session.name, session.refusal)
        self.departures.note(session, reason)
        self.tap.happened(
            Kind.DISCONNECTED,
            reason,
            source=Source.PEER,
            peer=session.name,
            reason=reason,
        )
        self._forget(session)
        if session.undelivered:
            self.hub.keep.put_back(session.undelivered)

    def _forget(self, session: Session) -> None:
        """Take a session out of the hub; put the port back when it was the last."""
        if session in self.hub.peers:
            self.hub.leave(session)
            self.inputs.left(session, connected=self.occupied)
            self.asking.left(session)
            self.resets.left(session)
            self.pace.update()
            self.peer_watches()
            if not session.wire.transparent:
                self.tenancy.restore()
            if not self.hub.peers:
                self._lingering.vacate()
        if not self._peopled and (rest := self.packets.rest()):
            self._send(rest)
        self.network.left(session)
        if not self.occupied:
            self.tenancy.ends()

    # --- from the port --------------------------------------------------------------------------

    def port_data(self, data: bytes) -> None:
        """Pass a chunk on to whoever hears the port, or let it wait for its packet."""
        if self.tap.watchers:
            self.tap.heard(data)
        if not self.hub.peers:
            # Who has connected is connected, also before the loop has come to it.
            self.network.accept()
        self.operators.hear(data)
        if self.packets.rules is not None and self._peopled:
            self.packets.feed(data)
        else:
            self._send(data)

    def _send(self, data: bytes) -> None:
        if self._lingering.accounts:
            self._lingering.look()
        listeners = self.hub.hear(data)
        for session in listeners:
            session.deliver(data)
        if self._lingering.accounts:
            self._lingering.hear(data)
        if not listeners and self.hub.keep.full:
            self.pace.update()

    def port_report(self, report: Report) -> None:
        """Tell the peers what happened at the port."""
        if isinstance(report, LineChange):
            self.time_packets(report.settings)
        if isinstance(report, ModemChange):
            self.absence.told(report.lines)
        self.tap.reported(report, virtual=self.config.is_virtual)
        news = self.asking.reported(report, self.hub.peers)
        self.operators.report(report)
        if news is None or (isinstance(news, LineChange | ModemChange) and not self.config.notify):
            return
        for session in self.hub.peers:
            session.report(news)

    def port_in_use(self, in_use: bool) -> None:
        """Note that an application opened or closed the virtual port."""
        self.log.info("an application %s the port", "opened" if in_use else "closed")
        self.tap.happened(
            Kind.OPEN if in_use else Kind.CLOSED,
            "by an application",
            what="application",
        )
        if self.config.only_when_open:
            self.network.open(in_use)
        if in_use:
            self.asking.settings(self.hub.peers)

    def port_drain(self, done: Callable[[], None]) -> None:
        """Call back when what the application wrote has left, as far as the peers tell."""
        self.draining.wait(done)

    def port_full(self, full: bool) -> None:
        """Hold the peers back, or let them go on."""
        self.full = full
        for session in self.hub.peers:
            session.pause_for_port(full)
        self.operators.port_full(full)

    def port_lost(self, error: PortError) -> None:
        """Note that the device went away."""
        self._absent_since = self._loop.time()
        self.keeper.lost(error)
        self.operators.port_lost(error)

    def _port_changed(self) -> None:
        if self.keeper.error is not None:
            reason = str(self.keeper.error)
            self.tap.happened(Kind.CLOSED, reason, what="port", reason=reason)
            self.news.port_trouble(self.keeper.error)
        elif self.keeper.open:
            settings = str(self.settings)
            self.tap.happened(Kind.OPEN, f"the port, {settings}", what="port", settings=settings)
            self.news.port_open(self.port)
            self.news.missing_lines(self.config, self.port)
            self.time_packets(self.settings)
            self.port_full(False)
            self.pace.update()
            self.peer_watches()
        else:
            self.tap.happened(Kind.CLOSED, "the port", what="port")
        if not self.config.is_virtual:
            self.absence.tell_lines()
        self.absence.update()

    def time_packets(self, settings: LineSettings) -> None:
        """Measure a quiet line in the characters that it carries."""
        self.packets.call_idle(self.config.packet_idle * settings.character_time)

    def _settled(self, session: Session) -> None:
        self.time_packets(self.settings)
        self.operators.settled(session)

    def _deliver_kept(self) -> None:
        kept = self.hub.kept()
        if kept:
            for session in self.hub.listeners:
                session.deliver(kept)

    # --- from the peers -------------------------------------------------------------------------

    def peer_data(self, session: Session, data: bytes) -> None:
        """Pass what a peer sent on to the port, if it may speak."""
        before = self.hub.listeners
        if self.hub.speak(session, len(data)):
            if self.resets.holds:
                self.resets.release()
            if self.tap.watchers:
                self.tap.spoke(session.name, data)
            self.port.write(data)
            if self.full:
                # A controlling peer that has written nothing yet is read although the port is
                # full: it may be the one who purges what others left behind.
                session.pause_for_port(True)
        if self.hub.listeners is not before:
            self._deliver_kept()
            self.pace.update()

    def peer_request(self, session: Session, request: Request) -> None:
        """Have a request carried out, or answered with what is in force if it is not allowed."""
        allowed = self.requests.permissions.allows(request)
        if not (allowed and self.resets.takes(session, request)):
            self.requests.carry_out(session, request)

    def _drove(self, request: Request) -> None:
        """Tell who watches what was asked of the port by nobody but us."""
        if self.tap.watchers:
            state = self.port.state
            if isinstance(request, SetLine):
                state = replace(state, settings=request.applied_to(state.settings))
            self.tap.asked(request, state)

    def peer_serves(self, session: Session) -> None:
        """Ask an access server for what the application has in force."""
        self.asking.serves(session)

    def peer_does_not_serve(self, session: Session) -> None:
        """Tell that the settings of the application go nowhere."""
        self.asking.does_not_serve(session)

    def peer_offers_more(self, session: Session) -> None:
        """Tell that what a raw server says are commands and no data."""
        self.news.misunderstood(session.name)

    def peer_settled(self, session: Session) -> None:
        """Tell that a server which has refused us takes us now."""
        self.news.taken(session.name)

    def peer_report(self, session: Session, report: Report) -> None:
        """Note what the access server at the other end tells."""
        self.asking.told(session, report)
        self.tap.reported(report, virtual=self.config.is_virtual, peer=session.name)
        if isinstance(report, LineFault):
            self.port.show_fault(report)
        if isinstance(report, Told):
            self.draining.told(session, report)

    def peer_watches(self) -> None:
        """Have the port watch what a peer, an operator, or one who watches wants to be told of."""
        watches = [each.watch for each in (*self.hub.peers, *self.operators.sessions)]
        watched = bool(self.tap.watchers)
        self.port.watch(
            modem_lines=watched or any(watch.modem_lines for watch in watches),
            faults=watched or any(watch.faults for watch in watches),
        )

    def peer_behind(self, session: Session) -> None:
        """Wait for a peer that reads slowly, or go on without it."""
        if session in self._lingering:
            session.abort("it did not read what it has asked for")
        else:
            self.pace.behind(session)

    def peer_caught_up(self, session: Session) -> None:
        """Read the port again if this peer held it."""
        self.pace.caught_up(session)


def _shown(link: Link) -> str:
    """Write what protects a link; "" for nothing."""
    if (security := link.security) is None:
        return ""
    text = f" tls={security.version} cipher={security.cipher}"
    if security.subject:
        text += f' subject="{security.subject}"'
    return text + (f" certificate={security.fingerprint}" if security.fingerprint else "")
