"""The kernel's ``struct termios2`` and what it says about a line.

Theory of operation
-------------------
The C library's ``termios`` knows a table of baudrates; ``termios2`` carries any number.  Python has
no name for it, so the layout and the bits of Linux' ``asm-generic/termbits.h`` are written down
here.  Alpha, MIPS, PA-RISC, PowerPC and SPARC have tables of their own: :func:`require_layout`
refuses them in words instead of doing something else than was asked.

:func:`encode` and :func:`decode` are pure.  :func:`write_attributes` is TCSETS2, which acts at once
and never discards received bytes.  A driver is free to take only part of what is asked (a pty
always has eight bits and no parity), therefore the owner reads back and believes that.

What one word cannot say: Linux has a single CRTSCTS for both directions, and one and a half stop
bits exist only with five data bits (UARTs' meaning of CSTOPB there).  What cannot be said is left
as it is in the base, so that reading back shows it as refused.
"""

from __future__ import annotations

import fcntl
import platform
import struct
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from portline.errors import PortError
from portline.line import FlowControl, LineSettings, Parity, StopBits

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "BAUD_TOLERANCE",
    "VMIN",
    "Attributes",
    "decode",
    "encode",
    "granted",
    "marked",
    "pack",
    "read_attributes",
    "require_layout",
    "unpack",
    "write_attributes",
]

BAUD_TOLERANCE: Final = 0.02
"""A baudrate this near to the asked one counts as granted: half of what a UART forgives, and the
kernel's own measure (tty_termios_encode_baud_rate)."""

TCGETS2: Final = 0x802C542A
TCSETS2: Final = 0x402C542B
LAYOUT: Final = struct.Struct("=4IB19s2I")

MACHINES: Final = ("x86_64", "i386", "i486", "i586", "i686", "aarch64", "arm", "riscv", "s390")
"""Beginnings of the machine names whose kernels use the generic bits."""

# c_iflag
IGNBRK, BRKINT, IGNPAR, PARMRK, INPCK, ISTRIP = 0x1, 0x2, 0x4, 0x8, 0x10, 0x20
INLCR, IGNCR, ICRNL, IUCLC, IXON, IXANY, IXOFF = 0x40, 0x80, 0x100, 0x200, 0x400, 0x800, 0x1000
# c_cflag
CBAUD, BOTHER, CIBAUD = 0x100F, 0x1000, 0x100F0000
CSIZE, CSTOPB, CREAD, PARENB, PARODD = 0x30, 0x40, 0x80, 0x100, 0x200
CSIZE_SHIFT: Final = 4
"""CSIZE holds the data bits beyond five."""

HUPCL, CLOCAL, CMSPAR, CRTSCTS = 0x400, 0x800, 0x40000000, 0x80000000
# indexes into c_cc
VTIME, VMIN, VSTART, VSTOP = 5, 6, 8, 9

XON, XOFF = 0x11, 0x13

TABLE: Final = {
    50: 0x1,
    75: 0x2,
    110: 0x3,
    134: 0x4,
    150: 0x5,
    200: 0x6,
    300: 0x7,
    600: 0x8,
    1200: 0x9,
    1800: 0xA,
    2400: 0xB,
    4800: 0xC,
    9600: 0xD,
    19200: 0xE,
    38400: 0xF,
    57600: 0x1001,
    115200: 0x1002,
    230400: 0x1003,
    460800: 0x1004,
    500000: 0x1005,
    576000: 0x1006,
    921600: 0x1007,
    1000000: 0x1008,
    1152000: 0x1009,
    1500000: 0x100A,
    2000000: 0x100B,
    2500000: 0x100C,
    3000000: 0x100D,
    3500000: 0x100E,
    4000000: 0x100F,
}
"""The rates that have a code of their own; older drivers look at nothing else."""

PARITY_BITS: Final = {
    Parity.NONE: 0,
    Parity.ODD: PARENB | PARODD,
    Parity.EVEN: PARENB,
    Parity.MARK: PARENB | PARODD | CMSPAR,
    Parity.SPACE: PARENB | CMSPAR,
}
PARITY_OF: Final = {bits: parity for parity, bits in PARITY_BITS.items()}


@dataclass(frozen=True, slots=True)
class Attributes:
    """One ``struct termios2``, field by field."""

    iflag: int = 0
    oflag: int = 0
    cflag: int = 0
    lflag: int = 0
    line: int = 0
    cc: bytes = bytes(19)
    ispeed: int = 0
    ospeed: int = 0


def pack(attributes: Attributes) -> bytes:
    """Return the 44 bytes that the kernel takes."""
    a = attributes
    return LAYOUT.pack(a.iflag, a.oflag, a.cflag, a.lflag, a.line, a.cc, a.ispeed, a.ospeed)


def unpack(raw: bytes | bytearray) -> Attributes:
    """Read the 44 bytes that the kernel gives."""
    return Attributes(*LAYOUT.unpack(raw))


def require_layout(port: str, machine: str | None = None) -> None:
    """Raise PortError unless this machine's kernel uses the generic bits."""
    name = platform.machine() if machine is None else machine
    if not name.startswith(MACHINES):
        raise PortError(
            port,
            f"serial settings on {name} are laid out differently from every machine that Portline "
            "was tested on; please report it",
        )


def read_attributes(fd: int) -> Attributes:
    """Return what is in force at a tty; on a pty's master: at its slave.  Raises OSError."""
    return unpack(read_raw(fd))


def read_raw(fd: int) -> bytes:
    """Return what is in force, packed: the cheapest way to see that nothing changed."""
    return fcntl.ioctl(fd, TCGETS2, _NOTHING)


def raw_reader(fd: int) -> Callable[[], bytes]:
    """Return :func:`read_raw` for one descriptor, without a step of Python's in between."""
    ioctl: Callable[[int, int, bytes], bytes] = fcntl.ioctl
    return partial(ioctl, fd, TCGETS2, _NOTHING)


_NOTHING: Final = bytes(LAYOUT.size)


def write_attributes(fd: int, attributes: Attributes) -> None:
    """Put attributes in force now, without discarding anything.  Raises OSError."""
    fcntl.ioctl(fd, TCSETS2, pack(attributes))


def encode(settings: LineSettings, base: Attributes) -> Attributes:
    """Return ``base`` made raw, ignorant of the carrier, and with these settings.

    Raw with VMIN 1: a non-blocking read then says EAGAIN when there is nothing, and b"" only when
    the line hung up.  HUPCL is cleared, so that closing does not reset what is connected.
    PARMRK and INPCK stay as they are in the base; see :func:`marked`.
    """
    cc = bytearray(base.cc)
    cc[VTIME], cc[VMIN], cc[VSTART], cc[VSTOP] = 0, 1, XON, XOFF
    code = TABLE.get(settings.baudrate, BOTHER)
    cleared = CBAUD | CIBAUD | CSIZE | PARENB | PARODD | CMSPAR | HUPCL
    cflag = (base.cflag & ~cleared) | code | CREAD | CLOCAL
    cflag |= ((settings.data_bits - 5) << 4) | PARITY_BITS[settings.parity]
    iflag = base.iflag & (PARMRK | INPCK)
    if settings.flow_control is FlowControl.XON_XOFF:
        iflag |= IXON
    if settings.inbound is FlowControl.XON_XOFF:
        iflag |= IXOFF
    if settings.flow_control is FlowControl.HARDWARE:
        cflag |= CRTSCTS
    else:
        cflag &= ~CRTSCTS
    if settings.stop_bits is StopBits.ONE:
        cflag &= ~CSTOPB
    elif settings.stop_bits is StopBits.TWO or settings.data_bits == 5:
        cflag |= CSTOPB
    return Attributes(
        iflag=iflag,
        cflag=cflag,
        line=base.line,
        cc=bytes(cc),
        ispeed=settings.baudrate,
        ospeed=settings.baudrate,
    )


def decode(attributes: Attributes, *, leftovers: bool = False) -> LineSettings:
    """Return the settings that attributes stand for.

    ``leftovers`` is for a pty, where the kernel clears PARENB and leaves PARODD and CMSPAR as the
    application asked for them: odd, mark and space can be told from those, even cannot.  A rate of
    zero ("hang up") comes out as zero.
    """
    cflag, iflag = attributes.cflag, attributes.iflag
    parity = cflag & (PARENB | PARODD | CMSPAR)
    if leftovers and parity:
        parity |= PARENB
    data_bits = 5 + ((cflag & CSIZE) >> CSIZE_SHIFT)
    stop_bits = StopBits.ONE
    if cflag & CSTOPB:
        stop_bits = StopBits.ONE_AND_A_HALF if data_bits == 5 else StopBits.TWO
    outbound = FlowControl.XON_XOFF if iflag & IXON else FlowControl.NONE
    inbound = FlowControl.XON_XOFF if iflag & IXOFF else FlowControl.NONE
    if cflag & CRTSCTS:
        outbound = FlowControl.HARDWARE
        inbound = inbound if iflag & IXOFF else FlowControl.HARDWARE
    return LineSettings(
        baudrate=0 if cflag & CBAUD == 0 else attributes.ospeed,
        data_bits=data_bits,
        parity=PARITY_OF.get(parity, Parity.NONE),
        stop_bits=stop_bits,
        flow_control=outbound,
        inbound_flow=inbound,
    )


def granted(asked: LineSettings, found: LineSettings) -> LineSettings:
    """Return what to call "in force" when ``asked`` was asked for and ``found`` read back.

    That is ``found``, except that a baudrate within BAUD_TOLERANCE keeps the number that was asked
    for: a divisor makes 12346 of 12345, and RFC 2217 clients compare for equality.
    """
    if abs(found.baudrate - asked.baudrate) <= BAUD_TOLERANCE * asked.baudrate:
        return replace(found, baudrate=asked.baudrate)
    return found


def marked(attributes: Attributes, on: bool) -> Attributes:
    """Return attributes with line faults marked in the input (PARMRK and INPCK), or not."""
    iflag = attributes.iflag & ~(PARMRK | INPCK)
    return replace(attributes, iflag=iflag | PARMRK | INPCK if on else iflag)
