"""A virtual serial port that is a device of its own, with a native name: through CUSE.

Theory of operation
-------------------
Behind the device there is a pseudo terminal, and on it the port that all pseudo terminals have
(:class:`portline.port.pty.port.PtyPort`), with its queues, its strict baudrate emulation, its
applications that come and go.  :class:`portline.port.cuse.front.Front` is the one application of
that terminal; those who open the device talk to the front.  So the line discipline is the
kernel's, and what a pseudo terminal lacks is known here: framing, signal lines, breaks, drains.

With hardware flow control on and CTS off nothing is taken from the terminal, as a UART's driver
sends nothing; after the last close that lasts no longer than CLOSING_WAIT.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from portline.errors import PortError
from portline.port.cuse.channel import Kernel
from portline.port.cuse.discipline import Discipline
from portline.port.cuse.front import Front
from portline.port.cuse.name import DeviceName
from portline.port.ladder import CUSE
from portline.port.programs.calls import Traffic
from portline.port.pty.port import PtyPort
from portline.port.tty.termios2 import HUPCL, decode, encode, read_attributes

if TYPE_CHECKING:
    import asyncio
    import os

    from portline.line import LineFault, LineSettings, ModemLines
    from portline.port.base import PortOwner
    from portline.port.programs.terminal import Action
    from portline.port.pty.master import Master
    from portline.port.pty.pair import Pair

__all__ = ["CLOSING_WAIT", "CusePort"]

CLOSING_WAIT: Final = 30.0
"""Seconds that what was written waits for CTS after the last close (serial_core.c)."""


class CusePort(PtyPort):
    """A device under a name, as a :class:`portline.port.base.SerialPort`.

    ``name`` and ``overlap`` are those of :class:`portline.port.cuse.name.DeviceName`, the rest is
    as for :class:`portline.port.pty.port.PtyPort`.
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
        kernel: Kernel | None = None,
    ) -> None:
        # The terminal is nobody's business: only the front opens it.
        super().__init__(
            name,
            settings,
            owner=owner,
            loop=loop,
            mode=0o600,
            group=None,
            strict=strict,
            capabilities=CUSE,
        )
        self._device = DeviceName(
            name,
            kernel or Kernel(),
            directory=directory,
            overlap=overlap,
            mode=mode,
            group=group,
        )
        self._place = self._device
        self._front: Front | None = None
        self._discipline: Discipline | None = None
        self._cts_holds = False
        self._closing: asyncio.TimerHandle | None = None
        self._fault: LineFault | None = None
        self._faults = Traffic()

    # --- the contract ---------------------------------------------------------------------------

    def open(self) -> None:
        """Make the device and its name; raises as the contract says."""
        super().open()
        pair, channel = self._pair, self._device.channel
        assert pair is not None
        assert channel is not None
        base = read_attributes(pair.master.fd)
        wanted = encode(self.application.settings, base)
        self._discipline = Discipline(
            pair.master.terminal, pair.master.fd, replace(wanted, cflag=wanted.cflag | HUPCL)
        )
        pair.master.frame(self.application.settings)
        pair.master.changed()
        self._front = Front(self, self._discipline, channel.send, self._loop)
        channel.start(self._loop, self._front.take, self._device_lost)

    def close(self) -> None:
        """Answer every application, and remove the device."""
        self._stop_closing()
        front, self._front = self._front, None
        if front is not None:
            front.close()
        super().close()

    def write(self, data: bytes) -> None:
        """Send data to the application; discarded while there is none."""
        if self._discipline is None or not data:
            super().write(data)
            return
        fault, self._fault = self._fault, None
        marked = self._discipline.marked(data)
        if fault is not None:
            first = self._discipline.marked_faults(fault, data[:1])
            marked = first + self._discipline.marked(data[1:])
        super().write(marked)
        if self._front is not None:
            self._front.more()

    def show_fault(self, fault: LineFault) -> None:
        """Have the application read a break, or its next character as one with a fault."""
        if not self.application.there or self._discipline is None:
            return
        counted = self._faults
        self._faults = replace(
            counted,
            framing=counted.framing + fault.framing,
            parity=counted.parity + fault.parity,
            breaks=counted.breaks + fault.break_received,
        )
        if fault.break_received:
            super().write(self._discipline.marked_faults(fault, b""))
        elif fault.parity or fault.framing:
            self._fault = fault

    def _inputs_moved(self, before: ModemLines, lines: ModemLines) -> None:
        super()._inputs_moved(before, lines)
        self._hold_line()
        if self._front is not None and lines != before:
            self._front.lines_moved(before, lines)

    def _drop_received(self) -> None:
        super()._drop_received()
        if self._front is not None:
            self._front.emptied()

    # --- what the front asks --------------------------------------------------------------------

    @property
    def traffic(self) -> Traffic:
        """What has passed."""
        return replace(self._faults, received=self.sent, sent=self.taken)

    def application_did(self, what: Action) -> None:
        """Take over what a program did, after everything that it wrote before."""
        if self._front is not None:
            super().application_did(what)

    def application_came(self) -> None:
        """Note that the first application has opened the device."""
        self._stop_closing()
        self.application.keeps_outputs = False
        self._look()
        self._hold_line()

    def applications_left(self) -> None:
        """Note that the last one has closed it."""
        if self._discipline is not None:
            self.application.keeps_outputs = not self._discipline.drops_lines
        self._fault = None
        if self._cts_holds and self._closing is None:
            self._closing = self._loop.call_later(CLOSING_WAIT, self._wait_no_longer)
        self._look()
        before = -1
        while self._pair is not None and self.application.there and before != self.taken:
            before = self.taken
            self._pair.inlet.take()  # so that who opens it now is somebody new

    def application_set(self, raw: bytes) -> None:
        """Put settings in force, after everything that was written before.  Raises OSError."""
        pair, discipline = self._pair, self._discipline
        if pair is None or discipline is None:
            return
        self._look()
        pair.inlet.take()
        if self._pair is not pair:
            return
        discipline.set(raw)
        settings = decode(discipline.attributes())
        pair.master.frame(settings)
        pair.master.changed()
        self.application.set(settings)
        self._hold_line()

    def drop_written(self) -> None:
        """Throw away what the application has written and the port not taken."""
        if self._pair is not None:
            self._pair.inlet.drop()
        if self._front is not None:
            self._front.emptied()

    def drop_received(self) -> None:
        """Throw away what the application has not read."""
        self.flushed()
        if self._pair is not None:
            self._pair.inlet.take()  # the terminal's word of the same; later it would do harm

    # --- within the port ------------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        """Pass on what the application wrote."""
        super().received(data)
        if self._front is not None:
            self._front.advanced()

    def _connect(self) -> Pair:
        pair = super()._connect()
        self._lines.close()  # `portline run` has nothing to add to a device
        return pair

    def _used(self) -> None:
        super()._used()
        if self._poll is not None:  # every change of the settings passes by here
            self._poll.close()
            self._poll = None

    def _take_settings(self, master: Master) -> None:
        self.application.set(master.settings())

    def _set_reading(self) -> None:
        if self._pair is not None:
            holds = self._paused or self._cts_holds
            self._pair.inlet.switch(self.application.there and not holds)

    def _hold_line(self) -> None:
        """Take nothing while CTS holds the line back."""
        discipline = self._discipline
        holds = discipline is not None and discipline.obeys_cts and not self.application.inputs.cts
        if holds is not self._cts_holds:
            self._cts_holds = holds
            if not holds:
                self._stop_closing()
            self._set_reading()

    def _wait_no_longer(self) -> None:
        self._closing = None
        self.drop_written()
        self._cts_holds = False
        self._set_reading()

    def _stop_closing(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None

    def _device_lost(self, reason: str) -> None:
        if self._pair is not None:
            self._lose(PortError(self.name, f"the device is gone: {reason}"))
