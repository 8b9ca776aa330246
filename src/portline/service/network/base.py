"""The network side of a connection: how peers come to be, and what is told of that.

Servers have a ``Reception``, clients a ``Calling``, udp connections ``Datagrams``; the connection
behind them is the same.  A network side hands each new link to the connection, is told when that
peer has gone, and knows why there is nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from portline.auth.secret import Secret
    from portline.config.models import ConnectionConfig
    from portline.service.peer.session import Session
    from portline.service.status import SecurityStatus, State

__all__ = ["NetworkSide"]


class NetworkSide(Protocol):
    """Where the peers of one connection come from."""

    lingers: bool
    """Whether a raw peer that has ended its side still hears the port for a moment; who was called
    and hangs up does not wait for answers."""

    calls: bool
    """Whether the peers are called from here: one with a serial port of its own is then asked for
    the application's settings before any data."""

    @property
    def attempting(self) -> bool:
        """Tell whether the first attempt to connect is under way."""

    @property
    def retains(self) -> bool:
        """Tell whether the next peer gets what the last one did not: it is the same one again."""

    @property
    def turned_away(self) -> int:
        """Connections that were not let in, since the start."""

    @property
    def replaced(self) -> int:
        """Peers that gave way to a newcomer, since the start."""

    @property
    def counts(self) -> Mapping[str, int]:
        """What else is counted here, by names that are no others of the status."""

    @property
    def security(self) -> SecurityStatus | None:
        """How peers are encrypted; None where they are not."""

    def keeps(self, session: Session) -> str:
        """Return why a peer cannot be sent away, with the remedy; "" for one that can be."""

    @property
    def places(self) -> tuple[str, ...]:
        """Where it listens or connects, with what is spoken there, for people."""

    @property
    def error(self) -> str:
        """What is wrong here and needs somebody to put it right; empty mostly."""

    @property
    def state(self) -> tuple[State, str]:
        """What it does at the moment, with a reason where that is not plain."""

    def open(self, wanted: bool) -> None:
        """Let peers come to be from now on, or no longer; those who are there may stay."""

    def renew(self) -> bool:
        """Read again what files say beside the configuration: certificates; tell whether any do."""

    def accept(self) -> None:
        """Let in who has connected already, without waiting for the loop to tell."""

    def close(self) -> None:
        """End everything that is not a peer yet; nothing is called afterwards."""

    def left(self, session: Session) -> None:
        """Note that a peer has gone."""

    def trust(self, secret: Secret | None) -> None:
        """Ask for this password from now on, None for no one; who is in stays."""

    def adopt(self, name: str, config: ConnectionConfig, *, wanted: bool) -> None:
        """Go on with another configuration; peers that it does not exclude stay."""
