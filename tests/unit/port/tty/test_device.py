"""One open tty: what it does, what it refuses, and what is in force then."""

from __future__ import annotations

import fcntl
import os
import termios
import tty as standard
from typing import TYPE_CHECKING

import pytest

from portline.line import FlowControl, LineSettings, ModemLines, Parity, SetModem, StopBits
from portline.port.tty import device as module
from portline.port.tty.device import Tty, differences
from tests.ports import Uart

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    master, slave = os.openpty()
    standard.setraw(slave)
    os.set_blocking(master, False)
    yield master, slave
    os.close(master)
    os.close(slave)


@pytest.fixture
def uart(terminal: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> Uart:
    monkeypatch.setattr(module, "is_pty", lambda fd: False)
    return Uart(terminal[1], monkeypatch)


def test_differences_are_named_in_order() -> None:
    asked = LineSettings(1200, 7, Parity.EVEN, StopBits.TWO, FlowControl.HARDWARE)
    assert differences(asked, asked) == []
    assert differences(asked, LineSettings(9600)) == [
        "baudrate",
        "data_bits",
        "parity",
        "stop_bits",
        "flow_control",
    ]
    one_way = LineSettings(inbound_flow=FlowControl.XON_XOFF)
    assert differences(one_way, LineSettings()) == ["inbound_flow"]


def test_a_pty_does_what_it_can_and_says_so(terminal: tuple[int, int]) -> None:
    line = Tty(terminal[1])
    assert not line.drains
    assert line.configure(LineSettings(19200, stop_bits=StopBits.TWO)) == []
    assert line.configure(LineSettings(4800, 7, Parity.EVEN)) == ["data_bits", "parity"]
    assert line.settings == LineSettings(4800)
    assert line.refused == 1


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        (LineSettings(0), "baudrate"),
        (LineSettings(1 << 32), "baudrate"),
        (LineSettings(data_bits=9), "data_bits"),
    ],
)
def test_what_cannot_even_be_said(
    terminal: tuple[int, int], asked: LineSettings, name: str
) -> None:
    line = Tty(terminal[1])
    before = line.settings
    assert line.configure(asked) == [name]
    assert (line.settings, line.refused) == (before, 1)


def test_settings_that_are_in_force_already_are_not_written(
    terminal: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = Tty(terminal[1])
    line.configure(LineSettings(12345))
    monkeypatch.setattr(module, "write_attributes", lambda *_: pytest.fail("written"))
    assert line.configure(LineSettings(12345)) == []


def test_a_driver_that_fails_keeps_what_was_in_force(
    terminal: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = Tty(terminal[1])
    line.configure(LineSettings(9600))

    def fail(*_: object) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(module, "write_attributes", fail)
    assert line.configure(LineSettings(4800)) == ["baudrate"]
    assert (line.settings, line.refused) == (LineSettings(9600), 1)


def test_received_data_survives_new_settings(terminal: tuple[int, int]) -> None:
    master, slave = terminal
    line = Tty(slave)
    os.write(master, b"before ")
    line.configure(LineSettings(4800))
    os.write(master, b"after")
    found = b""
    while len(found) < len(b"before after"):
        found += os.read(slave, 100)
    assert found == b"before after"


def test_without_lines_the_outputs_are_what_was_asked(terminal: tuple[int, int]) -> None:
    line = Tty(terminal[1])
    assert not line.has_lines
    line.drive(SetModem(dtr=False))
    assert (line.dtr, line.rts, line.lines, line.refused) == (False, True, ModemLines(), 0)


def test_lines_move_only_when_they_change(uart: Uart) -> None:
    line = Tty(uart.fd)
    assert (line.dtr, line.rts) == (True, True)
    uart.took()
    line.drive(SetModem(dtr=True, rts=True))
    assert uart.took() == []
    line.drive(SetModem(dtr=False, rts=True))
    assert uart.took() == ["TIOCMBIC"]
    line.drive(SetModem(dtr=True, rts=False))
    assert uart.took() == ["TIOCMSET"]
    assert (line.dtr, line.rts) == (True, False)


def test_lines_that_are_refused_stay(uart: Uart) -> None:
    line = Tty(uart.fd)
    uart.broken = {"TIOCMBIC"}
    line.drive(SetModem(dtr=False))
    assert (line.dtr, line.refused) == (True, 1)


def test_inputs(uart: Uart) -> None:
    line = Tty(uart.fd)
    uart.lines |= 0x20
    assert line.read_modem_lines() == ModemLines(cts=True)
    uart.broken = {"TIOCMGET"}
    assert line.read_modem_lines() == ModemLines(cts=True)
    assert line.has_lines


def test_breaks(uart: Uart) -> None:
    line = Tty(uart.fd)
    uart.took()
    assert line.set_break(True)
    assert line.set_break(True)
    assert line.break_on
    assert line.set_break(False)
    assert uart.took() == ["TIOCSBRK", "TIOCCBRK"]
    uart.broken = {"TIOCSBRK"}
    assert not line.set_break(True)
    assert (line.break_on, line.refused) == (False, 1)


def test_what_waits_to_be_sent(uart: Uart) -> None:
    line = Tty(uart.fd)
    uart.unsent = 17
    assert line.unsent() == 17
    uart.broken = {"TIOCOUTQ"}
    assert line.unsent() == 0


def test_a_transmitter_that_tells(uart: Uart) -> None:
    line = Tty(uart.fd)
    uart.transmitter_empty = True
    assert line.empty() is True
    uart.transmitter_empty = False
    assert line.empty() is False


def test_a_transmitter_that_does_not_tell_is_asked_once(uart: Uart) -> None:
    line = Tty(uart.fd)
    uart.calls.clear()
    assert line.empty() is None
    assert line.empty() is None
    assert uart.calls == ["TIOCSERGETLSR"]


def test_queues_are_emptied(terminal: tuple[int, int]) -> None:
    master, slave = terminal
    line = Tty(slave)
    os.write(master, b"old")
    while line.received() < 3:
        pass
    line.drop_received()
    assert line.received() == 0
    assert line.refused == 0


def test_unsent_data_is_dropped_by_the_kernel(
    terminal: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = Tty(terminal[1])
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr(fcntl, "ioctl", lambda *arguments: calls.append(arguments))
    line.drop_unsent()
    assert calls == [(terminal[1], termios.TCFLSH, termios.TCOFLUSH)]


def test_a_tty_that_is_gone_answers_everything() -> None:
    master, slave = os.openpty()
    line = Tty(slave)
    os.close(master)
    before = line.settings
    assert line.configure(LineSettings(4800))[0] == "baudrate"
    assert not line.set_break(True)
    line.drop_received()
    assert (line.unsent(), line.received(), line.settings) == (0, 0, before)
    assert line.refused == 3
    os.close(slave)
