"""Limits of the system, and the folders that are needed."""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from portline.cli.diagnosis.finding import Finding, Weight
from portline.cli.diagnosis.machine import amount, programs
from portline.control.place import Places, owner_alone

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from portline.cli.diagnosis.machine import Machine


__all__ = ["files", "folders", "terminals", "watches"]

FILES_MIN: Final = 1024
"""Open files that a process should be allowed, as most systems do: some 300 connections."""


PTYS_MIN: Final = 16
"""Pseudo terminals that should be free: less than that, and soon no terminal window opens."""


INSTANCES_MIN: Final = 4
"""inotify instances that should be free for this user: a Portline takes one for all its ports."""


def files(_machine: Machine) -> Iterator[Finding]:
    """Find a limit of open files that is too low; Portline raises the soft one by itself."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < FILES_MIN:
        yield Finding(
            Weight.WRONG,
            "open files",
            f"a program of this user may have {hard}, and each port and peer is one",
            f"raise the hard limit (ulimit -Hn {FILES_MIN}, or LimitNOFILE= in the systemd unit)",
        )


def terminals(machine: Machine) -> Iterator[Finding]:
    """Find that the kernel has hardly any pseudo terminals left."""
    folder = machine.proc / "sys/kernel/pty"
    most, used = amount(folder / "max"), amount(folder / "nr")
    if most is not None and used is not None and most - used < PTYS_MIN:
        yield Finding(
            Weight.WRONG,
            "pseudo terminals",
            f"{used} of {most} are in use, and each virtual port is one",
            f"`sudo sysctl kernel.pty.max={most + 4096}`",
        )


def watches(machine: Machine) -> Iterator[Finding]:
    """Find that this user has hardly any inotify instances left."""
    most = amount(machine.proc / "sys/fs/inotify/max_user_instances")
    if most is None:
        return
    used = sum(_instances(machine.proc / str(pid)) for pid, _ in programs(machine.proc))
    if most - used < INSTANCES_MIN:
        yield Finding(
            Weight.WRONG,
            "inotify instances",
            f"about {used} of {most} are in use, and virtual ports notice applications by one",
            f"`sudo sysctl fs.inotify.max_user_instances={most + 128}`",
        )


def _instances(process: Path) -> int:
    """Return the inotify instances of a process of this user; 0 for one that is not to be seen."""
    count = 0
    with suppress(OSError):
        if process.stat().st_uid != os.geteuid():
            return 0
        for name in os.listdir(process / "fd"):
            with suppress(OSError):
                count += os.readlink(process / "fd" / name) == "anon_inode:inotify"
    return count


def folders(machine: Machine) -> Iterator[Finding]:
    """Find that a folder for control sockets and virtual ports cannot be had."""
    places = Places(run=machine.run, temporary=machine.temporary, user=machine.user)
    faults = []
    for folder in places.folders():
        fault, remedy = _unusable(folder, machine.user)
        if not fault:
            break
        faults.append((str(folder), fault, remedy))
    else:
        yield from (Finding(Weight.WRONG, *each) for each in faults)
        return
    # Control sockets go to the next folder; virtual ports only have the first, but root's in /dev.
    weight = Weight.NOTE if machine.user == 0 else Weight.WRONG
    yield from (Finding(weight, *each) for each in faults)


def _unusable(folder: Path, user: int) -> tuple[str, str]:
    """Return why a folder cannot be this user's runtime folder, and the remedy; "" if it can."""
    if os.path.lexists(folder):
        if not owner_alone(folder, user):
            return "is not a folder of this user alone", f"remove it (sudo rm -r {folder})"
        if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
            return "cannot be written to", f"`chmod 700 {folder}`"
        return "", ""
    above = folder.parent
    remedy = "set XDG_RUNTIME_DIR to a folder of this user, or log in anew, which does"
    if not above.is_dir():
        return f"cannot be made, there is no folder {above}", remedy
    if not os.access(above, os.W_OK | os.X_OK, effective_ids=True):
        return f"cannot be made, {above} cannot be written to", remedy
    return "", ""
