"""Makes the status of a connection: asks each part for what it knows, and changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portline.errors import PortAbsent
from portline.port.base import Ability
from portline.service.network.access import access
from portline.service.status import ConnectionStatus, PeerStatus, PortStatus, State

if TYPE_CHECKING:
    from portline.errors import PortError
    from portline.service.connection import Connection
    from portline.service.peer.session import Session

__all__ = ["survey"]


def survey(connection: Connection, now: float) -> ConnectionStatus:
    """Return what a connection tells about itself at the loop's time ``now`` (seconds)."""
    hub = connection.hub
    state, reason = _state(connection)
    return ConnectionStatus(
        name=connection.name,
        config=connection.config,
        state=state,
        reason=reason,
        places=connection.network.places,
        access=access(connection.config),
        port=_port(connection),
        peers=tuple(
            _peer(session, now) for session in (*hub.peers, *connection.operators.sessions)
        ),
        heard=hub.heard,
        spoken=hub.spoken,
        kept=len(hub.keep),
        keep_discarded=hub.keep.discarded,
        unheard=hub.unheard,
        unspoken=hub.unspoken,
        dropped=connection.peers.departures.dropped + sum(session.dropped for session in hub.peers),
        turned_away=connection.network.turned_away,
        replaced=connection.network.replaced,
        recognised=connection.resets.recognised,
        watchers=len(connection.tap.watchers),
        watch_skipped=connection.tap.skipped,
        counts={**connection.network.counts, "operators_dropped": connection.operators.lost},
        security=connection.network.security,
    )


def _state(connection: Connection) -> tuple[State, str]:
    if connection.rests:
        return State.STOPPED, connection.rests
    if error := connection.network.error:
        return State.ERROR, error
    if (trouble := _trouble(connection)) is not None:
        absent = isinstance(trouble, PortAbsent)
        return State.PORT_ABSENT if absent else State.ERROR, str(trouble)
    state, reason = connection.network.state
    return state, "; ".join(filter(None, (connection.unlike, reason)))


def _trouble(connection: Connection) -> PortError | None:
    return connection.keeper.error or connection.port.trouble


def _port(connection: Connection) -> PortStatus:
    port = connection.port
    state, application = port.state, port.application
    return PortStatus(
        name=port.name,
        path=port.path,
        open=connection.keeper.open,
        reason=str(_trouble(connection) or ""),
        settings=connection.settings,
        lines=state.lines,
        dtr=state.dtr,
        rts=state.rts,
        has_lines=port.has_lines,
        in_use=None if application is None else application.there,
        inputs=None if application is None else application.inputs,
        hardware=port.hardware,
        waiting=port.queued,
        refused=port.refused,
        discarded=port.discarded,
        backend=port.capabilities.backend,
        adapter=port.capabilities.variant,
        abilities=tuple(a.value for a in Ability if a in port.capabilities.abilities),
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
        dropped=session.dropped,
        malformed=session.wire.malformed,
        signature=session.wire.peer_signature,
        unanswered=session.wire.unanswered,
        login=session.link.login,
        remote=session.remote.settings,
        security=session.link.security,
    )
