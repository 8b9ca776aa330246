"""A pulled plug is noticed in time, whatever was going on; who is alive stays, whatever it does."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.interop.cable import (
    TIMER_PERSIST,
    Cable,
    FarPeer,
    NotPermittedError,
    connections,
    timer,
)
from tests.interop.conftest import lacking
from tests.interop.device import PATIENCE, Device
from tests.interop.server import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.interop.server import Server

KEEPALIVE = 1.0
DEATH = KEEPALIVE + 3 * 1.0
"""Seconds: the interval, and three probes without an answer."""

SLACK = 2.0
"""Seconds that noticing may take beyond that: one look a second, and a busy machine."""

CLOSED = 26.0
"""Seconds of a closed window after which a kernel that doubles its waits from 0.2 s is silent for
25 s: far more than DEATH, so that the test tells whether it was kept from that."""

SHORT = ("--keepalive", "1s", "--keepalive-retry", "1s")


@pytest.fixture
def cable() -> Iterator[Cable]:
    try:
        with Cable() as laid:
            yield laid
    except NotPermittedError as error:
        lacking(f"no network namespaces: {error}")


@pytest.fixture
def peers(cable: Cable) -> Iterator[Callable[..., FarPeer]]:
    with ExitStack() as stack:

        def connect(server: Server, **keywords: object) -> FarPeer:
            peer = FarPeer(cable, server.port, **keywords)
            stack.callback(peer.close)
            until(lambda: f"peer connected peer={peer.address} " in server.errors(), "not let in")
            return peer

        yield connect


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def reachable(share: Callable[..., Server], cable: Cable, **keywords: object) -> Server:
    """Start a server at the near end that listens on the cable."""
    port = free_port()
    options = ("--verbose", *SHORT, "--open", "--listen", f"{cable.NEAR}:{port}")
    server = share("raw", *options, port=port, prefix=cable.near, wait=False, **keywords)
    listening = (f":{port:04X}", "0A")
    pid = server.process.pid
    until(
        lambda: sum((row[1][8:], row[3]) == listening for row in connections(pid)) == 2,
        "it does not listen",
    )
    return server


def gone(server: Server, peer: FarPeer) -> bool:
    return f"peer gone peer={peer.address} " in server.errors()


def probes(server: Server, peer: FarPeer) -> tuple[int, float]:
    """Return with what the server's kernel will probe a peer next, and in how many seconds."""
    return timer(server.process.pid, peer.port)


@pytest.mark.slow
def test_the_dead_are_gone_in_time_and_the_living_stay(
    device: Device,
    share: Callable[..., Server],
    cable: Cable,
    peers: Callable[..., FarPeer],
    tmp_path: Path,
) -> None:
    silent_device = Device(tmp_path / "ttySILENT")
    silent, busy = reachable(share, cable, device=silent_device.path), reachable(share, cable)
    idle = peers(silent, source=cable.LOST)
    reader = peers(busy, source=cable.LOST)
    stuck = peers(busy, source=cable.LOST, reads=False, window=4096)
    alive = peers(busy, source=cable.SAFE, reads=False, window=4096)
    for _ in range(128):
        device.write(b"." * 8192)
    for peer in (stuck, alive):
        until(lambda peer=peer: probes(busy, peer)[0] == TIMER_PERSIST, "its window is open")
    time.sleep(CLOSED)
    assert not any((gone(silent, idle), gone(busy, reader), gone(busy, stuck), gone(busy, alive)))

    cable.cut()
    cut = time.monotonic()
    device.write(b"never acknowledged")
    dead = {"idle": (silent, idle), "reader": (busy, reader), "stuck": (busy, stuck)}
    times: dict[str, float] = {}
    while dead and time.monotonic() < cut + PATIENCE:
        for name in [name for name, case in dead.items() if gone(*case)]:
            times[name] = time.monotonic() - cut
            del dead[name]
        time.sleep(0.02)
    assert not dead, f"still there: {list(dead)}; gone: {times}"
    assert max(times.values()) <= DEATH + SLACK, times
    assert min(times.values()) > KEEPALIVE, times

    assert not gone(busy, alive)
    device.write(b"the end")
    alive.read_until(b"the end")
    silent_device.unplug()
