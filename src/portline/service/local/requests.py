"""What the controlling peers of one connection ask of its port: carried out, or answered only.

A request that is not allowed, like one that the port will not do, is answered with what is in force
in its turn, as RFC 2217 wants it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from portline.line import Item, Purge, Query, SetLine, SetModem

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from portline.hub.policy import Permissions
    from portline.line import PortState, Request
    from portline.port.base import SerialPort
    from portline.service.local.inputs import Inputs
    from portline.service.local.packets import PacketFlow
    from portline.service.peer.session import Session

__all__ = ["Requests"]

_FENCE: Final = Query(Item.LINE_STATE)
"""Changes nothing; its answer tells what is in force in its turn."""


class Requests:
    """The requests for one port, as far as ``permissions`` go.

    ``settled(session)`` is called when its request about the settings has been carried out, before
    the answer, and ``told(request, state, peer, allowed)`` when any has that may change something.
    """

    def __init__(
        self,
        port: SerialPort,
        permissions: Permissions,
        *,
        inputs: Inputs,
        packets: PacketFlow,
        log: logging.LoggerAdapter[logging.Logger],
        settled: Callable[[Session], None],
        told: Callable[[Request, PortState, str, bool], None],
    ) -> None:
        self.permissions = permissions
        self._port = port
        self._inputs = inputs
        self._packets = packets
        self._log = log
        self._settled = settled
        self._told = told

    def carry_out(self, session: Session, request: Request, *, anyway: bool = False) -> None:
        """Have a request carried out, or answered with what is in force if it is not allowed.

        ``anyway``: it is allowed, whatever peers may do.
        """
        allowed = anyway or self.permissions.allows(request)
        self._port.submit(
            request if allowed else _FENCE,
            partial(self.answer, session, request, anyway=anyway),
        )

    def answer(
        self, session: Session, request: Request, state: PortState, *, anyway: bool = False
    ) -> None:
        """Tell the peer what is in force, and the others what has changed, now that it has."""
        allowed = anyway or self.permissions.allows(request)
        if not isinstance(request, Query):
            denied = "" if allowed else " (not allowed)"
            self._log.info('peer=%s asked="%s"%s: %s', session.name, request, denied, state)
            self._told(request, state, session.name, allowed)
        if isinstance(request, SetLine):
            self._settled(session)
        if isinstance(request, SetModem) and allowed:
            self._inputs.driven(session, request)
        if isinstance(request, Purge) and request.received:
            self._packets.rest()
        session.answered(request, state)
