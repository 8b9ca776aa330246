"""Modem lines and fault counters, on a chip that the test plays."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from portline.line import LineFault, ModemLines
from portline.port.tty import modem
from portline.port.tty.modem import Counters
from tests.ports import Uart

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def uart(monkeypatch: pytest.MonkeyPatch) -> Iterator[Uart]:
    master, slave = os.openpty()
    yield Uart(slave, monkeypatch)
    os.close(master)
    os.close(slave)


def test_lines_and_outputs_are_read_from_the_bits_of_the_kernel() -> None:
    assert modem.lines_of(0x020) == ModemLines(cts=True)
    assert modem.lines_of(0x1C0) == ModemLines(dsr=True, dcd=True, ri=True)
    assert modem.outputs_of(0x002) == (True, False)
    assert modem.outputs_of(0x004) == (False, True)


@pytest.mark.parametrize(
    ("dtr", "rts", "call", "lines"),
    [
        (None, None, [], 0x006),
        (False, False, ["TIOCMBIC"], 0x000),
        (True, None, ["TIOCMBIS"], 0x006),
        (None, False, ["TIOCMBIC"], 0x002),
        (True, False, ["TIOCMSET"], 0x002),
        (False, True, ["TIOCMSET"], 0x004),
    ],
)
def test_both_lines_move_in_one_call(
    uart: Uart, dtr: bool | None, rts: bool | None, call: list[str], lines: int
) -> None:
    modem.drive(uart.fd, dtr=dtr, rts=rts)
    assert uart.took() == call
    assert modem.read_lines(uart.fd) == lines


def test_what_a_port_says_that_has_none(uart: Uart) -> None:
    assert modem.has_none(OSError(errno.ENOTTY, ""))
    assert modem.has_none(OSError(errno.EINVAL, ""))
    assert not modem.has_none(OSError(errno.EIO, ""))


def test_counters_are_taken_from_their_places(uart: Uart) -> None:
    uart.counters = list(range(20))
    assert modem.read_counters(uart.fd) == Counters(6, 7, 8, 9, 10)


@pytest.mark.parametrize(
    ("after", "fault"),
    [
        (Counters(1, 1, 1, 1, 1), None),
        (Counters(2, 1, 1, 1, 1), LineFault(framing=True)),
        (Counters(1, 2, 1, 1, 1), LineFault(overrun=True)),
        (Counters(1, 1, 2, 1, 1), LineFault(parity=True)),
        (Counters(1, 1, 1, 2, 1), LineFault(break_received=True)),
        (Counters(1, 1, 1, 1, 2), LineFault(overrun=True)),
        (Counters(0, 0, 0, 0, 0), LineFault(True, True, True, True)),
    ],
)
def test_faults_between_two_readings(after: Counters, fault: LineFault | None) -> None:
    assert modem.faults_between(Counters(1, 1, 1, 1, 1), after) == fault
