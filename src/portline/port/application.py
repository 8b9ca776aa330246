"""What the program at the other end of a virtual port has set, drives, and reads.

Theory of operation
-------------------
The kernel has no signal lines for a pseudo terminal, but opening a serial port raises DTR and RTS,
closing it drops them, and so does a rate of 0 ("hang up", which keeps the rate before it) until
another one is set (tty_port.c, serial_core.c ``uart_set_termios``).  So much is known of every
application.  One that ``portline run`` has started tells the rest: see
:mod:`portline.port.programs.lines_server`.

What it drives is reported crossed over, as the far end of a null modem cable reads it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from portline.hub.lines import crossed
from portline.line import (
    BreakChange,
    LineChange,
    LineSettings,
    ModemChange,
    ModemLines,
    PortState,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from portline.line import Report

__all__ = ["Application"]


class Application:
    """The application of one virtual port; what the last one set stays for the next.

    ``changed`` is called with each change, after it.
    """

    def __init__(self, settings: LineSettings, changed: Callable[[Report], None]) -> None:
        self.settings = settings
        self.inputs = ModemLines()
        """What it is to read from its signal lines."""
        self.outputs = ModemLines()
        """Its DTR and RTS, crossed over."""
        self.there = False
        """Whether it has the port open."""
        self.keeps_outputs = False
        """Whether DTR and RTS stay when it closes the port (HUPCL is off)."""
        self._changed = changed
        self._hung_up = False
        self._break = False

    @property
    def state(self) -> PortState:
        """Its side of the line: what it has set and drives, and in ``lines`` what it reads."""
        outputs = self.outputs
        return PortState(self.settings, outputs.dsr, outputs.cts, self._break, self.inputs)

    def goes(self) -> None:
        """Note that it has closed the port."""
        self.there = False
        self.hold_break(False)
        if not self.keeps_outputs:
            self.drive(dtr=False, rts=False)

    def renewed(self) -> None:
        """Note that the next one finds another terminal, whose rate is not 0."""
        self._hung_up = False

    def drive(self, *, dtr: bool | None = None, rts: bool | None = None) -> None:
        """Note what it drives; a line that is None stays as it is."""
        now = self.outputs
        outputs = crossed(dtr=now.dsr if dtr is None else dtr, rts=now.cts if rts is None else rts)
        if outputs != now:
            self.outputs = outputs
            self._changed(ModemChange(outputs))

    def hold_break(self, on: bool) -> None:
        """Note that it begins or ends a break."""
        if on is not self._break:
            self._break = on
            self._changed(BreakChange(on))

    def set(self, settings: LineSettings) -> None:
        """Note what it has set; a rate of 0 hangs up."""
        hung_up = settings.baudrate == 0
        if hung_up:
            settings = replace(settings, baudrate=self.settings.baudrate)
        if hung_up is not self._hung_up:
            self._hung_up = hung_up
            self.raise_outputs()
        if settings != self.settings:
            self.settings = settings
            self._changed(LineChange(settings))

    def raise_outputs(self) -> None:
        """Do as a driver does when a port is opened, or when its rate becomes 0 or no longer is."""
        on = self.there and not self._hung_up
        self.drive(dtr=on, rts=on)
