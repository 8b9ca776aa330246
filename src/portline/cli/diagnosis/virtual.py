"""The ways to make virtual ports, and what is left of some."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from portline.cli.diagnosis.finding import Finding, Weight
from portline.cli.diagnosis.machine import contents
from portline.errors import PortlineError
from portline.port.ladder import Adapter, Backend
from portline.port.names.repair import link_folders, stale_links, stale_overlaps
from portline.port.programs import seccomp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from portline.cli.diagnosis.machine import Machine


__all__ = ["filters", "leftovers", "nodes", "rungs"]

MADE_BY_KERNEL: Final = (Backend.USBIP, Backend.CUSE)
"""The ways to make virtual ports for which the kernel puts a node into /dev."""


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
        for line in contents(machine.proc / "self/mounts").splitlines()
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
    if "user_notif" in contents(machine.proc / "sys/kernel/seccomp/actions_avail").split():
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
