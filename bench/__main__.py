"""``python -m bench``: measure portline and its peers in one interleaved run, print the ratios.

For every work there are rounds, and in every round each bridge has its turn: A B C A B C.  What is
not installed is said and left out.  The exit status tells whether the run was possible, not
whether the goals were met: a shared machine would make that a lottery.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.bridges import BRIDGES, Bridge, portline_by
from bench.compile import compile_program
from bench.goals import GENSIO, GOALS, IMPORTS, LAB, MEASURES, SOCATS
from bench.guest import measure_in_lab
from bench.process import BridgeError
from bench.report import judge, render, summary
from bench.rungs import RUNGS, Findings, measure_here
from bench.works import WORKS, Effort, Figures, Work, imports

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

ROUNDS: Final = 3
FULL: Final = Effort(transfer=1.0, trip=0.4, busy=3.0)
QUICK: Final = Effort(transfer=0.25, trip=0.15, busy=1.0)
QUICK_BRIDGES: Final = ("portline", "C relay", "ser2net tuned", SOCATS, GENSIO)
"""The ones that the goals speak of."""

RUNG_WORK: Final = "rungs"
"""The name of the work that is not done with bridges: the ways to have a virtual port."""

LAB_FACTOR: Final = 5.0
"""How much longer each thing is measured in the lab's machine: it does less in a second."""


class Run:
    """One run of the benchmark: what is measured with whom, and what came out so far."""

    def __init__(
        self, works: Sequence[Work], bridges: Sequence[Bridge], effort: Effort, rounds: int
    ) -> None:
        self.works = works
        self.bridges = bridges
        self.effort = effort
        self.rounds = rounds
        self.table: dict[str, dict[str, list[float]]] = {}
        self.faults: list[str] = []
        self.remarks: list[str] = []

    def measure(self) -> None:
        """Do all works; a bridge that fails loses its turn, not the run."""
        for work in self.works:
            takers = [
                bridge
                for bridge in self.bridges
                if work.kind in bridge.kinds and (not work.only or bridge.name in work.only)
            ]
            start = time.monotonic()
            for number in range(min(self.rounds, work.rounds)):
                for bridge in takers:
                    self._turn(work, bridge, number + 1)
                if IMPORTS in work.extra:
                    self._note(work, IMPORTS, number + 1, imports())
            print(f"{work.name}: {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)

    def _turn(self, work: Work, bridge: Bridge, number: int) -> None:
        try:
            figures = work.measure(bridge, self.effort)
        except BridgeError as error:
            figures = Figures(faults=[str(error)])
        self._note(work, bridge.name, number, figures)

    def _note(self, work: Work, name: str, number: int, figures: Figures) -> None:
        for key, value in figures.values.items():
            self.table.setdefault(key, {}).setdefault(name, []).append(value)
        for fault in figures.faults:
            self.faults.append(f"{work.name}, {name}, round {number}: {fault}")

    def measure_rungs(self, portline: Sequence[str], *, lab: bool) -> None:
        """Measure the ways to have a virtual port here, and all of them in the lab's machine.

        The lab is left out where nothing is missing here.
        """
        start = time.monotonic()
        effort = self.effort
        try:
            found = measure_here(portline, self.rounds, effort.transfer, effort.trip)
        except BridgeError as error:
            self.faults.append(f"{RUNG_WORK}: {error}")
            return
        self._take(found, "")
        for name, reason in found.missing.items():
            self.remarks.append(f"{name} not measured on this kernel: {reason}")
        if found.missing and not lab:
            self.remarks.append("not in the lab's machine either: left out by --quick")
        elif found.missing:
            longer = (LAB_FACTOR * effort.transfer, LAB_FACTOR * effort.trip)
            try:
                self._take(measure_in_lab(portline, self.rounds, *longer), LAB)
            except BridgeError as error:
                names = ", ".join(rung.name for rung in RUNGS)
                self.remarks.append(f"not measured in the lab's machine ({names}): {error}")
        print(f"{RUNG_WORK}: {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)

    def _take(self, found: Findings, prefix: str) -> None:
        where = f"{prefix}{RUNG_WORK}"
        for key, values in found.values.items():
            self.table[f"{prefix}{key}"] = values
        self.faults += [f"{where}, {fault}" for fault in found.faults]
        if prefix:
            self.remarks.append(
                f"the lab's machine is emulated ({found.kernel}): only its ratios mean anything"
            )
            self.faults += [f"{where}, {name}: {why}" for name, why in found.missing.items()]

    def text(self) -> str:
        """The report."""
        blocks = [render(measure, self.table, GOALS) for measure in MEASURES]
        if self.remarks:
            blocks.append("Virtual ports\n" + "\n".join(f"  {each}" for each in self.remarks))
        if self.faults:
            blocks.append("What went wrong\n" + "\n".join(f"  {fault}" for fault in self.faults))
        blocks.append(summary(self.table, GOALS))
        return "\n\n".join(block for block in blocks if block)

    def document(self) -> dict[str, object]:
        """All values and verdicts, for a file."""
        judgements = [judge(goal, self.table) for goal in GOALS]
        return {
            "machine": _machine(),
            "seconds": self.effort.transfer,
            "rounds": self.rounds,
            "values": self.table,
            "faults": self.faults,
            "remarks": self.remarks,
            "goals": [
                {
                    "measure": judgement.goal.measure,
                    "against": judgement.goal.against or judgement.goal.own,
                    "bound": judgement.goal.bound,
                    "at_least": judgement.goal.at_least,
                    "reached": judgement.reached,
                    "verdict": judgement.verdict.value,
                }
                for judgement in judgements
            ],
        }


def _machine() -> str:
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}, "
        f"load {load:.2f} before the run"
    )


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    works = [*(work.name for work in WORKS), RUNG_WORK]
    bridges = [bridge.name for bridge in BRIDGES]
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure portline next to other bridges, in one interleaved run.",
        epilog=f"Works: {', '.join(works)}. Bridges: {', '.join(bridges)}.",
    )
    parser.add_argument("works", nargs="*", metavar="WORK", help="default: all; a prefix will do")
    parser.add_argument(
        "--bridge", action="append", choices=bridges, help="only this one; may be repeated"
    )
    parser.add_argument("--quick", action="store_true", help="one short round, within a minute")
    parser.add_argument("--rounds", type=int, help=f"of each work (default: {ROUNDS})")
    parser.add_argument(
        "--seconds", type=float, help=f"of each transfer (default: {FULL.transfer:g})"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all values there, too")
    parser.add_argument(
        "--portline", metavar="COMMAND", help="how to start portline (default: python -m portline)"
    )
    arguments = parser.parse_args(argv)
    for name in arguments.works:
        if not any(work.startswith(name) for work in works):
            parser.error(f"no work begins with {name!r}; there are {', '.join(works)}")
    if arguments.rounds is not None and arguments.rounds < 1:
        parser.error("--rounds must be at least 1")
    if arguments.seconds is not None and not 0.05 <= arguments.seconds <= 30:
        parser.error("--seconds must be from 0.05 to 30")
    return arguments


def _available(wanted: Sequence[str], portline: str | None) -> list[Bridge]:
    bridges = []
    for bridge in BRIDGES:
        chosen = portline_by(shlex.split(portline)) if portline and bridge is BRIDGES[0] else bridge
        if chosen.name not in wanted:
            continue
        if reason := chosen.missing():
            print(f"left out: {chosen.name}: {reason}", file=sys.stderr)
        else:
            bridges.append(chosen)
    return bridges


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and print the report; 0 when it could be run."""
    arguments = _arguments(argv)
    default = QUICK_BRIDGES if arguments.quick else [bridge.name for bridge in BRIDGES]
    bridges = _available(arguments.bridge or default, arguments.portline)
    works = [
        work
        for work in WORKS
        if not arguments.works or any(work.name.startswith(name) for name in arguments.works)
    ]
    effort = QUICK if arguments.quick else FULL
    if arguments.seconds is not None:
        effort = Effort(arguments.seconds, effort.trip, effort.busy)
    print(f"{_machine()}\n", flush=True)
    run = Run(works, bridges, effort, arguments.rounds or (1 if arguments.quick else ROUNDS))
    program = shlex.split(arguments.portline or "") or [sys.executable, "-m", "portline"]
    try:
        compile_program("load")
        run.measure()
        asked = not arguments.works or any(RUNG_WORK.startswith(name) for name in arguments.works)
        if asked and BRIDGES[0].name in (bridge.name for bridge in bridges):
            run.measure_rungs(program, lab=not arguments.quick)
    except BridgeError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; what was measured so far:\n", file=sys.stderr)
    print(run.text())
    if arguments.json:
        arguments.json.write_text(json.dumps(run.document(), indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
