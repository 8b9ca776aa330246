"""What the peers notice while a real port is away.

Theory of operation
-------------------
Peers stay, and the port comes back to them, or (``when-absent = "disconnect"``) they are
disconnected and nobody is let in until it is back::

    here --lost, or cannot be opened--> away --open, or not wanted any more--> here
                                         |                                      |
                            peers and network closed                     network opened

Both changes are made from the loop, because a port is opened while a peer is being let in.

Whoever stays and watches the modem lines is told that they are off while the port is away, and how
they are when it is back: they may have moved meanwhile, or belong to another device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from portline.config.models import UdpConnection
from portline.config.transfer import WhenAbsent
from portline.line import ModemChange, ModemLines

if TYPE_CHECKING:
    import asyncio

    from portline.config.models import ConnectionConfig
    from portline.hub.core import Hub
    from portline.line import Report
    from portline.port.base import SerialPort
    from portline.service.local.keeper import PortKeeper
    from portline.service.network.base import NetworkSide
    from portline.service.peer.session import Session

__all__ = ["Absence"]


class _Concerned(Protocol):
    """The connection."""

    config: ConnectionConfig
    hub: Hub[Session]
    port: SerialPort
    keeper: PortKeeper
    network: NetworkSide

    @property
    def network_wanted(self) -> bool:
        """Tell whether peers are wanted now."""

    def port_report(self, report: Report) -> None:
        """Tell the peers what happened at the port."""


class Absence:
    """Whether the port of one connection is away, and what follows from it."""

    def __init__(self, connection: _Concerned, loop: asyncio.AbstractEventLoop) -> None:
        self._connection = connection
        self._loop = loop
        self._away = False
        self._lines = ModemLines()
        self._due: asyncio.Handle | None = None

    @property
    def disconnects(self) -> bool:
        """Tell whether nobody is to be connected now, because the port is away."""
        config = self._connection.config
        return (
            not isinstance(config, UdpConnection)
            and config.when_absent is WhenAbsent.DISCONNECT
            and self._connection.keeper.error is not None
        )

    def update(self) -> None:
        """Note that the port has come or gone, or that the configuration is another one."""
        if self.disconnects is not self._away and self._due is None:
            self._due = self._loop.call_soon(self._change)

    def told(self, lines: ModemLines) -> None:
        """Note what the peers have been told of the modem lines."""
        self._lines = lines

    def tell_lines(self) -> None:
        """Tell the peers of modem lines that moved because the port has come or gone."""
        lines = self._connection.port.state.lines
        if lines != self._lines and self._connection.hub.peers:
            self._connection.port_report(ModemChange(lines))
        self._lines = lines

    def stop(self) -> None:
        """Do nothing any more."""
        if self._due is not None:
            self._due.cancel()

    def _change(self) -> None:
        self._due = None
        self._away = self.disconnects
        connection = self._connection
        if self._away:
            reason = f"the port is away (when-absent): {connection.keeper.error}"
            connection.network.close()
            for session in connection.hub.peers:
                session.close(reason)
        elif connection.network_wanted:
            connection.network.open(True)
        self.update()  # closing the last peer may have closed a port that is open only for peers
