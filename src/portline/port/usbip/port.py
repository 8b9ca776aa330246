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

Two ways through it.  Towards the application: the queue of all ports
(:class:`portline.port.outlet.Outlet`) writes into a pipe of one page, from which the adapter is
filled while its driver wants data.  So data, requests, back-pressure and strict baudrate emulation
are those of every port, and the kernel's bound is the bound.  From the application:
:mod:`portline.port.usbip.intake`.

The kernel's terminal has everything by itself: line discipline, TIOCMIWAIT, counters, locks.  What
the application sets and drives is told by its driver, as with a real adapter, and reported as that
of a pseudo terminal is.  With hardware flow control on and CTS off nothing is taken from it.
"""

from __future__ import annotations

import fcntl
import grp
import logging
import os
from contextlib import suppress
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
from portline.port.master import TERMINALS
from portline.port.outlet import Outlet
from portline.port.overlap import Overlap
from portline.port.place import Place, marked
from portline.port.strict import StrictOutlet
from portline.port.usbip.chip import TransmitterAsked
from portline.port.usbip.chips import IDENTITIES, make_chip
from portline.port.usbip.device import WAITING_MAX, Cancelled, Device, InUse, Written
from portline.port.usbip.intake import Intake
from portline.port.usbip.plug import Plug, pair
from portline.port.usbip.vhci import Controller

if TYPE_CHECKING:
    import asyncio
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

PIPE_SIZE: Final = 4096
"""Bytes of the pipe: one page, the least there is; also what a UART's driver buffers."""

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
        self.path: str | None = None
        self.application = Application(LineSettings(), self._application_changed)
        self.refused = 0
        self.discarded = 0
        self.drains = False
        self.capabilities = capabilities
        self.adapter = adapter
        self.node: str | None = None
        """The terminal as the kernel calls it, /dev/ttyUSB0."""
        self._owner = owner
        self._loop = loop
        self._mode = mode
        self._group = group
        self._strict = strict
        self._controller = controller or Controller()
        self._place = Overlap(name, TERMINALS) if overlap else Place(name, TERMINALS, directory)
        self._wanted_path = ""
        self._asked = PortState(self.application.settings)
        self._taken_over = taken_over
        self._inputs = ModemLines()
        self._paused = False
        self._full = False
        self._sent = 0
        self._plug: Plug | None = None
        self._outlet: Outlet | None = None
        self._intake: Intake | None = None
        self._pipe = (-1, -1)
        self._reading_pipe = False
        self._slot = -1
        self._timer: asyncio.TimerHandle | None = None

    # --- the contract ---------------------------------------------------------------------------

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
        self._wanted_path = self._place.path()
        if self._taken_over is not None:
            handover, self._taken_over = self._taken_over, None
            self._resume(handover)
        else:
            self._place.check(self._wanted_path)
            self._plug_in()
        self._look_for_node(self._loop.time() + NODE_LIMIT)

    def close(self) -> None:
        """Remove the name and unplug the adapter; waiting requests are answered before."""
        plug, outlet = self._plug, self._outlet
        self._full = False
        self.application.there = False
        self.application.outputs = ModemLines()
        if plug is None or outlet is None:
            return
        self._forget_name()
        self._sent += plug.device.fetched
        self.discarded += plug.device.waiting + self._empty_pipe()
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
        if self._plug is not None and self.application.there:
            self._fill()
            self._plug.device.fault(fault)
            self._plug.flush()

    # --- plugging in ----------------------------------------------------------------------------

    def _plug_in(self) -> None:
        numbers = IDENTITIES[self.adapter]
        chip = make_chip(self.adapter, self.name)
        self.node = None
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
            pipe = _pipe()
        except BaseException as error:
            ours.close()
            if isinstance(error, OSError):
                raise PortError(self.name, f"no pipe: {error.strerror}") from error
            raise
        self._begin(slot, pipe, Plug(self, device, ours, self._loop))

    def _resume(self, handover: Handover) -> None:
        """Go on where another process has stopped."""
        saved = handover.saved
        try:
            pipe = _pipe()
        except OSError as error:
            raise PortError(self.name, f"no pipe: {error.strerror}") from error
        chip = make_chip(saved.adapter, self.name)
        chip.settings, chip.lines = saved.settings, saved.lines
        chip.dtr, chip.rts, chip.break_on = saved.dtr, saved.rts, saved.break_on
        chip.registers = dict(saved.registers)
        device = Device(chip, saved.pending, saved.rest)
        self.adapter = saved.adapter
        self.node = saved.node
        self.application.settings = saved.settings
        self.application.inputs = self._inputs = saved.lines
        plug = Plug(self, device, handover.socket, self._loop, saved.unsent)
        self._begin(saved.slot, pipe, plug, waiting=saved.writes, held=saved.held)
        if device.in_use:
            self._used(True)
        self.application.drive(dtr=chip.dtr, rts=chip.rts)
        self.application.hold_break(chip.break_on)

    def _begin(
        self,
        slot: int,
        pipe: tuple[int, int],
        plug: Plug,
        waiting: tuple[tuple[int, bytes], ...] = (),
        held: int | None = None,
    ) -> None:
        self._slot, self._pipe, self._plug = slot, pipe, plug
        character_time = self.application.settings.character_time
        self._outlet = (
            StrictOutlet(self, pipe[1], self._loop, character_time)
            if self._strict
            else Outlet(self, pipe[1], self._loop)
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
        self._read_pipe(True)
        self._loop.call_soon(self._intake.run)

    def _look_for_node(self, deadline: float) -> None:
        """Give the terminal its name as soon as it is there."""
        self._timer = None
        node = self._controller.node(self._slot)
        if node is None:
            if self._loop.time() < deadline:
                self._timer = self._loop.call_later(NODE_LOOK, self._look_for_node, deadline)
                return
            text = (
                "the kernel has made no terminal of the adapter; `dmesg | tail` may tell why, "
                'or write backend = "pty"'
            )
            self._loop.call_soon(self._lose_if, self._plug, PortError(self.name, text))
            return
        try:
            self._give_away(node)
            if self.node != node:  # taken over, it has its name
                self._place.put(self._wanted_path, self._spelled(node))
        except PortError as error:
            self._loop.call_soon(self._lose_if, self._plug, error)
            return
        self.node = node
        self.path = self._wanted_path
        TERMINALS[self._spelled(node)] = self.path
        LOG.info("%s: is %s, a virtual adapter %s", self.path, node, self.adapter)

    def _spelled(self, node: str) -> str:
        """Return the terminal as its name leads to it."""
        return marked(node) if isinstance(self._place, Place) else node

    def _give_away(self, node: str) -> None:
        """Let the group use the terminal, where udev does not."""
        with suppress(KeyError, OSError):
            if self._group is not None:
                os.chown(node, -1, grp.getgrnam(self._group).gr_gid)
                os.chmod(node, self._mode)

    # --- letting go -----------------------------------------------------------------------------

    def release(self) -> Handover:
        """Stop, and return what another process needs to go on; the application notices nothing.

        The port is closed afterwards, but the name stays, and the terminal.  What the adapter has
        for the application goes along; what waits in the queue before it is discarded, and waiting
        requests are answered.
        """
        from portline.port.usbip.handover import Handover, save

        plug, outlet, intake = self._plug, self._outlet, self._intake
        if plug is None or outlet is None or intake is None:
            raise UsageError(f"{self.name}: is not open")
        self._fill()
        saved = save(self.adapter, self._slot, self.node, plug, intake)
        connected = plug.release()
        if self.node is not None:
            TERMINALS.pop(self._spelled(self.node), None)
        waiting = outlet.close()
        self._let_go()
        self.path = None
        self.application.there = False
        for done in waiting:
            done(self.state)
        return Handover(saved, connected)

    def _forget_name(self) -> None:
        path, node = self.path, self.node
        self.path = self.node = None
        if path is not None and node is not None:
            TERMINALS.pop(self._spelled(node), None)
            self._place.remove(path, self._spelled(node))

    def _let_go(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._intake is not None:
            self._intake.close()
        self._read_pipe(False)
        for end in self._pipe:
            os.close(end)
        self._pipe = (-1, -1)
        self._plug = self._outlet = self._intake = None

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
        self._lose(PortError(self.name, f"the virtual adapter is gone ({reason}); plugging it in"))

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
        if not in_use and self._outlet is not None:
            self._outlet.drop()
            self.discarded += self._empty_pipe()
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

    # --- towards the application ----------------------------------------------------------------

    def _pump(self) -> None:
        """Fill the adapter as far as its driver wants data."""
        plug = self._plug
        if plug is None:
            return
        while plug.device.wants:
            try:
                data = os.read(self._pipe[0], WAITING_MAX)
            except BlockingIOError:
                break
            plug.device.give(data)
        self._read_pipe(plug.device.wants)
        plug.flush()

    def _fill(self) -> None:
        """Give the adapter everything that is before a request or a fault."""
        if self._plug is not None:
            with suppress(BlockingIOError):
                while data := os.read(self._pipe[0], PIPE_SIZE):
                    self._plug.device.give(data)

    def _read_pipe(self, wanted: bool) -> None:
        if wanted is not self._reading_pipe:
            self._reading_pipe = wanted
            if wanted:
                self._loop.add_reader(self._pipe[0], self._pump)
            else:
                self._loop.remove_reader(self._pipe[0])

    def _empty_pipe(self) -> int:
        """Throw away what is in the pipe; return how much."""
        count = 0
        with suppress(OSError):
            while data := os.read(self._pipe[0], PIPE_SIZE):
                count += len(data)
        return count

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
        if self._plug is not None:
            self.discarded += self._plug.device.drop() + self._empty_pipe()

    def full(self, full: bool) -> None:
        """Pass the queue's level on."""
        self._full = full
        self._owner.port_full(full)

    def failed(self, error: OSError) -> None:
        """Lose the port, but from the loop: the owner may be in the middle of a write."""
        lost = PortError(self.name, f"the pipe to the adapter failed: {error.strerror}")
        self._loop.call_soon(self._lose_if, self._plug, lost)


def _pipe() -> tuple[int, int]:
    """Return a pipe of one page, neither end of which waits."""
    ends = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, PIPE_SIZE)
    return ends
