"""Reads the port no faster than somebody takes it: the hub's rules with a clock and a port."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portline.hub.policy import Overflow

if TYPE_CHECKING:
    import asyncio
    import logging

    from portline.hub.core import Hub
    from portline.port.base import SerialPort
    from portline.service.peer.session import Session

__all__ = ["Pace"]


class Pace:
    """Holds one port while the hub, or who cuts packets, says so.

    ``overflow`` is what happens to a peer that stays behind while others go on.
    """

    def __init__(
        self,
        hub: Hub[Session],
        port: SerialPort,
        *,
        overflow: Overflow,
        loop: asyncio.AbstractEventLoop,
        log: logging.LoggerAdapter[logging.Logger],
    ) -> None:
        self._hub = hub
        self._port = port
        self.overflow = overflow
        self._loop = loop
        self._log = log
        self._packets_full = False
        self._held = False
        self._timer: asyncio.TimerHandle | None = None

    def behind(self, session: Session) -> None:
        """Wait for a peer whose outbox is full, or apply the policy if it was left behind."""
        if self._hub.fell_behind(session, self._loop.time()):
            self._apply(session)
        else:
            self.update()

    def caught_up(self, session: Session) -> None:
        """Go on if this peer held the port."""
        self._hub.caught_up(session)
        self.update()

    def packets_full(self, full: bool) -> None:
        """Hold the port while more is gathered than is sent."""
        if full != self._packets_full:
            self._packets_full = full
            self.update()

    def update(self) -> None:
        """Hold or release the port as the rules say now; call when peers come and go, too."""
        held = self._packets_full or self._hub.held
        if held != self._held:
            self._held = held
            if held:
                self._port.pause_reading()
            else:
                self._port.resume_reading()
        if self._timer is None and (deadline := self._hub.deadline()) is not None:
            self._timer = self._loop.call_at(deadline, self._impatient)

    def stop(self) -> None:
        """Do nothing more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _impatient(self) -> None:
        self._timer = None
        for session in self._hub.tick(self._loop.time()):
            size = session.outbox.size
            self._log.info("peer left behind peer=%s waiting=%d", session.name, size)
            if self._hub.fell_behind(session, self._loop.time()):
                self._apply(session)
        self.update()

    def _apply(self, session: Session) -> None:
        if self.overflow is Overflow.DISCONNECT:
            session.abort("it did not read fast enough (overflow = disconnect)")
        else:
            session.outbox.shrink()
