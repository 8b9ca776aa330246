"""What the application of a virtual port has set, asked of each peer that owns a real port.

Theory of operation
-------------------
A peer may turn out to be an access server (RFC 2217) at any time.  It is then asked, in one go, for
everything that the application has in force - rate, format, flow control, DTR, RTS, a break - so a
connection that was lost and made again finds the remote port as the application left it.  From then
on it is asked for each change.

Of two real ports neither is asked for anything.  Each tells its lines, and with ``cross_lines``
they are driven here as through a cable that crosses them: RTS as CTS is there, DTR as DSR; both low
when that end has gone.

Nothing waits for the answers.  What they say is remembered and compared
(:mod:`portline.service.peer.remote`); with ``answers = "strict"`` a difference ends the session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from portline.config.connection import StreamOptions
from portline.config.transfer import Answers
from portline.line import (
    BreakChange,
    Item,
    LineChange,
    LineFault,
    ModemChange,
    Query,
    SetBreak,
    SetLine,
    SetModem,
    Told,
)
from portline.service.peer.hearsay import Hearsay

if TYPE_CHECKING:
    import asyncio
    import logging
    from collections.abc import Callable, Iterable

    from portline.config.models import ConnectionConfig
    from portline.line import Report, Request
    from portline.port.base import SerialPort
    from portline.service.local.inputs import Inputs
    from portline.service.peer.session import Session

__all__ = ["Asking"]

_WHO: Final = Query(Item.SIGNATURE)

_IDLE: Final = Query(Item.LINE_STATE)
"""Asked before any data, when a transmitter is mostly empty: whether this one tells so."""


class Asking:
    """Speaks to the access servers among the peers of one connection.

    ``config`` returns the configuration in force; ``told`` is called with what the port is asked.
    """

    def __init__(
        self,
        port: SerialPort,
        inputs: Inputs,
        log: logging.LoggerAdapter[logging.Logger],
        config: Callable[[], ConnectionConfig],
        *,
        loop: asyncio.AbstractEventLoop,
        told: Callable[[Request], None],
    ) -> None:
        self._port = port
        self._inputs = inputs
        self._log = log
        self._config = config
        self._hearsay = Hearsay(log, loop)
        self._drove = told

    def serves(self, session: Session) -> None:
        """Ask one that turns out to be an access server for everything that is in force."""
        session.ask(_WHO)
        session.ask(_IDLE)
        self.settings((session,))
        self._inputs.serves(session)
        application = self._port.application
        if application is not None and application.state.break_on:
            session.ask(SetBreak(True))

    def does_not_serve(self, session: Session) -> None:
        """Tell that the settings of the application go nowhere."""
        self._log.warning(
            "peer=%s does not share a serial port by RFC 2217: data passes, settings and signal "
            "lines do not; set its own protocol to rfc2217, or ours to raw",
            session.name,
        )

    def reported(self, report: Report, peers: Iterable[Session]) -> Report | None:
        """Ask for what the application did; return what the peers without a real port are told."""
        match report:
            case ModemChange(lines=lines):
                self._log.info("lines=%s", lines)
                self._inputs.application(lines, peers)
            case LineChange(settings=settings):
                self._log.info("the application set %s", settings)
                self.ask(peers, SetLine.everything(settings))
            case BreakChange(on=on):
                self._log.info("the application %s a break", "begins" if on else "ends")
                self.ask(peers, SetBreak(on))
                return LineFault(break_received=True) if on else None
            case _:
                self._log.info("%s", report)
        return report

    def settings(self, peers: Iterable[Session]) -> None:
        """Ask for the settings of the application, if there is one."""
        application = self._port.application
        if application is not None and application.there:
            self.ask(peers, SetLine.everything(application.settings))

    def ask(self, peers: Iterable[Session], request: Request) -> None:
        """Ask every access server among the peers."""
        for session in peers:
            session.ask(request)

    def told(self, session: Session, report: Report) -> None:
        """Note what an access server tells."""
        self._hearsay.told(session, report)
        self._inputs.told(session, report)
        if isinstance(report, ModemChange):
            self._cross(rts=report.lines.cts, dtr=report.lines.dsr)
        wrong = session.remote.told(report) if isinstance(report, Told) else ""
        if wrong:
            self._log.warning("peer=%s the remote port differs: %s", session.name, wrong)
            if self._config().answers is Answers.STRICT:
                session.close(f"{wrong} (answers = strict)")

    def left(self, session: Session) -> None:
        """Note that a peer has gone, and its end of the cable with it."""
        self._hearsay.left(session)
        if not session.wire.transparent:
            self._cross(rts=False, dtr=False)

    def _cross(self, *, rts: bool, dtr: bool) -> None:
        config = self._config()
        if isinstance(config, StreamOptions) and config.cross_lines:
            lines = SetModem(
                rts=rts if config.allow_rts else None, dtr=dtr if config.allow_dtr else None
            )
            self._drove(lines)
            self._port.submit(lines)
