"""The works: what a bridge is put through, and which figures come out.

Each work starts the bridge anew, measures, and stops it; so no figure depends on what ran before,
and a round of all bridges is as close together in time as can be.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

from bench.bridges import Bridge, Kind, Task
from bench.goals import IMPORTS, TRIP_SIZES
from bench.load import Load
from bench.pages import measure_pages
from bench.process import Process, free_ports
from portline.net.tls.certificate import make_self_signed

__all__ = ["WORKS", "Effort", "Figures", "Work"]

MB: Final = 1e6
GIB: Final = 2.0**30
BAUDRATE: Final = 115200
IDLE: Final = 0.5
"""Seconds between listening and the look at the memory."""
TLS_TRIP: Final = 64
"""Bytes of the messages whose encrypted round trip is measured."""
IMPORTS_MAX: Final = 20.0
"""Seconds that the imports may take."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How long each thing is measured, in seconds."""

    transfer: float
    trip: float
    """For each size of message."""
    busy: float


@dataclass(slots=True)
class Figures:
    """What one run of one work gave: values by the key of the measure, and what was wrong."""

    values: dict[str, float] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def check(self, answer: dict[str, Any]) -> None:
        """Note lost and wrong bytes of a transfer."""
        if answer["lost"]:
            self.faults.append(f"{answer['lost']} bytes lost")
        elif not answer["intact"]:
            self.faults.append("wrong bytes")


Measurement: TypeAlias = Callable[[Bridge, Effort], Figures]


@dataclass(frozen=True, slots=True)
class Work:
    """One thing that is done with every bridge in turn.  ``rounds`` limits how often."""

    name: str
    kind: Kind
    measure: Measurement
    rounds: int = 99
    only: tuple[str, ...] = ()
    """Bridges, when not all of the kind."""
    extra: tuple[str, ...] = ()
    """What is run beside the bridges, for comparison."""


@contextmanager
def _running(
    bridge: Bridge, *, ports: int = 1, telnet: bool = False, peers: int = 1, connect: bool = True
) -> Iterator[tuple[Load, Process]]:
    """A load generator and a bridge on its ttys, connected, in a folder of their own."""
    with tempfile.TemporaryDirectory(prefix="portline-bench-") as name:
        folder = Path(name)
        with Load(folder, ports=ports, telnet=telnet) as load:
            numbers = free_ports(ports)
            lines = tuple(zip(load.ttys, numbers, strict=True))
            service = not connect
            with bridge.start(Task(lines, folder, telnet, peers, service)) as process:
                if connect:
                    load.connect(peers, numbers)
                yield load, process


@contextmanager
def _single_running(bridge: Bridge, *, telnet: bool) -> Iterator[tuple[Load, list[Process]]]:
    with _running(bridge, telnet=telnet) as (load, process):
        yield load, [process]


@contextmanager
def _pair_running(bridge: Bridge, *, telnet: bool) -> Iterator[tuple[Load, list[Process]]]:
    """A load generator between the device of a server and the virtual port of its client."""
    with tempfile.TemporaryDirectory(prefix="portline-bench-") as name:
        folder = Path(name)
        with Load(folder) as load:
            task = Task(((load.ttys[0], free_ports(1)[0]),), folder, telnet)
            with bridge.start(task) as server, bridge.start_client(task) as client:
                load.connect(1, [str(task.virtual)])
                yield load, [server, client]


def _transfer(
    key: str, direction: str, *, pattern: str = "random", telnet: bool, pair: bool = False
) -> Measurement:
    def measure(bridge: Bridge, effort: Effort) -> Figures:
        figures = Figures()
        running = _pair_running if pair else _single_running
        with running(bridge, telnet=telnet) as (load, processes):
            before = sum(process.cpu_seconds() for process in processes)
            answer = load.transfer(direction, effort.transfer, pattern)
            cpu = sum(process.cpu_seconds() for process in processes) - before
        figures.check(answer)
        dn, nd = answer["dn"] / MB, answer["nd"] / MB
        if direction == "both":
            figures.values = {key: min(dn, nd), f"{key}-dn": dn, f"{key}-nd": nd}
        else:
            figures.values = {key: dn + nd}
            if answer["bytes"]:
                figures.values[f"{key}-cpu"] = cpu * GIB / answer["bytes"]
        return figures

    return measure


def _trip(key: str, *, telnet: bool = False, pair: bool = False) -> Measurement:
    def measure(bridge: Bridge, effort: Effort) -> Figures:
        figures = Figures()
        running = _pair_running if pair else _single_running
        with running(bridge, telnet=telnet) as (load, _):
            for size in TRIP_SIZES:
                answer = load.trip(size, effort.trip)
                if answer["lost"]:
                    figures.faults.append(f"a message of {size} bytes lost")
                if answer["count"]:
                    figures.values[f"{key}-{size}-p50"] = answer["p50"]
                    figures.values[f"{key}-{size}-p99"] = answer["p99"]
        return figures

    return measure


@contextmanager
def _encrypted_running(bridge: Bridge) -> Iterator[tuple[Load, list[Process]]]:
    """A load generator that speaks TLS, and a bridge with a certificate of its own making."""
    with tempfile.TemporaryDirectory(prefix="portline-bench-") as name:
        folder = Path(name)
        certificate = folder / "bench.pem"
        certificate.touch(0o600)
        certificate.write_bytes(make_self_signed("localhost"))
        with Load(folder, tls=True) as load:
            lines = ((load.ttys[0], free_ports(1)[0]),)
            task = Task(lines, folder, certificate=str(certificate))
            with bridge.start(task) as process:
                load.connect(1, [lines[0][1]])
                yield load, [process]


def _encrypted(key: str, direction: str) -> Measurement:
    def measure(bridge: Bridge, effort: Effort) -> Figures:
        figures = Figures()
        with _encrypted_running(bridge) as (load, processes):
            before = sum(process.cpu_seconds() for process in processes)
            answer = load.transfer(direction, effort.transfer, "random")
            cpu = sum(process.cpu_seconds() for process in processes) - before
        figures.check(answer)
        figures.values = {key: (answer["dn"] + answer["nd"]) / MB}
        if answer["bytes"]:
            figures.values[f"{key}-cpu"] = cpu * GIB / answer["bytes"]
        return figures

    return measure


def _encrypted_trip(bridge: Bridge, effort: Effort) -> Figures:
    figures = Figures()
    with _encrypted_running(bridge) as (load, _):
        answer = load.trip(TLS_TRIP, effort.trip)
    if answer["lost"]:
        figures.faults.append("a message lost")
    if answer["count"]:
        figures.values = {"tls-p50": answer["p50"], "tls-p99": answer["p99"]}
    return figures


def _pair_works(key: str, kind: Kind, *, telnet: bool) -> tuple[Work, ...]:
    """From device to application is what the generator calls device to network."""
    return (
        Work(f"{key}-trip", kind, _trip(f"{key}-trip", telnet=telnet, pair=True)),
        Work(f"{key}-da", kind, _transfer(f"{key}-da", "dn", telnet=telnet, pair=True)),
        Work(f"{key}-ad", kind, _transfer(f"{key}-ad", "nd", telnet=telnet, pair=True)),
    )


def _fan_out(key: str, peers: int, *, stalled: bool = False, each: bool = False) -> Measurement:
    def measure(bridge: Bridge, effort: Effort) -> Figures:
        figures = Figures()
        with _running(bridge, peers=peers) as (load, _):
            if stalled:
                load.stall()
            answer = load.transfer("dn", effort.transfer, "random")
        figures.check(answer)
        figures.values = {key: answer["dn"] / MB / (peers - stalled if each else 1)}
        return figures

    return measure


def _many(count: int) -> Measurement:
    def measure(bridge: Bridge, effort: Effort) -> Figures:
        with _running(bridge, ports=count) as (load, process):
            before = process.cpu_seconds()
            answer = load.busy(effort.busy, BAUDRATE)
            cpu = process.cpu_seconds() - before
            resident = process.resident_bytes()
        values = {
            "delivered": 100 * answer["delivered"],
            "cpu": 100 * cpu / answer["seconds"],
            "p50": answer["p50"],
            "p99": answer["p99"],
            "rss": resident / MB,
        }
        return Figures({f"many-{count}-{name}": value for name, value in values.items()})

    return measure


def _memory(count: int) -> Measurement:
    def measure(bridge: Bridge, effort: Effort) -> Figures:
        del effort  # an idle bridge does not get smaller by waiting
        with _running(bridge, ports=count, connect=False) as (_, process):
            time.sleep(IDLE)
            return Figures({f"memory-{count}": process.resident_bytes() / MB})

    return measure


def _pages(bridge: Bridge, effort: Effort) -> Figures:
    return Figures(*measure_pages(bridge, effort.trip))


def _start(bridge: Bridge, _: Effort) -> Figures:
    with tempfile.TemporaryDirectory(prefix="portline-bench-") as name:
        folder = Path(name)
        with Load(folder) as load:
            ports = free_ports(1)
            task = Task(((load.ttys[0], ports[0]),), folder, service=True)
            argv = bridge.command(task)
            with Process(argv, folder / "bridge.log") as process:
                return Figures({"start": process.wait_listening(ports)})


def imports() -> Figures:
    """How long Python takes to import what portline is built on, the floor of its start."""
    start = time.monotonic()
    argv = [sys.executable, "-c", "import asyncio, pydantic"]
    done = subprocess.run(argv, capture_output=True, timeout=IMPORTS_MAX, check=False)
    elapsed = time.monotonic() - start
    return Figures(faults=["not importable"]) if done.returncode else Figures({"start": elapsed})


STALLING: Final = ("portline", "C relay", "ser2net tuned")

WORKS: Final = (
    Work("raw-dn", Kind.RAW, _transfer("raw-dn", "dn", telnet=False)),
    Work("raw-nd", Kind.RAW, _transfer("raw-nd", "nd", telnet=False)),
    Work("raw-both", Kind.RAW, _transfer("raw-both", "both", telnet=False)),
    Work("trip", Kind.RAW, _trip("trip")),
    Work("rfc2217-dn", Kind.TELNET, _transfer("rfc2217-dn", "dn", telnet=True)),
    Work("rfc2217-nd", Kind.TELNET, _transfer("rfc2217-nd", "nd", telnet=True)),
    Work(
        "rfc2217-ff-dn",
        Kind.TELNET,
        _transfer("rfc2217-ff-dn", "dn", pattern="ff", telnet=True),
    ),
    Work(
        "rfc2217-ff-nd",
        Kind.TELNET,
        _transfer("rfc2217-ff-nd", "nd", pattern="ff", telnet=True),
    ),
    Work("fan-8", Kind.FAN_OUT, _fan_out("fan-8", 8)),
    Work("fan-64", Kind.FAN_OUT, _fan_out("fan-64", 64)),
    Work("fan-7", Kind.FAN_OUT, _fan_out("fan-7", 7, each=True), only=STALLING),
    Work(
        "fan-stalled",
        Kind.FAN_OUT,
        _fan_out("fan-stalled", 8, stalled=True, each=True),
        only=STALLING,
    ),
    Work("many-100", Kind.MANY, _many(100), rounds=2),
    Work("many-1000", Kind.MANY, _many(1000), rounds=2),
    Work("memory-1", Kind.MANY, _memory(1), rounds=1),
    Work("memory-1000", Kind.MANY, _memory(1000), rounds=1),
    Work("start", Kind.MANY, _start, extra=(IMPORTS,)),
    Work("tls-dn", Kind.TLS, _encrypted("tls-dn", "dn")),
    Work("tls-nd", Kind.TLS, _encrypted("tls-nd", "nd")),
    Work("tls-trip", Kind.TLS, _encrypted_trip),
    Work("page", Kind.PAGE, _pages),
    *_pair_works("pair", Kind.PAIR, telnet=False),
    *_pair_works("pair-rfc2217", Kind.PAIR_TELNET, telnet=True),
)
