"""The contract of every local serial port, real or virtual.

Theory of operation
-------------------
A port is a file descriptor of this machine seen as a line.  It is used from one thread, that of
its event loop, calls back from there, and never blocks: whatever the hardware makes wait, waits in
the port's own bounded queue.

*Opening.*  :meth:`SerialPort.open` either leaves the port open with the configured settings in
force, or raises a :class:`portline.errors.PortError` and leaves nothing behind.  It may be called
again after :meth:`SerialPort.close` or after :meth:`PortOwner.port_lost`.  A virtual port that the
kernel makes is open at once, and found under its ``path`` a moment later.  Settings as configured
must be granted; settings that were submitted since are put in force as far as the device does them.

*From the line.*  Each chunk that was read goes to :meth:`PortOwner.port_data` within the loop
callback that read it; several reads of a busy port are gathered, at most :data:`READ_LIMIT` bytes.
While :meth:`SerialPort.pause_reading` is in force nothing is read: the kernel's buffer and then
the line's flow control hold the device back.

*Towards the line.*  :meth:`SerialPort.write` and :meth:`SerialPort.submit` share one queue and are
carried out in the order of the calls.  A request that changes how bits look on the line
(SetLine, SetBreak, SendBreak, SetModem) waits until the data before it has left the transmitter,
as far as the hardware tells, but no longer than :data:`DRAIN_LIMIT` in which nothing moved.  Each
request is answered by exactly one call of its ``done`` with the state in force, in order; when the
port is lost or closed first, with the last state known.  What a driver refuses is counted in
``refused`` and answered like everything else; it never ends the port.
``Hold`` leaves the line as it is for a time, and what comes behind it waits; on a virtual port,
which has no line, it takes none.
``SetInputs`` takes effect at once, before anything that waits; a real port refuses it.
``Purge(unsent=True)`` takes effect at once: data queued before it is dropped, requests queued
before it are still carried out, nothing after it is touched.  ``Purge(received=True)`` empties the
kernel's input queue.

*Back-pressure.*  When more than :data:`QUEUE_HIGH` bytes wait, :meth:`PortOwner.port_full` is
called with True; writers should stop, though what they still write is kept.  When the queue has
fallen to :data:`QUEUE_LOW`, it is called with False.

*Loss.*  A device that vanishes or hangs up ends with exactly one :meth:`PortOwner.port_lost`; the
port is closed by then, and ``port_full(False)`` or ``port_in_use(False)`` have been told before
where they were due.  Until the next open, ``write`` discards and counts in ``discarded``, and
``submit`` keeps what was asked for settings and lines and applies it when the port opens again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from portline.errors import PortError
    from portline.line import LineFault, LineSettings, PortState, Report, Request
    from portline.port.application import Application
    from portline.port.hardware import Hardware

__all__ = [
    "DRAIN_LIMIT",
    "QUEUE_HIGH",
    "QUEUE_LOW",
    "READ_LIMIT",
    "REAL",
    "REQUEST_COST",
    "Ability",
    "Capabilities",
    "PortOwner",
    "SerialPort",
    "unanswered",
]

READ_LIMIT: Final = 64 * 1024
"""Bytes gathered from a busy port before they are passed on, so that other ports get their turn.

A tty gives at most 4095 bytes a read; one send of many reads is what makes a fan-out cheap."""

QUEUE_HIGH: Final = 64 * 1024
"""Bytes waiting towards the line at which writers are told to stop: one socket read."""

QUEUE_LOW: Final = 16 * 1024
"""Bytes waiting at which writers may go on: as much as a kernel's tty takes, so no line idles."""

REQUEST_COST: Final = 64
"""Bytes that a waiting request counts for in the queue: about what it occupies."""

DRAIN_LIMIT: Final = 1.0
"""Seconds without progress after which a request no longer waits for the data before it.

A line held by XOFF or CTS would otherwise hold the answers for ever; ser2net gives up as well."""


class Ability(Enum):
    """What an application of a virtual port has beside data; the value is for people."""

    BAUDRATE = "any baudrate"
    FORMAT = "parity, 7 and 8 data bits, stop bits"
    EVERY_FORMAT = "5 and 6 data bits"
    FLOW_CONTROL = "flow control told"
    LINES = "DTR, RTS, DSR, DCD, RI"
    CTS = "CTS"
    BREAK = "break"
    FAULTS = "line faults"
    DRAIN = "tcdrain"
    TERMINAL = "line discipline"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the ports of a ``backend`` can do for every program, whoever has started it.

    ``variant`` tells apart what a backend passes for, "" where it is always the same.  A real
    port's backend is "".
    """

    backend: str = ""
    abilities: frozenset[Ability] = frozenset()
    variant: str = ""

    def __str__(self) -> str:
        """Write ``usbip (pl2303): any baudrate, ...``."""
        kind = f"{self.backend} ({self.variant})" if self.variant else self.backend
        return f"{kind}: {', '.join(a.value for a in Ability if a in self.abilities)}"


REAL: Final = Capabilities()
"""Those of a real port, of which nothing is emulated."""


def unanswered(state: PortState) -> None:
    """Take the answer to a request of which nobody wants to know it."""


class PortOwner(Protocol):
    """Who a port calls back, from the event loop.

    Only ``port_full(True)`` may come from within a call of ``write`` or ``submit``.
    """

    def port_data(self, data: bytes) -> None:
        """Take a chunk that the port received; never empty."""

    def port_report(self, report: Report) -> None:
        """Take a change of the modem lines, a line fault, or settings made by an application."""

    def port_in_use(self, in_use: bool) -> None:
        """Note that an application opened (True) or closed (False) a virtual port."""

    def port_drain(self, done: Callable[[], None]) -> None:
        """Call ``done`` when what a virtual port has brought has left on the other side.

        As far as that can be known; within a bounded time, maybe from within this call.
        """

    def port_full(self, full: bool) -> None:
        """Stop (True) or resume (False) writing."""

    def port_lost(self, error: PortError) -> None:
        """Note that the port is gone and closed; ``error`` says why."""


class SerialPort(Protocol):
    """A local serial port; see the module's contract."""

    name: str
    """What the user calls it: a path, or the name of a virtual port."""

    discarded: int
    """Bytes that were written while the port was not open, or purged or lost with it."""

    capabilities: Capabilities
    """What is emulated; REAL for a real port."""

    @property
    def path(self) -> str | None:
        """Where applications find it now; None while it is not there."""

    @property
    def state(self) -> PortState:
        """What is in force; while the port is not open, what will be."""

    @property
    def application(self) -> Application | None:
        """The program that opens a virtual port; None for a real one, wired to a device."""

    @property
    def has_lines(self) -> bool:
        """Tell whether the port has signal lines, as far as is known: some adapters have none.

        What is asked of lines that it does not have is remembered and does nothing.
        """

    @property
    def trouble(self) -> PortError | None:
        """What is wrong by now although the port is open; looked up when it is asked for."""

    @property
    def hardware(self) -> Hardware | None:
        """What the driver tells; None for a virtual port, and while the port is not open."""

    @property
    def refused(self) -> int:
        """Requests that the driver refused, since the start."""

    @property
    def sent(self) -> int:
        """Bytes that the kernel has taken towards the line, since the start."""

    @property
    def queued(self) -> int:
        """Bytes (and requests, at REQUEST_COST each) that wait towards the line."""

    def open(self) -> None:
        """Open the port and put its settings in force.

        Raises PortAbsent, PortBusy, PortDenied, SettingRefused or another PortError.
        """

    def close(self) -> None:
        """Close the port; waiting data is discarded, waiting requests are answered.

        Safe to call twice.  No callback of the owner comes afterwards.
        """

    def leave(self, kept: bytes, *, named: bool) -> bool:
        """Close the port, but leave what its application has open to a process after this one.

        The application notices nothing then.  ``kept`` is what it wrote and nobody has heard: the
        next process begins with it.  ``named`` leaves the name, too.  Returns False, with nothing
        done, where a port cannot be left, or nobody would keep it.
        """

    def write(self, data: bytes) -> None:
        """Send data, after everything written or submitted before it."""

    def submit(self, request: Request, done: Callable[[PortState], None] = unanswered) -> None:
        """Carry a request out in its turn, then call ``done`` with what is in force.

        ``done`` may be called before this returns.
        """

    def configure(self, settings: LineSettings, done: Callable[[PortState], None]) -> None:
        """Put other configured settings in force, now as by ``submit`` and at each ``open``.

        Nothing changes on a virtual port: its settings are the application's.
        """

    def show_fault(self, fault: LineFault) -> None:
        """Have the application's next character be one with a fault, after everything before it.

        A break is a character itself.  Nothing happens without Ability.FAULTS or BREAK.
        """

    def pause_reading(self) -> None:
        """Leave what the line sends in the kernel."""

    def resume_reading(self) -> None:
        """Read again."""

    def watch(self, *, modem_lines: bool, faults: bool) -> None:
        """Report changes of the modem lines, and line faults, from now on; or no longer."""
