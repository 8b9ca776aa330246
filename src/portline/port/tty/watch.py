"""What a line does by itself: its modem lines and its faults, watched by looking.

Theory of operation
-------------------
While somebody wants to know, a thread waits for changes of the modem lines where the driver allows
it (:mod:`portline.port.tty.waiter`), and the lines are looked at when it says so, :data:`FOLLOW_UP`
seconds later, because a change between two waits wakes nobody, and every :data:`SAFETY_POLL`
seconds in case the driver never wakes it.  Where nothing can wait they are looked at every
:data:`MODEM_POLL` seconds.  Faults are told in one of two ways:

* *counted*: where the driver has TIOCGICOUNT, its counters are compared every MODEM_POLL seconds;
* *marked*: elsewhere PARMRK and INPCK put marks into the input, which :class:`Marks` takes out
  again.  A byte FF means something else before the switch than after it, so it is made only while
  the input queue is empty, and tried again at the next look otherwise.

*A device that does not answer.*  Some drivers ask their USB adapter for the lines, and wait 5 s for
one that hangs, and everything here waits with them.  So after a look that took longer than
:data:`SLOW`, the next one waits :data:`RELIEF` times as long: nine tenths of the time are the
others'.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

from portline.line import LineFault, ModemChange, Parity
from portline.port.tty.marks import Marks
from portline.port.tty.modem import Counters, faults_between, read_counters
from portline.port.tty.termios2 import marked, read_attributes, write_attributes
from portline.port.tty.waiter import Waiter, waiter

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from portline.line import Report
    from portline.port.tty.device import Tty

__all__ = ["FOLLOW_UP", "MODEM_POLL", "RELIEF", "SAFETY_POLL", "SLOW", "Watch"]

MODEM_POLL: Final = 0.01
"""Seconds between two looks at the lines.

Ten milliseconds is what people and PLCs take for at once, about a hundred characters at 115200
baud; a look costs two microseconds, so a hundred watched ports cost 2 % of a core."""

FOLLOW_UP: Final = 0.002
"""Seconds between a change and another look: twice the rest of the thread that waits."""

SAFETY_POLL: Final = 0.25
"""Seconds between two looks while a thread waits: four a second cost nothing."""

SLOW: Final = 0.5
"""Seconds beyond which a device does not answer: the shortest that drivers wait is 1, and an answer
takes some milliseconds."""

RELIEF: Final = 10.0
"""How many times longer than such a look everything else has until the next one."""


class Watch:
    """The looks at one open tty; ``report`` and ``data`` are called from the loop only.

    ``slow`` is told the seconds of a look that took longer than SLOW.
    """

    def __init__(
        self,
        tty: Tty,
        loop: asyncio.AbstractEventLoop,
        *,
        report: Callable[[Report], None],
        data: Callable[[bytes], None],
        slow: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self._tty = tty
        self._slow = slow
        self._relief = 0.0
        self._loop = loop
        self._report = report
        self._data = data
        self._modem_lines = False
        self._faults = False
        self._told = tty.lines
        self._counters: Counters | None = None
        self._stopped = False
        self._timer: asyncio.TimerHandle | None = None
        self._waiter: Waiter | None = None
        self._follow_up: asyncio.TimerHandle | None = None
        self.marks: Marks | None = None

    def set(self, *, modem_lines: bool, faults: bool) -> None:
        """Say what is wanted from now on."""
        if modem_lines and not self._modem_lines:
            self._told = self._tty.read_modem_lines()
        self._modem_lines = modem_lines and self._tty.has_lines
        if faults and not self._faults:
            self._counters = self._count()
        self._faults = faults
        if not faults:
            self._counters = None
        self._switch_marks()
        self._wait(self._modem_lines)
        self._rest()  # another interval may be due now
        self._schedule()

    def stop(self) -> None:
        """Stop for good; to be called before the descriptor is closed.  No report follows."""
        self._stopped = True
        self._wait(False)
        self._rest()

    @property
    def waits(self) -> bool:
        """Tell whether a thread waits for the modem lines, so that they need not be polled."""
        return self._waiter is not None and self._waiter.waits

    @property
    def way(self) -> str:
        """How changes of the modem lines are noticed: "waited for", "polled", or "none"."""
        if not self._tty.has_lines:
            return "none"
        return "waited for" if self.waits else "polled"

    def decode(self, data: bytes) -> Sequence[bytes | LineFault]:
        """Take the marks out of what was read; only while ``marks`` is not None."""
        if self.marks is None:
            return (data,)
        self.marks.parity_in_use = self._tty.settings.parity is not Parity.NONE
        return self.marks.feed(data)

    def _wants_marks(self) -> bool:
        # A pty has no line that could be faulty, and is quick enough to say something between the
        # look at its queue and the switch.
        return self._faults and self._counters is None and self._tty.drains

    def _wait(self, wanted: bool) -> None:
        """Let a thread wait for changes, or no longer."""
        if wanted and self._waiter is None:
            self._waiter = waiter(self._tty.fd, self._loop, self._changed)
        elif not wanted and self._waiter is not None:
            self._waiter.stop()
            self._waiter = None
            if self._follow_up is not None:
                self._follow_up.cancel()
                self._follow_up = None

    def _changed(self) -> None:
        """Look now, as the thread says, and once more for what it has missed meanwhile."""
        if self._follow_up is not None:
            self._follow_up.cancel()
        self._follow_up = self._loop.call_later(FOLLOW_UP, self._tell)
        if not self.waits:  # the driver has refused
            self._rest()
            self._schedule()
        self._tell()

    def _schedule(self) -> None:
        busy = self._counters is not None or self._wants_marks() is (self.marks is None)
        if (busy or self._modem_lines) and self._timer is None:
            seconds = SAFETY_POLL if self.waits and not busy else MODEM_POLL
            self._timer = self._loop.call_later(max(seconds, self._relief), self._look)
        elif not (busy or self._modem_lines):
            self._rest()

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        begun = monotonic()
        self._switch_marks()
        news = self._news()
        took = monotonic() - begun
        self._relief = 0.0
        if took > SLOW:
            self._relief = RELIEF * took
            self._slow(took)
        self._schedule()
        self._tell_all(news)

    def _tell(self) -> None:
        self._tell_all(self._news())

    def _tell_all(self, news: list[Report]) -> None:
        for report in news:
            if self._stopped:
                return  # the report before led to close()
            self._report(report)

    def _news(self) -> list[Report]:
        news: list[Report] = []
        if self._modem_lines:
            lines = self._tty.read_modem_lines()
            if lines != self._told:
                self._told = lines
                news.append(ModemChange(lines))
        if self._counters is not None:
            before, self._counters = self._counters, self._count() or self._counters
            fault = faults_between(before, self._counters)
            if fault is not None:
                news.append(fault)
        return news

    def _count(self) -> Counters | None:
        try:
            return read_counters(self._tty.fd)
        except OSError:
            return None

    def _switch_marks(self) -> None:
        wanted = self._wants_marks()
        if wanted is (self.marks is not None) or self._tty.received():
            return
        try:
            write_attributes(self._tty.fd, marked(read_attributes(self._tty.fd), wanted))
        except OSError:
            return  # the next look tries again, unless the device is gone
        if self.marks is not None and (rest := self.marks.flush()):
            # Half a mark with nothing behind it in the kernel never was one.
            self._loop.call_soon(self._pass_rest, rest)
        self.marks = Marks() if wanted else None

    def _pass_rest(self, rest: bytes) -> None:
        if not self._stopped:
            self._data(rest)
