"""A port and a link without a machine behind them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from portline.errors import PortError
from portline.line import (
    LineFault,
    LineSettings,
    PortState,
    Purge,
    Report,
    Request,
    SetBreak,
    SetLine,
    SetModem,
)
from portline.net.link import LinkOwner
from portline.port.application import Application
from portline.port.base import REAL, REQUEST_COST, PortOwner, unanswered
from portline.port.hardware import Hardware
from portline.port.ladder import PTY


class MemoryPort:
    """A port that remembers what happened to it; ``happened`` is the transcript."""

    name = "memory"
    path: str | None = "/dev/memory"

    def __init__(
        self, owner: PortOwner, state: PortState | None = None, *, virtual: bool = False
    ) -> None:
        self.owner = owner
        self.state = state or PortState()
        self.application = Application(self.state.settings, owner.port_report) if virtual else None
        self.has_lines = True
        self.hardware: Hardware | None = None
        self.capabilities = PTY if virtual else REAL
        self.refused = 0
        self.trouble: PortError | None = None
        self.discarded = 0
        self.queued = 0
        self.written = b""
        self.sent = 0
        self.happened: list[object] = []
        self.watched = (False, False)
        self.paused = False
        self.opened = False
        self.failure: PortError | None = None
        self.hold = False
        self.waiting: list[tuple[Request, Callable[[PortState], None]]] = []

    def use(self, in_use: bool) -> None:
        """Let an application open or close the port, which is virtual."""
        assert self.application is not None
        self.application.there = in_use
        self.owner.port_in_use(in_use)

    def open(self) -> None:
        if self.failure is not None:
            raise self.failure
        self.opened = True
        self.happened.append("open")

    def close(self) -> None:
        self.opened = False
        self.happened.append("close")

    def leave(self, kept: bytes, *, named: bool) -> bool:
        return False

    def write(self, data: bytes) -> None:
        self.written += data
        self.sent += len(data)

    def submit(self, request: Request, done: Callable[[PortState], None] = unanswered) -> None:
        self.happened.append(request)
        self.waiting.append((request, done))
        self.queued += REQUEST_COST
        if not self.hold:
            self.carry_out()

    def configure(self, settings: LineSettings, done: Callable[[PortState], None]) -> None:
        self.submit(SetLine.everything(settings), done)

    def carry_out(self) -> None:
        """Do what was submitted while ``hold`` was on."""
        waiting, self.waiting = self.waiting, []
        for request, done in waiting:
            self.queued = max(0, self.queued - REQUEST_COST)
            state = self.state
            match request:
                case SetLine():
                    state = replace(state, settings=request.applied_to(state.settings))
                case SetModem():
                    state = request.applied_to(state)
                case SetBreak(on=on):
                    state = replace(state, break_on=on)
                case Purge(unsent=True):
                    self.queued = 0
            self.state = state
            done(state)

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def show_fault(self, fault: LineFault) -> None:
        self.happened.append(fault)

    def watch(self, *, modem_lines: bool, faults: bool) -> None:
        self.watched = (modem_lines, faults)

    def say(self, report: Report) -> None:
        self.owner.port_report(report)


class MemoryLink:
    """A link whose kernel takes ``room`` bytes; the rest waits until ``make_room``."""

    name = "127.0.0.1:50000"

    def __init__(self, room: int = 1 << 30) -> None:
        self.room = room
        self.sent_bytes = b""
        self.segments: list[bytes] = []
        self.rest = b""
        self.sent = 0
        self.received = 0
        self.lost = 0
        self.read_size = 65536
        self.gather = 65536
        self.refusal = ""
        self.hears = True
        self.paused = False
        self.ended: str | None = None
        self.owner: LinkOwner | None = None
        self.doubtful = False

    def retain(self, *, doubtful: bool = False) -> None:
        self.doubtful = doubtful

    def trust(self) -> None:
        self.doubtful = False

    def unacknowledged(self) -> tuple[bytes, int]:
        got = self.sent_bytes if self.doubtful else b""
        return got + self.rest, len(got)

    @property
    def unsent(self) -> int:
        return len(self.rest)

    @property
    def acked(self) -> int:
        return self.sent

    def arrived(self, quiet: float) -> int:
        return self.sent

    def when_closed(self, call: Callable[[], object]) -> None:
        call()

    def start(self, owner: LinkOwner) -> None:
        self.owner = owner

    def write(self, data: bytes) -> bool:
        self.rest += data
        self.segments.append(data)
        return self.make_room(0)

    def make_room(self, room: int) -> bool:
        self.room += room
        taken = self.rest[: self.room]
        self.rest = self.rest[len(taken) :]
        self.room -= len(taken)
        self.sent_bytes += taken
        self.sent += len(taken)
        if room and not self.rest and self.owner is not None:
            self.owner.link_ready()
        return not self.rest

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def finish(self, farewell: bytes = b"", limit: float = 1.0) -> None:
        self.sent_bytes += self.rest + farewell
        self.ended = "finish"

    def abort(self) -> None:
        self.ended = "abort"
