"""What the adapters have in common: a chip turns control requests into the words of a line.

A chip knows what its driver in the kernel says and wants to hear; what is under way, and whether
anybody has the port open, is :mod:`portline.port.usbip.device`'s.  Pure.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Final, TypeAlias

from portline.line import (
    LineChange,
    LineFault,
    LineSettings,
    ModemLines,
    Parity,
    Purge,
    SetBreak,
    SetModem,
    StopBits,
)

if TYPE_CHECKING:
    from portline.port.usbip.descriptors import Descriptors, Identity, Setup

__all__ = ["NO_FAULT", "PARITIES", "STOPS", "Answer", "Chip", "Did", "TransmitterAsked"]


class TransmitterAsked:
    """The driver wants to know whether the transmitter is empty, and will ask again."""


Did: TypeAlias = LineChange | SetModem | SetBreak | Purge | TransmitterAsked
"""What an application has done, as its driver has told it."""

Answer: TypeAlias = "tuple[bytes | None, list[Did]]"
"""What a request brings (None: it is refused), and what it means."""

PARITIES: Final = (Parity.NONE, Parity.ODD, Parity.EVEN, Parity.MARK, Parity.SPACE)
"""By the number in a line coding (USB PSTN 1.2, table 17); Prolific and FTDI count alike."""

STOPS: Final = (StopBits.ONE, StopBits.ONE_AND_A_HALF, StopBits.TWO)

NO_FAULT: Final = LineFault()
"""Nothing was wrong."""


class Chip(ABC):
    """One adapter's chip.  ``lines`` is what the application reads; everything else it has set.

    ``registers`` hold whatever else the driver writes and reads back.
    """

    name: ClassVar[str]
    """What the option ``adapter`` calls it."""

    drivers: ClassVar[tuple[str, ...]]
    """The modules of the kernel that it needs, the one of its own first."""

    interrupt_in: ClassVar[int | None]
    """The endpoint for lines and faults; None: they ride on the data."""

    bulk_in: ClassVar[int]
    bulk_out: ClassVar[int]

    marks_faults: ClassVar[bool]
    """Whether its driver marks the characters that came with a fault (PARMRK)."""

    tells_cts: ClassVar[bool] = True
    """Whether its driver knows CTS, and tells us of CRTSCTS."""

    asks_transmitter: ClassVar[bool] = False
    """Whether its driver asks if the transmitter is empty; otherwise it waits for its writes."""

    def __init__(self, identity: Identity) -> None:
        self.descriptors: Descriptors = self.describe(identity)
        self.settings = LineSettings()
        self.dtr = False
        self.rts = False
        self.break_on = False
        self.lines = ModemLines()
        self.transmitter_empty = True
        self.registers: dict[int, int] = {}

    @abstractmethod
    def describe(self, identity: Identity) -> Descriptors:
        """Return what the adapter says about itself."""

    @abstractmethod
    def request(self, setup: Setup, data: bytes) -> Answer:
        """Answer a request of the class or the maker."""

    @abstractmethod
    def frame(
        self, data: bytes, room: int, lines: ModemLines, fault: LineFault
    ) -> tuple[bytes, int]:
        """Return what a transfer of ``room`` bytes into the host brings, and how much of ``data``.

        ``fault`` came with the data, where that is told along with it.
        """

    def notice(self, lines: ModemLines, fault: LineFault) -> bytes:
        """Return what the interrupt endpoint tells; only where there is one."""
        # A chip without that endpoint is never asked: its descriptors have none to be polled.
        raise NotImplementedError

    # --- what requests mean ---------------------------------------------------------------------

    def _set(self, settings: LineSettings) -> list[Did]:
        if settings.baudrate == 0:
            settings = replace(settings, baudrate=self.settings.baudrate)
        if settings == self.settings:
            return []
        self.settings = settings
        return [LineChange(settings)]

    def _drive(self, *, dtr: bool, rts: bool) -> list[Did]:
        if (dtr, rts) == (self.dtr, self.rts):
            return []
        self.dtr, self.rts = dtr, rts
        return [SetModem(dtr, rts)]

    def _hold_break(self, on: bool) -> list[Did]:
        if on is self.break_on:
            return []
        self.break_on = on
        return [SetBreak(on)]
