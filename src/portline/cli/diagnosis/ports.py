"""The real ports: who may open them, who holds them, and who is about to."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from typing import TYPE_CHECKING, Final

from portline.cli.diagnosis.finding import Finding, Weight
from portline.cli.diagnosis.machine import contents, programs
from portline.port.inventory.holder import holders

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from portline.cli.diagnosis.machine import Machine


__all__ = ["holding", "permissions", "probing"]

PROBERS: Final = {
    "ModemManager": (
        "writes commands for modems to new serial ports",
        ("ID_MM_DEVICE_IGNORE", "ID_MM_PORT_IGNORE"),
        "sudo systemctl disable --now ModemManager",
    ),
    "brltty": (
        "takes USB serial adapters for braille displays",
        (),
        "sudo systemctl mask --now brltty.service brltty-udev.service",
    ),
}
"""Program -> what it does to ports, the properties of udev that keep it off, and what ends it."""


def permissions(machine: Machine) -> Iterator[Finding]:
    """Find the ports that this user may not open."""
    for port in machine.ports():
        try:
            found = os.stat(port.path)
            allowed = os.access(port.path, os.R_OK | os.W_OK, effective_ids=True)
        except OSError:
            yield Finding(
                Weight.WRONG,
                port.path,
                "the kernel has this port, and it is not in /dev",
                f"pass it into the container (--device={port.path}), or start udev",
            )
            continue
        if not allowed:
            remedy = _admission(found, machine.user)
            yield Finding(Weight.WRONG, port.path, "this user may not open it", remedy)


def _admission(found: os.stat_result, user: int) -> str:
    """Return how a user gets to open a file: by its group, where that may."""
    name = _user_name(user)
    if found.st_gid and found.st_mode & 0o060 == 0o060:
        try:
            group = grp.getgrgid(found.st_gid)
        except KeyError:
            return f"it is for the group {found.st_gid}, which has no name here"
        if name in group.gr_mem:
            return f"{name} is in the group {group.gr_name} since the last login; log in anew"
        return f"`sudo usermod -aG {group.gr_name} {name}`, then log in anew"
    return (
        "no group may; a rule of udev gives it one: "
        f'KERNEL=="tty*", GROUP="dialout", MODE="0660" ({stat.filemode(found.st_mode)} now)'
    )


def _user_name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def holding(machine: Machine) -> Iterator[Finding]:
    """Find the ports that another program has open; a Portline is meant to."""
    paths = [port.path for port in machine.ports()]
    for path, held in holders(paths, machine.proc).items():
        for holder in held:
            if not holder.is_portline(machine.proc):
                yield Finding(
                    Weight.WRONG,
                    path,
                    f"is held by {holder}",
                    f"end that program (kill {holder.pid}) to share the port",
                )


def probing(machine: Machine) -> Iterator[Finding]:
    """Find the programs that try out new USB serial ports, unless udev keeps them off all."""
    usb = [port for port in machine.ports() if port.usb is not None]
    if not usb:
        return
    for pid, program in programs(machine.proc):
        if program not in PROBERS:
            continue
        does, properties, end = PROBERS[program]
        open_to_it = [p for p in usb if not _properties(p.path, machine.run) & set(properties)]
        if not open_to_it:
            continue
        first = open_to_it[0].usb
        assert first is not None
        rule = (
            f'write a rule of udev, ATTRS{{idVendor}}=="{first.vendor}", '
            f'ATTRS{{idProduct}}=="{first.product}", ENV{{{properties[0]}}}="1", or '
            if properties
            else ""
        )
        names = ", ".join(port.path for port in open_to_it)
        yield Finding(
            Weight.WRONG,
            f"{program} (pid {pid})",
            f"{does}, and there is {names}",
            f"{rule}`{end}`",
        )


def _properties(path: str, run: Path) -> set[str]:
    """Return the properties that udev has set to 1 for a device, from its data base."""
    try:
        number = os.stat(path).st_rdev
    except OSError:
        return set()
    text = contents(run / f"udev/data/c{os.major(number)}:{os.minor(number)}")
    return {
        line[2:].removesuffix("=1")
        for line in text.splitlines()
        if line.startswith("E:") and line.endswith("=1")
    }
