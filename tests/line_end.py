"""The far end of the line of a virtual port, played by a test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portline.line import BreakChange, LineChange, Report

if TYPE_CHECKING:
    from collections.abc import Callable

    from portline.errors import PortError
    from portline.line import LineSettings
    from portline.port.base import SerialPort

__all__ = ["LineEnd"]


class LineEnd:
    """The owner of ``port``, which a subclass makes.

    ``holds`` keeps what was written on the line until ``release``; ``echo`` sends it back.
    """

    port: SerialPort

    def __init__(self, *, holds: bool = False, echo: bool = False) -> None:
        self.holds = holds
        self.echo = echo
        self.received = bytearray()
        self.reports: list[Report] = []
        self.used: list[bool] = []
        """Each time that the port was opened (True) and closed."""
        self.lost: list[PortError] = []
        self.held: list[Callable[[], None]] = []
        """Whom to tell that what was written before has left."""

    @property
    def in_use(self) -> bool:
        """Whether an application has the port open."""
        return self.used[-1:] == [True]

    @property
    def breaks(self) -> list[bool]:
        """The begins and ends of breaks so far."""
        return [report.on for report in self.reports if isinstance(report, BreakChange)]

    @property
    def seen(self) -> list[LineSettings]:
        """The settings that the application has made so far."""
        return [report.settings for report in self.reports if isinstance(report, LineChange)]

    def release(self) -> None:
        """Let what was written so far have left."""
        held, self.held = self.held, []
        for done in held:
            done()

    # --- called by the port ---------------------------------------------------------------------

    def port_data(self, data: bytes) -> None:
        self.received += data
        if self.echo:
            self.port.write(data)

    def port_report(self, report: Report) -> None:
        self.reports.append(report)

    def port_in_use(self, in_use: bool) -> None:
        self.used.append(in_use)

    def port_drain(self, done: Callable[[], None]) -> None:
        if self.holds:
            self.held.append(done)
        else:
            done()

    def port_full(self, full: bool) -> None:
        pass

    def port_lost(self, error: PortError) -> None:
        self.lost.append(error)
