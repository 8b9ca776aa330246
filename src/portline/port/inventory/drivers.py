"""What the kernel says of a terminal by its device number alone, without opening it.

``/proc/tty/drivers`` gives the kind of each driver: "serial" for everything with a plug or what
passes for one (8250, USB, Bluetooth, gadgets), other words for virtual consoles, pseudo terminals
and the machine's own.  ``/proc/consoles`` lists where the kernel itself writes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

__all__ = ["driver_kind", "is_console", "is_controlling"]

PROC: Final = Path("/proc")

RESERVED: Final = {4: 64, 22: 0, 154: 0, 156: 0, 166: 0, 188: 0, 204: 0, 216: 0}
"""Major number -> the lowest minor that the kernel reserves for serial devices
(Documentation/admin-guide/devices.txt): ttyS, ttyD, ttySR, ttyACM, ttyUSB, low-density serial ports
(ttyAMA and others), rfcomm.  A device file may be there before its driver is."""


def driver_kind(device: int, proc: Path = PROC) -> str:
    """Return the kind of the driver for a device number, "" if it has no tty driver.

    A number that is reserved for serial devices is "serial" also while there is no driver for it.
    Raises OSError when the kernel does not tell.
    """
    major, minor = os.major(device), os.minor(device)
    for line in (proc / "tty/drivers").read_text(errors="replace").splitlines():
        # "usbserial            /dev/ttyUSB   188 0-511 serial"; the name may have blanks.
        words = line.split()
        if len(words) >= 5 and words[-3] == str(major):
            first, _, last = words[-2].partition("-")
            if int(first) <= minor <= int(last or first):
                return words[-1]
    return "serial" if minor >= RESERVED.get(major, minor + 1) else ""


def is_console(device: int, proc: Path = PROC) -> bool:
    """Return whether the kernel writes its messages there.  Raises OSError if it does not tell."""
    number = f"{os.major(device)}:{os.minor(device)}"
    # "ttyS0                -W- (EC  p a)    4:64"
    lines = (proc / "consoles").read_text(errors="replace").splitlines()
    return any(line.split()[-1:] == [number] for line in lines)


def is_controlling(device: int, proc: Path = PROC) -> bool:
    """Return whether it is the terminal at which this process was started.

    Raises OSError if the kernel does not tell.
    """
    # Field 7 of proc_pid_stat(5); the name of the program before it may hold anything.
    number = int((proc / "self/stat").read_text(errors="replace").rpartition(")")[2].split()[4])
    major, minor = os.major(device), os.minor(device)
    return number == (minor & 0xFF) | major << 8 | (minor & ~0xFF) << 12
