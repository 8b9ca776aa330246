"""Reset sequences at one real port: those that a peer's commands mean, and those asked for by name.

Theory of operation
-------------------
A peer's changes of DTR and RTS go through a :class:`portline.hub.recogniser.Recogniser` while
``reset-sequences`` names a board.  What comes out goes into the port's queue, and behind it a
question; its answer, with the lines as the peer has asked for them, is the peer's answer, so it
comes when a sequence has been carried out.  Until then no other one is recognised, so the data of
all peers waits for one at a time, however fast somebody asks for more.  Whatever else a peer wants
ends a command's being held back first, so nothing changes its order.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from portline.config.models import UdpConnection
from portline.errors import PortError, UsageError
from portline.hub.recogniser import BOARDS, Recogniser
from portline.line import Item, Purge, Query, SetModem
from portline.port.tty.rs485 import Rs485Mode

if TYPE_CHECKING:
    import asyncio
    import logging
    from collections.abc import Callable, Iterable

    from portline.config.models import ConnectionConfig
    from portline.hub.pulses import Pulse
    from portline.hub.recogniser import Pattern
    from portline.line import Hold, PortState, Request
    from portline.port.base import SerialPort
    from portline.service.peer.session import Session

__all__ = ["Resets"]

_FENCE: Final = Query(Item.LINE_STATE)


class Resets:
    """The sequences of one connection; ``recognised`` counts those of peers.

    ``told`` is called with each step of one that was asked for by name, when it is done.
    """

    def __init__(
        self,
        port: SerialPort,
        log: logging.LoggerAdapter[logging.Logger],
        config: Callable[[], ConnectionConfig],
        *,
        loop: asyncio.AbstractEventLoop,
        answer: Callable[[Session, Request, PortState], None],
        told: Callable[[Request], None],
    ) -> None:
        self.recognised = 0
        self._running = 0
        self._port = port
        self._log = log
        self._config = config
        self._loop = loop
        self._answer = answer
        self._told = told
        self._session: Session | None = None
        self._recogniser: Recogniser | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def holds(self) -> bool:
        """Tell whether something is held back, or waited for."""
        return self._timer is not None

    def takes(self, session: Session, request: Request) -> bool:
        """Carry an allowed request out if it may belong to a sequence; else leave it alone."""
        patterns = self._patterns
        if patterns is None or not isinstance(request, SetModem):
            if self.holds and not isinstance(request, Query | Purge):
                self.release()
            return False
        recogniser = self._of(session, patterns)
        before = recogniser.recognised
        steps = recogniser.feed(request, self._loop.time(), begins=not self._running)
        if recognised := recogniser.recognised > before:
            self.recognised += 1
            self._running += 1
            self._log.info("peer=%s reset sequence recognised, run here", session.name)
        self._submit(steps)
        self._schedule()
        self._port.submit(_FENCE, partial(self._done, session, request, recognised))
        return True

    def release(self) -> None:
        """Do what is held back, because something else comes behind it."""
        if self._recogniser is not None:
            self._submit(self._recogniser.release())
        self._schedule()

    def left(self, session: Session) -> None:
        """Forget a peer; what becomes of the lines then is decided elsewhere."""
        if session is self._session:
            self.stop()

    def stop(self) -> None:
        """Forget whoever there is."""
        self._session = self._recogniser = None
        self._schedule()

    async def pulse(self, pulse: Pulse, *, is_open: bool) -> None:
        """Run a sequence, in its turn; returns when it has been carried out.

        Raises UsageError where there are no lines to move, and PortError when the port is not open.
        """
        config = self._config()
        if config.is_virtual:
            raise UsageError(
                f"{self._port.name}: is a virtual port, whose lines are its application's; pulse "
                "the real port at the other end"
            )
        if config.rs485 is not Rs485Mode.OFF:
            raise UsageError(f"{self._port.name}: RTS switches the direction of RS-485 here")
        if not is_open:
            raise PortError(self._port.name, "is not open now; see `portline status`")
        if self._port.hardware is not None and self._port.hardware.lines == "none":
            raise PortError(self._port.name, "the port has no DTR and RTS")
        ended: asyncio.Future[None] = self._loop.create_future()
        self.release()
        self.stop()  # what a peer had asked for is not how the lines will be
        refused = self._port.refused
        for step in pulse.steps:
            self._port.submit(step, partial(self._pulsed, step))
        self._port.submit(_FENCE, lambda _: None if ended.done() else ended.set_result(None))
        await ended
        self._log.info("pulsed: %s", pulse.text)
        if self._port.refused > refused:
            raise PortError(self._port.name, "the driver has refused to move DTR or RTS")

    def _pulsed(self, step: Request, _state: PortState) -> None:
        self._told(step)

    @property
    def _patterns(self) -> tuple[Pattern, ...] | None:
        config = self._config()
        if isinstance(config, UdpConnection) or config.is_virtual:
            return None
        return BOARDS.get(config.reset_sequences)

    def _of(self, session: Session, patterns: tuple[Pattern, ...]) -> Recogniser:
        found = self._recogniser
        if found is None or session is not self._session or found.patterns is not patterns:
            self.release()
            state = self._port.state
            found = self._recogniser = Recogniser(patterns, state.dtr, state.rts)
            self._session = session
        return found

    def _submit(self, steps: Iterable[SetModem | Hold]) -> None:
        for step in steps:
            self._port.submit(step)

    def _done(
        self, session: Session, request: SetModem, recognised: bool, state: PortState
    ) -> None:
        self._running -= recognised
        self._answer(session, request, request.applied_to(state))

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = None if self._recogniser is None else self._recogniser.deadline
        if deadline is not None:
            self._timer = self._loop.call_at(deadline, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if self._recogniser is not None:
            self._submit(
                self._recogniser.tick(max(self._loop.time(), self._recogniser.deadline or 0))
            )
        self._schedule()
