"""The lines of a real port at every moment of a connection, down to what the driver is asked for.

The chip behind the terminal does what Linux does: opening raises both outputs (tty_port.c,
``tty_port_raise_dtr_rts``), closing drops them only if HUPCL is set.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from typing import TYPE_CHECKING, Any

import pytest

from portline.config.models import ServerConnection
from portline.port.tty import device as tty
from portline.port.tty import port as serial
from portline.port.tty.termios2 import HUPCL, read_attributes
from portline.service.connection import Connection
from tests.peers import Peer
from tests.ports import DeviceBench, Uart
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Run

DTR, RTS = 0x002, 0x004
LEVELS = ("high", "low", "leave")


class Chip(Uart):
    """Modem lines for a terminal, whoever opens it; ``history`` is each state of DTR and RTS."""

    def __init__(self, terminal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.device = os.stat(terminal).st_rdev
        super().__init__(-1, monkeypatch)
        self.lines = 0
        self.history = [0]
        open_node, close_node = serial.open_node, serial.close_node

        def opened(name: str, *, exclusive: bool) -> tuple[int, str]:
            fd, path = open_node(name, exclusive=exclusive)
            self.lines |= DTR | RTS
            self.note()
            return fd, path

        def closed(fd: int) -> None:
            if read_attributes(fd).cflag & HUPCL:
                self.lines &= ~(DTR | RTS)
            self.note()
            close_node(fd)

        monkeypatch.setattr(serial, "open_node", opened)
        monkeypatch.setattr(serial, "close_node", closed)
        monkeypatch.setattr(tty, "is_pty", lambda fd: False)

    def note(self) -> None:
        if self.lines & (DTR | RTS) != self.history[-1]:
            self.history.append(self.lines & (DTR | RTS))

    def _ioctl(self, fd: int, request: int, argument: bytes | int = 0) -> Any:
        if os.fstat(fd).st_rdev == self.device:
            self.fd = fd
        answer = super()._ioctl(fd, request, argument)
        self.note()
        return answer

    def edges(self) -> list[int]:
        """Return the states since this was last called, and how they came about: one ioctl each."""
        states, self.history = self.history[1:], self.history[-1:]
        drives = [name for name in self.took() if name in ("TIOCMBIS", "TIOCMBIC", "TIOCMSET")]
        assert len(drives) <= len(states)
        return states


class Stage:
    """A connection on a chip; the test comes and goes as its peers."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, **options: object) -> None:
        self.bench = DeviceBench(folder)
        self.chip = Chip(self.bench.link, monkeypatch)
        config = ServerConnection.model_validate(
            {"port": str(self.bench.link), "listen": "127.0.0.1:0", **options}
        )
        self.connection = Connection("meter", config, asyncio.get_running_loop())
        self.connection.start()

    async def peer(self) -> Peer:
        count = len(self.connection.hub.peers)
        peer = Peer(int(self.connection.network.entrance.listeners[0].address.rpartition(":")[2]))
        await until(lambda: len(self.connection.hub.peers) > count)
        return peer

    async def gone(self, peer: Peer) -> None:
        count = len(self.connection.hub.peers)
        peer.close()
        await until(lambda: len(self.connection.hub.peers) < count)
        await until(lambda: not self.connection.port.queued)

    async def end(self) -> None:
        self.connection.stop(0.0)
        await until(lambda: not self.connection.port.queued)
        self.connection.close()
        self.bench.close()


def driven(state: int, dtr: str, rts: str) -> int:
    """Return what two levels make of a state."""
    for level, line in ((dtr, DTR), (rts, RTS)):
        if level != "leave":
            state = state | line if level == "high" else state & ~line
    return state


@pytest.mark.parametrize(
    ("connected", "disconnected"),
    list(itertools.product(itertools.product(LEVELS, LEVELS), repeat=2)),
)
def test_each_moment_moves_the_lines_at_most_once_and_only_where_it_has_to(
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    connected: tuple[str, str],
    disconnected: tuple[str, str],
) -> None:
    async def scenario() -> None:
        stage = Stage(
            tmp_path,
            monkeypatch,
            dtr_connected=connected[0],
            rts_connected=connected[1],
            dtr_disconnected=disconnected[0],
            rts_disconnected=disconnected[1],
        )
        vacant = driven(DTR | RTS, *disconnected)
        occupied = driven(vacant, *connected)
        later = driven(occupied, *disconnected)
        chip = stage.chip
        assert chip.edges() == [DTR | RTS, *[vacant] * (vacant != DTR | RTS)]
        first = await stage.peer()
        second = await stage.peer()
        assert chip.edges() == [occupied] * (occupied != vacant)
        await stage.gone(first)
        assert chip.edges() == []
        await stage.gone(second)
        assert chip.edges() == [later] * (later != occupied)
        await stage.end()
        assert chip.edges() == []

    run(scenario())


@pytest.mark.parametrize("level", ["high", "leave"])
def test_a_line_that_stays_high_survives_closing_and_opening_the_port(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: str
) -> None:
    async def scenario() -> None:
        levels = {"dtr_connected": level, "dtr_disconnected": level, "rts_disconnected": level}
        stage = Stage(tmp_path, monkeypatch, open_when_connected=True, **levels)
        assert stage.chip.edges() == []
        for expected in ([DTR | RTS], [], []):
            peer = await stage.peer()
            await stage.gone(peer)
            await until(lambda: not stage.connection.keeper.open)
            assert stage.chip.edges() == expected
        await stage.end()
        assert stage.chip.edges() == []

    run(scenario())


def test_a_line_that_stays_low_has_the_pulse_that_the_kernel_makes_at_opening(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        levels = {"dtr_connected": "low", "dtr_disconnected": "low"}
        stage = Stage(tmp_path, monkeypatch, open_when_connected=True, **levels)
        peer = await stage.peer()
        assert stage.chip.edges() == [DTR | RTS, RTS]
        await stage.gone(peer)
        await until(lambda: not stage.connection.keeper.open)
        assert stage.chip.edges() == []
        await stage.end()

    run(scenario())
