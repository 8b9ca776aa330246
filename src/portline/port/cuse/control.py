"""Answers the ioctls of the applications of one device.

Theory of operation
-------------------
What :mod:`portline.port.programs.calls` gives a meaning is answered in the words of
``portline.line``, the rest by a table of request numbers.  An answer that takes a while is held
(:class:`_Held`):

==================  ==============================================================================
a request           is answered
==================  ==============================================================================
tcdrain             when everything written has left, as far as that can be known
a break             after the same, when the break is over
settings (W, F)     after the same, when they are in force
TIOCMIWAIT          when one of the lines has moved
==================  ==============================================================================

A signal, a hang-up and the end of the port end all of them; a break that was begun is ended too.
"""

from __future__ import annotations

import errno
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from portline.line import SendBreak, SetBreak, SetModem
from portline.port.cuse import requests as ioctls
from portline.port.cuse.requests import FILLS, READS, WORD, SerialInfo
from portline.port.cuse.wire import controlled, failure, wanting
from portline.port.programs.calls import (
    TCSETSF,
    TCSETSF2,
    AwaitLines,
    Drain,
    LineCounts,
    ReadCounts,
    ReadLines,
    ReadSettings,
    Traffic,
    WriteSettings,
    counts_block,
    lines_word,
    meaning,
)
from portline.port.tty.termios2 import CLOCAL, pack

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from portline.line import ModemLines, PortState
    from portline.port.cuse.discipline import Discipline
    from portline.port.cuse.ledger import Ledger
    from portline.port.cuse.wire import Ioctl
    from portline.port.cuse.writers import Writers
    from portline.port.programs.terminal import Action

__all__ = ["Control", "ControlledPort"]

TEMT: Final = 1
"""TIOCSER_TEMT: the transmitter is empty."""

N_TTY: Final = 0


class ControlledPort(Protocol):
    """The port whose applications are answered."""

    @property
    def application_state(self) -> PortState:
        """What the application has set and drives, and in ``lines`` what it reads."""

    @property
    def traffic(self) -> Traffic:
        """What has passed."""

    def application_did(self, what: Action) -> None:
        """Take over what a program did, after everything that it wrote before."""

    def application_set(self, raw: bytes) -> None:
        """Put settings in force.  Raises OSError."""

    def drop_written(self) -> None:
        """Throw away what the application has written and the port not taken."""

    def drop_received(self) -> None:
        """Throw away what the application has not read."""


class _Held:
    """One request that waits; ``undo`` is what else is to be done when it waits no longer."""

    def __init__(self, unique: int) -> None:
        self.unique = unique
        self.over = False
        self.undo: Callable[[], None] | None = None
        self.lines: ModemLines | None = None
        self.counts = LineCounts()


class Control:
    """The ioctls of one device."""

    def __init__(
        self,
        port: ControlledPort,
        ledger: Ledger,
        discipline: Discipline,
        writers: Writers,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.exclusive = False
        """Whether nobody else may open the device (TIOCEXCL)."""
        self._port = port
        self._ledger = ledger
        self._discipline = discipline
        self._writers = writers
        self._loop = loop
        self._counts = LineCounts()
        self._serial = SerialInfo()
        self._held: set[_Held] = set()
        self._table: dict[int, Callable[[Ioctl], bytes | None]] = {
            ioctls.TCFLSH: self._flush,
            ioctls.TCXONC: self._flow,
            ioctls.TIOCEXCL: self._exclude,
            ioctls.TIOCNXCL: self._exclude,
            ioctls.TIOCGEXCL: lambda _: WORD.pack(self.exclusive),
            ioctls.TIOCOUTQ: lambda _: WORD.pack(writers.unsent),
            ioctls.FIONREAD: lambda _: WORD.pack(discipline.waiting()),
            ioctls.TIOCSERGETLSR: lambda _: WORD.pack(0 if writers.busy else TEMT),
            ioctls.TIOCGSERIAL: lambda _: self._serial.raw,
            ioctls.TIOCSSERIAL: lambda asked: self._serial.set(asked.data),
            ioctls.TIOCGETD: lambda _: WORD.pack(N_TTY),
            ioctls.TIOCSETD: self._set_discipline,
            ioctls.TIOCGSOFTCAR: lambda _: WORD.pack(not discipline.hangs_up),
            ioctls.TIOCSSOFTCAR: self._set_carrier,
            ioctls.TIOCGWINSZ: lambda _: discipline.window(),
            ioctls.TIOCSWINSZ: lambda asked: discipline.set_window(asked.data),
        }
        """What has no meaning beyond the device."""

    def ask(self, asked: Ioctl) -> None:
        """Answer an ioctl, now or later.  Raises OSError for what fails."""
        reads, fills = READS.get(asked.request, 0), FILLS.get(asked.request, 0)
        if asked.compat and asked.request in (ioctls.TIOCGSERIAL, ioctls.TIOCSSERIAL):
            raise OSError(errno.ENOTTY, "another layout")
        if len(asked.data) < reads or asked.room < fills:
            self._ledger.answer(asked.unique, wanting(asked, reads, fills))
            return
        meant = meaning(asked.request, asked.argument, asked.data)
        match meant:
            case ReadLines():
                self._fill(asked, lines_word(self._port.application_state))
            case ReadCounts():
                self._fill(asked, counts_block(self._counts, self._port.traffic))
            case SetModem() | SetBreak(False):
                self._port.application_did(meant)
                self._fill(asked)
            case SetBreak():
                self._after_data(asked, lambda held: self._finish(held, meant))
            case SendBreak(duration):
                self._after_data(asked, partial(self._send_break, duration))
            case AwaitLines(lines):
                held = self._hold(asked)
                if held is not None:
                    held.lines, held.counts = lines, self._counts
            case ReadSettings(size):
                self._fill(asked, pack(self._discipline.attributes())[:size])
            case WriteSettings(drain=drain):
                if drain:
                    self._after_data(asked, partial(self._set_and_finish, asked))
                else:
                    self._port.application_set(asked.data)
                    self._fill(asked)
            case Drain():
                self._after_data(asked, self._finish)
            case None:
                self._rest(asked)

    def lines_moved(self, before: ModemLines, now: ModemLines) -> None:
        """Count, and wake up who waits for it."""
        self._counts = self._counts.counting(before, now)
        for held in tuple(self._held):
            if held.lines is not None and self._counts.moved(held.counts, held.lines):
                self._finish(held)

    def hang_up(self) -> None:
        """Let nobody wait any longer."""
        for held in tuple(self._held):
            self._ledger.answer(held.unique, self._give_up(held, errno.EIO))

    def last_gone(self) -> None:
        """Forget what belongs to those who have it open."""
        self.exclusive = False

    # --- at once --------------------------------------------------------------------------------

    def _fill(self, asked: Ioctl, filled: bytes = b"") -> None:
        self._ledger.answer(asked.unique, controlled(asked.unique, filled))

    def _rest(self, asked: Ioctl) -> None:
        answer = self._table.get(asked.request)
        if answer is None:
            raise OSError(errno.ENOTTY, "no serial port has this")
        self._fill(asked, answer(asked) or b"")

    def _flush(self, asked: Ioctl) -> None:
        which = asked.argument
        self._discipline.flush(which)
        if which in (0, 2):
            self._port.drop_received()
        if which in (1, 2):
            self._port.drop_written()

    def _flow(self, asked: Ioctl) -> None:
        self._discipline.flow(asked.argument)
        self._writers.run()

    def _exclude(self, asked: Ioctl) -> None:
        self.exclusive = asked.request == ioctls.TIOCEXCL

    def _set_carrier(self, asked: Ioctl) -> None:
        found = self._discipline.attributes()
        wanted = CLOCAL if WORD.unpack(asked.data)[0] else 0
        self._port.application_set(pack(replace(found, cflag=found.cflag & ~CLOCAL | wanted)))

    def _set_discipline(self, asked: Ioctl) -> None:
        if WORD.unpack(asked.data)[0] != N_TTY:
            raise OSError(errno.EINVAL, "only N_TTY")

    # --- later ----------------------------------------------------------------------------------

    def _hold(self, asked: Ioctl) -> _Held | None:
        held = _Held(asked.unique)
        if not self._ledger.hold(asked.unique, partial(self._give_up, held)):
            return None
        self._held.add(held)
        return held

    def _give_up(self, held: _Held, error: int) -> bytes:
        held.over = True
        self._held.discard(held)
        if held.undo is not None:
            held.undo()
        return failure(held.unique, error)

    def _finish(self, held: _Held, change: Action | None = None) -> None:
        held.over = True
        self._held.discard(held)
        if change is not None:
            self._port.application_did(change)
        self._ledger.answer(held.unique, controlled(held.unique))

    def _after_data(self, asked: Ioctl, then: Callable[[_Held], None]) -> None:
        held = self._hold(asked)
        if held is not None:
            self._writers.when_drained(partial(self._unless_over, held, then))

    def _unless_over(self, held: _Held, then: Callable[[_Held], None]) -> None:
        if held.over:
            return
        try:
            then(held)
        except OSError as error:
            self._held.discard(held)
            self._ledger.answer(held.unique, failure(held.unique, error.errno or errno.EIO))

    def _set_and_finish(self, asked: Ioctl, held: _Held) -> None:
        if asked.request in (TCSETSF, TCSETSF2):
            self._discipline.flush(0)
            self._port.drop_received()
        self._port.application_set(asked.data)
        self._finish(held)

    def _send_break(self, duration: float, held: _Held) -> None:
        self._port.application_did(SetBreak(True))
        timer = self._loop.call_later(duration, self._end_break, held)

        def undo() -> None:
            timer.cancel()
            self._port.application_did(SetBreak(False))

        held.undo = undo

    def _end_break(self, held: _Held) -> None:
        if not held.over:
            held.undo = None
            self._finish(held, SetBreak(False))
