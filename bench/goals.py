"""What is measured, and what portline is to reach: every figure and every goal of the benchmark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["GOALS", "LAB", "MEASURES", "Goal", "Measure"]

RELAY: Final = "C relay"
TUNED: Final = "ser2net tuned"
IMPORTS: Final = "python imports"
SOCATS: Final = "two socats"
GENSIO: Final = "ser2net, gensiot"


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure of a work."""

    key: str
    title: str
    unit: str
    digits: int = 0
    """After the point."""
    base: str = ""
    """What the others are divided by; an empty string: portline is divided by each other."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What portline's median of a measure is to be, compared with one of three things.

    ``against`` is a bridge: the ratio of the two medians is judged.  ``own`` is another measure
    of portline: the ratio to that is.  With neither, the median itself is judged by ``bound``.
    """

    measure: str
    bound: float
    at_least: bool
    """True: the bound is the least; false: the most."""
    against: str = ""
    own: str = ""


PTY: Final = "pty"
LAB: Final = "lab-"
"""What the keys of figures from the lab's machine begin with."""

TRIP_SIZES: Final = (1, 64, 256)
"""Bytes of the messages whose round trip is measured."""

MEASURES: Final = (
    Measure("raw-dn", "raw, device to network", "MB/s", 1),
    Measure("raw-dn-cpu", "raw, device to network: CPU", "s/GiB", 2),
    Measure("raw-nd", "raw, network to device", "MB/s", 1),
    Measure("raw-nd-cpu", "raw, network to device: CPU", "s/GiB", 2),
    Measure("raw-both", "raw, both ways at once: the slower direction", "MB/s", 1),
    Measure("raw-both-dn", "raw, both ways at once: device to network", "MB/s", 1),
    Measure("raw-both-nd", "raw, both ways at once: network to device", "MB/s", 1),
    *(
        Measure(f"trip-{size}-p{part}", f"round trip of {size} B, p{part}", "µs")
        for size in TRIP_SIZES
        for part in (50, 99)
    ),
    Measure("rfc2217-dn", "rfc2217, random data, device to network", "MB/s", 1),
    Measure("rfc2217-nd", "rfc2217, random data, network to device", "MB/s", 1),
    Measure("rfc2217-ff-dn", "rfc2217, all 0xFF, device to network", "MB/s", 1),
    Measure("rfc2217-ff-nd", "rfc2217, all 0xFF, network to device", "MB/s", 1),
    Measure("fan-8", "fan-out to 8 peers, sum", "MB/s"),
    Measure("fan-64", "fan-out to 64 peers, sum", "MB/s"),
    Measure("fan-7", "fan-out to 7 peers, each", "MB/s", 1),
    Measure("fan-stalled", "fan-out to 7 peers and one that does not read, each", "MB/s", 1),
    *(
        measure
        for count in (100, 1000)
        for measure in (
            Measure(f"many-{count}-delivered", f"{count} busy ports: delivered", "%", 2),
            Measure(f"many-{count}-cpu", f"{count} busy ports: CPU of one core", "%", 1),
            Measure(f"many-{count}-p50", f"{count} busy ports: latency, p50", "µs"),
            Measure(f"many-{count}-p99", f"{count} busy ports: latency, p99", "µs"),
            Measure(f"many-{count}-rss", f"{count} busy ports: memory", "MB", 1),
        )
    ),
    Measure("memory-1", "memory, idle with 1 connection", "MB", 1),
    Measure("memory-1000", "memory, idle with 1000 connections", "MB", 1),
    Measure("start", "start of the service until it listens", "s", 3),
    *(
        measure
        for key, title in (("pair", "pair, raw"), ("pair-rfc2217", "pair, rfc2217"))
        for measure in (
            *(
                Measure(
                    f"{key}-trip-{size}-p{part}", f"{title}: round trip of {size} B, p{part}", "µs"
                )
                for size in TRIP_SIZES
                for part in (50, 99)
            ),
            Measure(f"{key}-da", f"{title}: device to application", "MB/s", 1),
            Measure(f"{key}-da-cpu", f"{title}: device to application: CPU of both", "s/GiB", 2),
            Measure(f"{key}-ad", f"{title}: application to device", "MB/s", 1),
            Measure(f"{key}-ad-cpu", f"{title}: application to device: CPU of both", "s/GiB", 2),
        )
    ),
    *(
        Measure(f"{prefix}rung-{key}", f"virtual port{where}, raw, {title}", unit, digits, PTY)
        for prefix, where in (("", ""), (LAB, " in the lab's machine"))
        for key, title, unit, digits in (
            ("trip-p50", "round trip of 64 B, p50", "µs", 0),
            ("trip-p99", "round trip of 64 B, p99", "µs", 0),
            ("trip-cpu", "round trip of 64 B: CPU of what makes the port", "µs", 0),
            ("da", "device to application", "MB/s", 2),
            ("da-cpu", "device to application: CPU of what makes the port", "s/GiB", 2),
            ("ad", "application to device", "MB/s", 2),
            ("ad-cpu", "application to device: CPU of what makes the port", "s/GiB", 2),
        )
    ),
    *(
        Measure(f"page-{key}-{part}", f"page, {title}: round trip of 64 B, {part}", "µs")
        for key, title in (("unseen", "nobody looks"), ("seen", "10 pages and a monitor"))
        for part in ("p50", "p99")
    ),
    Measure("page-memory", "page, 10 viewers: memory of the service", "MB", 1),
    Measure("tls-dn", "TLS, device to network", "MB/s", 1),
    Measure("tls-dn-cpu", "TLS, device to network: CPU", "s/GiB", 2),
    Measure("tls-nd", "TLS, network to device", "MB/s", 1),
    Measure("tls-nd-cpu", "TLS, network to device: CPU", "s/GiB", 2),
    Measure("tls-p50", "TLS, round trip of 64 B, p50", "µs"),
    Measure("tls-p99", "TLS, round trip of 64 B, p99", "µs"),
)


def _least(measure: str, bound: float, against: str) -> Goal:
    return Goal(measure, bound, at_least=True, against=against)


def _most(measure: str, bound: float, against: str) -> Goal:
    return Goal(measure, bound, at_least=False, against=against)


GOALS: Final = (
    _least("raw-dn", 0.9, RELAY),
    _least("raw-dn", 1.3, TUNED),
    _most("raw-dn-cpu", 1.4, RELAY),
    _most("raw-dn-cpu", 0.8, TUNED),
    _least("raw-nd", 0.9, RELAY),
    _least("raw-nd", 1.1, TUNED),
    _most("raw-nd-cpu", 1.4, RELAY),
    _most("raw-nd-cpu", 0.8, TUNED),
    _least("raw-both", 0.8, RELAY),
    *(
        goal
        for size in TRIP_SIZES
        for goal in (
            _most(f"trip-{size}-p50", 1.3, RELAY),
            _most(f"trip-{size}-p50", 1.0, TUNED),
            _most(f"trip-{size}-p99", 1.3, RELAY),
            _most(f"trip-{size}-p99", 1.0, TUNED),
            Goal(f"trip-{size}-p99", 3.0, at_least=False, own=f"trip-{size}-p50"),
        )
    ),
    _least("rfc2217-dn", 2.0, TUNED),
    _least("rfc2217-nd", 1.2, TUNED),
    _least("rfc2217-ff-dn", 1.0, RELAY),
    _least("rfc2217-ff-dn", 1.2, TUNED),
    _least("rfc2217-ff-nd", 1.0, RELAY),
    _least("rfc2217-ff-nd", 1.7, TUNED),
    _least("fan-64", 1.5, RELAY),
    _least("fan-64", 3.0, TUNED),
    Goal("fan-stalled", 0.95, at_least=True, own="fan-7"),
    Goal("many-1000-delivered", 99.99, at_least=True),
    _most("many-1000-cpu", 1.2, RELAY),
    _most("many-1000-p50", 1.2, RELAY),
    Goal("memory-1", 45, at_least=False),
    Goal("memory-1000", 90, at_least=False),
    Goal("start", 0.6, at_least=False),
    _most("start", 1.5, IMPORTS),
    *(
        _most(f"{key}-trip-{size}-p{part}", 1.0, against)
        for key, against in (("pair", SOCATS), ("pair-rfc2217", GENSIO))
        for size in TRIP_SIZES
        for part in (50, 99)
    ),
    _least("pair-da", 1.0, SOCATS),
    _least("pair-ad", 1.0, SOCATS),
    _least("pair-rfc2217-da", 1.0, GENSIO),
    _least("pair-rfc2217-ad", 1.0, GENSIO),
    Goal("page-seen-p99", 1.2, at_least=False, own="page-unseen-p99"),
    Goal("page-memory", 80, at_least=False),
    _least("tls-dn", 0.8, "socat OPENSSL"),
    _least("tls-nd", 0.8, "socat OPENSSL"),
    _most("tls-p50", 1.2, "socat OPENSSL"),
)
