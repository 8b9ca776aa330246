"""A supervisor's view of terminals, and serving sides of all kinds."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from portline.errors import PortAbsent
from portline.line import LineSettings, ModemLines, Parity, PortState, SetBreak, SetLine, SetModem
from portline.port.programs import lines_client
from portline.port.programs.calls import LineCounts
from portline.port.programs.lines_client import ServedTerminal, ServedTerminals, connect
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
    from tests.conftest import Run

OPEN = PortState(LineSettings(115200), dtr=True, rts=True)


class Bench:
    """A terminal, and the test as its serving side."""

    def __init__(self) -> None:
        self.master, self.slave = os.openpty()
        self.found = os.fstat(self.slave)
        self.path = os.ttyname(self.slave)
        self.terminals = ServedTerminals()
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.setblocking(False)
        self._listening.bind(address(self.found.st_dev, self.found.st_rdev))
        self._listening.listen(2)
        self._splitter = Splitter()
        self._heard: list[Message] = []
        self._served: list[socket.socket] = []

    async def find(self) -> ServedTerminal:
        """Return the terminal, once it is known."""
        finding = asyncio.gather(self.terminals.find(self.found), self.accept())
        terminal, _ = await asyncio.wait_for(finding, 10)
        assert terminal is not None
        return terminal

    async def accept(self) -> None:
        accepted, _ = await asyncio.get_running_loop().sock_accept(self._listening)
        self._served.append(accepted)
        self.say(OPEN)

    def say(self, *messages: Message) -> None:
        self._served[-1].sendall(b"".join(map(encode, messages)))

    def noise(self, data: bytes) -> None:
        self._served[-1].sendall(data)

    async def hear(self) -> Message:
        loop = asyncio.get_running_loop()
        while not self._heard:
            data = await asyncio.wait_for(loop.sock_recv(self._served[-1], 4096), 10)
            assert data
            self._heard += map(decode, self._splitter.feed(data))
        return self._heard.pop(0)

    def hang_up(self) -> None:
        self._served.pop().close()

    def stop_listening(self) -> None:
        self._listening.close()

    def close(self) -> None:
        self.terminals.close()
        for each in (self._listening, *self._served):
            each.close()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def served(run: Run) -> Served[Bench]:
    """Return what runs a scenario with a terminal that is served."""
    return with_bench(run, Bench)


# --- finding --------------------------------------------------------------------------------------


def test_a_terminal_is_found_once(served: Any) -> None:
    async def scenario(bench: Bench) -> None:
        terminal = await bench.find()
        assert terminal.state == OPEN
        assert terminal.counts == LineCounts()
        assert await bench.terminals.find(bench.found) is terminal
        bench.hang_up()
        await until(lambda: terminal.gone)
        assert await bench.find() is not terminal
        bench.stop_listening()
        bench.hang_up()
        await until(
            lambda: bench.terminals._known and next(iter(bench.terminals._known.values())).gone
        )
        assert await bench.terminals.find(bench.found) is None

    served(scenario)


def test_a_terminal_that_nobody_serves_is_none(run: Run) -> None:
    async def scenario() -> None:
        master, slave = os.openpty()
        assert await ServedTerminals().find(os.fstat(slave)) is None
        os.close(slave)
        os.close(master)

    run(scenario())


def test_only_the_ports_that_are_named_are_found(served: Any, tmp_path: Any) -> None:
    async def scenario(bench: Bench) -> None:
        link = tmp_path / "ttyV0"
        bench.terminals = ServedTerminals([str(link)])
        assert await bench.terminals.find(bench.found) is None
        link.symlink_to(bench.path)
        await bench.find()

    served(scenario)


def test_another_users_socket_is_not_believed(served: Any) -> None:
    async def scenario(bench: Bench) -> None:
        fields = list(bench.found)
        fields[4] = os.geteuid() + 1
        theirs = os.stat_result(fields, {"st_rdev": bench.found.st_rdev})
        connected = connect(theirs)
        assert (connected is None) == (os.geteuid() != 0)
        if connected is not None:
            connected.close()

    served(scenario)


def test_a_serving_side_that_says_nothing_is_not_waited_for(
    served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines_client, "CONFIRM_LIMIT", 0.05)

    async def scenario(bench: Bench) -> None:
        assert await bench.terminals.find(bench.found) is None

    served(scenario)


# --- telling --------------------------------------------------------------------------------------


def test_what_the_program_did_counts_until_it_is_confirmed(served: Any) -> None:
    async def scenario(bench: Bench) -> None:
        terminal = await bench.find()
        told = [SetModem(rts=False), SetBreak(True), SetLine(data_bits=7, parity=Parity.EVEN)]
        for what in told:
            terminal.tell(what)
        assert str(terminal.state) == "115200-7E1 dtr=on rts=off break=on"
        assert [await bench.hear() for _ in told] == [
            Asked(number, what) for number, what in enumerate(told, start=1)
        ]
        # This crosses what was told: only the lines that the program reads are news.
        bench.say(PortState(LineSettings(115200), dtr=True, rts=True, lines=ModemLines(cts=True)))
        await until(lambda: terminal.state.lines.cts)
        assert str(terminal.state) == "115200-7E1 dtr=on rts=off break=on"
        confirmed = asyncio.ensure_future(terminal.confirmed())  # noqa: TID251 - awaited below
        bench.say(Done(1), Done(2))
        bench.say(PortState(LineSettings(115200), lines=ModemLines(dsr=True)))
        await until(lambda: terminal.state.lines.dsr)
        assert not confirmed.done()
        # The serving side has the last word.
        bench.say(PortState(LineSettings(115200, 7), dtr=True, break_on=True), Done(3), Done(99))
        await confirmed
        assert str(terminal.state) == "115200-7N1 dtr=on rts=off break=on"

    served(scenario)


def test_a_slow_confirmation_is_not_waited_for(
    served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(bench: Bench) -> None:
        terminal = await bench.find()
        monkeypatch.setattr(lines_client, "CONFIRM_LIMIT", 0.05)
        terminal.tell(SetBreak(True))
        await terminal.confirmed()
        assert terminal.state.break_on

    served(scenario)


def test_draining_takes_its_time(served: Any) -> None:
    async def scenario(bench: Bench) -> None:
        terminal = await bench.find()
        drained = asyncio.ensure_future(terminal.drained())  # noqa: TID251 - awaited below
        assert await bench.hear() == Asked(1, DrainFirst())
        await terminal.confirmed()  # does not wait for it
        assert not drained.done()
        bench.say(Done(1))
        await drained

    served(scenario)


# --- lines ----------------------------------------------------------------------------------------


def test_moves_wake_and_are_counted(served: Any) -> None:
    async def scenario(bench: Bench) -> None:
        terminal = await bench.find()
        moved = asyncio.ensure_future(terminal.moved())  # noqa: TID251 - awaited below
        await asyncio.sleep(0)
        bench.say(PortState(LineSettings(300), dtr=True))  # no line
        await until(lambda: terminal.state.settings.baudrate == 300)
        assert not moved.done()
        on, off = PortState(lines=ModemLines(cts=True, ri=True)), PortState()
        bench.say(on, off, on)
        await moved
        assert terminal.counts == LineCounts(cts=3, ri=1)

    served(scenario)


def test_who_waits_learns_that_the_serving_side_is_gone(served: Any) -> None:
    async def scenario(bench: Bench) -> None:
        terminal = await bench.find()
        terminal.tell(SetBreak(True))
        waits = asyncio.gather(
            terminal.moved(), terminal.confirmed(), terminal.drained(), return_exceptions=True
        )
        await asyncio.sleep(0)
        bench.hang_up()
        moved, *others = await asyncio.wait_for(waits, 10)
        assert isinstance(moved, PortAbsent)
        assert others == [None, None]
        terminal.tell(SetBreak(False))
        await terminal.confirmed()
        await terminal.drained()
        with pytest.raises(PortAbsent, match="no longer served"):
            await terminal.moved()

    served(scenario)


@pytest.mark.parametrize("noise", [b"hello\n", encode(Asked(1, SetBreak(True)))])
def test_a_serving_side_that_breaks_the_protocol_is_left(
    served: Any, noise: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(bench: Bench) -> None:
        terminal = await bench.find()
        bench.noise(noise)
        await until(lambda: terminal.gone)

    served(scenario)
    assert "the serving side cannot be understood" in caplog.text


def test_a_serving_side_that_does_not_read_is_left(served: Any) -> None:
    async def scenario(bench: Bench) -> None:
        terminal = await bench.find()
        for _ in range(100_000):
            terminal.tell(SetModem(rts=True))
            if terminal.gone:
                break
        assert terminal.gone

    served(scenario)
