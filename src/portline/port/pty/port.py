"""A virtual serial port: applications open it, and the other end of its line is this program.

Theory of operation
-------------------
=========  ============================  =======================================================
state      watched                       leaves it by
=========  ============================  =======================================================
closed     nothing                       ``open()``
unused     inotify                       an application opens it; ``close()``
in use     inotify, the descriptor,      the application closes it; ``close()``
           the settings
=========  ============================  =======================================================

Whether an application is there is what the kernel's hang-up flag says; inotify only says when to
look.  The flag is level-triggered and would keep the loop busy, so the descriptor is in the reader
set only while the port is in use.  An application that writes and closes at once leaves its data
in front of the hang-up: all of it is read before the port counts as unused.

The port is the far end of a null modem cable to the application.  What is submitted here is
remembered and answered, and never changes the application's settings; what the application sets
and drives is reported, and kept in ``application`` (:mod:`portline.port.application`).

Settings are looked at before data is passed on, so data never runs ahead of the settings it was
written with.  (The kernel has no order between the two: settings changed right after writing may
arrive before that data.)

A port that is not in use discards what is written: the kernel would give it to the next
application as if it had just come.

With strict baudrate emulation (:mod:`portline.port.pty.strict`) what the last application wrote may
take a while after it has closed the port.  The port stays in use until then and discards what is
written; an application that opens it meanwhile is the next user without a break between.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from portline.errors import PortError, UsageError
from portline.line import (
    Hold,
    LineChange,
    LineSettings,
    ModemLines,
    PortState,
    Purge,
    Query,
    Request,
    SendBreak,
    SetBreak,
    SetInputs,
    SetLine,
    SetModem,
)
from portline.port.application import Application
from portline.port.base import unanswered
from portline.port.ladder import PTY
from portline.port.names.overlap import Overlap
from portline.port.names.place import Place
from portline.port.programs.lines_server import LinesServer
from portline.port.pty.master import TERMINALS
from portline.port.pty.pair import Pair
from portline.port.pty.poll import Poll
from portline.port.tty.termios2 import require_layout

if TYPE_CHECKING:
    import asyncio
    import os
    from collections.abc import Callable

    from portline.line import LineFault, Report
    from portline.port.base import PortOwner
    from portline.port.outlet import Done
    from portline.port.programs.terminal import Action
    from portline.port.pty.master import Master

__all__ = ["PtyPort"]


class PtyPort:
    """A pseudo terminal under a name, as a :class:`portline.port.base.SerialPort`.

    ``name`` and ``directory`` are those of :class:`portline.port.names.place.Place`, or with
    ``overlap`` ``name`` is that of :class:`portline.port.names.overlap.Overlap`; ``settings`` is
    what an application finds that sets nothing; ``mode`` and ``group`` are the terminal's;
    ``strict`` passes data no faster than a line with the application's settings would.
    """

    def __init__(
        self,
        name: str,
        settings: LineSettings | None = None,
        *,
        owner: PortOwner,
        loop: asyncio.AbstractEventLoop,
        directory: str | os.PathLike[str] | None = None,
        overlap: bool = False,
        mode: int = 0o660,
        group: str | None = "dialout",
        strict: bool = False,
    ) -> None:
        self.name = name
        self.path: str | None = None
        self.application = Application(settings or LineSettings(), self._application_changed)
        self.has_lines = True
        self.hardware = None
        self.refused = 0
        self.discarded = 0
        self.drains = False
        self.capabilities = PTY
        self._asked = PortState(self.application.settings)
        self._owner = owner
        self._loop = loop
        self._mode = mode
        self._group = group
        self._strict = strict
        self._lines = LinesServer(self, loop)
        self._place = Overlap(name, TERMINALS) if overlap else Place(name, TERMINALS, directory)
        self.taken = 0
        """Bytes that were read from applications, since the start."""
        self._sent = 0
        self._paused = False
        self._heard = False  # somebody is there to read what is written
        self._full = False
        self._pair: Pair | None = None
        self._poll: Poll | None = None

    # --- the contract ---------------------------------------------------------------------------

    @property
    def state(self) -> PortState:
        """What was asked for last; there is no hardware that could disagree."""
        return replace(self._asked, lines=self.application.outputs, idle=not self.queued)

    @property
    def sent(self) -> int:
        """Bytes that the kernel has taken towards the line, since the start."""
        return self._sent + (0 if self._pair is None else self._pair.outlet.taken)

    @property
    def queued(self) -> int:
        """Bytes (and requests, at REQUEST_COST each) that wait towards the application."""
        return 0 if self._pair is None else self._pair.outlet.queued

    @property
    def trouble(self) -> PortError | None:
        """Why applications do not find the port, though it is there."""
        if self._pair is None or self.path is None:
            return None
        return self._place.fault(self.path, self._pair.master.terminal)

    def open(self) -> None:
        """Make the terminal and its name; raises as the contract says."""
        if self._pair is not None:
            raise UsageError(f"{self.name}: is open already")
        require_layout(self.name)
        path = self._place.path()
        pair = self._connect()
        try:
            self._place.put(path, pair.master.terminal)
        except BaseException:
            self._lines.close()
            pair.close()
            raise
        TERMINALS[pair.master.terminal] = path
        self._pair, self.path = pair, path

    def close(self) -> None:
        """Remove the name and hang up; waiting requests are answered before this returns."""
        self._full = False
        self._heard = self.application.there = False
        self.application.outputs = ModemLines()
        pair, path, self.path = self._pair, self.path, None
        if pair is None or path is None:
            return
        self._place.remove(path, pair.master.terminal)
        self._lines.close()
        self._leave()
        self._pair = None
        for done in self._disconnect(pair):
            done(self.state)

    def write(self, data: bytes) -> None:
        """Send data to the application; discarded while there is none."""
        if self._pair is None or not self._heard:
            self.discarded += len(data)
        else:
            self._pair.outlet.write(data)

    def submit(self, request: Request, done: Callable[[PortState], None] = unanswered) -> None:
        """Remember what is asked, after everything before it, then call ``done``."""
        if self._pair is None or isinstance(request, SetInputs):
            self.carry_out(request)
            done(self.state)
        else:
            self._pair.outlet.submit(request, done)

    def configure(self, settings: LineSettings, done: Callable[[PortState], None]) -> None:
        """Change nothing: the application decides."""
        done(self.state)

    def pause_reading(self) -> None:
        """Leave what the application writes in the kernel; it blocks when that is full."""
        self._paused = True
        self._set_reading()

    def resume_reading(self) -> None:
        """Read again."""
        self._paused = False
        self._set_reading()

    def show_fault(self, fault: LineFault) -> None:
        """Do nothing: a pseudo terminal has no way to show it."""

    def watch(self, *, modem_lines: bool, faults: bool) -> None:
        """Do nothing: the lines cost nothing to watch, and there are no faults."""

    # --- opening and closing --------------------------------------------------------------------

    def _connect(self) -> Pair:
        """Make a terminal that supervisors may ask for; leaves nothing behind when it raises."""
        pair = Pair(
            self,
            self.application.settings,
            mode=self._mode,
            group=self._group,
            strict=self._strict,
            look=self._look,
            loop=self._loop,
        )
        self.application.renewed()
        self._lines.serve(pair.master.terminal)
        return pair

    def _disconnect(self, pair: Pair) -> list[Done]:
        waiting = pair.close()
        self._sent += pair.outlet.taken
        return waiting

    def _lose(self, error: PortError) -> None:
        was_full, was_used = self._full, self.application.there
        self.application.goes()
        self.close()
        if was_full:
            self._owner.port_full(False)
        if was_used:
            self._owner.port_in_use(False)
        self._owner.port_lost(error)

    # --- applications come and go ---------------------------------------------------------------

    def _look(self) -> None:
        """Find out what happened: somebody opened or closed the terminal."""
        if self._pair is None:
            return
        there, readable = self._pair.master.look()
        if not self.application.there and (there or readable):
            self._used()
        elif self.application.there and self._paused and not (there or readable):
            self._unused()
            return
        if self._strict:
            self._hear(there)
        self._check_settings()

    def _used(self) -> None:
        self._heard = self.application.there = True
        self._set_reading()
        self._poll = Poll(self._check_settings, self._loop)
        self._owner.port_in_use(True)
        self.application.raise_outputs()

    def _hear(self, there: bool) -> None:
        """Forget what nobody is there to read, while the last words are still on the line."""
        was_heard, self._heard = self._heard, self.application.there and there
        if was_heard and not there and self._pair is not None:
            self._pair.outlet.drop()
            self._pair.master.renew()

    def _unused(self) -> None:
        """Let the last application go: what it did not read is gone, as with a real port."""
        pair = self._pair
        if pair is None:
            return
        self._check_settings()
        self._leave()
        self._heard = False
        pair.outlet.drop()
        failure = None if pair.master.renew() else self._exchange(pair)
        self.application.goes()
        self._owner.port_in_use(False)
        if failure is not None:
            self._lose(failure)

    def _exchange(self, old: Pair) -> PortError | None:
        """Put a new terminal under the name: the old one is for its last user alone."""
        if self.path is None:
            return None
        try:
            # The new one first: at no time does the name lead nowhere.
            new = self._connect()
            self._pair = new
            self._place.move(self.path, old.master.terminal, new.master.terminal)
        except PortError as error:
            return error
        finally:
            if self._pair is not old:
                self._disconnect(old)
        TERMINALS[new.master.terminal] = self.path
        if self._full:
            self.full(False)
        return None

    def _leave(self) -> None:
        if self._poll is not None:
            self._poll.close()
            self._poll = None
        if self._pair is not None:
            self._pair.inlet.switch(False)

    def _set_reading(self) -> None:
        if self._pair is not None:
            self._pair.inlet.switch(self.application.there and not self._paused)

    # --- what the application does --------------------------------------------------------------

    def _check_settings(self) -> None:
        if self._pair is not None and self._pair.master.changed():
            self._take_settings(self._pair.master)

    def _take_settings(self, master: Master) -> None:
        if not self._lines.attended:
            master.framing = None  # changed by a program that only knows the kernel's word
        self.application.set(master.settings())

    def _application_changed(self, report: Report) -> None:
        if isinstance(report, LineChange) and self._pair is not None:
            self._pair.set_character_time(report.settings.character_time)
        self._owner.port_report(report)
        self._lines.changed()

    @property
    def application_state(self) -> PortState:
        """The application's side of the line, for programs that `portline run` has started."""
        return self.application.state

    def application_did(self, what: Action) -> None:
        """Take over what such a program did, after everything that it wrote before.

        With strict baudrate emulation what it wrote is still on the line.
        """
        self._look()
        if self._pair is not None:
            self._pair.inlet.take()
        match what:
            case SetLine():
                settings = what.applied_to(self.application.settings)
                if self._pair is not None:
                    self._pair.master.frame(settings)
                self.application.set(settings)
            case SetModem(dtr, rts):
                self.application.drive(dtr=dtr, rts=rts)
            case SetBreak(on):
                self.application.hold_break(on)

    def all_read(self) -> bool:
        """Return whether everything that programs have written has been taken over."""
        return self._pair is None or not self._pair.master.look()[1]

    def drain(self, done: Callable[[], None]) -> None:
        """Call ``done`` when what was taken over has left on the other side."""
        self._owner.port_drain(done)

    # --- what the inlet tells -------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        """Pass on what the application wrote, after the settings that it made before."""
        pair = self._pair
        if pair is not None and pair.master.changed():
            self._take_settings(pair.master)
        self.taken += len(data)
        if self._pair is pair:
            self._owner.port_data(data)

    def flushed(self) -> None:
        """Drop what waits here for the application, which has just dropped what it had."""
        if self._pair is not None:
            self._pair.outlet.drop()

    def gone(self) -> None:
        """Note that the last application is gone."""
        self._unused()

    # --- what the outlet asks for ---------------------------------------------------------------

    def carry_out(self, request: Request) -> float:
        """Remember what is asked."""
        match request:
            case SetInputs(lines):
                self.application.inputs = lines
                self._lines.changed()
            case SetLine():
                settings = request.applied_to(self._asked.settings)
                self._asked = replace(self._asked, settings=settings)
            case SetModem():
                self._asked = request.applied_to(self._asked)
            case SetBreak(on):
                self._asked = replace(self._asked, break_on=on)
            case Purge(received):
                if received and self._pair is not None:
                    self._pair.inlet.drop()
            case SendBreak() | Query() | Hold():
                pass
        return 0.0

    def unsent(self) -> int:
        """Return 0: the kernel does not tell what an application has not read."""
        return 0

    def empty(self) -> bool | None:
        """Return True: there is no transmitter."""
        return True

    def drop_unsent(self) -> None:
        """Leave what the kernel has: it has arrived at the application."""

    def full(self, full: bool) -> None:
        """Pass the queue's level on."""
        self._full = full
        self._owner.port_full(full)

    def failed(self, error: OSError) -> None:
        """Lose the port, but from the loop: the owner may be in the middle of a write."""
        lost = PortError(self.name, f"the pseudo terminal failed: {error.strerror}")
        self._loop.call_soon(self._lose_if, self._pair, lost)

    def _lose_if(self, pair: Pair | None, error: PortError) -> None:
        if pair is self._pair and pair is not None:
            self._lose(error)
