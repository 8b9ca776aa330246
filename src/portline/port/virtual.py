"""What all virtual ports are: the far end of a cable whose application comes and goes.

Theory of operation
-------------------
There is no line.  What is asked of such a port is remembered and answered in its turn, and changes
nothing for the application; what the application sets and drives is reported, and kept in
``application`` (:mod:`portline.port.application`).  Data and requests go through the queue of all
ports (:class:`portline.port.outlet.Outlet`), whose other end each kind of port has in its own way.

A kind adds how it opens and closes, how it learns of its application, and the ways of data.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from portline.errors import PortError
from portline.line import (
    Hold,
    LineFault,
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

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from portline.line import Report
    from portline.port.base import Capabilities, PortOwner
    from portline.port.outlet import Done, Outlet

__all__ = ["VirtualPort"]


class VirtualPort(ABC):
    """A SerialPort (:mod:`portline.port.base`) and the line of its outlet; a kind adds the rest.

    ``settings`` is what an application finds that sets nothing.
    """

    medium: ClassVar[str]
    """What is between us and the application, for messages."""

    def __init__(
        self,
        name: str,
        settings: LineSettings,
        *,
        owner: PortOwner,
        loop: asyncio.AbstractEventLoop,
        capabilities: Capabilities,
    ) -> None:
        self.name = name
        self.application = Application(settings, self._application_changed)
        self.capabilities = capabilities
        self.has_lines = True
        self.hardware = None
        self.refused = 0
        self.discarded = 0
        self.drains = False
        self._asked = PortState(settings)
        self._owner = owner
        self._loop = loop
        self._full = False

    # --- what each kind has in its own way ------------------------------------------------------

    @property
    @abstractmethod
    def _outlet(self) -> Outlet | None:
        """The queue towards the application; None while the port is not open."""

    @property
    def _heard(self) -> bool:
        """Whether somebody is there to read what is written."""
        return self.application.there

    @abstractmethod
    def open(self) -> None:
        """Make the port; raises as the contract says."""

    @abstractmethod
    def close(self) -> None:
        """Remove it; waiting requests are answered before this returns."""

    def leave(self, kept: bytes, *, named: bool) -> bool:
        """Return False: what an application has open cannot be left to another process."""
        return False

    @abstractmethod
    def _application_changed(self, report: Report) -> None:
        """Pass on what the application has changed."""

    def _written(self) -> None:  # noqa: B027  # mostly the queue is enough
        """Go on with what has come into the queue."""

    @abstractmethod
    def _inputs_moved(self, before: ModemLines, lines: ModemLines) -> None:
        """Show the application its signal lines."""

    @abstractmethod
    def _drop_received(self) -> None:
        """Throw away what the application has written and was not passed on."""

    # --- the contract ---------------------------------------------------------------------------

    @property
    def state(self) -> PortState:
        """What was asked for last; there is no hardware that could disagree."""
        return replace(self._asked, lines=self.application.outputs, idle=not self.queued)

    @property
    def queued(self) -> int:
        """Bytes (and requests, at REQUEST_COST each) that wait towards the application."""
        return 0 if self._outlet is None else self._outlet.queued

    def write(self, data: bytes) -> None:
        """Send data to the application; discarded while there is none."""
        if self._outlet is None or not self._heard:
            self.discarded += len(data)
        else:
            self._outlet.write(data)
            self._written()

    def submit(self, request: Request, done: Done = unanswered) -> None:
        """Remember what is asked, after everything before it, then call ``done``."""
        if self._outlet is None or isinstance(request, SetInputs):
            self.carry_out(request)
            done(self.state)
        else:
            self._outlet.submit(request, done)
            self._written()

    def configure(self, settings: LineSettings, done: Done) -> None:
        """Change nothing: the application decides."""
        done(self.state)

    def watch(self, *, modem_lines: bool, faults: bool) -> None:  # noqa: B027  # as it says
        """Do nothing: the lines cost nothing to watch, and there are no faults."""

    def show_fault(self, fault: LineFault) -> None:  # noqa: B027  # a terminal cannot
        """Do nothing, where there is no way to show it."""

    def drain(self, done: Callable[[], None]) -> None:
        """Call ``done`` when what was passed on has left on the other side."""
        self._owner.port_drain(done)

    # --- what the outlet asks for ---------------------------------------------------------------

    def carry_out(self, request: Request) -> float:
        """Show the application what is for it, remember the rest."""
        match request:
            case SetInputs(lines):
                before, self.application.inputs = self.application.inputs, lines
                self._inputs_moved(before, lines)
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
                if received:
                    self._drop_received()
            case Query() | Hold():
                pass
        return 0.0

    def unsent(self) -> int:
        """Return 0: what has left the queue has arrived."""
        return 0

    def empty(self) -> bool | None:
        """Return True: there is no transmitter towards the application."""
        return True

    def drop_unsent(self) -> None:  # noqa: B027  # as it says
        """Leave what has left the queue: it has arrived at the application."""

    def full(self, full: bool) -> None:
        """Pass the queue's level on."""
        self._full = full
        self._owner.port_full(full)

    def failed(self, error: OSError) -> None:
        """Lose the port, but from the loop: the owner may be in the middle of a write."""
        self._lose_soon(PortError(self.name, f"{self.medium} failed: {error.strerror}"))

    # --- the end --------------------------------------------------------------------------------

    def _lose(self, error: PortError) -> None:
        """Close the port, and tell so."""
        was_full, was_used = self._full, self.application.there
        self.application.goes()
        self.close()
        if was_full:
            self._owner.port_full(False)
        if was_used:
            self._owner.port_in_use(False)
        self._owner.port_lost(error)

    def _lose_soon(self, error: PortError) -> None:
        """Lose the port as it is open now, from the loop."""
        self._loop.call_soon(self._lose_if, self._outlet, error)

    def _lose_if(self, outlet: Outlet | None, error: PortError) -> None:
        if outlet is self._outlet and outlet is not None:
            self._lose(error)
