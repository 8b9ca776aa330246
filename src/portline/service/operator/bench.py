"""A port of this machine and one operator at it, with nothing in between: no peers, no network."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from portline.line import SetLine
from portline.net.stream import StreamLink
from portline.port.tty.port import PosixPort
from portline.service.operator.portless import Portless
from portline.service.peer.session import Session
from portline.wire.rfc2217 import Rfc2217Wire

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable

    from portline.errors import PortError
    from portline.line import LineSettings, PortState, Report, Request

__all__ = ["Bench"]

BACKLOG: Final = 64 * 1024
"""Bytes that wait for an operator who does not read, before the port is not read either."""

_DRAINED: Final = SetLine()
"""Changes nothing, but waits until the data before it has left the transmitter."""


class Bench(Portless):
    """The device ``name``, which is a path or another name of a port, opened for one operator.

    ``dtr`` and ``rts`` are driven at the opening; None leaves them as the kernel has them.
    ``ended`` is called once, when the operator or the device has gone and the port is closed;
    ``error`` then says why, or is None.
    """

    def __init__(
        self,
        name: str,
        settings: LineSettings,
        *,
        loop: asyncio.AbstractEventLoop,
        ended: Callable[[], object],
        exclusive: bool = True,
        dtr: bool | None = None,
        rts: bool | None = None,
    ) -> None:
        self.error: PortError | None = None
        self.port = PosixPort(
            name, settings, owner=self, loop=loop, exclusive=exclusive, dtr=dtr, rts=rts
        )
        self._loop = loop
        self._ended = ended
        self._session: Session | None = None

    def open(self) -> None:
        """Open the device; raises PortError."""
        self.port.open()

    def serve(self, sock: socket.socket, greeting: bytes = b"") -> None:
        """Speak RFC 2217 as the access server on ``sock``, after ``greeting``; closes it."""
        link = StreamLink(self._loop, sock, "operator")
        wire = Rfc2217Wire(serves=True, asks=False, signature=f"Portline {self.port.name}")
        self._session = Session(
            self,
            link,
            wire,
            number=1,
            protocol="rfc2217",
            backlog=BACKLOG,
            clock=self._loop.time,
        )
        link.write(greeting)
        self._session.start()

    def close(self) -> None:
        """End at once; ``ended`` is not called."""
        self._ended = lambda: None
        if self._session is not None:
            self._session.abort("closed")
        self.port.close()

    def _over(self, state: PortState) -> None:
        self.port.close()
        ended, self._ended = self._ended, lambda: None
        ended()

    # --- called by the port ---------------------------------------------------------------------

    def port_data(self, data: bytes) -> None:
        """Pass on what the device sends; to nobody once the operator has left."""
        if self._session is not None:
            self._session.deliver(data)

    def port_report(self, report: Report) -> None:
        """Pass on what happens at the port."""
        if self._session is not None:
            self._session.report(report)

    def port_in_use(self, in_use: bool) -> None:
        """Take nothing: the port is a real one, as far as can be seen from here."""

    def port_drain(self, done: Callable[[], None]) -> None:
        """Wait for nothing, which nobody asks for."""
        done()

    def port_full(self, full: bool) -> None:
        """Hold the operator back, or let it go on."""
        if self._session is not None:
            self._session.pause_for_port(full)

    def port_lost(self, error: PortError) -> None:
        """End, because the device has gone."""
        self.error = error
        if self._session is not None:
            self._session.close(str(error))

    # --- called by the session ------------------------------------------------------------------

    def peer_data(self, session: Session, data: bytes) -> None:
        """Send what the operator types."""
        self.port.write(data)

    def peer_request(self, session: Session, request: Request) -> None:
        """Have a request carried out."""
        self.port.submit(request, partial(session.answered, request))

    def peer_watches(self) -> None:
        """Have the port watch what the operator wants to be told of."""
        if self._session is not None:
            watch = self._session.watch
            self.port.watch(modem_lines=watch.modem_lines, faults=watch.faults)

    def peer_behind(self, session: Session) -> None:
        """Read the device no further than the operator does."""
        self.port.pause_reading()

    def peer_caught_up(self, session: Session) -> None:
        """Go on reading."""
        self.port.resume_reading()

    def peer_gone(self, session: Session, reason: str) -> None:
        """Close the port, when it has sent what the operator has typed."""
        self._session = None
        self.port.resume_reading()
        if self.error is not None:
            self._loop.call_soon(self._over, self.port.state)
        else:
            self.port.submit(_DRAINED, self._over)
