"""One connection: a local port, its hub, and its network side.  The composition root.

Theory of operation
-------------------
This is where configuration becomes plain values for the rooms below, and where their callbacks
meet: the port calls ``port_*`` here; the network side brings peers, whose sessions call ``peer_*``
of :mod:`portline.service.peer.peers`.  Everything happens in callbacks of one event loop, so
nothing needs a lock, and no callback blocks.

A connection never ends because something is wrong with it: an address that is taken, a device that
is away, are states with a reason and a retry (``NetworkSide``, ``PortKeeper``).
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from portline.errors import UsageError
from portline.hub.core import Hub
from portline.line import (
    LineChange,
    ModemChange,
    SetLine,
)
from portline.net import tcp
from portline.port.base import Ability
from portline.recording.record import Kind
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
)
from portline.service.monitor.tap import Tap
from portline.service.news import News
from portline.service.operator.operators import Operators
from portline.service.peer.peers import Peers
from portline.service.peer.sweep import Sweep

if TYPE_CHECKING:
    from collections.abc import Callable

    from portline.auth.secret import Secret
    from portline.config.models import ConnectionConfig
    from portline.errors import PortError
    from portline.line import LineSettings, Report, Request
    from portline.service.peer.session import Session
    from portline.service.process.store import Store
    from portline.service.retirement import Leaving

__all__ = ["Connection"]


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
        self.ended = ""
        """Why it has said goodbye to its peers; "" while it has not."""
        self.log = logging.LoggerAdapter(
            logging.getLogger("portline.connection"), {"connection": name}
        )
        self.tap = Tap() if tap is None else tap
        self.tap.changed = self.watch
        self.hub: Hub[Session] = Hub(
            receive_from=config.receive_from,
            send_to=config.send_to,
            buffer_size=config.buffer_size,
            buffer_overflow=config.buffer_overflow,
        )
        self.peers = Peers(self, loop)
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
            enter=self.peers.enter,
            news=self.news,
            log=self.log,
        )
        self.network.trust(secret)
        self.operators = Operators(self, loop)
        self.full = False
        """Whether the port takes no more for now."""
        self.unlike = ""
        """How the settings of the open port differ from the configured ones; "" if they do not."""
        self.configured = asyncio.Event()
        """The port has answered to the settings that an edit wants."""
        self.configured.set()
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
            make_packetizer(config), loop=loop, send=self.peers.hear, full=self.pace.packets_full
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
            concerned=self._concerned,
            told=self.tap.asked,
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

    def stop(self, limit: float, why: str = "Portline stops") -> list[Leaving]:
        """Say goodbye to the peers and stop listening; the port stays open for what it has to send.

        ``why`` is the reason that is told of those who go.  Returns who goes by itself within
        ``limit`` seconds.  Call ``close`` then.
        """
        self.network.close()
        self.ended = why
        operators = self.operators.close(why, limit=limit)
        return [*self.peers.close(why, limit=limit), *operators]

    def close(self) -> None:
        """Close the port; its lines stay as configured for "nobody connected"."""
        self.peers.stop()
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
        self.peers.deliver_kept()
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
        return self.peers.there or len(self.operators) > 0

    # --- from the port --------------------------------------------------------------------------

    def port_data(self, data: bytes) -> None:
        """Pass a chunk on to whoever hears the port, or let it wait for its packet."""
        if self.tap.watchers:
            self.tap.heard(data)
        if not self.hub.peers:
            # Who has connected is connected, also before the loop has come to it.
            self.network.accept()
        if self.operators.sessions:
            self.operators.hear(data)
        if self.packets.rules is not None and self.peers.there:
            self.packets.feed(data)
        else:
            self.peers.hear(data)

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
            self.unlike = ""
            settings = str(self.settings)
            self.tap.happened(Kind.OPEN, f"the port, {settings}", what="port", settings=settings)
            self.news.port_open(self.port)
            self.news.missing_lines(self.config, self.port)
            self.time_packets(self.settings)
            self.port_full(False)
            self.pace.update()
            self.watch()
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

    def _concerned(self) -> tuple[Session, ...]:
        """Return who is to be told of settings that were made from here."""
        peers = self.hub.peers if self.config.notify else ()
        return (*peers, *self.operators.sessions)

    def _drove(self, request: Request) -> None:
        """Tell who watches what was asked of the port by nobody but us."""
        if self.tap.watchers:
            state = self.port.state
            if isinstance(request, SetLine):
                state = replace(state, settings=request.applied_to(state.settings))
            self.tap.asked(request, state)

    def watch(self) -> None:
        """Have the port watch what a peer, an operator, or one who watches wants to be told of."""
        watches = [each.watch for each in (*self.hub.peers, *self.operators.sessions)]
        watched = bool(self.tap.watchers)
        self.port.watch(
            modem_lines=watched or any(watch.modem_lines for watch in watches),
            faults=watched or any(watch.faults for watch in watches),
        )
