"""A virtual serial port: applications open it, and the other end of its line is this program.

Theory of operation
-------------------
=========  ============================  =======================================================
state      watched                       leaves it by
=========  ============================  =======================================================
closed     nothing                       ``open()``
unused     inotify                       an application opens it; ``close()``
in use     inotify, the descriptor,      the application closes it; ``close()``
           settings every SETTINGS_POLL
=========  ============================  =======================================================

Whether an application is there is what the kernel's hang-up flag says; inotify only says when to
look.  The flag is level-triggered and would keep the loop busy, so the descriptor is in the reader
set only while the port is in use.  An application that writes and closes at once leaves its data
in front of the hang-up: all of it is read before the port counts as unused.

The port is the far end of a null modem cable to the application.  What is submitted here is
remembered and answered, and never changes the application's settings; what the application sets is
reported as :class:`portline.line.LineChange` and kept in ``application``.

The kernel has no signal lines for a pseudo terminal, but opening a serial port raises DTR and RTS,
closing it drops them, and so does a rate of 0 ("hang up", which keeps the rate before it) until
another one is set (tty_port.c, serial_core.c ``uart_set_termios``).  So much is known of every
application: it is reported as a :class:`portline.line.ModemChange`, crossed over.  Who knows better
calls :meth:`PtyPort.outputs`.

Settings are looked at before data is passed on, so data never runs ahead of the settings it was
written with.  (The kernel has no order between the two: settings changed right after writing may
arrive before that data.)

A port that is not in use discards what is written: the kernel would give it to the next
application as if it had just come.
"""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from portline.errors import PortError, UsageError
from portline.hub.lines import crossed
from portline.line import (
    BreakChange,
    LineChange,
    LineSettings,
    ModemChange,
    ModemLines,
    Parity,
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
from portline.port.base import READ_LIMIT
from portline.port.inotify import OpenWatch
from portline.port.lines_server import LinesServer
from portline.port.master import FLUSHED_INPUT, TERMINALS, Master
from portline.port.outlet import Outlet
from portline.port.place import Place
from portline.port.termios2 import PARENB, require_layout

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from portline.port.base import PortOwner
    from portline.port.terminal import Told

__all__ = ["SETTINGS_POLL", "PtyPort"]

SETTINGS_POLL: Final = 0.02
"""Seconds between two looks at the application's settings.  An application that sets them and then
waits for the device's answer is served before it notices; a look costs about two microseconds."""

READ_SIZE: Final = 4096
"""Bytes asked for in one read: the packet byte and at most 4095 bytes of data."""

TERMINAL_HINTS: Final = {
    errno.ENOSPC: "there are too many, see sysctl kernel.pty.max",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "raise the limit of open files (sysctl fs.file-max)",
}

FULL_READ: Final = 4096
"""A read of so many bytes may have left some in the kernel."""


class PtyPort:
    """A pseudo terminal under a name, as a :class:`portline.port.base.SerialPort`.

    ``name`` and ``directory`` are those of :class:`portline.port.place.Place`; ``settings`` is what
    an application finds that sets nothing; ``mode`` and ``group`` are the terminal's.
    ``application`` is what the application has set, the last one's while there is none; ``inputs``
    is what it is to read from its signal lines, for backends that can show it.
    """

    def __init__(
        self,
        name: str,
        settings: LineSettings | None = None,
        *,
        owner: PortOwner,
        loop: asyncio.AbstractEventLoop,
        directory: str | os.PathLike[str] | None = None,
        mode: int = 0o660,
        group: str | None = "dialout",
    ) -> None:
        self.name = name
        self.path: str | None = None
        self.application = settings or LineSettings()
        self.inputs = ModemLines()
        self.in_use = False
        self.refused = 0
        self.discarded = 0
        self.drains = False
        self._state = PortState(self.application)
        self._owner = owner
        self._loop = loop
        self._mode = mode
        self._group = group
        self._lines = LinesServer(self, loop)
        self._place = Place(name, TERMINALS, directory)
        self._sent = 0
        self._paused = False
        self._reading = False
        self._full = False
        self._hung_up = False
        self._break = False
        self._master: Master | None = None
        self._outlet: Outlet | None = None
        self._watch: OpenWatch | None = None
        self._timer: asyncio.TimerHandle | None = None

    # --- the contract ---------------------------------------------------------------------------

    @property
    def state(self) -> PortState:
        """What was asked for last; there is no hardware that could disagree."""
        return self._state if not self.queued else replace(self._state, idle=False)

    @property
    def sent(self) -> int:
        """Bytes that the kernel has taken towards the line, since the start."""
        return self._sent + (0 if self._outlet is None else self._outlet.taken)

    @property
    def queued(self) -> int:
        """Bytes (and requests, at REQUEST_COST each) that wait towards the application."""
        return 0 if self._outlet is None else self._outlet.queued

    def open(self) -> None:
        """Make the terminal and its name; raises as the contract says."""
        if self._master is not None:
            raise UsageError(f"{self.name}: is open already")
        require_layout(self.name)
        path = self._place.path()
        master = self._connect()
        try:
            self._place.put(path, master.terminal)
        except BaseException:
            self._disconnect()
            raise
        TERMINALS[master.terminal] = path
        self.path = path

    def close(self) -> None:
        """Remove the name and hang up; waiting requests are answered before this returns."""
        self._full = False
        self.in_use = False
        self._state = replace(self._state, lines=ModemLines())
        if self._master is not None and self.path is not None:
            self._place.remove(self.path, self._master.terminal)
        self.path = None
        waiting = self._disconnect()
        for done in waiting:
            done(self.state)

    def write(self, data: bytes) -> None:
        """Send data to the application; discarded while there is none."""
        if self._outlet is None or not self.in_use:
            self.discarded += len(data)
        else:
            self._outlet.write(data)

    def submit(self, request: Request, done: Callable[[PortState], None]) -> None:
        """Remember what is asked, after everything before it, then call ``done``."""
        if self._outlet is None or isinstance(request, SetInputs):
            self.carry_out(request)
            done(self.state)
        else:
            self._outlet.submit(request, done)

    def pause_reading(self) -> None:
        """Leave what the application writes in the kernel; it blocks when that is full."""
        self._paused = True
        self._set_reading()

    def resume_reading(self) -> None:
        """Read again."""
        self._paused = False
        self._set_reading()

    def watch(self, *, modem_lines: bool, faults: bool) -> None:
        """Do nothing: the lines cost nothing to watch, and there are no faults."""

    def outputs(self, *, dtr: bool, rts: bool) -> None:
        """Note what the application drives; the owner is told when that is a change."""
        lines = crossed(dtr=dtr, rts=rts)
        if lines != self._state.lines:
            self._state = replace(self._state, lines=lines)
            self._owner.port_report(ModemChange(lines))
            self._lines.changed()

    # --- opening and closing --------------------------------------------------------------------

    def _connect(self) -> Master:
        """Make a terminal and watch it; leaves nothing behind when it raises."""
        try:
            master = Master(self.application, mode=self._mode, group=self._group)
        except OSError as error:
            hint = TERMINAL_HINTS.get(error.errno or 0, "is /dev/pts mounted?")
            raise PortError(
                self.name, f"no pseudo terminal can be made: {error.strerror}; {hint}"
            ) from error
        try:
            self._watch = OpenWatch(master.terminal, self._look, self._loop)
        except OSError as error:
            master.close()
            hint = "; see sysctl fs.inotify.max_user_instances and max_user_watches"
            raise PortError(
                self.name,
                f"inotify: {error.strerror}{hint if error.errno != errno.ENOENT else ''}",
            ) from error
        self._master = master
        self._hung_up = False
        self._outlet = Outlet(self, master.fd, self._loop)
        self._lines.serve(master.terminal)
        return master

    def _disconnect(self) -> list[Callable[[PortState], None]]:
        master, outlet, watch = self._master, self._outlet, self._watch
        if master is None or outlet is None or watch is None:
            return []
        self._lines.close()
        self._leave()
        waiting = outlet.close()
        self._sent += outlet.taken
        watch.close()
        self._master = self._outlet = self._watch = None
        master.close()
        return waiting

    def _lose(self, error: PortError) -> None:
        was_full, was_used = self._full, self.in_use
        self.outputs(dtr=False, rts=False)
        self.close()
        if was_full:
            self._owner.port_full(False)
        if was_used:
            self._owner.port_in_use(False)
        self._owner.port_lost(error)

    # --- applications come and go ---------------------------------------------------------------

    def _look(self) -> None:
        """Find out what happened: somebody opened or closed the terminal."""
        if self._master is None:
            return
        there, readable = self._master.look()
        if not self.in_use and (there or readable):
            self.in_use = True
            self._set_reading()
            self._timer = self._loop.call_later(SETTINGS_POLL, self._look_at_settings)
            self._owner.port_in_use(True)
            self._raise_outputs()
        elif self.in_use and self._paused and not (there or readable):
            self._unused()
            return
        self._check_settings()

    def _unused(self) -> None:
        """Let the last application go: what it did not read is gone, as with a real port."""
        outlet, master = self._outlet, self._master
        if outlet is None or master is None:
            return
        self._check_settings()
        self._leave()
        self.in_use = False
        outlet.drop()
        failure = None if master.renew() else self._exchange(master)
        self._set_break(False)
        self.outputs(dtr=False, rts=False)
        self._owner.port_in_use(False)
        if failure is not None:
            self._lose(failure)

    def _exchange(self, old: Master) -> PortError | None:
        """Put a new terminal under the name: the old one is for its last user alone."""
        path, outlet, watch = self.path, self._outlet, self._watch
        if path is None or outlet is None or watch is None:
            return None
        try:
            # The new one first: at no time does the name lead nowhere.
            new = self._connect()
            self._place.move(path, old.terminal, new.terminal)
        except PortError as error:
            return error
        finally:
            if self._master is not old:
                outlet.close()
                self._sent += outlet.taken
                watch.close()
                old.close()
        TERMINALS[new.terminal] = path
        if self._full:
            self.full(False)
        return None

    def _leave(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._reading and self._master is not None:
            self._reading = False
            self._loop.remove_reader(self._master.fd)

    def _set_reading(self) -> None:
        wanted = self.in_use and not self._paused
        if self._master is None or wanted is self._reading:
            return
        self._reading = wanted
        if wanted:
            self._loop.add_reader(self._master.fd, self._readable)
        else:
            self._loop.remove_reader(self._master.fd)

    # --- the application's settings -------------------------------------------------------------

    def _look_at_settings(self) -> None:
        self._timer = self._loop.call_later(SETTINGS_POLL, self._look_at_settings)
        self._check_settings()

    def _check_settings(self) -> None:
        if self._master is None or not self._master.changed():
            return
        if not self._lines.attended:
            self._master.framing = None  # changed by a program that only knows the kernel's word
        settings = self._master.settings()
        hung_up = settings.baudrate == 0
        if hung_up:
            settings = replace(settings, baudrate=self.application.baudrate)
        if hung_up is not self._hung_up:
            self._hung_up = hung_up
            self._raise_outputs()
        if settings != self.application:
            self.application = settings
            self._owner.port_report(LineChange(settings))
            self._lines.changed()

    def _raise_outputs(self) -> None:
        """Do as a driver does when a port is opened, or when its rate becomes 0 or no longer is."""
        on = self.in_use and not self._hung_up
        self.outputs(dtr=on, rts=on)

    # --- programs that `portline run` has started -----------------------------------------------

    @property
    def application_state(self) -> PortState:
        """What the application has set and drives, and in ``lines`` what it reads."""
        driven = self._state.lines
        return PortState(self.application, driven.dsr, driven.cts, self._break, self.inputs)

    def application_did(self, what: Told) -> None:
        """Take over what a program did, after everything that it wrote before."""
        self._look()
        if self._reading:
            self._readable()
        match what:
            case SetLine():
                self._set_application(what.applied_to(self.application))
            case SetModem(dtr, rts):
                now = self.application_state
                self.outputs(
                    dtr=now.dtr if dtr is None else dtr, rts=now.rts if rts is None else rts
                )
            case SetBreak(on):
                self._set_break(on)

    def all_read(self) -> bool:
        """Return whether everything that programs have written has been taken over."""
        return self._master is None or not self._master.look()[1]

    def _set_application(self, settings: LineSettings) -> None:
        if self._master is not None:
            parity = 0 if settings.parity is Parity.NONE else PARENB
            self._master.framing = (settings.data_bits - 5) << 4 | parity
        if settings != self.application:
            self.application = settings
            self._owner.port_report(LineChange(settings))

    def _set_break(self, on: bool) -> None:
        if on is not self._break:
            self._break = on
            self._owner.port_report(BreakChange(on))

    # --- reading --------------------------------------------------------------------------------

    def _readable(self) -> None:
        master = self._master
        if master is None:
            return
        data, gone = self._gather(master.fd)
        if data:
            self._check_settings()
            if self._master is master:
                self._owner.port_data(data)
        if gone and self._master is master:
            self._unused()

    def _gather(self, fd: int) -> tuple[bytes, bool]:
        """Read what there is; return the data, and whether the application is gone."""
        chunks: list[memoryview] = []
        total = 0
        while total <= READ_LIMIT - READ_SIZE:
            try:
                packet = os.read(fd, READ_SIZE)
            except BlockingIOError:
                break
            except OSError:
                return b"".join(chunks), True
            total += len(packet)
            if packet[0] == 0:
                chunks.append(memoryview(packet)[1:])
                if len(packet) < FULL_READ:
                    break
            elif packet[0] & FLUSHED_INPUT and self._outlet is not None:
                self._outlet.drop()
        return b"".join(chunks), False

    # --- what the outlet asks for ---------------------------------------------------------------

    def carry_out(self, request: Request) -> float:
        """Remember what is asked."""
        match request:
            case SetInputs(lines):
                self.inputs = lines
                self._lines.changed()
            case SetLine():
                settings = request.applied_to(self._state.settings)
                self._state = replace(self._state, settings=settings)
            case SetModem():
                self._state = request.applied_to(self._state)
            case SetBreak(on):
                self._state = replace(self._state, break_on=on)
            case Purge(received):
                if received and self._master is not None:
                    self._gather(self._master.fd)
            case SendBreak() | Query():
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
        self._loop.call_soon(self._lose_if, self._master, lost)

    def _lose_if(self, master: Master | None, error: PortError) -> None:
        if master is self._master and master is not None:
            self._lose(error)
