"""What a program asks of a serial port by ``ioctl``, in the words of ``portline.line``, and back.

Theory of operation
-------------------
A request number says where the argument is: a number by value, or the address of a structure that
the kernel reads (:data:`READS` bytes of it) or fills.  :func:`meaning` turns number, argument and
those bytes into one of:

==================  ============================================  ==============================
meaning             asked by                                      answered with
==================  ============================================  ==============================
ReadLines           TIOCMGET                                      :func:`lines_word`
SetModem            TIOCMSET TIOCMBIS TIOCMBIC                    success
AwaitLines          TIOCMIWAIT                                    success, once a line has moved
ReadCounts          TIOCGICOUNT                                   :func:`counts_block`
SetBreak            TIOCSBRK TIOCCBRK                             success
SendBreak           TCSBRK(0) TCSBRKP                             success, after the break
Drain               TCSBRK(other): ``tcdrain``                    success, once all has left
WriteSettings       TCSETS and TCSETS2; those with W and F        whatever the kernel says
                    are to ``drain`` first
ReadSettings        TCGETS TCGETS2                                :func:`settings_block`
==================  ============================================  ==============================

A pseudo terminal keeps all settings but the data bits and whether there is parity (the kernel
forces eight and none), so for settings the kernel is asked as well, and those two are put right.

Pure: no I/O.  Sources: Linux ``asm-generic/ioctls.h``, ``asm-generic/termbits.h``,
``linux/serial.h``, ``drivers/tty/tty_io.c`` (send_break, tty_tiocmset), ``serial_core.c``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from portline.line import (
    BREAK_PULSE,
    LineSettings,
    ModemLines,
    Parity,
    PortState,
    SendBreak,
    SetBreak,
    SetLine,
    SetModem,
)
from portline.port.tty.modem import (
    COUNTERS,
    CTS,
    DCD,
    DSR,
    DTR,
    RI,
    RTS,
    TIOCGICOUNT,
    TIOCMBIC,
    TIOCMBIS,
    TIOCMGET,
    TIOCMSET,
    lines_of,
)
from portline.port.tty.termios2 import (
    BOTHER,
    CBAUD,
    CSIZE,
    LAYOUT,
    PARENB,
    TABLE,
    TCGETS2,
    TCSETS2,
    decode,
    pack,
    unpack,
)

__all__ = [
    "BREAK_LIMIT",
    "READS",
    "REQUESTS",
    "AwaitLines",
    "Drain",
    "LineCounts",
    "Meaning",
    "ReadCounts",
    "ReadLines",
    "ReadSettings",
    "Traffic",
    "WriteSettings",
    "counts_block",
    "is_plain",
    "lines_word",
    "meaning",
    "settings_block",
]

TCGETS: Final = 0x5401
TCSETS: Final = 0x5402
TCSETSW: Final = 0x5403
TCSETSF: Final = 0x5404
TCSBRK: Final = 0x5409
TCSBRKP: Final = 0x5425
TIOCSBRK: Final = 0x5427
TIOCCBRK: Final = 0x5428
TIOCMIWAIT: Final = 0x545C
TCSETSW2: Final = TCSETS2 + 1
TCSETSF2: Final = TCSETS2 + 2

BREAK_LIMIT: Final = 60.0
"""Seconds; the longest break that is held.  The kernel has no limit, and devices know no use."""

SHORT: Final = 36
"""Bytes of the kernel's ``struct termios``: ``termios2`` without the two numeric rates."""

READS: Final = {
    **dict.fromkeys((TIOCMSET, TIOCMBIS, TIOCMBIC), 4),
    **dict.fromkeys((TCSETS, TCSETSW, TCSETSF), SHORT),
    **dict.fromkeys((TCSETS2, TCSETSW2, TCSETSF2), LAYOUT.size),
}
"""Request -> bytes that are read at its argument; of the other requests nothing is read."""

WORD: Final = struct.Struct("=i")


@dataclass(frozen=True, slots=True)
class ReadLines:
    """Tell all six lines."""


@dataclass(frozen=True, slots=True)
class AwaitLines:
    """Wait until one of the inputs that are True here has moved."""

    lines: ModemLines


@dataclass(frozen=True, slots=True)
class ReadCounts:
    """Tell how often each input has moved."""


@dataclass(frozen=True, slots=True)
class Drain:
    """Wait until everything written has left."""


@dataclass(frozen=True, slots=True)
class WriteSettings:
    """Put settings in force.

    ``line`` leaves out a rate that the structure does not tell, and the rate of 0 that asks to
    ``hang_up``: DTR and RTS fall, and rise with the next rate that is not 0.  ``drain`` wants them
    in force only after everything written has left.
    """

    line: SetLine
    hang_up: bool = False
    drain: bool = False


@dataclass(frozen=True, slots=True)
class ReadSettings:
    """Tell the settings in a structure of ``size`` bytes."""

    size: int


Meaning: TypeAlias = (
    ReadLines
    | AwaitLines
    | ReadCounts
    | Drain
    | WriteSettings
    | ReadSettings
    | SetModem
    | SetBreak
    | SendBreak
)


@dataclass(frozen=True, slots=True)
class LineCounts:
    """How often each input has moved; RI counts where it falls, as UARTs do (TERI)."""

    cts: int = 0
    dsr: int = 0
    dcd: int = 0
    ri: int = 0

    def counting(self, before: ModemLines, now: ModemLines) -> LineCounts:
        """Return the counts after the inputs went from ``before`` to ``now``."""
        return LineCounts(
            cts=self.cts + (before.cts is not now.cts),
            dsr=self.dsr + (before.dsr is not now.dsr),
            dcd=self.dcd + (before.dcd is not now.dcd),
            ri=self.ri + (before.ri and not now.ri),
        )

    def moved(self, since: LineCounts, lines: ModemLines) -> bool:
        """Return whether one of ``lines`` has moved ``since`` then."""
        return (
            (lines.cts and self.cts != since.cts)
            or (lines.dsr and self.dsr != since.dsr)
            or (lines.dcd and self.dcd != since.dcd)
            or (lines.ri and self.ri != since.ri)
        )


@dataclass(frozen=True, slots=True)
class Traffic:
    """How many characters and faults of them a port has seen."""

    received: int = 0
    sent: int = 0
    framing: int = 0
    parity: int = 0
    breaks: int = 0


def meaning(request: int, argument: int, data: bytes = b"") -> Meaning | None:
    """Return what an ``ioctl`` asks; None for a request that is not in REQUESTS.

    ``data`` are the READS bytes at the address ``argument``.
    """
    found = _MEANINGS.get(request)
    return None if found is None else found(argument, data)


def lines_word(state: PortState) -> bytes:
    """Return what TIOCMGET fills in."""
    lines = state.lines
    levels = {
        DTR: state.dtr,
        RTS: state.rts,
        CTS: lines.cts,
        DCD: lines.dcd,
        RI: lines.ri,
        DSR: lines.dsr,
    }
    return WORD.pack(sum(bit for bit, on in levels.items() if on))


def counts_block(counts: LineCounts, traffic: Traffic | None = None) -> bytes:
    """Return what TIOCGICOUNT fills in; nobody counts the characters and faults of a pty."""
    moves = (counts.cts, counts.dsr, counts.ri, counts.dcd)
    t = traffic or Traffic()
    rest = (t.received, t.sent, t.framing, 0, t.parity, t.breaks, 0)
    return COUNTERS.pack(*map(_wrapped, (*moves, *rest)), *(0,) * 9)


def settings_block(kept: bytes, settings: LineSettings, size: int) -> bytes:
    """Return what TCGETS (``size`` 36) or TCGETS2 fill in.

    ``kept`` is the ``termios2`` that the pseudo terminal tells; data bits, and whether there is
    parity, are those of ``settings``.
    """
    attributes = unpack(kept)
    cflag = attributes.cflag & ~(CSIZE | PARENB)
    cflag |= (settings.data_bits - 5) << 4
    if settings.parity is not Parity.NONE:
        cflag |= PARENB
    return pack(replace(attributes, cflag=cflag))[:size]


def is_plain(settings: LineSettings) -> bool:
    """Return whether a pseudo terminal tells these settings right by itself."""
    return settings.data_bits == 8 and settings.parity is Parity.NONE


def _modem(on: bool | None) -> _Meant:
    """Return what reads TIOCMBIS (``on``), TIOCMBIC (not) or TIOCMSET (None: each as its bit)."""

    def meant(_argument: int, data: bytes) -> SetModem:
        bits = WORD.unpack(data)[0]
        dtr, rts = bool(bits & DTR), bool(bits & RTS)
        if on is None:
            return SetModem(dtr=dtr, rts=rts)
        return SetModem(dtr=on if dtr else None, rts=on if rts else None)

    return meant


def _break_time(argument: int) -> float:
    """Return seconds: TCSBRKP counts tenths, and 0 means the usual break."""
    tenths = argument & 0xFFFFFFFF
    return min(tenths / 10, BREAK_LIMIT) if tenths else BREAK_PULSE


def _settings(_argument: int, data: bytes) -> WriteSettings:
    attributes = unpack(data.ljust(LAYOUT.size, b"\0"))
    code = attributes.cflag & CBAUD
    short = len(data) == SHORT
    line = SetLine.everything(decode(attributes))
    if code == 0:
        return WriteSettings(replace(line, baudrate=None), hang_up=True)
    if code != BOTHER:
        return WriteSettings(replace(line, baudrate=_RATES.get(code)))
    # Without a number BOTHER keeps the rate that was; 0 is one that no driver does.
    rate = None if short or attributes.ospeed == 0 else attributes.ospeed
    return WriteSettings(replace(line, baudrate=rate))


def _settings_after_data(argument: int, data: bytes) -> WriteSettings:
    return replace(_settings(argument, data), drain=True)


_RATES: Final = {code: rate for rate, code in TABLE.items()}


_Meant: TypeAlias = Callable[[int, bytes], Meaning]

_MEANINGS: Final[dict[int, _Meant]] = {
    TIOCMGET: lambda _argument, _data: ReadLines(),
    TIOCMSET: _modem(None),
    TIOCMBIS: _modem(True),
    TIOCMBIC: _modem(False),
    TIOCMIWAIT: lambda argument, _data: AwaitLines(lines_of(argument)),
    TIOCGICOUNT: lambda _argument, _data: ReadCounts(),
    TIOCSBRK: lambda _argument, _data: SetBreak(True),
    TIOCCBRK: lambda _argument, _data: SetBreak(False),
    TCSBRK: lambda argument, _data: Drain() if argument & 0xFFFFFFFF else SendBreak(BREAK_PULSE),
    TCSBRKP: lambda argument, _data: SendBreak(_break_time(argument)),
    TCGETS: lambda _argument, _data: ReadSettings(SHORT),
    TCGETS2: lambda _argument, _data: ReadSettings(LAYOUT.size),
    **dict.fromkeys((TCSETS, TCSETS2), _settings),
    **dict.fromkeys((TCSETSW, TCSETSF, TCSETSW2, TCSETSF2), _settings_after_data),
}

REQUESTS: Final = tuple(_MEANINGS)
"""Every request that has a meaning here."""


def _wrapped(count: int) -> int:
    return count & 0x7FFFFFFF
