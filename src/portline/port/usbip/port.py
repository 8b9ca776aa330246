"""A virtual serial port that is a true terminal of the kernel: a USB serial adapter in software.

Theory of operation
-------------------
=========  ======================================  ===============================================
state      what there is                           leaves it by
=========  ======================================  ===============================================
closed     nothing                                 ``open()``
plugged    the adapter; the kernel asks what it    the terminal appears and gets its name;
in         is, its driver makes the terminal.      ``close()``; NODE_LIMIT is over: lost
           ``path`` is None: nobody finds it yet
unused     the name                                an application opens it; ``close()``; the
                                                   kernel unplugs the adapter: lost
in use     the same                                the application closes it; ``close()``; lost
=========  ======================================  ===============================================

``open`` does not wait for the terminal: the kernel takes some tenths of a second, and this thread
has to answer it meanwhile.

Two ways through it: towards the application :mod:`portline.port.usbip.supply`, from it
:mod:`portline.port.usbip.intake`.

The kernel's terminal has everything by itself: line discipline, TIOCMIWAIT, counters, locks.  What
the application sets and drives is told by its driver, as with a real adapter, and reported as that
of a pseudo terminal is.  With hardware flow control on and CTS off nothing is taken from it.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from portline.errors import PortError, UsageError
from portline.line import (
    FlowControl,
    Hold,
    LineChange,
    LineFault,
    LineSettings,
    ModemLines,
    PortState,
    Purge,
    Query,
    Report,
    Request,
    SendBreak,
    SetBreak,
    SetInputs,
    SetLine,
    SetModem,
)
from portline.port.application import Application
from portline.port.base import REAL, Capabilities, unanswered
from portline.port.usbip.chip import TransmitterAsked
from portline.port.usbip.device import Cancelled, InUse, Written
from portline.port.usbip.naming import Naming
from portline.port.usbip.vhci import Controller
from portline.port.usbip.wiring import Wiring, plug_in, resume

if TYPE_CHECKING:
    import asyncio
    import os
    from collections.abc import Callable

    from portline.port.base import PortOwner
    from portline.port.usbip.device import Event
    from portline.port.usbip.handover import Handover
    from portline.port.usbip.intake import Intake

__all__ = ["NODE_LIMIT", "NODE_LOOK", "UsbipPort"]

NODE_LOOK: Final = 0.02
"""Seconds between two looks for the terminal, while the kernel gets to know the adapter."""

NODE_LIMIT: Final = 20.0
"""Seconds after which an adapter without a terminal is unplugged: some twenty times what a slow
machine takes."""

LOG: Final = logging.getLogger("portline.port")


class UsbipPort:
    """A terminal under a name, as a :class:`portline.port.base.SerialPort`.

    ``name``, ``directory`` and ``overlap`` are those of :class:`portline.port.pty.port.PtyPort`,
    and so are ``mode``, ``group`` and ``strict``.  ``adapter`` is a name of
    :data:`portline.port.usbip.chips.CHIPS`.  ``taken_over`` is what another process has let go of:
    ``open`` then goes on with it.
    """

    def __init__(
        self,
        name: str,
        *,
        owner: PortOwner,
        loop: asyncio.AbstractEventLoop,
        adapter: str = "pl2303",
        directory: str | os.PathLike[str] | None = None,
        overlap: bool = False,
        mode: int = 0o660,
        group: str | None = "dialout",
        strict: bool = False,
        capabilities: Capabilities = REAL,
        controller: Controller | None = None,
        taken_over: Handover | None = None,
    ) -> None:
        self.name = name
        self.has_lines = True
        self.application = Application(LineSettings(), self._application_changed)
        self.hardware = None
        self.refused = 0
        self.discarded = 0
        self.drains = False
        self.capabilities = capabilities
        self.adapter = adapter
        self._owner = owner
        self._loop = loop
        self._strict = strict
        self._controller = controller or Controller()
        self._naming = Naming(
            name, self._controller, directory=directory, overlap=overlap, mode=mode, group=group
        )
        self._asked = PortState(self.application.settings)
        self._taken_over = taken_over
        self._inputs = ModemLines()
        self._paused = False
        self._full = False
        self._sent = 0
        self._wiring: Wiring | None = None
        self._timer: asyncio.TimerHandle | None = None

    # --- the contract ---------------------------------------------------------------------------

    @property
    def path(self) -> str | None:
        """Where applications find it; None until the kernel has made the terminal."""
        return self._naming.path

    @property
    def node(self) -> str | None:
        """The terminal as the kernel calls it, /dev/ttyUSB0."""
        return self._naming.node

    @property
    def state(self) -> PortState:
        """What was asked for last; there is no hardware that could disagree."""
        return replace(self._asked, lines=self.application.outputs, idle=not self.queued)

    @property
    def sent(self) -> int:
        """Bytes that the driver has taken towards the application, since the start."""
        return self._sent + (0 if self._wiring is None else self._wiring.device.fetched)

    @property
    def queued(self) -> int:
        """Bytes (and requests, at REQUEST_COST each) that wait towards the application."""
        return 0 if self._wiring is None else self._wiring.outlet.queued

    @property
    def trouble(self) -> PortError | None:
        """Why applications do not find the port, though it is there."""
        return self._naming.fault()

    def open(self) -> None:
        """Plug the adapter in; the name appears when the kernel has made the terminal."""
        if self._wiring is not None:
            raise UsageError(f"{self.name}: is open already")
        handover, self._taken_over = self._taken_over, None
        if handover is not None:
            self._naming.begin(handover.saved.node)
            self._resume(handover)
        else:
            self._naming.begin()
            settings = self.application.settings if self._strict else None
            self._wiring = plug_in(
                self, self._controller, self.adapter, self._inputs, self._loop, strict=settings
            )
        self._hold_line()
        self._look_for_node(self._loop.time() + NODE_LIMIT)

    def close(self) -> None:
        """Remove the name and unplug the adapter; waiting requests are answered before."""
        self._full = False
        self.application.there = False
        self.application.outputs = ModemLines()
        wiring = self._wiring
        if wiring is None:
            return
        self._naming.forget()
        self._forget_timer()
        self._sent += wiring.device.fetched
        self.discarded += wiring.drop()
        waiting = wiring.close()
        self._wiring = None
        for done in waiting:
            done(self.state)

    def write(self, data: bytes) -> None:
        """Send data to the application; discarded while there is none."""
        if self._wiring is None or not self.application.there:
            self.discarded += len(data)
        else:
            self._wiring.outlet.write(data)
            self._pump()

    def submit(self, request: Request, done: Callable[[PortState], None] = unanswered) -> None:
        """Do what is asked, after everything before it, then call ``done``."""
        if self._wiring is None or isinstance(request, SetInputs):
            self.carry_out(request)
            done(self.state)
        else:
            self._wiring.outlet.submit(request, done)
            self._pump()

    def configure(self, settings: LineSettings, done: Callable[[PortState], None]) -> None:
        """Change nothing: the application decides."""
        done(self.state)

    def pause_reading(self) -> None:
        """Leave what the application writes in the kernel; it blocks when that is full."""
        self._paused = True
        self._hold_line()

    def resume_reading(self) -> None:
        """Read again."""
        self._paused = False
        self._hold_line()

    def watch(self, *, modem_lines: bool, faults: bool) -> None:
        """Do nothing: the lines cost nothing to watch, and there are no faults."""

    def show_fault(self, fault: LineFault) -> None:
        """Have the application's next character be one with a fault."""
        if self._wiring is not None and self.application.there:
            self._wiring.supply.fill()
            self._wiring.device.fault(fault)
            self._wiring.plug.flush()

    def _pump(self) -> None:
        if self._wiring is not None:
            self._wiring.supply.pump()

    # --- plugging in ----------------------------------------------------------------------------

    def _resume(self, handover: Handover) -> None:
        """Go on where another process has stopped."""
        saved = handover.saved
        self._wiring = resume(self, handover, self._loop, strict=self._strict)
        self.adapter = saved.adapter
        self.application.settings = saved.settings
        self.application.inputs = self._inputs = saved.lines
        if saved.pending.in_use:
            self._used(True)
        self.application.drive(dtr=saved.dtr, rts=saved.rts)
        self.application.hold_break(saved.break_on)

    def _look_for_node(self, deadline: float) -> None:
        """Give the terminal its name as soon as it is there."""
        self._timer = None
        if self._wiring is None:
            return
        try:
            found = self._naming.find(self._wiring.slot)
        except PortError as error:
            self._loop.call_soon(self._lose_if, self._wiring, error)
            return
        if found:
            LOG.info("%s: is %s, a virtual adapter %s", self.path, self.node, self.adapter)
        elif self._loop.time() < deadline:
            self._timer = self._loop.call_later(NODE_LOOK, self._look_for_node, deadline)
        else:
            text = (
                "the kernel has made no terminal of the adapter; `dmesg | tail` may tell why, "
                'or take a pseudo terminal (--backend pty, in a file backend = "pty")'
            )
            self._loop.call_soon(self._lose_if, self._wiring, PortError(self.name, text))

    # --- letting go -----------------------------------------------------------------------------

    def release(self) -> Handover:
        """Stop, and return what another process needs to go on; the application notices nothing.

        The port is closed afterwards, but the name stays, and the terminal.  What the adapter has
        for the application goes along; what waits in the queue before it is discarded, and waiting
        requests are answered.
        """
        if self._wiring is None:
            raise UsageError(f"{self.name}: is not open")
        handover, waiting = self._wiring.release(self.adapter, self.node)
        self._wiring = None
        self._naming.forget(leave=True)
        self._forget_timer()
        self.application.there = False
        for done in waiting:
            done(self.state)
        return handover

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _lose(self, error: PortError) -> None:
        was_full, was_used = self._full, self.application.there
        self.application.goes()
        self.close()
        if was_full:
            self._owner.port_full(False)
        if was_used:
            self._owner.port_in_use(False)
        self._owner.port_lost(error)

    def _lose_if(self, wiring: Wiring | None, error: PortError) -> None:
        if wiring is self._wiring and wiring is not None:
            self._lose(error)

    # --- what comes through the plug ------------------------------------------------------------

    def unplugged(self, reason: str) -> None:
        """Note that the kernel has let go of the adapter."""
        self._lose(
            PortError(self.name, f"the virtual adapter is gone ({reason}); it is plugged in anew")
        )

    def happened(self, events: list[Event]) -> None:
        """Take over what the application and its driver did, in order."""
        wiring = self._wiring
        if wiring is None:
            return
        intake = wiring.intake
        for event in events:
            if isinstance(event, Written):
                intake.add(event.number, event.data)
                continue
            intake.run()
            if self._wiring is not wiring:
                return
            self._take(event, intake)
        intake.run()
        if self._wiring is wiring:
            wiring.show_transmitter()
            wiring.supply.pump()

    def _take(self, event: Event, intake: Intake) -> None:
        match event:
            case LineChange(settings):
                self.application.set(settings)
            case SetModem(dtr, rts):
                self.application.drive(dtr=dtr, rts=rts)
            case SetBreak(on):
                self.application.hold_break(on)
            case InUse(in_use):
                self._used(in_use)
            case Cancelled(number):
                intake.cancel(number)
            case TransmitterAsked():
                intake.ask()
            case Purge() | Written():
                pass  # the device purges; what was written is in the intake

    def _used(self, in_use: bool) -> None:
        if in_use is self.application.there:
            return
        self.application.there = in_use
        if not in_use and self._wiring is not None:
            self._wiring.outlet.drop()
            self.discarded += self._wiring.supply.drop()
            self.application.goes()
        self._owner.port_in_use(in_use)

    def _application_changed(self, report: Report) -> None:
        if isinstance(report, LineChange):
            self._hold_line()
            if self._wiring is not None:
                self._wiring.set_character_time(report.settings.character_time)
        self._owner.port_report(report)

    # --- from the application -------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        """Pass on what the application wrote."""
        self._owner.port_data(data)

    def drain(self, done: Callable[[], None]) -> None:
        """Call ``done`` when what was passed on has left on the other side."""
        self._owner.port_drain(partial(self._drained, done))

    def _drained(self, done: Callable[[], None]) -> None:
        done()
        if self._wiring is not None:
            self._wiring.show_transmitter()

    def complete(self, number: int) -> None:
        """Tell the kernel that a transfer is over."""
        if self._wiring is not None:
            self._wiring.device.complete(number)
            self._wiring.plug.flush()

    def _hold_line(self) -> None:
        """Take nothing while the owner pauses, or while CTS holds the line back."""
        if self._wiring is not None:
            hardware = self.application.settings.flow_control is FlowControl.HARDWARE
            self._wiring.intake.block(self._paused or (hardware and not self._inputs.cts))

    # --- what the outlet asks for ---------------------------------------------------------------

    def carry_out(self, request: Request) -> float:
        """Show the application what is for it, remember the rest."""
        match request:
            case SetInputs(lines):
                self._inputs = self.application.inputs = lines
                if self._wiring is not None:
                    self._wiring.device.drive(lines)
                    self._wiring.plug.flush()
                self._hold_line()
            case SetLine():
                settings = request.applied_to(self._asked.settings)
                self._asked = replace(self._asked, settings=settings)
            case SetModem():
                self._asked = request.applied_to(self._asked)
            case SetBreak(on):
                self._asked = replace(self._asked, break_on=on)
                if on:
                    self.show_fault(LineFault(break_received=True))
            case SendBreak():
                self.show_fault(LineFault(break_received=True))
            case Purge(received):
                if received and self._wiring is not None:
                    self._wiring.intake.drop()
            case Query() | Hold():
                pass
        return 0.0

    def unsent(self) -> int:
        """Return 0: what the driver has, it has."""
        return 0

    def empty(self) -> bool | None:
        """Return True: there is no transmitter towards the application."""
        return True

    def drop_unsent(self) -> None:
        """Throw away what the driver has not fetched."""
        if self._wiring is not None:
            self.discarded += self._wiring.drop()

    def full(self, full: bool) -> None:
        """Pass the queue's level on."""
        self._full = full
        self._owner.port_full(full)

    def failed(self, error: OSError) -> None:
        """Lose the port, but from the loop: the owner may be in the middle of a write."""
        lost = PortError(self.name, f"the pipe to the adapter failed: {error.strerror}")
        self._loop.call_soon(self._lose_if, self._wiring, lost)
