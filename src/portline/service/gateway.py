"""The gateway: all connections of one process, started, watched and stopped together."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from portline.errors import PortAbsent
from portline.line import Purge
from portline.service.connection import Connection
from portline.service.status import ConnectionStatus, PeerStatus, PortStatus, State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from portline.config.models import GatewayConfig
    from portline.service.session import Session

__all__ = ["GOODBYE_LIMIT", "Gateway"]

GOODBYE_LIMIT: Final = 0.5
"""Seconds that peers and, after them, ports get for what is still on its way when the gateway
stops: together well below the two seconds that service managers and people are promised."""

_POLL: Final = 0.01


class Gateway:
    """All connections of a configuration.

    Make it and use it in one running event loop: ``start()``, then ``await stop()``.  A connection
    with a problem does not disturb the others; look at ``status()``.
    """

    def __init__(self, config: GatewayConfig) -> None:
        loop = asyncio.get_running_loop()
        self.connections: Mapping[str, Connection] = {
            name: Connection(name, connection, loop)
            for name, connection in config.connections.items()
        }
        self._loop = loop

    def start(self) -> None:
        """Open the ports and listen, each now or as soon as it is possible.  Never fails."""
        for connection in self.connections.values():
            connection.start()

    async def stop(self) -> None:
        """Say goodbye to the peers, let the ports send what they have, and close everything.

        Takes at most two times GOODBYE_LIMIT seconds; when cancelled, everything is closed at once.
        """
        connections = self.connections.values()
        try:
            links = [link for each in connections for link in each.stop(GOODBYE_LIMIT)]
            await self._until(lambda: all(link.closed for link in links))
            await self._until(lambda: not any(each.port.queued for each in connections))
        finally:
            for connection in connections:
                if connection.port.queued:
                    connection.port.submit(Purge(unsent=True), lambda state: None)
                connection.close()

    async def _until(self, done: Callable[[], bool]) -> None:
        end = self._loop.time() + GOODBYE_LIMIT
        # Looking is simpler than having every link and port tell, and happens once in a lifetime.
        while not done() and self._loop.time() < end:  # noqa: ASYNC110
            await asyncio.sleep(_POLL)

    def status(self) -> list[ConnectionStatus]:
        """Return what every connection tells about itself, in the order of the configuration."""
        now = self._loop.time()
        return [_connection(connection, now) for connection in self.connections.values()]


def _connection(connection: Connection, now: float) -> ConnectionStatus:
    hub = connection.hub
    state, reason = _state(connection)
    return ConnectionStatus(
        name=connection.name,
        state=state,
        reason=reason,
        listeners=tuple(
            f"{listener.address} ({protocol})"
            for listener, protocol in zip(connection.listeners, connection.protocols, strict=True)
        ),
        port=_port(connection),
        peers=tuple(_peer(session, now) for session in hub.peers),
        heard=hub.heard,
        spoken=hub.spoken,
        kept=len(hub.keep),
        keep_discarded=hub.keep.discarded,
        unheard=hub.unheard,
        unspoken=hub.unspoken,
        dropped=connection.dropped + sum(session.outbox.dropped for session in hub.peers),
        turned_away=connection.door.turned_away,
    )


def _state(connection: Connection) -> tuple[State, str]:
    errors = [str(each.error) for each in connection.listeners if each.error is not None]
    peers = connection.hub.peers
    if errors:
        return State.ERROR, "; ".join(errors)
    if connection.keeper.error is not None:
        absent = isinstance(connection.keeper.error, PortAbsent)
        return State.PORT_ABSENT if absent else State.ERROR, str(connection.keeper.error)
    if peers and all(connection.door.full(protocol) for protocol in connection.protocols):
        return State.FULL, ""
    if peers:
        return State.CONNECTED, ""
    if any(listener.listening for listener in connection.listeners):
        return State.LISTENING, ""
    if connection.config.listen_when_open and not connection.in_use:
        return State.WAITING, "no application has the virtual port open"
    return State.STOPPED, ""


def _port(connection: Connection) -> PortStatus:
    port = connection.port
    state = port.state
    return PortStatus(
        name=port.name,
        path=port.path,
        open=connection.keeper.open,
        reason=str(connection.keeper.error or ""),
        settings=state.settings,
        lines=state.lines,
        dtr=state.dtr,
        rts=state.rts,
        in_use=connection.in_use,
        inputs=None if connection.inputs.rules is None else connection.inputs.lines,
        waiting=port.queued,
        refused=port.refused,
        discarded=port.discarded,
    )


def _peer(session: Session, now: float) -> PeerStatus:
    return PeerStatus(
        number=session.number,
        address=session.name,
        protocol=session.protocol,
        connected_for=now - session.connected_at,
        received=session.link.received,
        sent=session.link.sent,
        waiting=session.outbox.waiting + session.link.unsent,
        dropped=session.outbox.dropped,
        malformed=session.wire.malformed,
    )
