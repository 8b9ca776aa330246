"""What is wrong with this machine for serial ports, and what mends it: a table of checks.

Theory of operation
-------------------
Each check is a function from a :class:`Machine` to findings, and only reads: no port is opened,
no folder made, no module loaded.  What a check cannot see (a file of /proc that is not there, the
programs of another user) it says nothing about.  A further check is a further row of CHECKS.

A way to make virtual ports that is not possible here is a *note* and not wrong: the next way does.
"""

from __future__ import annotations

import grp
import os
import pwd
import resource
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from portline.control.place import Places, owner_alone
from portline.errors import PortlineError
from portline.port.inventory.holder import PROC, holders
from portline.port.inventory.ports import DEV, SYS, found_ports
from portline.port.ladder import LADDER, Adapter, Backend, Rung
from portline.port.names.place import MAKER
from portline.port.names.repair import link_folders, stale_links, stale_overlaps
from portline.port.programs import seccomp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from portline.port.inventory.ports import FoundPort

__all__ = ["CHECKS", "Finding", "Machine", "Weight", "diagnose"]

FILES_MIN: Final = 1024
"""Open files that a process should be allowed, as most systems do: some 300 connections."""

PTYS_MIN: Final = 16
"""Pseudo terminals that should be free: less than that, and soon no terminal window opens."""

INSTANCES_MIN: Final = 4
"""inotify instances that should be free for this user: a Portline takes one for all its ports."""

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


MADE_BY_KERNEL: Final = (Backend.USBIP, Backend.CUSE)
"""The ways to make virtual ports for which the kernel puts a node into /dev."""


class Weight(Enum):
    """What a finding means; the value is the word that is printed."""

    WRONG = "wrong"
    NOTE = "note"
    GOOD = "good"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what it is about, what is found, and what mends it ("" where nothing has to)."""

    weight: Weight
    subject: str
    text: str
    remedy: str = ""

    def __str__(self) -> str:
        """Write ``/dev/ttyUSB0: the fault; the remedy``."""
        return f"{self.subject}: {self.text}" + (f"; {self.remedy}" if self.remedy else "")


@dataclass(frozen=True)
class Machine:
    """Where the checks look.  ``user`` is the effective one."""

    sys: Path = SYS
    dev: Path = DEV
    proc: Path = PROC
    run: Path = Path("/run")
    temporary: Path = Path("/tmp")
    user: int = field(default_factory=os.geteuid)
    ladder: tuple[Rung, ...] = LADDER
    processor: str | None = None

    def ports(self) -> list[FoundPort]:
        """Return the ports to look at: not the console, and none that Portline makes."""
        return [
            port
            for port in found_ports(self.sys, self.dev)
            if not (port.console or port.hidden or (port.usb and port.usb.manufacturer == MAKER))
        ]


def diagnose(machine: Machine) -> list[Finding]:
    """Return what all checks find, the wrong first."""
    found = [finding for check in CHECKS for finding in check(machine)]
    return sorted(found, key=lambda finding: list(Weight).index(finding.weight))


# --- ports ----------------------------------------------------------------------------------------


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
    for pid, program in _programs(machine.proc):
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


def _programs(proc: Path) -> Iterator[tuple[int, str]]:
    for pid in sorted(int(name) for name in _names(proc) if name.isdigit()):
        yield pid, _text(proc / str(pid) / "comm")


def _properties(path: str, run: Path) -> set[str]:
    """Return the properties that udev has set to 1 for a device, from its data base."""
    try:
        number = os.stat(path).st_rdev
    except OSError:
        return set()
    text = _text(run / f"udev/data/c{os.major(number)}:{os.minor(number)}")
    return {
        line[2:].removesuffix("=1")
        for line in text.splitlines()
        if line.startswith("E:") and line.endswith("=1")
    }


# --- virtual ports --------------------------------------------------------------------------------


def rungs(machine: Machine) -> Iterator[Finding]:
    """Tell of each way to make a virtual port whether it is possible, or what it takes."""
    for rung in machine.ladder:
        name = f"--backend {rung.backend.value}"
        obstacles = {adapter: rung.obstacle(adapter) for adapter, _ in rung.variants()}
        if len(set(obstacles.values())) == 1:
            yield _rung(name, next(iter(obstacles.values())))
            continue
        for adapter, obstacle in obstacles.items():
            yield _rung(f"{name} --adapter {Adapter(adapter).value}", obstacle)


def _rung(name: str, obstacle: str) -> Finding:
    if not obstacle:
        return Finding(Weight.GOOD, name, "is possible here")
    fault, _, remedy = obstacle.partition("; ")
    return Finding(Weight.NOTE, name, f"is not possible here: {fault}", remedy)


def nodes(machine: Machine) -> Iterator[Finding]:
    """Find that /dev does not show what the kernel makes, which usbip and cuse count on.

    A container has a /dev of its own: the module of its host makes the device, in the host's /dev.
    """
    possible = [rung for rung in machine.ladder if rung.backend in MADE_BY_KERNEL]
    possible = [r for r in possible if not all(r.obstacle(a) for a, _ in r.variants())]
    kinds = [
        words[2]
        for line in _text(machine.proc / "self/mounts").splitlines()
        if len(words := line.split()) > 2 and words[1] == "/dev"
    ]
    if possible and kinds and kinds[-1] != "devtmpfs":  # the last one lies over the others
        yield Finding(
            Weight.WRONG,
            "/dev",
            f"is a {kinds[-1]} and no devtmpfs, so devices that the kernel makes for "
            f"--backend {' and '.join(r.backend.value for r in possible)} do not appear there",
            "run Portline outside of the container, or give it the machine's /dev (-v /dev:/dev)",
        )


def filters(machine: Machine) -> Iterator[Finding]:
    """Tell whether `portline run` can answer the calls of a program (seccomp(2), Linux 5.9)."""
    subject = "portline run"
    try:
        seccomp.machine(machine.processor)
    except PortlineError as error:
        fault, _, remedy = str(error).partition("; ")
        yield Finding(Weight.NOTE, subject, f"is not possible here: {fault}", remedy)
        return
    if "user_notif" in _text(machine.proc / "sys/kernel/seccomp/actions_avail").split():
        yield Finding(Weight.GOOD, subject, "is possible here")
    else:
        yield Finding(
            Weight.NOTE,
            subject,
            "is not possible here: this kernel lets no program answer another's calls",
            "it takes Linux 5.9 with CONFIG_SECCOMP_FILTER",
        )


def leftovers(_machine: Machine) -> Iterator[Finding]:
    """Find what a killed Portline has left and `portline repair` cleans up."""
    for path in stale_overlaps():
        yield Finding(
            Weight.WRONG, path, "a virtual port that is gone lies over it", "`sudo portline repair`"
        )
    for path in stale_links(link_folders()):
        yield Finding(
            Weight.WRONG, path, "leads to a virtual port that is gone", "`portline repair`"
        )


# --- limits and folders ---------------------------------------------------------------------------


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
    most, used = _number(folder / "max"), _number(folder / "nr")
    if most is not None and used is not None and most - used < PTYS_MIN:
        yield Finding(
            Weight.WRONG,
            "pseudo terminals",
            f"{used} of {most} are in use, and each virtual port is one",
            f"`sudo sysctl kernel.pty.max={most + 4096}`",
        )


def watches(machine: Machine) -> Iterator[Finding]:
    """Find that this user has hardly any inotify instances left."""
    most = _number(machine.proc / "sys/fs/inotify/max_user_instances")
    if most is None:
        return
    used = sum(_instances(machine.proc / str(pid)) for pid, _ in _programs(machine.proc))
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


def _number(file: Path) -> int | None:
    text = _text(file)
    return int(text) if text.isdecimal() else None


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return ""


def _names(folder: Path) -> list[str]:
    with suppress(OSError):
        return os.listdir(folder)
    return []


CHECKS: Final[tuple[Callable[[Machine], Iterator[Finding]], ...]] = (
    permissions,
    holding,
    probing,
    leftovers,
    files,
    terminals,
    watches,
    folders,
    rungs,
    nodes,
    filters,
)
"""All of them, in the order in which their findings of one weight are told."""
