"""Serves the applications that have one device open.

Theory of operation
-------------------
One request after the other comes from the kernel, and each is entered in the ledger before anything
is done about it.  Reading and writing go through the line discipline, everything else is answered
by :mod:`portline.port.cuse.control`.

==========  =======================================  ==============================================
a handle    means                                    leaves it by
==========  =======================================  ==============================================
waiting     open(2) waits for the carrier            DCD, or CLOCAL set by another: open; a signal
                                                     or the end of the port: gone
open        the application has it                   Release: gone; DCD falls while CLOCAL is off:
                                                     hung up
hung up     reads end, everything else fails         Release: gone
==========  =======================================  ==============================================

The terminal's end is held while there is a handle that waits or is open: so to the port behind it,
an application is there.  What is hung up counts no longer (tty_port.c, tty_io.c).

The descriptor of the line discipline is watched only while somebody waits for what it can bring:
what is ready and unwanted would keep the loop busy.
"""

from __future__ import annotations

import errno
import logging
import os
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from portline.port.cuse.control import Control, ControlledPort
from portline.port.cuse.ledger import Ledger
from portline.port.cuse.pollers import HUNG_UP, IN, OUT, Pollers
from portline.port.cuse.readers import Readers
from portline.port.cuse.wire import (
    Interrupt,
    Ioctl,
    Open,
    Poll,
    Read,
    Release,
    Write,
    failure,
    given,
    opened,
    parse,
    polled,
    success,
    woken,
)
from portline.port.cuse.writers import Sink, Writers

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from portline.line import ModemLines
    from portline.port.cuse.discipline import Discipline
    from portline.port.cuse.wire import Asked

__all__ = ["HANDLES_MAX", "Front", "FrontPort"]

HANDLES_MAX: Final = 256
"""Handles at the same time; one more open fails with ENFILE.  A port has one or two."""

REST: Final = 0.01
"""Seconds between two looks while somebody polls for more bytes (VMIN) than are there."""

LOG: Final = logging.getLogger("portline.port")


class FrontPort(ControlledPort, Sink, Protocol):
    """The port behind a device."""

    name: str

    def application_came(self) -> None:
        """Note that the first application has opened it."""

    def applications_left(self) -> None:
        """Note that the last one has closed it; what they wrote is still to be taken."""


class _Handle:
    def __init__(self) -> None:
        self.hung_up = False


class Front:
    """The applications of one device; ``send`` takes what goes to the kernel."""

    def __init__(
        self,
        port: FrontPort,
        discipline: Discipline,
        send: Callable[[bytes], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._port = port
        self._discipline = discipline
        self._send = send
        self._loop = loop
        self._ledger = Ledger(send)
        self._readers = Readers(self._ledger, discipline, loop)
        self._writers = Writers(self._ledger, discipline, port, loop)
        self._pollers = Pollers()
        self._control = Control(port, self._ledger, discipline, self._writers, loop)
        self._handles: dict[int, _Handle] = {}
        self._waiting: dict[int, int] = {}  # handles that wait for the carrier, and their opens
        self._last_handle = 0
        self._reading = False
        self._writing = False
        self._resting: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def held(self) -> int:
        """How many requests wait."""
        return self._ledger.held

    @property
    def refused(self) -> int:
        """How many requests were one too many."""
        return self._ledger.refused

    def take(self, message: bytes) -> None:
        """Do what the kernel asks.  Raises ValueError for what is no request."""
        asked = parse(message)
        if isinstance(asked, Interrupt):
            self._ledger.interrupt(asked.target)
            self._watch()
            return
        unique = asked.unique
        self._ledger.begin(unique)
        try:
            self._do(asked)
        except OSError as error:
            self._ledger.answer(unique, failure(unique, error.errno or errno.EIO))
        except Exception:
            LOG.exception("%s: %s", self._port.name, type(asked).__name__)
        self._ledger.settle(unique)
        self._watch()

    def close(self) -> None:
        """Answer everything and let go of the line discipline; safe twice."""
        if self._closed:
            return
        self._closed = True
        self._ledger.close(errno.EIO)
        self._writers.close()
        self._handles.clear()
        self._waiting.clear()
        if self._resting is not None:
            self._resting.cancel()
        self._watch_for(False, False)
        self._discipline.close()

    # --- what the port tells --------------------------------------------------------------------

    def advanced(self) -> None:
        """Note that the port has taken out something, or has thrown it away."""
        if self._closed:
            return
        self._writers.run()
        if self._pollers.missing & OUT and self._writers.writable:
            self._look()
        self._watch()

    def emptied(self) -> None:
        """Note that what was written and not taken out has been thrown away."""
        self._writers.emptied()
        self.advanced()

    def more(self) -> None:
        """Note that something is on its way to the applications."""
        if self._pollers.wanted & IN and self._discipline.fd >= 0:
            if self._discipline.events() & IN:
                self._wake(self._pollers.more(IN))
            self._watch()

    def lines_moved(self, before: ModemLines, now: ModemLines) -> None:
        """Note that the signal lines that applications read have changed."""
        self._control.lines_moved(before, now)
        if before.dcd and not now.dcd and self._discipline.hangs_up:
            self._hang_up()
        self._admit()
        self._watch()

    # --- requests -------------------------------------------------------------------------------

    def _do(self, asked: Asked) -> None:
        unique = asked.unique
        match asked:
            case Open():
                self._open(asked)
            case Release(handle=number):
                self._release(number)
                self._ledger.answer(unique, success(unique))
            case Read():
                if self._handle(asked.handle).hung_up:
                    self._ledger.answer(unique, given(unique, b""))
                else:
                    self._readers.ask(asked)
            case Write():
                self._not_hung_up(asked.handle)
                self._writers.ask(asked)
            case Poll():
                self._poll(asked)
            case Ioctl():
                self._not_hung_up(asked.handle)
                self._control.ask(asked)
                self._readers.run()  # other settings may be other rules
                self._admit()
            case _:
                self._ledger.answer(unique, failure(unique, errno.ENOSYS))

    def _handle(self, number: int) -> _Handle:
        handle = self._handles.get(number)
        if handle is None:
            raise OSError(errno.EBADF, "no such handle")
        return handle

    def _not_hung_up(self, number: int) -> None:
        if self._handle(number).hung_up:
            raise OSError(errno.EIO, "hung up")

    def _poll(self, asked: Poll) -> None:
        events = HUNG_UP if self._handle(asked.handle).hung_up else self._events()
        if asked.wait:
            self._pollers.add(asked.handle, asked.wake, asked.events, events)
        self._ledger.answer(asked.unique, polled(asked.unique, events))

    def _events(self) -> int:
        events = self._discipline.events()
        return events if self._writers.writable else events & ~OUT

    # --- coming and going -----------------------------------------------------------------------

    def _open(self, asked: Open) -> None:
        if self._control.exclusive and asked.user != 0:
            raise OSError(errno.EBUSY, "exclusive")
        if len(self._handles) >= HANDLES_MAX:
            raise OSError(errno.ENFILE, "too many")
        first = self._discipline.fd < 0
        if first:
            self._discipline.open()
        self._last_handle += 1
        number = self._last_handle
        self._handles[number] = _Handle()
        if first:
            self._port.application_came()
        if asked.flags & os.O_NONBLOCK or self._carrier():
            self._ledger.answer(asked.unique, opened(asked.unique, number))
            return
        if self._ledger.hold(asked.unique, partial(self._give_up_open, asked.unique, number)):
            self._waiting[number] = asked.unique
        else:
            self._release(number)

    def _carrier(self) -> bool:
        return not self._discipline.hangs_up or self._port.application_state.lines.dcd

    def _give_up_open(self, unique: int, number: int, error: int) -> bytes:
        self._release(number)
        return failure(unique, error)

    def _admit(self) -> None:
        """Open for those who waited for the carrier."""
        if self._waiting and self._carrier():
            waiting, self._waiting = self._waiting, {}
            for number, unique in waiting.items():
                self._ledger.answer(unique, opened(unique, number))

    def _release(self, number: int) -> None:
        if self._closed:
            return
        self._handles.pop(number, None)
        self._waiting.pop(number, None)
        self._pollers.forget(number)
        self._look_for_last()

    def _look_for_last(self) -> None:
        if self._discipline.fd < 0 or any(not each.hung_up for each in self._handles.values()):
            return
        # A kernel lets the last file go when its calls have ended; if not, they end here.
        self._readers.hang_up()
        self._writers.hang_up()
        self._control.last_gone()
        self._watch_for(False, False)
        self._discipline.close()
        self._port.applications_left()

    def _hang_up(self) -> None:
        """Do as a terminal does that loses its carrier."""
        for number, handle in self._handles.items():
            handle.hung_up = handle.hung_up or number not in self._waiting
        self._readers.hang_up()
        self._writers.hang_up()
        self._control.hang_up()
        self._wake(self._pollers.hang_up())
        self._port.drop_written()
        self._look_for_last()

    # --- waiting for the line discipline --------------------------------------------------------

    def _look(self) -> None:
        """Wake up who polls for what is there."""
        if self._pollers.missing:
            self._wake(self._pollers.ready(self._events()))

    def _wake(self, numbers: list[int]) -> None:
        for number in numbers:
            self._send(woken(number))

    def _watch(self) -> None:
        """Watch for what somebody waits for, and for nothing else."""
        there = self._discipline.fd >= 0 and not self._closed and self._resting is None
        missing = self._pollers.missing
        reading = self._readers.waiting or bool(missing & IN)
        writing = self._writers.refused or bool(missing & OUT and self._writers.writable)
        self._watch_for(there and reading, there and writing)

    def _watch_for(self, reading: bool, writing: bool) -> None:
        fd = self._discipline.fd
        if reading is not self._reading:
            self._reading = reading
            if reading:
                self._loop.add_reader(fd, self._readable)
            else:
                self._loop.remove_reader(fd)
        if writing is not self._writing:
            self._writing = writing
            if writing:
                self._loop.add_writer(fd, self._writable)
            else:
                self._loop.remove_writer(fd)

    def _readable(self) -> None:
        self._readers.run()
        self._look()
        if self._pollers.missing & IN and not self._readers.waiting:
            self._rest()
        self._watch()

    def _writable(self) -> None:
        self._writers.run()
        self._look()
        if self._writers.refused:
            self._rest()  # there is room, but not enough for anything
        self._watch()

    def _rest(self) -> None:
        if self._resting is None:
            self._resting = self._loop.call_later(REST, self._go_on)

    def _go_on(self) -> None:
        self._resting = None
        self._look()
        self._watch()
