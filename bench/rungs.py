"""The ways to have a virtual port next to each other: pseudo terminal, launcher, USB/IP, CUSE.

``python -m bench.rungs`` measures those that this machine allows, and after each round prints what
was found so far as one line of JSON.  The benchmark runs it here, and once more in the lab's
machine, whose kernel has all of them.

All ports stand side by side, each with an application (the load generator), a client, the server
that all share, and a device; in every round each has its turn, A B C A B C.  One that does not
start is named and left out.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shlex
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.load import Load
from bench.process import BridgeError, Process, free_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["RUNGS", "Findings", "Rung", "measure_here"]

GIB: Final = 2.0**30
MB: Final = 1e6
MICRO: Final = 1e6
SIZE: Final = 64
"""Bytes of the messages whose round trip is measured."""

VHCI: Final = Path("/sys/devices/platform/vhci_hcd.0")
CUSE: Final = Path("/dev/cuse")


@dataclass(frozen=True, slots=True)
class Rung:
    """One way to have a virtual port; the first one is what the others are compared with."""

    name: str
    backend: str
    missing: Callable[[], str]
    """Why it cannot be had here; an empty string when it can."""
    launched: bool = False
    """Whether the application is started by ``portline run``."""


def _nothing_missing() -> str:
    return ""


def _needs(path: Path, module: str) -> Callable[[], str]:
    def missing() -> str:
        if not path.exists():
            return f"no module {module} in this kernel, or not loaded (modprobe {module})"
        return "" if os.access(path, os.W_OK) else "takes root"

    return missing


RUNGS: Final = (
    Rung("pty", "pty", _nothing_missing),
    Rung("launcher", "pty", _nothing_missing, launched=True),
    Rung("USB/IP", "usbip", _needs(VHCI, "vhci_hcd")),
    Rung("CUSE", "cuse", _needs(CUSE, "cuse")),
)


@dataclass(slots=True)
class Findings:
    """What came out: values by measure, then rung; what was left out, and why."""

    kernel: str
    values: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def note(self, key: str, rung: str, value: float) -> None:
        """Add the value of one round."""
        self.values.setdefault(key, {}).setdefault(rung, []).append(value)

    def document(self) -> dict[str, Any]:
        """All of it, for JSON; the parameters of the constructor by name."""
        return {
            "kernel": self.kernel,
            "values": self.values,
            "missing": self.missing,
            "faults": self.faults,
        }


@dataclass(slots=True)
class _Standing:
    """A rung that runs: its application with the device, and what makes its port."""

    rung: Rung
    load: Load
    makers: list[Process]
    """Whose processor time is what the rung costs; the server is not among them."""


def measure_here(
    portline: Sequence[str],
    rounds: int,
    transfer: float,
    trip: float,
    told: Callable[[Findings], None] = lambda _: None,
) -> Findings:
    """Measure what is possible here; ``transfer`` and ``trip`` are seconds of each measurement.

    ``told`` is called after each round with what was found so far.

    Raises BridgeError when the server does not start.
    """
    findings = Findings(f"Linux {platform.release()}")
    rungs = []
    for rung in RUNGS:
        if reason := rung.missing():
            findings.missing[rung.name] = reason
        else:
            rungs.append(rung)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="portline-bench-")))
        standing = _start_all(stack, folder, portline, rungs, findings)
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
            for each in standing[:]:
                try:
                    _turn(each, findings, number + 1, transfer, trip)
                except BridgeError as error:
                    findings.faults.append(f"{each.rung.name}, round {number + 1}: {error}")
                    standing.remove(each)
            told(findings)
    return findings


def _start_all(
    stack: contextlib.ExitStack,
    folder: Path,
    portline: Sequence[str],
    rungs: list[Rung],
    findings: Findings,
) -> list[_Standing]:
    ports = dict(zip(rungs, free_ports(len(rungs)), strict=True))
    homes = {rung: folder / str(number) for number, rung in enumerate(rungs)}
    devices: dict[Rung, Path] = {}
    for rung, home in homes.items():
        home.mkdir()
        # The generator makes the device; under the launcher it can start only when the server and
        # the client are there, so the server is given a name that comes to be later.
        devices[rung] = home / "device"
    server = folder / "server.toml"
    server.write_text(
        "\n".join(
            f'[connections.line{number}]\nport = "{devices[rung]}"\n'
            f'listen = "127.0.0.1:{ports[rung]}"\nprotocol = "raw"\nbaudrate = 115200\n'
            for number, rung in enumerate(rungs)
        ),
        encoding="utf-8",
    )
    words = [*portline, "serve", "--config", str(server)]
    process = stack.enter_context(Process(words, folder / "server.log"))
    process.wait_listening(list(ports.values()))
    standing = []
    for rung, home in homes.items():
        print(f"start: {rung.name}", file=sys.stderr, flush=True)
        try:
            standing.append(_start(stack, home, portline, rung, ports[rung]))
        except BridgeError as error:
            findings.faults.append(f"{rung.name}, start: {error}")
    return standing


def _start(
    stack: contextlib.ExitStack, home: Path, portline: Sequence[str], rung: Rung, port: int
) -> _Standing:
    virtual = home / f"ttyBench{port}"
    words = [*portline, "attach", f"127.0.0.1:{port}", "--virtual", str(virtual)]
    words += ["--protocol", "raw", "--backend", rung.backend]
    client = stack.enter_context(Process(words, home / "client.log"))
    client.wait_path(virtual)
    makers = [client]
    prefix = [*portline, "run", "--port", str(virtual), "--"] if rung.launched else []
    load = stack.enter_context(Load(home, prefix=prefix))
    if rung.launched:
        makers.append(load)
    (home / "device").symlink_to(load.ttys[0])
    load.connect(1, [str(virtual)])
    return _Standing(rung, load, makers)


def _turn(each: _Standing, findings: Findings, number: int, transfer: float, trip: float) -> None:
    name = each.rung.name
    before = _cpu(each)
    answer = each.load.trip(SIZE, trip)
    used = _cpu(each) - before
    if answer["lost"]:
        findings.faults.append(f"{name}, round {number}: a message of {SIZE} bytes lost")
    if answer["count"]:
        findings.note("rung-trip-p50", name, answer["p50"])
        findings.note("rung-trip-p99", name, answer["p99"])
        findings.note("rung-trip-cpu", name, used * MICRO / answer["made"])
    for key, direction in (("rung-da", "dn"), ("rung-ad", "nd")):
        before = _cpu(each)
        answer = each.load.transfer(direction, transfer, "random")
        used = _cpu(each) - before
        if answer["lost"]:
            text = f"{answer['lost']} of {answer['lost'] + answer['bytes']} bytes did not come"
            findings.faults.append(f"{name}, round {number}, {key}: {text}")
        if not answer["intact"]:
            findings.faults.append(f"{name}, round {number}, {key}: what came is not what was sent")
        findings.note(key, name, (answer["dn"] + answer["nd"]) / MB)
        if answer["bytes"]:
            findings.note(f"{key}-cpu", name, used * GIB / answer["bytes"])


def _cpu(each: _Standing) -> float:
    return sum(maker.cpu_seconds(children=False) for maker in each.makers)


def main() -> int:
    """Measure, and print the findings; 0 when that was possible."""
    parser = argparse.ArgumentParser(prog="python -m bench.rungs", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--transfer", type=float, default=1.0, help="seconds of each transfer")
    parser.add_argument("--trip", type=float, default=0.4, help="seconds of the round trips")
    parser.add_argument("--portline", default=f"{shlex.quote(sys.executable)} -m portline")
    asked = parser.parse_args()
    try:
        measure_here(
            shlex.split(asked.portline),
            asked.rounds,
            asked.transfer,
            asked.trip,
            lambda findings: print(json.dumps(findings.document()), flush=True),
        )
    except BridgeError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
