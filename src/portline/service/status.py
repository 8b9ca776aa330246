"""What a connection tells about itself: plain values, made when asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from portline.config.models import ConnectionConfig
    from portline.line import LineSettings, ModemLines
    from portline.net.tls.channel import Security
    from portline.port.hardware import Hardware
    from portline.service.peer.remote import RemoteSetting

__all__ = ["ConnectionStatus", "PeerStatus", "PortStatus", "SecurityStatus", "State"]


class State(Enum):
    """The state of a connection, the most important fact first."""

    ERROR = "error"
    PORT_ABSENT = "port absent"
    FULL = "full"
    CONNECTED = "connected"
    CONNECTING = "connecting"
    LISTENING = "listening"
    WAITING = "waiting"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class SecurityStatus:
    """How peers are encrypted: by TLS of the version ``minimum``, or a newer one.

    Of a server: the fingerprint of its own ``certificate``, "" until it has been read, and the
    ``handshakes`` that are under way.
    """

    minimum: str
    certificate: str = ""
    handshakes: int = 0


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """One peer.  Times in seconds, sizes in bytes.

    Of an access server: ``signature`` is what it calls itself, ``remote`` what its port was asked
    for, beside what is in force; ``unanswered`` counts what it left without an answer.
    ``login`` is how the two ends have proved that they know the password, "" if they did not.
    ``security`` is what protects the way to it; None for nothing.
    """

    number: int
    address: str
    protocol: str
    connected_for: float
    received: int
    sent: int
    waiting: int
    dropped: int
    malformed: int
    signature: str = ""
    unanswered: int = 0
    login: str = ""
    remote: tuple[RemoteSetting, ...] = ()
    security: Security | None = None


@dataclass(frozen=True, slots=True)
class PortStatus:
    """The local port.

    ``in_use`` tells whether an application has a virtual port open, ``inputs`` what it is to read
    from its signal lines; both are None for a real port.  ``lines`` is what the port itself reads:
    of a virtual one the application's DTR (as DSR and DCD) and RTS (as CTS).  A device without
    signal lines does not have them (``has_lines``): ``dtr`` and ``rts`` are then what was asked.
    ``hardware`` is what the driver of an open real port tells.

    Of a virtual port: ``backend`` is how it is made, ``adapter`` what it passes for, and
    ``abilities`` what its applications have beside data.
    """

    name: str
    path: str | None
    open: bool
    reason: str
    settings: LineSettings
    lines: ModemLines
    dtr: bool
    rts: bool
    has_lines: bool
    in_use: bool | None
    inputs: ModemLines | None
    hardware: Hardware | None
    waiting: int
    refused: int
    discarded: int
    backend: str = ""
    adapter: str = ""
    abilities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ConnectionStatus:
    """One connection, with the ``config`` in force.

    ``reason`` explains the state where that is not plain, and is empty otherwise.  ``places`` are
    where a server listens or a client connects, with what is spoken there; ``access`` says who is
    trusted there.

    ``heard`` bytes came from the port, ``spoken`` went to it; ``kept`` wait for the next peer.
    What was given up: ``keep_discarded`` (did not fit while nobody was connected), ``unheard``
    (nobody was chosen to hear it), ``unspoken`` (the peer was not chosen to speak), ``dropped``
    (peers that stayed behind, or went before they had acknowledged what was on its way),
    ``turned_away`` (connections that were not let in).  ``replaced`` peers gave way to a newcomer.
    ``watchers`` watch it now; ``watch_skipped`` bytes came faster than watchers took them.
    ``recognised`` reset sequences of peers were run here.  ``counts`` are what only this kind of
    connection counts.  ``security`` is how peers are encrypted; None where they are not.
    """

    name: str
    config: ConnectionConfig
    state: State
    reason: str
    places: tuple[str, ...]
    port: PortStatus
    peers: tuple[PeerStatus, ...]
    heard: int
    spoken: int
    kept: int
    keep_discarded: int
    unheard: int
    unspoken: int
    dropped: int
    turned_away: int
    replaced: int
    recognised: int
    watchers: int
    watch_skipped: int
    access: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    security: SecurityStatus | None = None
