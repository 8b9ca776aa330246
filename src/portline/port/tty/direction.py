"""RS-485 where the driver does not switch the direction: RTS around everything that is written.

Theory of operation
-------------------
::

    receiving --write--> sending --all has left the transmitter--> ending --``after`` s--> receiving
                           ^                                         |
                           +-----------------write-------------------+

The way there is a request in the port's own queue (:class:`Turn`), so that it comes after what was
asked for before, and holds the data behind it for ``before`` seconds.  The way back is looked for:
the transmitter is asked again and again, more often when little is left, and a write meanwhile
keeps the direction.  RTS falls a millisecond or two after the last bit, which is how exact timers
of an event loop are; a device that answers sooner than that needs a driver, or an adapter that
switches by itself.

*A transmitter that does not become empty.*  XOFF or a driver that tells nonsense would keep the
pair from everybody else.  When nothing has moved for :data:`STUCK_LIMIT`, the direction is given
back and that is counted; it is taken again as soon as something moves, or is written.

*Echo.*  The receiver may hear what is sent.  Unless it is wanted, what is read while sending is
dropped, and, at a line that has been seen to echo, the rest of the same bytes when they come
later: UARTs hand over their last characters late.  A line without an echo is never robbed of an
answer that looks like the question.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from portline.line import FlowControl, SetLine, SetModem
from portline.port.base import DRAIN_LIMIT

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from portline.line import Request
    from portline.port.outlet import Done
    from portline.port.tty.rs485 import Rs485

__all__ = [
    "ECHO_LIMIT",
    "LOOK_MAX",
    "LOOK_MIN",
    "STUCK_LIMIT",
    "Direction",
    "Echo",
    "Turn",
    "without_rts",
]

LOOK_MIN: Final = 0.0005
"""Seconds between two looks at the transmitter at least; loops round it up to about 1 ms."""

LOOK_MAX: Final = 0.02
"""Seconds between two looks at most, while a line is held by flow control."""

STUCK_LIMIT: Final = DRAIN_LIMIT
"""Seconds without progress after which others get the pair back: as for a request that waits."""

ECHO_LIMIT: Final = 4096
"""Bytes of an echo that are remembered: more than a UART and its driver hand over late."""


@dataclass(frozen=True, slots=True)
class Turn(SetModem):
    """Switch to sending; a kind of SetModem, because it waits for the data before it."""


def without_rts(request: Request) -> Request:
    """Return what is left of a request where RTS is the direction's: no RTS, no hardware flow."""
    match request:
        case SetModem():
            return SetModem(dtr=request.dtr)
        case SetLine(flow_control=flow, inbound_flow=inbound):
            return replace(
                request,
                flow_control=None if flow is FlowControl.HARDWARE else flow,
                inbound_flow=None if inbound is FlowControl.HARDWARE else inbound,
            )
        case _:
            return request


class Sender(Protocol):
    """The outlet, as far as it is needed here."""

    character_time: float
    queued: int

    @property
    def holding(self) -> bool:
        """Whether a break or a pause is going on, in which nothing is to move."""

    @property
    def idle(self) -> bool:
        """Whether everything has left the transmitter."""

    def submit(self, request: Request, done: Done) -> None:
        """Carry a request out in its turn."""

    def write(self, data: bytes) -> None:
        """Send data in its turn."""


class Direction:
    """The direction of one open port; ``drive`` drives RTS at once, ``unsent`` counts bytes."""

    def __init__(
        self,
        rs485: Rs485,
        outlet: Sender,
        loop: asyncio.AbstractEventLoop,
        *,
        drive: Callable[[SetModem], None],
        unsent: Callable[[], int],
    ) -> None:
        self.echo = None if rs485.rx_during_tx else Echo()
        self._rs485 = rs485
        self._outlet = outlet
        self._loop = loop
        self._drive = drive
        self._unsent = unsent
        self.stuck = 0
        """How often the direction was given back because nothing moved."""
        self._sending = False
        self._given_back = False
        self._left = -1
        self._moved = 0.0
        self._timer: asyncio.TimerHandle | None = None
        drive(SetModem(rts=not rs485.rts_on_send))

    @property
    def rest(self) -> SetModem:
        """What RTS is while nothing is sent."""
        return SetModem(rts=not self._rs485.rts_on_send)

    def write(self, data: bytes) -> None:
        """Send data in its turn, with the direction switched for it."""
        self._left, self._moved = -1, self._loop.time()
        if self._given_back or not self._sending:
            self._sending, self._given_back = True, False
            self._outlet.submit(Turn(rts=self._rs485.rts_on_send), lambda _: None)
        if self.echo is not None:
            self.echo.sent(data)
        self._outlet.write(data)
        self._look_in(self._time_left())

    def turn(self, turn: Turn) -> float:
        """Switch to sending; return the seconds for which data has to wait."""
        self._drive(SetModem(rts=turn.rts))
        return self._rs485.before

    def heard(self, data: bytes) -> bytes:
        """Return what is to be passed on of data that was read."""
        sending = self._sending and not self._given_back
        return data if self.echo is None else self.echo.heard(data, sending=sending)

    def close(self) -> None:
        """Stop, and switch to receiving."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._sending = self._given_back = False
        self._drive(self.rest)

    def _time_left(self) -> float:
        """Return about how long what is unsent takes, so that the last look comes in time.

        What stands still is looked at ever more seldom, by a sixteenth of how long it has.
        """
        rest = self._count() * self._outlet.character_time / 2
        still = (self._loop.time() - self._moved) / 16
        return min(LOOK_MAX, max(LOOK_MIN, rest, still))

    def _count(self) -> int:
        return self._outlet.queued + self._unsent()

    def _look_in(self, seconds: float, look: Callable[[], None] | None = None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, look or self._look)

    def _look(self) -> None:
        if self._outlet.queued or not self._outlet.idle:
            self._give_back_or_on()
            self._look_in(self._time_left())
        elif self._rs485.after > 0:
            self._look_in(self._rs485.after, self._end)
        else:
            self._end()

    def _give_back_or_on(self) -> None:
        """Have the direction be that of a line that moves, or that does not."""
        left, now = self._count(), self._loop.time()
        if left != self._left or self._outlet.holding:
            self._left, self._moved = left, now
            if self._given_back:
                self._given_back = False
                self._drive(SetModem(rts=self._rs485.rts_on_send))
        elif not self._given_back and now - self._moved >= STUCK_LIMIT:
            self._given_back = True
            self.stuck += 1
            self._drive(self.rest)

    def _end(self) -> None:
        self._timer = None
        self._sending = self._given_back = False
        self._drive(self.rest)


class Echo:
    """Takes out of what is received what was sent; pure, so that it can be tested alone."""

    def __init__(self) -> None:
        self.seen = False
        """Whether something was received while sending: at this line there is an echo."""
        self._expected = b""

    def sent(self, data: bytes) -> None:
        """Note what is sent."""
        self._expected = (self._expected + data)[-ECHO_LIMIT:]

    def heard(self, data: bytes, *, sending: bool) -> bytes:
        """Return what is no echo; on half a pair nobody else can have spoken while we did."""
        if sending:
            self.seen = True
            self._expected = self._expected[len(data) :]
            return b""
        if not self._expected:
            return data
        expected, self._expected = self._expected, b""
        if not self.seen:
            return data
        # The echo is the first to come, so only as much as fits from the beginning.
        count = 0
        while count < min(len(data), len(expected)) and data[count] == expected[count]:
            count += 1
        if count == len(data):
            self._expected = expected[count:]
        return data[count:]
