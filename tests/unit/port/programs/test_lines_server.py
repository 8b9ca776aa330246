"""The serving side of a terminal, and supervisors that talk to it."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from portline.line import LineSettings, ModemLines, PortState, SetBreak, SetLine, SetModem
from portline.port.programs import lines_server
from portline.port.programs.lines_server import LinesServer
from portline.port.programs.lines_wire import (
    Asked,
    Done,
    DrainFirst,
    Message,
    Splitter,
    address,
    decode,
    encode,
)
from tests.unit.port.scenarios import Served, with_bench
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from portline.port.programs.terminal import Action
    from tests.conftest import Run


class Port:
    """A virtual port that does what it is told."""

    name = "port"

    def __init__(self) -> None:
        self.application_state = PortState(LineSettings(115200), dtr=True, rts=True)
        self.did: list[Action] = []
        self.read = True
        self.looks = 0
        self.taken = 0
        self.draining: list[Callable[[], None]] = []

    def application_did(self, what: Action) -> None:
        self.did.append(what)
        if isinstance(what, SetModem):
            self.application_state = what.applied_to(self.application_state)

    def all_read(self) -> bool:
        self.looks += 1
        return self.read

    def drain(self, done: Callable[[], None]) -> None:
        self.draining.append(done)

    def has_left(self) -> None:
        self.draining.pop(0)()


class Supervisor:
    """What talks to the server: whole messages, one after the other."""

    def __init__(self, terminal: str) -> None:
        found = os.stat(terminal)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.setblocking(False)
        try:
            self.socket.connect(address(found.st_dev, found.st_rdev))
        except OSError:
            self.socket.close()
            raise
        self._splitter = Splitter()
        self._messages: list[Message] = []

    def say(self, *messages: Message) -> None:
        self.socket.sendall(b"".join(map(encode, messages)))

    async def hear(self) -> Message:
        loop = asyncio.get_running_loop()
        while not self._messages:
            data = await asyncio.wait_for(loop.sock_recv(self.socket, 4096), 10)
            if not data:
                raise EOFError
            self._messages += map(decode, self._splitter.feed(data))
        return self._messages.pop(0)

    async def is_left(self) -> bool:
        try:
            while True:
                await self.hear()
        except (EOFError, ConnectionResetError):
            return True


class Bench:
    def __init__(self) -> None:
        self.master, slave = os.openpty()
        self.terminal = os.ttyname(slave)
        os.close(slave)
        self.port = Port()
        self.server = LinesServer(self.port, asyncio.get_running_loop())
        self.server.serve(self.terminal)
        self.supervisors: list[Supervisor] = []

    def supervisor(self) -> Supervisor:
        made = Supervisor(self.terminal)
        self.supervisors.append(made)
        return made

    def close(self) -> None:
        self.server.close()
        os.close(self.master)
        for supervisor in self.supervisors:
            supervisor.socket.close()


@pytest.fixture
def served(run: Run) -> Served[Bench]:
    """Return what runs a scenario with a terminal that is served."""
    return with_bench(run, Bench)


def test_a_supervisor_hears_the_state_at_first_and_when_it_changes(served: Any) -> None:
    async def scenario(bench: Bench) -> None:
        supervisor = bench.supervisor()
        assert not bench.server.attended
        assert await supervisor.hear() == bench.port.application_state
        assert bench.server.attended
        bench.server.changed()  # nothing is different
        lines = ModemLines(cts=True)
        bench.port.application_state = replace(bench.port.application_state, lines=lines)
        bench.server.changed()
        assert await supervisor.hear() == bench.port.application_state

    served(scenario)


def test_what_a_program_did_is_confirmed_after_what_it_led_to(served: Any) -> None:
    async def scenario(bench: Bench) -> None:
        supervisor = bench.supervisor()
        await supervisor.hear()
        did = [SetModem(rts=False), SetBreak(True), SetLine(data_bits=7)]
        supervisor.say(*(Asked(number, what) for number, what in enumerate(did)))
        assert await supervisor.hear() == bench.port.application_state
        assert not bench.port.application_state.rts
        assert [await supervisor.hear() for _ in did] == [Done(0), Done(1), Done(2)]
        assert bench.port.did == did

    served(scenario)


def test_the_others_hear_it_too(served: Any) -> None:
    async def scenario(bench: Bench) -> None:
        one, other = bench.supervisor(), bench.supervisor()
        await one.hear()
        await other.hear()
        one.say(Asked(1, SetModem(dtr=False)))
        await one.hear()
        bench.server.changed()  # what the port does
        assert await other.hear() == bench.port.application_state

    served(scenario)


def test_a_drain_ends_when_all_is_read_and_has_left(served: Any) -> None:
    async def scenario(bench: Bench) -> None:
        supervisor, port = bench.supervisor(), bench.port
        await supervisor.hear()
        port.read = False
        supervisor.say(Asked(2, DrainFirst()), Asked(3, DrainFirst()), Asked(4, SetBreak(True)))
        assert await supervisor.hear() == Done(4)
        looks = port.looks
        await until(lambda: port.looks > looks + 2)
        assert not port.draining
        port.read = True
        await until(lambda: port.draining)
        supervisor.say(Asked(5, SetBreak(False)))
        assert await supervisor.hear() == Done(5)
        port.has_left()
        assert [await supervisor.hear(), await supervisor.hear()] == [Done(2), Done(3)]

    served(scenario)


def test_a_later_drain_waits_for_what_was_written_before_it(served: Any) -> None:
    async def scenario(bench: Bench) -> None:
        supervisor, port = bench.supervisor(), bench.port
        await supervisor.hear()
        supervisor.say(Asked(1, DrainFirst()), Asked(2, DrainFirst()), Asked(3, DrainFirst()))
        supervisor.say(Asked(4, SetBreak(True)))
        assert await supervisor.hear() == Done(4)
        assert len(port.draining) == 1
        port.has_left()
        assert await supervisor.hear() == Done(1)
        assert len(port.draining) == 1
        port.has_left()
        assert [await supervisor.hear(), await supervisor.hear()] == [Done(2), Done(3)]
        assert not port.draining

    served(scenario)


def test_the_oldest_of_too_many_drains_is_answered(
    served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines_server, "DRAINS_MAX", 1)

    async def scenario(bench: Bench) -> None:
        supervisor, port = bench.supervisor(), bench.port
        await supervisor.hear()
        for first, read in ((1, True), (3, False)):
            port.read = read
            supervisor.say(Asked(first, DrainFirst()), Asked(first + 1, DrainFirst()))
            assert await supervisor.hear() == Done(first)
            port.read = True
            if first == 1:
                port.has_left()  # the one that is answered already
            await until(lambda: port.draining)
            port.has_left()
            assert await supervisor.hear() == Done(first + 1)

    served(scenario)


def test_a_drain_gives_up_where_nothing_is_read(
    served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines_server, "STALL_LIMIT", 10 * lines_server.DRAIN_POLL)

    async def scenario(bench: Bench) -> None:
        supervisor, port = bench.supervisor(), bench.port
        await supervisor.hear()
        port.read = False
        supervisor.say(Asked(1, DrainFirst()))
        assert await supervisor.hear() == Done(1)
        assert not port.draining

    served(scenario)


def test_who_leaves_while_it_drains_is_forgotten(served: Any) -> None:
    async def scenario(bench: Bench) -> None:
        supervisor, port = bench.supervisor(), bench.port
        await supervisor.hear()
        supervisor.say(Asked(1, DrainFirst()), Asked(2, DrainFirst()))
        await until(lambda: port.draining)
        supervisor.socket.close()
        await until(lambda: not bench.server.attended)
        port.has_left()
        assert not port.draining

    served(scenario)


@pytest.mark.parametrize("noise", [b"hello\n", encode(Done(1)), b"x" * 2000])
def test_who_does_not_speak_the_protocol_is_left(
    served: Any, noise: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(bench: Bench) -> None:
        supervisor = bench.supervisor()
        supervisor.socket.sendall(noise)
        assert await supervisor.is_left()

    served(scenario)
    assert "port: a supervisor cannot be understood" in caplog.text


def test_who_does_not_read_is_left(served: Any) -> None:
    async def scenario(bench: Bench) -> None:
        bench.supervisor()
        await until(lambda: bench.server.attended)
        for number in range(10_000):
            bench.port.application_state = PortState(LineSettings(50 + number))
            bench.server.changed()
        assert not bench.server.attended

    served(scenario)


def test_supervisors_are_bounded(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_server, "CLIENTS_MAX", 1)

    async def scenario(bench: Bench) -> None:
        first = bench.supervisor()
        await first.hear()
        assert await bench.supervisor().is_left()
        first.say(Asked(1, SetBreak(True)))
        assert await first.hear() == Done(1)

    served(scenario)


def test_without_descriptors_supervisors_wait(
    served: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lines_server, "REST", 0.01)

    def refuse(self: socket.socket) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    async def scenario(bench: Bench) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(socket.socket, "accept", refuse)
            supervisor = bench.supervisor()
            await until(lambda: "has to wait: Too many" in caplog.text)
        await supervisor.hear()

    served(scenario)


def test_a_terminal_that_is_gone_is_nobodys() -> None:
    assert not lines_server._may_open(cast("socket.socket", Peer(0, 0)), "/dev/pts/gone")


def test_closing_leaves_nothing(served: Any) -> None:
    async def scenario(bench: Bench) -> None:
        supervisor = bench.supervisor()
        await supervisor.hear()
        bench.server.close()
        bench.server.close()
        assert await supervisor.is_left()
        with pytest.raises(ConnectionRefusedError):
            bench.supervisor()
        bench.server.serve(bench.terminal)
        await bench.supervisor().hear()

    served(scenario)


def test_a_port_works_without(run: Run, caplog: pytest.LogCaptureFixture, tmp_path: Any) -> None:
    async def scenario() -> None:
        bench = Bench()
        other = LinesServer(bench.port, asyncio.get_running_loop())
        other.serve(bench.terminal)  # somebody has the name
        other.serve(str(tmp_path / "gone"))
        other.close()
        bench.close()

    run(scenario())
    assert caplog.text.count("`portline run` cannot emulate it") == 2


# --- who may --------------------------------------------------------------------------------------


class Peer:
    """A socket whose other end belongs to somebody."""

    def __init__(self, user: int, group: int, *others: int) -> None:
        self._answers = {
            socket.SO_PEERCRED: struct.pack("=3i", 1, user, group),
            lines_server.SO_PEERGROUPS: struct.pack(f"={len(others)}I", *others),
        }
        self._refuses = not others

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        if option == lines_server.SO_PEERGROUPS and self._refuses:
            raise OSError("an old kernel")
        return self._answers[option]


@pytest.mark.parametrize(
    ("mode", "peer", "may"),
    [
        (0o600, Peer(0, 0), True),
        (0o600, Peer(1000, 1000), True),
        (0o600, Peer(1001, 20), False),
        (0o620, Peer(1001, 20), True),
        (0o660, Peer(1001, 1001, 20, 27), True),
        (0o660, Peer(1001, 1001, 27), False),
        (0o640, Peer(1001, 20), False),
        (0o662, Peer(1001, 1001), True),
    ],
)
def test_who_may_open_the_terminal_may_talk_about_it(
    monkeypatch: pytest.MonkeyPatch, mode: int, peer: Peer, may: bool
) -> None:
    found = os.stat_result((0o020000 | mode, 0, 0, 1, 1000, 20, 0, 0, 0, 0))
    monkeypatch.setattr(os, "stat", lambda path: found)
    assert lines_server._may_open(cast("socket.socket", peer), "/dev/pts/1") is may
