"""What the driver of an open port tells about itself, for the status."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from portline.port.tty.modem import COUNTERS, TIOCGICOUNT

__all__ = ["DriverCounters", "Hardware", "hardware_of"]

TTYS: Final = Path("/sys/class/tty")


@dataclass(frozen=True, slots=True)
class DriverCounters:
    """What the driver has counted since it was loaded (``TIOCGICOUNT``): also before we came.

    ``received`` and ``sent`` are characters; the others are faults and breaks that were received.
    """

    received: int
    sent: int
    framing: int
    overrun: int
    parity: int
    breaks: int
    buffer_overrun: int


@dataclass(frozen=True, slots=True)
class Hardware:
    """One open port.

    ``features`` are what was switched on, in words; ``lines`` tells how changes of the modem lines
    are noticed while somebody wants to know: "waited for", "polled", or "none" where there are no
    lines.
    ``counters`` is None where the driver counts nothing.  ``stuck`` is how often the RS-485 of
    Portline has given the direction back although its transmitter was not empty (STUCK_LIMIT).
    """

    driver: str
    features: tuple[str, ...]
    lines: str
    counters: DriverCounters | None
    stuck: int = 0


def hardware_of(
    fd: int,
    path: str,
    features: tuple[str, ...],
    *,
    lines: str,
    stuck: int = 0,
    ttys: Path = TTYS,
) -> Hardware:
    """Ask the driver behind a descriptor; never raises."""
    return Hardware(
        driver=_driver(ttys / os.path.basename(os.path.realpath(path))),
        features=features,
        lines=lines,
        counters=_counters(fd),
        stuck=stuck,
    )


def _driver(entry: Path) -> str:
    try:
        return os.path.basename(os.readlink(entry / "device/driver"))
    except OSError:
        return ""


def _counters(fd: int) -> DriverCounters | None:
    try:
        raw = COUNTERS.unpack(fcntl.ioctl(fd, TIOCGICOUNT, bytes(COUNTERS.size)))
    except OSError:
        return None
    received, sent, framing, overrun, parity, breaks, buffer_overrun = raw[4:11]
    return DriverCounters(received, sent, framing, overrun, parity, breaks, buffer_overrun)
