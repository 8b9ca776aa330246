"""What becomes of the port when the first peer comes, a controlling one leaves, and the last goes.

Theory of operation
-------------------
::

    vacant --begins()--> occupied --ends()--> vacant
                           |  ^
                           +--+ restore(): a peer that may have changed the line has left

A real port's outputs are driven as configured for "occupied" and "vacant"; what the application of
a virtual port reads is decided by :mod:`portline.service.local.inputs`.

Everything is submitted to the port's own queue, so it happens after what the peers sent before.  A
port that is open only while it is occupied is closed when that has left it, or is not going to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from portline.line import SetBreak, SetLine, SetModem
from portline.service.local.inputs import input_rules

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from portline.config.models import ConnectionConfig
    from portline.line import PortState, Request
    from portline.port.base import SerialPort
    from portline.service.local.inputs import Inputs
    from portline.service.local.keeper import PortKeeper

__all__ = ["CLOSE_LIMIT", "CLOSE_POLL", "Tenancy"]

CLOSE_LIMIT: Final = 30.0
"""Seconds that a port which is open only while somebody is connected stays open for a device that
does not take what the last peer sent; what it has not taken by then is discarded and counted."""

CLOSE_POLL: Final = 0.2
"""Seconds between two looks at it."""

_DRAINED: Final = SetLine()
"""Changes nothing, but waits until the data before it has left the transmitter."""


class Tenancy:
    """The port of one connection; ``occupied`` tells whether somebody is connected now.

    ``told`` is called with what is asked of the port.
    """

    def __init__(
        self,
        config: ConnectionConfig,
        port: SerialPort,
        keeper: PortKeeper,
        inputs: Inputs,
        *,
        loop: asyncio.AbstractEventLoop,
        occupied: Callable[[], bool],
        told: Callable[[Request], None],
    ) -> None:
        self._config = config
        self._port = port
        self._keeper = keeper
        self._inputs = inputs
        self._loop = loop
        self._occupied = occupied
        self._told = told
        self._vacant_since = 0.0

    def start(self) -> None:
        """Begin vacant."""
        self._drive_lines(connected=False)  # before it opens: the lines then move once
        self._keeper.want(not self._config.open_when_connected)

    def adopt(self, config: ConnectionConfig) -> None:
        """Go on with other options; a line whose level is another one now is driven to it."""
        before, self._config = self._config, config
        self._inputs.rules = input_rules(config)
        occupied = self._occupied()
        if _levels(before, connected=occupied) != _levels(config, connected=occupied):
            self._drive_lines(connected=occupied)
        if not occupied and config.open_when_connected != before.open_when_connected:
            if config.open_when_connected:
                self._leave()
            else:
                self._keeper.want(True)

    @property
    def levels(self) -> SetModem:
        """What the configuration drives the lines of a real port to at this moment."""
        return _levels(self._config, connected=self._occupied())

    def begins(self) -> None:
        """Note that the first peer has come."""
        self._drive_lines(connected=True)
        self._keeper.want(True)

    def restore(self) -> None:
        """Put back what a controlling peer may have changed: break, lines, rate, format, flow.

        From a virtual port its end of the cable is gone: it drives nothing any more.
        """
        # What waits in the port may hold a change that its state does not show yet.
        unknown = self._port.queued > 0
        state = self._port.state
        if unknown or state.break_on:
            self._ask(SetBreak(False))
        if self._config.virtual is not None:
            if unknown or state.dtr or state.rts:
                self._ask(SetModem(dtr=False, rts=False))
            return
        if self._occupied():
            self._drive_lines(connected=True)
        configured = self._config.line_settings()
        if unknown or state.settings != configured:
            self._ask(SetLine.everything(configured))

    def ends(self) -> None:
        """Note that the last peer has gone."""
        self._drive_lines(connected=False)
        if self._config.open_when_connected:
            self._leave()

    def _leave(self) -> None:
        """Close the port when it has sent everything."""
        self._vacant_since = self._loop.time()
        self._port.submit(_DRAINED, self._close)

    def _close(self, state: PortState) -> None:
        if self._occupied() or not self._config.open_when_connected:
            return
        if self._port.queued and self._loop.time() - self._vacant_since < CLOSE_LIMIT:
            self._loop.call_later(CLOSE_POLL, self._close, state)
            return
        self._keeper.want(False)

    def _drive_lines(self, *, connected: bool) -> None:
        self._inputs.moment(connected=connected)
        change = _levels(self._config, connected=connected)
        if change != SetModem():
            self._ask(change)

    def _ask(self, request: Request) -> None:
        self._told(request)
        self._port.submit(request)


def _levels(config: ConnectionConfig, *, connected: bool) -> SetModem:
    """Return what is done to the lines at this moment."""
    dtr, rts = (
        (config.dtr_connected, config.rts_connected)
        if connected
        else (config.dtr_disconnected, config.rts_disconnected)
    )
    return SetModem(dtr=dtr.driven, rts=rts.driven)
