"""The ways to have a virtual port, measured in the lab's machine: its kernel has all of them.

No figure of an emulated processor says how fast anything is; that the ports take turns in the same
machine is what makes their ratios worth something.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.process import BridgeError
from bench.rungs import Findings

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["measure_in_lab"]

PROJECT: Final = Path(__file__).resolve().parents[1]

STARTS: Final = 600.0
"""Seconds that the machine and six Portlines may take to start in it: ten times what they need
where nothing else runs."""

UNPACK: Final = 300.0
"""Seconds for fetching and unpacking the kernel, the first time."""


def measure_in_lab(portline: Sequence[str], rounds: int, transfer: float, trip: float) -> Findings:
    """Run :func:`bench.rungs.measure_here` in the lab.

    Raises BridgeError with what the lab lacks, or how it ended.
    """
    words = [sys.executable, "-m", "bench.rungs", "--rounds", str(rounds)]
    words += ["--transfer", str(transfer), "--trip", str(trip), "--portline", shlex.join(portline)]
    # What a command waits for there takes its time; what is measured lasts as long as it is told.
    limit = STARTS + 10 * rounds * (transfer + trip)
    argv = [sys.executable, "-m", "lab", "--limit", str(limit), "run", shlex.join(words)]
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=limit + UNPACK, check=False, cwd=PROJECT
        )
    except subprocess.TimeoutExpired as error:
        raise BridgeError(f"the lab did not end within {error.timeout:.0f} s") from error
    said = (done.stderr if done.returncode in (2, 124, 125) else done.stdout).strip()
    end = " | ".join(said.splitlines()[-3:]) or f"exit code {done.returncode}"
    documents = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not documents:
        raise BridgeError(end)
    findings = Findings(**json.loads(documents[-1]))
    if done.returncode:
        findings.faults.append(f"cut short: {end}")
    return findings
