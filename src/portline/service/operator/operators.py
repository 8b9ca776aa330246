"""The operators of one connection: people at a terminal on this machine, beside the peers.

Theory of operation
-------------------
An operator is a session like a peer's, which speaks RFC 2217 over a socket of this machine.  What
happens to the peers does not depend on it: it takes nobody's place, hears whatever the policies
say about peers, never holds the port back, and the buffer for the next peer is filled and emptied
as if it were not there.  Only "somebody is connected" it is, too: the port is open, with its lines
as configured for that.

It may do everything, as who may change the configuration may.  A controlling peer may do its part
at the same time: the last one wins, and everybody is told.  When the last operator who has changed
something leaves, the line is put back, unless a controlling peer is there, to whom it is left.

::

    admit() --granted--> waiting for its socket --serve()--> in --link closed--> gone
                 |                  |
                 +--- refused       +--- withdraw(), the connection stops

A virtual port has an application instead: :mod:`portline.service.operator.application`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from portline.errors import PortBusy, UsageError
from portline.line import LineChange, Query, SetBreak
from portline.net.link import FINISH_LIMIT
from portline.net.stream import StreamLink
from portline.port.base import Ability
from portline.port.inventory.holder import holders
from portline.service.making import make_wire
from portline.service.operator.application import Application
from portline.service.operator.portless import Portless
from portline.service.peer.session import Session
from portline.service.process.aside import aside

if TYPE_CHECKING:
    import asyncio
    import socket

    from portline.errors import PortError
    from portline.line import Report, Request
    from portline.service.connection import Connection
    from portline.service.retirement import Leaving

__all__ = ["BACKLOG", "NAME", "OPERATORS_MAX", "Admission", "Operators"]

OPERATORS_MAX: Final = 8
"""Operators of one connection at the same time: some terminals and pages that were left open; more
are told so."""

BACKLOG: Final = 256 * 1024
"""Bytes that wait for an operator who does not read; the oldest give way, and are counted."""

NAME: Final = "operator"
"""What an operator is called where a peer has its address."""


class Admission(Protocol):
    """The permission to sit down at one connection; use one of its methods, once."""

    def serve(self, sock: socket.socket, greeting: bytes = b"") -> None:
        """Speak RFC 2217 as the access server on ``sock``, after ``greeting``; it is closed here.

        ``greeting`` has at most GREETING_MAX bytes.
        """

    def withdraw(self) -> None:
        """Give the place back."""


class Operators(Portless):
    """Those of one connection; ``admitted`` counts also who is not there yet."""

    def __init__(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> None:
        self.sessions: tuple[Session, ...] = ()
        """Those who hear and speak, in the order of their coming."""
        self.served = 0
        """Operators that there have been, since the start."""
        self._dropped = 0
        self._connection = connection
        self._loop = loop
        self._awaited: set[_Place] = set()
        self.applications: set[Application] = set()
        """The programs that have a virtual port open, or are about to."""
        self._changed: set[Session] = set()

    @property
    def lost(self) -> int:
        """Bytes given up for operators who did not read, since the start."""
        return self._dropped + sum(session.dropped for session in self.sessions)

    def __len__(self) -> int:
        """Return how many there are at a real port, with those who are about to come."""
        return len(self.sessions) + len(self._awaited)

    async def admit(self) -> Admission:
        """Let an operator in; raises UsageError or PortError where that cannot be now."""
        connection = self._connection
        if connection.rests:
            raise UsageError(
                f"{connection.name}: does not run ({connection.rests}); "
                f"`portline start {connection.name}`"
            )
        if len(self) + len(self.applications) >= OPERATORS_MAX:
            raise UsageError(
                f"{connection.name}: {OPERATORS_MAX} terminals are open at it; close one of them"
            )
        if not connection.config.is_virtual:
            return self._place()
        if connection.keeper.error is not None:
            raise connection.keeper.error
        if connection.port.path is None:
            raise UsageError(f"{connection.name}: its virtual port is not there yet; try again")
        await self._check_free()
        application = Application(connection.port.path, connection.settings)
        self.applications.add(application)
        application.gone = lambda: self.applications.discard(application)
        await application.begin()
        connection.log.info("an operator has opened the port as an application")
        self.served += 1
        return application

    def _place(self) -> Admission:
        connection = self._connection
        vacant = not connection.occupied
        place = _Place(self)
        self._awaited.add(place)
        if vacant:
            connection.tenancy.begins()
        if (error := connection.keeper.error) is not None:
            self.withdraw(place)
            raise error
        return place

    async def _check_free(self) -> None:
        """Raise PortBusy where an application has the virtual port open."""
        connection = self._connection
        application, path = connection.port.application, connection.port.path
        if application is None or not application.there or path is None:
            return
        who = "an operator" if self.applications else "an application"
        # In a thread: it looks at what each process has open, and data does not wait.
        found = ", ".join(map(str, (await aside(partial(holders, [path])))[path]))
        raise PortBusy(
            connection.port.name,
            f"{who} has this virtual port open{f': {found}' if found else ''}; end it, or "
            f"watch with `portline monitor {connection.name}`",
            found or None,
        )

    def withdraw(self, place: _Place) -> None:
        """Take back a place that nobody has come for."""
        if place in self._awaited:
            self._awaited.discard(place)
            self._vacated()

    def enter(self, place: _Place, sock: socket.socket, greeting: bytes) -> None:
        """Begin with an operator."""
        if place not in self._awaited:
            sock.close()  # the connection has stopped meanwhile
            return
        connection = self._connection
        self._awaited.discard(place)
        link = StreamLink(self._loop, sock, NAME)
        session = Session(
            self,
            link,
            make_wire("rfc2217", connection.name, connection.config),
            number=connection.peers.next_number(),
            protocol="rfc2217",
            backlog=BACKLOG,
            faults=Ability.BREAK in connection.port.capabilities.abilities,
            clock=self._loop.time,
        )
        self.served += 1
        connection.log.info("an operator has opened a terminal")
        self.sessions = (*self.sessions, session)
        link.write(greeting)
        session.start()
        self.peer_watches()

    # --- from the connection --------------------------------------------------------------------

    def hear(self, data: bytes) -> None:
        """Pass on what the port has brought."""
        for session in self.sessions:
            session.deliver(data)

    def report(self, report: Report) -> None:
        """Pass on what has happened at the port."""
        for session in self.sessions:
            session.report(report)

    def settled(self, by: Session) -> None:
        """Tell everybody but who has asked for it of settings that are in force now."""
        connection = self._connection
        if not self.sessions:
            return
        news = LineChange(connection.port.state.settings)
        peers = connection.hub.peers if connection.config.notify else ()
        for session in (*self.sessions, *peers):
            if session is not by:
                session.report(news)

    def port_full(self, full: bool) -> None:
        """Hold the operators back, or let them go on."""
        for session in self.sessions:
            session.pause_for_port(full)

    def port_lost(self, error: PortError) -> None:
        """Send them away: they see at once why nothing comes any more."""
        self.close(str(error))

    def close(self, reason: str, *, limit: float = FINISH_LIMIT) -> list[Leaving]:
        """Send everybody away; returns who goes by itself, within ``limit`` seconds."""
        leaving: list[Leaving] = [*(session.link for session in self.sessions), *self.applications]
        for place in tuple(self._awaited):
            self.withdraw(place)
        for session in self.sessions:
            session.close(reason, limit=limit)
        for application in tuple(self.applications):
            application.withdraw()
        return leaving

    # --- called by the sessions -----------------------------------------------------------------

    def peer_data(self, session: Session, data: bytes) -> None:
        """Send what an operator types."""
        connection = self._connection
        connection.hub.spoken += len(data)
        if connection.resets.holds:
            connection.resets.release()
        if connection.tap.watchers:
            connection.tap.spoke(session.name, data)
        connection.port.write(data)
        if connection.full:
            session.pause_for_port(True)

    def peer_request(self, session: Session, request: Request) -> None:
        """Have a request carried out: an operator may do everything."""
        connection = self._connection
        if not isinstance(request, Query):
            self._changed.add(session)
            if connection.resets.holds:
                connection.resets.release()
        connection.requests.carry_out(session, request, anyway=True)

    def peer_watches(self) -> None:
        """Have the port watch what somebody wants to be told of."""
        self._connection.watch()

    def peer_behind(self, session: Session) -> None:
        """Give up the oldest of what waits: an operator does not hold the port."""
        session.outbox.shrink()

    def peer_caught_up(self, session: Session) -> None:
        """Take note of nothing: nobody has waited."""

    def peer_gone(self, session: Session, reason: str) -> None:
        """Forget an operator."""
        self.sessions = tuple(each for each in self.sessions if each is not session)
        self._dropped += session.dropped
        self._connection.log.info("an operator has gone: %s", reason)
        self._put_back(session)
        self._connection.watch()
        self._vacated()

    def _put_back(self, session: Session) -> None:
        """Undo what operators have changed, when nobody is left who may want it so."""
        if session not in self._changed:
            return
        connection = self._connection
        if any(not peer.wire.transparent for peer in connection.hub.peers):
            self._changed.discard(session)
            connection.port.submit(SetBreak(False))
        elif not self._changed.intersection(self.sessions):
            self._changed.clear()
            connection.tenancy.restore()

    def _vacated(self) -> None:
        if not self._connection.occupied:
            self._connection.tenancy.ends()


class _Place:
    """A place at a real port that is kept for an operator."""

    def __init__(self, operators: Operators) -> None:
        self._operators = operators

    def serve(self, sock: socket.socket, greeting: bytes = b"") -> None:
        """Sit down."""
        self._operators.enter(self, sock, greeting)

    def withdraw(self) -> None:
        """Leave."""
        self._operators.withdraw(self)
