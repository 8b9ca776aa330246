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

What all virtual ports do is :mod:`portline.port.virtual`'s.

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

from typing import TYPE_CHECKING, ClassVar

from portline.errors import PortError, UsageError
from portline.line import LineChange, LineSettings, ModemLines, SetBreak, SetLine, SetModem
from portline.port.ladder import PTY
from portline.port.names.overlap import Overlap
from portline.port.names.place import Place
from portline.port.programs.lines_server import LinesServer
from portline.port.pty.master import TERMINALS
from portline.port.pty.pair import Pair
from portline.port.pty.poll import Poll
from portline.port.tty.termios2 import require_layout
from portline.port.virtual import VirtualPort

if TYPE_CHECKING:
    import asyncio
    import os

    from portline.line import PortState, Report
    from portline.port.base import Capabilities, PortOwner
    from portline.port.outlet import Done, Outlet
    from portline.port.programs.terminal import Action
    from portline.port.pty.master import Master

__all__ = ["PtyPort"]


class PtyPort(VirtualPort):
    """A pseudo terminal under a name, as a :class:`portline.port.base.SerialPort`.

    ``name`` and ``directory`` are those of :class:`portline.port.names.place.Place`, or with
    ``overlap`` ``name`` is that of :class:`portline.port.names.overlap.Overlap`; ``settings`` is
    what an application finds that sets nothing; ``mode`` and ``group`` are the terminal's;
    ``strict`` passes data no faster than a line with the application's settings would.
    """

    medium: ClassVar = "the pseudo terminal"

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
        capabilities: Capabilities = PTY,
    ) -> None:
        super().__init__(
            name,
            settings or LineSettings(),
            owner=owner,
            loop=loop,
            capabilities=capabilities,
        )
        self.path: str | None = None
        self._mode = mode
        self._group = group
        self._strict = strict
        self._lines = LinesServer(self, loop)
        self._place = Overlap(name, TERMINALS) if overlap else Place(name, TERMINALS, directory)
        self.taken = 0
        """Bytes that were read from applications, since the start."""
        self._sent = 0
        self._paused = False
        self._reads = False  # somebody is there to read what is written
        self._pair: Pair | None = None
        self._poll: Poll | None = None

    # --- the contract ---------------------------------------------------------------------------

    @property
    def _outlet(self) -> Outlet | None:
        return None if self._pair is None else self._pair.outlet

    @property
    def _heard(self) -> bool:
        return self._reads

    @property
    def sent(self) -> int:
        """Bytes that the kernel has taken towards the line, since the start."""
        return self._sent + (0 if self._pair is None else self._pair.outlet.taken)

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
        self._reads = self.application.there = False
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

    def pause_reading(self) -> None:
        """Leave what the application writes in the kernel; it blocks when that is full."""
        self._paused = True
        self._set_reading()

    def resume_reading(self) -> None:
        """Read again."""
        self._paused = False
        self._set_reading()

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
        self._reads = self.application.there = True
        self._set_reading()
        self._poll = Poll(self._check_settings, self._loop)
        self._owner.port_in_use(True)
        self.application.raise_outputs()

    def _hear(self, there: bool) -> None:
        """Forget what nobody is there to read, while the last words are still on the line."""
        was_heard, self._reads = self._heard, self.application.there and there
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
        self._reads = False
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

    # --- what all virtual ports do in their own way ---------------------------------------------

    def _inputs_moved(self, before: ModemLines, lines: ModemLines) -> None:
        self._lines.changed()

    def _drop_received(self) -> None:
        if self._pair is not None:
            self._pair.inlet.drop()
