"""A virtual serial port that is a true terminal of the kernel: a USB serial adapter in software.

Theory of operation
-------------------
=========  ======================================  ===============================================
state      what there is                           leaves it by
=========  ======================================  ===============================================
closed     nothing                                 ``open()``
plugged    the adapter; the kernel asks what it    the terminal appears and gets its name;
in         is, its driver makes the terminal.      ``close()``; FIRST_LIMIT or NODE_LIMIT is
           ``path`` is None: nobody finds it yet   over: lost
unused     the name                                an application opens it; ``close()``; the
                                                   kernel unplugs the adapter: lost
in use     the same                                the application closes it; ``close()``; lost
=========  ======================================  ===============================================

A port that has a shelf (:mod:`portline.port.shelf`) may be *left*: everything stays but this
process, and the next one's ``open`` goes on from there.

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
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final

from portline.errors import PortError, UsageError
from portline.line import (
    FlowControl,
    LineChange,
    LineFault,
    LineSettings,
    ModemLines,
    Purge,
    Report,
    SetBreak,
    SetModem,
)
from portline.port.base import REAL, Capabilities
from portline.port.usbip.chip import TransmitterAsked
from portline.port.usbip.device import Cancelled, InUse, Written
from portline.port.usbip.handover import left_for
from portline.port.usbip.naming import Naming, abandon
from portline.port.usbip.vhci import Controller
from portline.port.usbip.wiring import Wiring, plug_in, resume
from portline.port.virtual import VirtualPort

if TYPE_CHECKING:
    import asyncio
    import os
    from collections.abc import Callable

    from portline.port.base import PortOwner
    from portline.port.outlet import Done, Outlet
    from portline.port.shelf import Shelf
    from portline.port.usbip.device import Event
    from portline.port.usbip.handover import Handover
    from portline.port.usbip.intake import Intake

__all__ = ["FIRST_LIMIT", "LINES_HELD", "NODE_LIMIT", "NODE_LOOK", "UsbipPort"]

NODE_LOOK: Final = 0.02
"""Seconds between two looks for the terminal, while the kernel gets to know the adapter."""

NODE_LIMIT: Final = 20.0
"""Seconds after the kernel's last question in which the terminal has to be there: some twenty times
what a slow machine takes."""

FIRST_LIMIT: Final = 100.0
"""Seconds in which the kernel has to ask its first question.  It may have to unplug others before,
of which each takes up to 30 (:mod:`portline.port.usbip.vhci`); to be plugged in anew would not
help, and be one more."""

LINES_HELD: Final = 10.0
"""Seconds for which the signal lines stay as they were when another process has taken over, unless
peers tell the same before: what they need to come back."""

LOG: Final = logging.getLogger("portline.port")


class UsbipPort(VirtualPort):
    """A terminal under a name, as a :class:`portline.port.base.SerialPort`.

    ``name``, ``directory`` and ``overlap`` are those of :class:`portline.port.pty.port.PtyPort`,
    and so are ``mode``, ``group`` and ``strict``.  ``adapter`` is a name of
    :data:`portline.port.usbip.chips.CHIPS`.  On ``shelf`` lies what a process before
    this one has left; without one nothing is left.
    """

    medium: ClassVar = "the pipe to the adapter"

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
        shelf: Shelf | None = None,
    ) -> None:
        super().__init__(name, LineSettings(), owner=owner, loop=loop, capabilities=capabilities)
        self.adapter = adapter
        self._strict = strict
        self._controller = controller or Controller()
        self._naming = Naming(
            name, self._controller, directory=directory, overlap=overlap, mode=mode, group=group
        )
        self.shelf = shelf
        self._held: ModemLines | None = None
        self._paused = False
        self._sent = 0
        self._node_due = 0.0
        self._wiring: Wiring | None = None
        self._timers: list[asyncio.TimerHandle | None] = [None, None]

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
    def _outlet(self) -> Outlet | None:
        return None if self._wiring is None else self._wiring.outlet

    @property
    def sent(self) -> int:
        """Bytes that the driver has taken towards the application, since the start."""
        return self._sent + (0 if self._wiring is None else self._wiring.device.fetched)

    @property
    def trouble(self) -> PortError | None:
        """Why applications do not find the port, though it is there."""
        return self._naming.fault()

    def open(self) -> None:
        """Plug the adapter in; the name appears when the kernel has made the terminal."""
        if self._wiring is not None:
            raise UsageError(f"{self.name}: is open already")
        handover = None if self.shelf is None else left_for(self.name, self.adapter, self.shelf)
        if handover is not None:
            self._resume(handover)
        else:
            self._naming.begin()
            settings = self.application.settings if self._strict else None
            self._wiring = plug_in(
                self, self._controller, self.application.inputs, self._loop, strict=settings
            )
        self._hold_line()
        self._node_due = self._loop.time() + FIRST_LIMIT
        self._look_for_node()

    def close(self) -> None:
        """Remove the name and unplug the adapter; waiting requests are answered before."""
        self._let_go(Wiring.close)

    def leave(self, kept: bytes, *, named: bool) -> bool:
        """Leave the terminal to the process that takes what is on the shelf."""
        if self.shelf is None or self._wiring is None:
            return False
        try:
            self._wiring.prepare_to_leave(kept)
        except ValueError as error:
            LOG.warning("%s: is unplugged: %s", self.name, error)
            return False
        self._let_go(Wiring.leave, named=named)
        return True

    def _let_go(self, end: Callable[[Wiring], list[Done]], *, named: bool = False) -> None:
        self._full = False
        self.application.there = False
        self.application.outputs = ModemLines()
        self._forget_timers()
        wiring = self._wiring
        if wiring is None:
            return
        self._sent += wiring.device.fetched
        waiting = end(wiring)
        self._naming.forget(leave=named)
        self._wiring = None
        for done in waiting:
            done(self.state)

    def pause_reading(self) -> None:
        """Leave what the application writes in the kernel; it blocks when that is full."""
        self._paused = True
        self._hold_line()

    def resume_reading(self) -> None:
        """Read again."""
        self._paused = False
        self._hold_line()

    def show_fault(self, fault: LineFault) -> None:
        """Have the application's next character be one with a fault."""
        if self._wiring is not None and self.application.there:
            self._wiring.supply.fill()
            self._wiring.device.fault(fault)
            self._wiring.plug.flush()

    def _written(self) -> None:
        if self._wiring is not None:
            self._wiring.supply.pump()

    # --- plugging in ----------------------------------------------------------------------------

    def _resume(self, handover: Handover) -> None:
        """Go on where another process has stopped."""
        saved = handover.saved
        try:
            self._naming.begin(saved.node)
            self._wiring = resume(self, handover, self._loop, strict=self._strict)
        except PortError:
            abandon(handover)
            raise
        self.application.settings = saved.settings
        # What is to be read by now is known when peers are back; until then it stays.
        self._held = saved.lines
        self._timers[1] = self._loop.call_later(LINES_HELD, self._release_lines)
        if saved.pending.in_use:
            self._used(True)
        self.application.drive(dtr=saved.dtr, rts=saved.rts)
        self.application.hold_break(saved.break_on)
        self._inputs_moved(saved.lines, self.application.inputs)
        if saved.kept:
            self._loop.call_soon(self._owner.port_data, saved.kept)
        LOG.info("%s: goes on with the adapter of the process before", self.name)

    def _release_lines(self) -> None:
        self._held = None
        self._inputs_moved(self.application.inputs, self.application.inputs)

    def _look_for_node(self) -> None:
        """Give the terminal its name as soon as it is there."""
        self._timers[0] = None
        if self._wiring is None:
            return
        try:
            found = self._naming.find(self._wiring.slot)
        except PortError as error:
            self._lose_soon(error)
            return
        if found:
            self._wiring.checkpoint()
            LOG.info("%s: is %s, a virtual adapter %s", self.path, self.node, self.adapter)
        elif self._loop.time() < self._node_due:
            self._timers[0] = self._loop.call_later(NODE_LOOK, self._look_for_node)
        else:
            text = (
                "the kernel has made no terminal of the adapter; `dmesg | tail` may tell why, "
                'or take a pseudo terminal (--backend pty, in a file backend = "pty")'
            )
            self._lose_soon(PortError(self.name, text))

    def _forget_timers(self) -> None:
        self._held = None
        for index, timer in enumerate(self._timers):
            if timer is not None:
                timer.cancel()
                self._timers[index] = None

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
        if self._timers[0] is not None:
            self._node_due = self._loop.time() + NODE_LIMIT
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
            cts = self._wiring.device.chip.lines.cts
            self._wiring.intake.block(self._paused or (hardware and not cts))

    # --- what all virtual ports do in their own way ---------------------------------------------

    def _inputs_moved(self, before: ModemLines, lines: ModemLines) -> None:
        if self._wiring is not None:
            if lines == self._held:
                self._held = None
            self._wiring.drive(lines if self._held is None else self._held)
        self._hold_line()

    def _drop_received(self) -> None:
        if self._wiring is not None:
            self._wiring.intake.drop()

    def drop_unsent(self) -> None:
        """Throw away what the driver has not fetched."""
        if self._wiring is not None:
            self.discarded += self._wiring.drop()
