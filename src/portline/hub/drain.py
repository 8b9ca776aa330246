"""When everything that was written has left, towards one peer: what ``tcdrain`` waits for.

Theory of operation
-------------------
=========  ==========================================  =========================================
step       waits until                                 then
=========  ==========================================  =========================================
handing    the kernel has taken what waits here        asking where there is an access server
                                                       that answers, else acknowledging
asking     it says that its transmitter is empty, as   over
           far as it tells that: see below
acking     the other machine has acknowledged all      over
=========  ==========================================  =========================================

A question that is sent after the data is answered after the data has been received.  So an access
server is asked for its line state, and for something that every one answers, the fence.  What came
back is remembered in a :class:`Transmitter`:

=========  ==============================================  =======================================
answering  shown by                                        asked, and over with
=========  ==============================================  =======================================
UNKNOWN    nothing yet; a line state that is always 0      both; "empty", or the fence
EMPTY      a line state that said "transmitter empty"      the line state, again and again; that
RECEIVED   the fence came, and no line state before it     the fence; its answer
NOTHING    neither came                                    nothing: acknowledging must do
=========  ==============================================  =======================================

(ser2net leaves the question for the line state without an answer, though it tells one, 0, at first;
pyserial's example server always says 0.)

Nothing waits for ever: see :data:`STALL_LIMIT`.  Pure: the owner asks, and tells what it sees.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, TypeAlias

from portline.line import Item, Query

if TYPE_CHECKING:
    from portline.line import Told

__all__ = [
    "HAND_LOOK",
    "POLL_MAX",
    "POLL_MIN",
    "SERVER_HOLDS",
    "STALL_LIMIT",
    "Answering",
    "Ask",
    "Drain",
    "Step",
    "Transmitter",
    "Way",
]

STALL_LIMIT: Final = 30.0
"""Seconds without progress, beyond what the line needs, after which a drain is over all the same.

As long as Linux's drivers wait for a line that is held when a port is closed (closing_wait); in
tcdrain they wait for ever, but there a human can look at the cable."""

SERVER_HOLDS: Final = 256 * 1024
"""Bytes that an access server may still have to send when it is asked: its own queue, and what its
kernel takes for a program that reads slowly."""

HAND_LOOK: Final = 0.005
"""Seconds between two looks at what the kernel takes and the other machine acknowledges."""

POLL_MIN: Final = 0.01
"""Seconds between two questions at least: a few round trips of a local network."""

POLL_MAX: Final = 0.1
"""Seconds between two questions at most; within them they are timed by what is left to send."""

_TRANSMITTER_EMPTY: Final = 0x40
"""Line state (RFC 2217, TEMT): nothing is left in the transmitter either."""


class Answering(Enum):
    """What an access server lets know."""

    UNKNOWN = "nothing yet"
    EMPTY = "when its transmitter is empty"
    RECEIVED = "what it has received"
    NOTHING = "nothing"


class Transmitter:
    """What is known of the transmitter of one peer's serial port."""

    def __init__(self) -> None:
        self.answering = Answering.UNKNOWN
        self.empty_at = 0
        """How much had been handed over when it was last known to have sent everything."""

    def told(self, line_state: int) -> None:
        """Note a line state that the access server told, whenever that was."""
        if line_state & _TRANSMITTER_EMPTY:
            self.answering = Answering.EMPTY


@dataclass(frozen=True, slots=True)
class Way:
    """The way to a peer at one moment: bytes that wait here, that were handed over for it (those
    included), that the other machine has; and whether it is an access server."""

    waiting: int
    handed: int
    acked: int
    asking: bool


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the peer these, tell :meth:`Drain.asked`, and look again.

    An answer may take ``patience`` seconds longer than usual: it is behind the data.
    """

    queries: tuple[Query, ...]
    patience: float


Step: TypeAlias = "float | Ask | None"
"""Look again after so many seconds; ask; the drain is over."""


class Drain:
    """One wait for what was handed over before it began.

    ``character_time`` is that of the line, in seconds.
    """

    def __init__(self, transmitter: Transmitter, character_time: float, now: float) -> None:
        self._transmitter = transmitter
        self._character_time = character_time
        self._seen: tuple[int, int] | None = None
        self._moved = now
        self._over = False
        # acknowledging
        self._mark: int | None = None
        # asking
        self._line_state: Query | None = None
        self._fence: Query | None = None
        self._asking = False
        self._began = 0.0
        self._needs = 0.0
        self._asked_at = 0
        self._pause = POLL_MIN / 2
        self._again = now

    def look(self, way: Way, now: float) -> Step:
        """Return what is to be done next."""
        if self._over:
            return None
        if not self._asking and (way.waiting, way.acked) != self._seen:
            self._seen = way.waiting, way.acked
            self._moved = now
        if now >= self._moved + STALL_LIMIT + self._needs:
            return None
        if self._mark is not None:
            return None if way.acked >= self._mark else HAND_LOOK
        if way.waiting and not self._asking:
            return HAND_LOOK
        known = self._transmitter
        if way.asking and known.answering is not Answering.NOTHING:
            return self._look_at_answers(way, now)
        self._mark = way.handed
        self._asking, self._needs, self._moved = False, 0.0, now
        return self.look(way, now)

    def _look_at_answers(self, way: Way, now: float) -> Step:
        known = self._transmitter
        if known.answering is Answering.EMPTY and way.handed == known.empty_at:
            return None
        if not self._asking:
            self._asking = True
            self._began = now
            left = min(max(0, way.handed - known.empty_at), SERVER_HOLDS)
            self._needs = left * self._character_time
        if self._line_state is not None or self._fence is not None:
            return POLL_MAX
        if now < self._again:
            return self._again - now
        queries = []
        if known.answering is not Answering.RECEIVED:
            self._line_state = Query(Item.LINE_STATE)
            queries.append(self._line_state)
        if known.answering is not Answering.EMPTY:
            self._fence = Query(Item.BAUDRATE)
            queries.append(self._fence)
        # One that has told before will tell, when it gets to read the question.
        patience = STALL_LIMIT if known.answering is Answering.EMPTY else 0.0
        return Ask(tuple(queries), patience + self._needs)

    def asked(self, handed: int) -> None:
        """Note that the peer was asked, as the last of what was ``handed`` over."""
        self._asked_at = handed

    def told(self, report: Told, now: float) -> None:
        """Note what an access server answered, or left unanswered; what is not for us is left."""
        if report.request is None:
            return
        if report.request is self._line_state:
            self._line_state = None
            if isinstance(report.value, int):
                self._take_line_state(report.value, now)
            elif self._transmitter.answering is Answering.EMPTY:
                self._over = True
        elif report.request is self._fence:
            self._fence = None
            if self._transmitter.answering is Answering.EMPTY:
                return
            if report.value is None:
                self._transmitter.answering = Answering.NOTHING
            else:
                if self._line_state is not None:  # it was passed over
                    self._transmitter.answering = Answering.RECEIVED
                self._over = True

    def _take_line_state(self, value: int, now: float) -> None:
        self._transmitter.told(value)
        if value & _TRANSMITTER_EMPTY:
            self._transmitter.empty_at = self._asked_at
            self._over = True
        elif self._transmitter.answering is Answering.EMPTY:
            self._again = now + self._next_pause(now)

    def _next_pause(self, now: float) -> float:
        """Return when the line should be done; if it should have been, ask less and less often."""
        left = self._began + self._needs - now
        if left > POLL_MIN:
            return min(left, POLL_MAX)
        self._pause = min(2 * self._pause, POLL_MAX)
        return self._pause
