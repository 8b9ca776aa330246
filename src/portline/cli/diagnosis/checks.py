"""All checks, in a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from portline.cli.diagnosis.drivers import drivers, takers
from portline.cli.diagnosis.finding import Weight
from portline.cli.diagnosis.firewall import firewall
from portline.cli.diagnosis.limits import files, folders, terminals, watches
from portline.cli.diagnosis.network import addresses
from portline.cli.diagnosis.ports import holding, permissions, probing
from portline.cli.diagnosis.virtual import filters, leftovers, nodes, rungs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from portline.cli.diagnosis.finding import Finding
    from portline.cli.diagnosis.machine import Machine


__all__ = ["CHECKS", "diagnose"]


def diagnose(machine: Machine) -> list[Finding]:
    """Return what all checks find, the wrong first."""
    found = [finding for check in CHECKS for finding in check(machine)]
    return sorted(found, key=lambda finding: list(Weight).index(finding.weight))


CHECKS: Final[tuple[Callable[[Machine], Iterator[Finding]], ...]] = (
    permissions,
    holding,
    probing,
    takers,
    drivers,
    addresses,
    firewall,
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
