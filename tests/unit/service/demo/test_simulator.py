from __future__ import annotations

import asyncio
import os
import termios
import tty
from collections.abc import Awaitable, Callable

import pytest

from portline.service.demo import instrument
from portline.service.demo import simulator as module
from portline.service.demo.instrument import Instrument, sentence
from portline.service.demo.simulator import WAITING_LIMIT, Simulator

LIMIT = 20.0
"""Seconds after which a scene has failed."""


def play(scene: Callable[[Simulator], Awaitable[None]]) -> Simulator:
    simulator = Simulator()

    async def run() -> None:
        simulator.start()
        try:
            await asyncio.wait_for(scene(simulator), LIMIT)
        finally:
            simulator.stop()

    asyncio.run(run())
    return simulator


class Terminal:
    """The slave as a program has it open."""

    def __init__(self, path: str) -> None:
        self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)

    def set_speed(self, speed: int) -> None:
        settings = termios.tcgetattr(self.fd)
        settings[4] = settings[5] = speed
        termios.tcsetattr(self.fd, termios.TCSANOW, settings)

    async def read(self, count: int) -> tuple[bytes, float]:
        """Return so many bytes, and the seconds from the first to the last of them."""
        loop = asyncio.get_running_loop()
        data, first = b"", 0.0
        while len(data) < count:
            ready = loop.create_future()
            loop.add_reader(self.fd, lambda ready=ready: ready.done() or ready.set_result(None))
            try:
                await ready
            finally:
                loop.remove_reader(self.fd)
            first = first or loop.time()
            data += os.read(self.fd, count - len(data))
        return data, loop.time() - first


def test_a_program_talks_with_the_instrument() -> None:
    async def scene(simulator: Simulator) -> None:
        with Terminal(simulator.path) as terminal:
            os.write(terminal.fd, b"TALK OFF\nTALK?\n")
            assert (await terminal.read(3))[0] == b"0\r\n"
            os.write(terminal.fd, b"*IDN?\n")
            assert (await terminal.read(40))[0] == b"Portline,Simulated instrument,0001,1.0\r\n"

    play(scene)


def test_the_instrument_talks_by_itself() -> None:
    async def scene(simulator: Simulator) -> None:
        with Terminal(simulator.path) as terminal:
            assert (await terminal.read(6))[0] == b"$WIMWV"

    play(scene)


def test_it_begins_raw_at_4800_without_echo() -> None:
    async def scene(simulator: Simulator) -> None:
        with Terminal(simulator.path) as terminal:
            settings = termios.tcgetattr(terminal.fd)
            assert settings[4:6] == [termios.B4800, termios.B4800]
            assert settings[tty.LFLAG] & (termios.ECHO | termios.ICANON) == 0

    play(scene)


def test_the_baudrate_of_the_terminal_is_the_speed_of_the_instrument() -> None:
    async def scene(simulator: Simulator) -> None:
        with Terminal(simulator.path) as terminal:
            terminal.set_speed(termios.B600)
            os.write(terminal.fd, b"TALK OFF\n*IDN?\n")
            _, slow = await terminal.read(40)
            # 39 characters of 10 bits after the first; the line may be late but never early.
            assert slow >= 39 * 10 / 600 - 2 * module.SLICE

    play(scene)


def test_a_round_that_is_due_while_it_still_talks_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(instrument, "PERIOD", 0.01)

    async def scene(simulator: Simulator) -> None:
        with Terminal(simulator.path) as terminal:
            terminal.set_speed(termios.B38400)
            data, _ = await terminal.read(2000)
            for line in data.split(b"\r\n")[:-1]:
                assert sentence(line[1:-3].decode()) == line + b"\r\n"

    assert play(scene).lost == 0


def test_a_line_that_is_hung_up_carries_nothing() -> None:
    async def scene(simulator: Simulator) -> None:
        with Terminal(simulator.path) as terminal:
            terminal.set_speed(termios.B0)
            os.write(terminal.fd, b"*IDN?\n")
            while simulator.lost < 40:
                await asyncio.sleep(0.005)
            terminal.set_speed(termios.B38400)
            os.write(terminal.fd, b"OUTP?\n")
            assert (await terminal.read(3))[0] == b"1\r\n"

    play(scene)


def test_what_does_not_fit_is_lost_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Instrument, "feed", lambda *_: b"x" * (WAITING_LIMIT + 7))
    monkeypatch.setattr(Instrument, "deadline", lambda _: None)

    async def scene(simulator: Simulator) -> None:
        with Terminal(simulator.path) as terminal:
            terminal.set_speed(termios.B38400)
            os.write(terminal.fd, b"?")
            while simulator.lost < 7:
                await asyncio.sleep(0.005)

    assert play(scene).lost == 7


def test_nobody_reads_and_the_instrument_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, data: bytes) -> int:
        raise BlockingIOError

    async def scene(simulator: Simulator) -> None:
        monkeypatch.setattr(module.os, "write", full)
        while not simulator.lost:
            await asyncio.sleep(0.005)

    play(scene)


def test_a_broken_terminal_does_not_spin_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []

    def fail(fd: int, size: int) -> bytes:
        reads.append(fd)
        raise BlockingIOError if len(reads) == 1 else OSError(5, "Input/output error")

    async def scene(simulator: Simulator) -> None:
        with Terminal(simulator.path) as terminal:
            os.write(terminal.fd, b"?")
            monkeypatch.setattr(module.os, "read", fail)
            while len(reads) < 2:
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.05)
        monkeypatch.undo()

    play(scene)
    assert len(reads) == 2


def test_nothing_is_left_behind() -> None:
    before = len(os.listdir("/proc/self/fd"))

    async def scene(simulator: Simulator) -> None:
        assert os.path.exists(simulator.path)

    simulator = play(scene)
    simulator.stop()
    assert not os.path.exists(simulator.path)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_terminal_that_cannot_be_prepared_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(fd: int) -> str:
        raise OSError(25, "Inappropriate ioctl for device")

    async def run() -> None:
        with pytest.raises(OSError, match="Inappropriate"):
            Simulator().start()

    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(module.os, "ttyname", refuse)
    asyncio.run(run())
    assert len(os.listdir("/proc/self/fd")) == before
