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
from portline.port.outlet import Outlet
from portline.port.strict import StrictOutlet
from portline.port.usbip.chip import TransmitterAsked
from portline.port.usbip.chips import IDENTITIES, make_chip
from portline.port.usbip.device import Cancelled, Device, InUse, Written
from portline.port.usbip.intake import Intake
from portline.port.usbip.naming import Naming
from portline.port.usbip.plug import Plug, pair
from portline.port.usbip.supply import Supply, pipe
from portline.port.usbip.vhci import Controller

if TYPE_CHECKING:
    import asyncio
    import os
    from collections.abc import Callable

    from portline.port.base import PortOwner
    from portline.port.usbip.device import Event
    from portline.port.usbip.handover import Handover

__all__ = ["NODE_LIMIT", "NODE_LOOK", "UsbipPort"]

NODE_LOOK: Final = 0.02
"""Seconds between two looks for the terminal, while the kernel gets to know the adapter."""

NODE_LIMIT: Final = 20.0
"""Seconds after which an adapter without a terminal is unplugged: some twenty times what a slow
machine takes."""

LOG: Final = logging.getLogger("portline.port")


class UsbipPort:
    """A terminal under a name, as a :class:`portline.port.base.SerialPort`.

    ``name``, ``directory`` and ``overlap`` are those of :class:`portline.port.pty.PtyPort`, and so
    are ``mode``, ``group`` and ``strict``.  ``adapter`` is a name of
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
        self.application = Application(LineSettings(), self._application_changed)
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
        self._plug: Plug | None = None
        self._outlet: Outlet | None = None
        self._intake: Intake | None = None
        self._supply: Supply | None = None
        self._slot = -1
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
        return self._sent + (0 if self._plug is None else self._plug.device.fetched)

    @property
    def queued(self) -> int:
        """Bytes (and requests, at REQUEST_COST each) that wait towards the application."""
        return 0 if self._outlet is None else self._outlet.queued

    def open(self) -> None:
        """Plug the adapter in; the name appears when the kernel has made the terminal."""
        if self._plug is not None:
            raise UsageError(f"{self.name}: is open already")
        handover, self._taken_over = self._taken_over, None
        if handover is not None:
            self._naming.begin(handover.saved.node)
            self._resume(handover)
        else:
            self._naming.begin()
            self._plug_in()
        self._look_for_node(self._loop.time() + NODE_LIMIT)

    def close(self) -> None:
        """Remove the name and unplug the adapter; waiting requests are answered before."""
        plug, outlet, supply = self._plug, self._outlet, self._supply
        self._full = False
        self.application.there = False
        self.application.outputs = ModemLines()
        if plug is None or outlet is None or supply is None:
            return
        self._naming.forget()
        self._sent += plug.device.fetched
        self.discarded += plug.device.waiting + supply.drop()
        waiting = outlet.close()
        self._let_go()
        plug.close()
        for done in waiting:
            done(self.state)

    def write(self, data: bytes) -> None:
        """Send data to the application; discarded while there is none."""
        if self._outlet is None or not self.application.there:
            self.discarded += len(data)
        else:
            self._outlet.write(data)
            self._pump()

    def submit(self, request: Request, done: Callable[[PortState], None] = unanswered) -> None:
        """Do what is asked, after everything before it, then call ``done``."""
        if self._outlet is None or isinstance(request, SetInputs):
            self.carry_out(request)
            done(self.state)
        else:
            self._outlet.submit(request, done)
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
        if self._plug is not None and self._supply is not None and self.application.there:
            self._supply.fill()
            self._plug.device.fault(fault)
            self._plug.flush()

    def _pump(self) -> None:
        if self._supply is not None:
            self._supply.pump()

    # --- plugging in ----------------------------------------------------------------------------

    def _plug_in(self) -> None:
        numbers = IDENTITIES[self.adapter]
        chip = make_chip(self.adapter, self.name)
        self._controller.prepare(self.name, chip, numbers)
        chip.lines = self._inputs
        device = Device(chip)
        if chip.lines != ModemLines():
            device.pending.states.append(chip.lines)  # the driver begins with none
        try:
            ours, kernels = pair()
        except OSError as error:
            raise PortError(self.name, f"no socket: {error.strerror}") from error
        try:
            with kernels:
                slot = self._controller.attach(self.name, kernels)
            ends = pipe()
        except BaseException as error:
            ours.close()
            if isinstance(error, OSError):
                raise PortError(self.name, f"no pipe: {error.strerror}") from error
            raise
        self._begin(slot, ends, Plug(self, device, ours, self._loop))

    def _resume(self, handover: Handover) -> None:
        """Go on where another process has stopped."""
        saved = handover.saved
        try:
            ends = pipe()
        except OSError as error:
            raise PortError(self.name, f"no pipe: {error.strerror}") from error
        chip = make_chip(saved.adapter, self.name)
        chip.settings, chip.lines = saved.settings, saved.lines
        chip.dtr, chip.rts, chip.break_on = saved.dtr, saved.rts, saved.break_on
        chip.registers = dict(saved.registers)
        device = Device(chip, saved.pending, saved.rest)
        self.adapter = saved.adapter
        self.application.settings = saved.settings
        self.application.inputs = self._inputs = saved.lines
        plug = Plug(self, device, handover.socket, self._loop, saved.unsent)
        self._begin(saved.slot, ends, plug, waiting=saved.writes, held=saved.held)
        if device.in_use:
            self._used(True)
        self.application.drive(dtr=chip.dtr, rts=chip.rts)
        self.application.hold_break(chip.break_on)

    def _begin(
        self,
        slot: int,
        ends: tuple[int, int],
        plug: Plug,
        waiting: tuple[tuple[int, bytes], ...] = (),
        held: int | None = None,
    ) -> None:
        self._slot, self._plug = slot, plug
        self._supply = Supply(plug, ends, self._loop)
        character_time = self.application.settings.character_time
        self._outlet = (
            StrictOutlet(self, self._supply.fd, self._loop, character_time)
            if self._strict
            else Outlet(self, self._supply.fd, self._loop)
        )
        self._intake = Intake(
            self,
            self._loop,
            character_time=character_time if self._strict else None,
            asked=plug.device.chip.asks_transmitter,
            waiting=waiting,
            held=held,
        )
        self._hold_line()
        self._loop.call_soon(self._intake.run)

    def _look_for_node(self, deadline: float) -> None:
        """Give the terminal its name as soon as it is there."""
        self._timer = None
        try:
            found = self._naming.find(self._slot)
        except PortError as error:
            self._loop.call_soon(self._lose_if, self._plug, error)
            return
        if found:
            LOG.info("%s: is %s, a virtual adapter %s", self.path, self.node, self.adapter)
        elif self._loop.time() < deadline:
            self._timer = self._loop.call_later(NODE_LOOK, self._look_for_node, deadline)
        else:
            text = (
                "the kernel has made no terminal of the adapter; `dmesg | tail` may tell why, "
                'or write backend = "pty"'
            )
            self._loop.call_soon(self._lose_if, self._plug, PortError(self.name, text))

    # --- letting go -----------------------------------------------------------------------------

    def release(self) -> Handover:
        """Stop, and return what another process needs to go on; the application notices nothing.

        The port is closed afterwards, but the name stays, and the terminal.  What the adapter has
        for the application goes along; what waits in the queue before it is discarded, and waiting
        requests are answered.
        """
        from portline.port.usbip.handover import Handover, save

        plug, outlet, intake, supply = self._plug, self._outlet, self._intake, self._supply
        if plug is None or outlet is None or intake is None or supply is None:
            raise UsageError(f"{self.name}: is not open")
        supply.fill()
        saved = save(self.adapter, self._slot, self.node, plug, intake)
        connected = plug.release()
        self._naming.forget(leave=True)
        waiting = outlet.close()
        self._let_go()
        self.application.there = False
        for done in waiting:
            done(self.state)
        return Handover(saved, connected)

    def _let_go(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._intake is not None:
            self._intake.close()
        if self._supply is not None:
            self._supply.close()
        self._plug = self._outlet = self._intake = self._supply = None

    def _lose(self, error: PortError) -> None:
        was_full, was_used = self._full, self.application.there
        self.application.goes()
        self.close()
        if was_full:
            self._owner.port_full(False)
        if was_used:
            self._owner.port_in_use(False)
        self._owner.port_lost(error)

    def _lose_if(self, plug: Plug | None, error: PortError) -> None:
        if plug is self._plug and plug is not None:
            self._lose(error)

    # --- what comes through the plug ------------------------------------------------------------

    def unplugged(self, reason: str) -> None:
        """Note that the kernel has let go of the adapter."""
        self._lose(
            PortError(self.name, f"the virtual adapter is gone ({reason}); it is plugged in anew")
        )

    def happened(self, events: list[Event]) -> None:
        """Take over what the application and its driver did, in order."""
        plug, intake = self._plug, self._intake
        if plug is None or intake is None:
            return
        for event in events:
            if isinstance(event, Written):
                intake.add(event.number, event.data)
                continue
            intake.run()
            if self._plug is not plug:
                return
            self._take(event, intake)
        intake.run()
        if self._plug is plug:
            self._show_transmitter()
            self._pump()

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
        if not in_use and self._outlet is not None and self._supply is not None:
            self._outlet.drop()
            self.discarded += self._supply.drop()
            self.application.goes()
        self._owner.port_in_use(in_use)

    def _application_changed(self, report: Report) -> None:
        if isinstance(report, LineChange):
            self._hold_line()
            if self._strict:
                self._set_character_time(report.settings.character_time)
        self._owner.port_report(report)

    def _set_character_time(self, seconds: float) -> None:
        if isinstance(self._outlet, StrictOutlet) and self._intake is not None:
            self._outlet.set_character_time(seconds)
            self._intake.set_character_time(seconds)

    # --- from the application -------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        """Pass on what the application wrote."""
        self._owner.port_data(data)

    def drain(self, done: Callable[[], None]) -> None:
        """Call ``done`` when what was passed on has left on the other side."""
        self._owner.port_drain(partial(self._drained, done))

    def _drained(self, done: Callable[[], None]) -> None:
        done()
        self._show_transmitter()

    def _show_transmitter(self) -> None:
        """Have the driver that asks for the transmitter see what is known of it."""
        if self._plug is not None and self._intake is not None:
            self._plug.device.chip.transmitter_empty = self._intake.empty

    def complete(self, number: int) -> None:
        """Tell the kernel that a transfer is over."""
        if self._plug is not None:
            self._plug.device.complete(number)
            self._plug.flush()

    def _hold_line(self) -> None:
        """Take nothing while the owner pauses, or while CTS holds the line back."""
        if self._intake is not None:
            hardware = self.application.settings.flow_control is FlowControl.HARDWARE
            self._intake.block(self._paused or (hardware and not self._inputs.cts))

    # --- what the outlet asks for ---------------------------------------------------------------

    def carry_out(self, request: Request) -> float:
        """Show the application what is for it, remember the rest."""
        match request:
            case SetInputs(lines):
                self._inputs = self.application.inputs = lines
                if self._plug is not None:
                    self._plug.device.drive(lines)
                    self._plug.flush()
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
                if received and self._intake is not None:
                    self._intake.drop()
            case Query():
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
        if self._plug is not None and self._supply is not None:
            self.discarded += self._plug.device.drop() + self._supply.drop()

    def full(self, full: bool) -> None:
        """Pass the queue's level on."""
        self._full = full
        self._owner.port_full(full)

    def failed(self, error: OSError) -> None:
        """Lose the port, but from the loop: the owner may be in the middle of a write."""
        lost = PortError(self.name, f"the pipe to the adapter failed: {error.strerror}")
        self._loop.call_soon(self._lose_if, self._plug, lost)
