"""A serial port of this machine: any tty that is there already.

Theory of operation
-------------------
An open port is a :class:`portline.port.tty.device.Tty`, which knows the driver, and around it the
:mod:`reader <portline.port.tty.reader>` for what the device sends, the :mod:`outlet
<portline.port.outlet>` for what it is sent, the :mod:`orders <portline.port.tty.orders>` for what
it is asked to do, and the :mod:`watch <portline.port.tty.watch>` for what its line does by itself.
They are made at each open and thrown away together.

Settings that were configured must be in force, or ``open`` raises; those submitted later are put
in force again after a loss as far as the new device does them.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from portline.errors import PortAbsent, PortError, UsageError
from portline.line import (
    LineSettings,
    PortState,
    Request,
    SetInputs,
    SetLine,
    SetModem,
)
from portline.port.base import REAL, unanswered
from portline.port.hardware import Hardware, hardware_of
from portline.port.outlet import Outlet
from portline.port.tty.device import Tty, refusal
from portline.port.tty.direction import Direction, without_rts
from portline.port.tty.features import NO_FEATURES, Engaged, Features
from portline.port.tty.node import WENT_AWAY, close_node, open_node
from portline.port.tty.orders import Orders
from portline.port.tty.reader import Reader
from portline.port.tty.termios2 import (
    marked,
    read_attributes,
    require_layout,
    write_attributes,
)
from portline.port.tty.watch import Watch

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from portline.line import LineFault
    from portline.port.base import PortOwner

__all__ = ["PosixPort"]


class PosixPort:
    """A tty as a :class:`portline.port.base.SerialPort`.

    ``name`` is a path or a USB identity (``usb:VID:PID...``).  ``dtr`` and ``rts`` are put in force
    at each open; None leaves them as the kernel sets them, which is on.  ``exclusive`` takes the
    locks described in :mod:`portline.port.tty.node`.  ``features`` are switched on at each open and
    put back at each close.
    """

    def __init__(
        self,
        name: str,
        settings: LineSettings,
        *,
        owner: PortOwner,
        loop: asyncio.AbstractEventLoop,
        exclusive: bool = True,
        dtr: bool | None = None,
        rts: bool | None = None,
        features: Features = NO_FEATURES,
    ) -> None:
        self.name = name
        self.path: str | None = None
        self.application = None
        self.trouble = None
        self.capabilities = REAL
        self.discarded = 0
        self.drains = True
        self._owner = owner
        self._loop = loop
        self._exclusive = exclusive
        self._configured = settings
        self._outputs = SetModem(dtr, rts)
        # Linux raises both lines at open unless somebody says otherwise.
        self._closed_state = PortState(settings, dtr=dtr is not False, rts=rts is not False)
        self._had_lines = True
        self._refused = 0
        self._sent = 0
        self._paused = False
        self._full = False
        self._wants = (False, False)
        self._fd = -1
        self._tty: Tty | None = None
        self._outlet: Outlet | None = None
        self._watch: Watch | None = None
        self._reader: Reader | None = None
        self._features = features
        self._engaged = Engaged()
        self._direction: Direction | None = None
        self._orders: Orders | None = None

    # --- the contract ---------------------------------------------------------------------------

    @property
    def state(self) -> PortState:
        """What is in force; while the port is not open, what will be."""
        tty = self._tty
        if tty is None or self._outlet is None:
            return self._closed_state
        return PortState(
            settings=tty.settings,
            dtr=tty.dtr,
            rts=tty.rts,
            break_on=tty.break_on,
            lines=tty.lines,
            idle=self._outlet.idle,
        )

    @property
    def has_lines(self) -> bool:
        """Tell whether the device has signal lines, or had when it was open last."""
        return self._had_lines if self._tty is None else self._tty.has_lines

    @property
    def hardware(self) -> Hardware | None:
        """What the driver tells about itself; None while the port is not open."""
        if self.path is None or self._watch is None:
            return None
        stuck = 0 if self._direction is None else self._direction.stuck
        modes = self._engaged.modes
        return hardware_of(self._fd, self.path, modes, lines=self._watch.way, stuck=stuck)

    @property
    def refused(self) -> int:
        """Requests that the driver refused, since the start."""
        return self._refused + (0 if self._tty is None else self._tty.refused)

    @property
    def sent(self) -> int:
        """Bytes that the kernel has taken towards the line, since the start."""
        return self._sent + (0 if self._outlet is None else self._outlet.taken)

    @property
    def queued(self) -> int:
        """Bytes (and requests, at REQUEST_COST each) that wait towards the line."""
        return 0 if self._outlet is None else self._outlet.queued

    def open(self) -> None:
        """Open the device and put the settings in force; raises as the contract says."""
        if self._tty is not None:
            raise UsageError(f"{self.name}: is open already")
        require_layout(self.name)
        fd, path = open_node(self.name, exclusive=self._exclusive)
        try:
            tty = self._configured_tty(fd)
            self._engaged = self._features.engage(self.name, fd, path, has_rts=tty.has_lines)
        except BaseException:
            close_node(fd)
            raise
        self._fd, self._tty, self.path = fd, tty, path
        self.drains = tty.drains
        self._outlet = Outlet(self, fd, self._loop)
        self._outlet.character_time = tty.settings.character_time
        if self._engaged.software is not None:
            self._direction = Direction(
                self._engaged.software, self._outlet, self._loop, drive=tty.drive, unsent=tty.unsent
            )
        self._orders = Orders(self.name, tty, self._outlet, self._direction, self._loop)
        self._watch = Watch(
            tty,
            self._loop,
            report=self._owner.port_report,
            data=self._owner.port_data,
            slow=self._orders.answered_late,
        )
        self._watch.set(modem_lines=self._wants[0], faults=self._wants[1])
        self._reader = Reader(
            tty,
            watch=self._watch,
            outlet=self._outlet,
            direction=self._direction,
            owner=self._owner,
            lose=self._lose,
            loop=self._loop,
        )
        self._begin_reading(self._reader)

    def close(self) -> None:
        """Close the port; waiting requests are answered before this returns."""
        self._full = False
        for done in self._shut():
            done(self.state)

    def leave(self, kept: bytes, *, named: bool) -> bool:
        """Return False: it has no application."""
        return False

    def write(self, data: bytes) -> None:
        """Send data, after everything written or submitted before it."""
        if self._outlet is None:
            self.discarded += len(data)
        elif self._direction is not None:
            self._direction.write(data)
        else:
            self._outlet.write(data)

    def submit(self, request: Request, done: Callable[[PortState], None] = unanswered) -> None:
        """Carry a request out in its turn, then call ``done`` with what is in force."""
        if isinstance(request, SetInputs):
            self._refused += 1  # what this port reads comes from the device
            done(self.state)
            return
        if self._features.rs485 is not None and (allowed := without_rts(request)) != request:
            self._refused += 1
            request = allowed
        if isinstance(request, SetModem):
            self._remember_outputs(request)
        if self._outlet is not None:
            self._outlet.submit(request, done)
            return
        state = self._closed_state
        if isinstance(request, SetLine):
            self._closed_state = replace(state, settings=request.applied_to(state.settings))
        elif isinstance(request, SetModem):
            self._closed_state = request.applied_to(state)
        done(self._closed_state)

    def configure(self, settings: LineSettings, done: Callable[[PortState], None]) -> None:
        """Put other configured settings in force, now and at each open."""
        self._configured = settings
        self.submit(SetLine.everything(settings), done)

    def pause_reading(self) -> None:
        """Leave what the line sends in the kernel."""
        if not self._paused:
            self._paused = True
            if self._reader is not None:
                self._reader.switch(False)

    def resume_reading(self) -> None:
        """Read again."""
        if self._paused:
            self._paused = False
            if self._reader is not None:
                self._reader.switch(True)

    def show_fault(self, fault: LineFault) -> None:
        """Do nothing: there is a device at the other end, and no application."""

    def watch(self, *, modem_lines: bool, faults: bool) -> None:
        """Report changes of the modem lines, and line faults, from now on; or no longer."""
        self._wants = (modem_lines, faults)
        if self._watch is not None:
            self._watch.set(modem_lines=modem_lines, faults=faults)

    # --- opening and closing --------------------------------------------------------------------

    def _configured_tty(self, fd: int) -> Tty:
        try:
            before = read_attributes(fd)
            # Another program, or Portline itself when it was killed, may have left marks switched
            # on, and each 0xFF would come twice.
            write_attributes(fd, marked(before, False))
            tty = Tty(fd)
        except OSError as error:
            raise PortAbsent(self.name, WENT_AWAY) from error
        asked = self._closed_state.settings
        missing = tty.configure(asked)
        if missing and asked == self._configured:
            with suppress(OSError):
                write_attributes(fd, before)
            raise refusal(self.name, missing[0], asked, tty.settings)
        tty.drive(self._outputs)
        return tty

    def _begin_reading(self, reader: Reader) -> None:
        try:
            reader.switch(not self._paused)
        except OSError as error:
            self._shut()
            raise PortError(
                self.name, f"cannot be watched: {error.strerror}; see `ulimit -n`"
            ) from error

    def _shut(self) -> list[Callable[[PortState], None]]:
        """Close everything and keep what was in force; return what has to be answered."""
        tty, outlet, orders = self._tty, self._outlet, self._orders
        watch, reader = self._watch, self._reader
        if tty is None or outlet is None or orders is None or watch is None or reader is None:
            return []
        reader.stop()
        watch.stop()
        waiting = outlet.close()
        self._sent += outlet.taken
        orders.close()
        if self._direction is not None:
            self._direction.close()
            self._direction = None
        self._engaged.release()
        self._engaged = Engaged()
        # What a device that takes nothing kept waiting; the lines stay like this when it is closed.
        tty.drive(self._outputs)
        found = PortState(tty.settings, dtr=tty.dtr, rts=tty.rts)
        self._closed_state = self._outputs.applied_to(found)
        self._refused += tty.refused
        self._had_lines = tty.has_lines
        self._tty = self._outlet = self._orders = self._watch = self._reader = None
        self.path = None
        close_node(self._fd)
        self._fd = -1
        return waiting

    def _lose(self, reason: str) -> None:
        was_full = self._full
        self.close()
        if was_full:
            self._owner.port_full(False)
        self._owner.port_lost(PortAbsent(self.name, reason))

    def _remember_outputs(self, request: SetModem) -> None:
        """Keep what was asked for last, for the next open and for closing."""
        dtr = self._outputs.dtr if request.dtr is None else request.dtr
        rts = self._outputs.rts if request.rts is None else request.rts
        self._outputs = SetModem(dtr, rts)

    # --- what the outlet asks for ---------------------------------------------------------------

    def carry_out(self, request: Request) -> float:
        """Do what is asked as far as the driver does; return the seconds of a break."""
        return 0.0 if self._orders is None else self._orders.carry_out(request)

    def unsent(self) -> int:
        """Return the bytes in the kernel's output queue."""
        return 0 if self._tty is None else self._tty.unsent()

    def empty(self) -> bool | None:
        """Return whether the transmitter is empty, None when the driver does not tell."""
        return None if self._tty is None else self._tty.empty()

    def drop_unsent(self) -> None:
        """Empty the kernel's output queue."""
        if self._tty is not None:
            self._tty.drop_unsent()

    def full(self, full: bool) -> None:
        """Pass the queue's level on."""
        self._full = full
        self._owner.port_full(full)

    def failed(self, error: OSError) -> None:
        """Lose the port, but from the loop: the owner may be in the middle of a write."""
        self._loop.call_soon(self._lose_if, self._tty, f"the device is gone: {error.strerror}")

    def _lose_if(self, tty: Tty | None, reason: str) -> None:
        if tty is self._tty and tty is not None:
            self._lose(reason)
