"""One rung of the ladder with a device behind it, for programs that know only a serial port.

The device is the test: it sees what the program sets and drives, as far as the rung lets it pass.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from portline.line import LineSettings, Parity, StopBits
from tests.interop.device import PATIENCE
from tests.interop.server import DEVELOPER_MODE
from tests.interop.telnet_client import TelnetClient, command, escape
from tests.interop.test_signal_lines import (
    CTS,
    DCD,
    DSR,
    DTR_OFF,
    DTR_ON,
    RTS_OFF,
    RTS_ON,
    AccessServer,
)
from tests.usb_double import UsbDouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from portline.line import Report

    Play = Callable[[bytes], bytes]

__all__ = ["RUNGS", "NetworkRung", "Rung", "UsbRung"]

RUNGS = [
    "pty",
    "run",
    pytest.param("usbip", marks=pytest.mark.lab),
    pytest.param("cuse", marks=[pytest.mark.lab, pytest.mark.long]),
]
"""The values of the fixture ``made_rung``."""

SET_BAUDRATE, SET_DATASIZE, SET_PARITY, SET_STOPSIZE, SET_CONTROL, PURGE = 1, 2, 3, 4, 5, 12
BREAK_ON = 5
PARITIES = {1: Parity.NONE, 2: Parity.ODD, 3: Parity.EVEN, 4: Parity.MARK, 5: Parity.SPACE}
STOPS = {1: StopBits.ONE, 2: StopBits.TWO, 3: StopBits.ONE_AND_A_HALF}


class Rung:
    """A port at ``path``; ``prefix`` is what to put before a program."""

    kind = ""
    """Which of RUNGS it is."""

    whole = True
    """Whether everything passes: all settings, the signal lines, and breaks."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.prefix: list[str] = []
        self.received = bytearray()
        self.driven: list[tuple[bool, bool]] = []
        """DTR and RTS, each time that one of them moved."""
        self._play: Play | None = None
        self._plug = False

    @property
    def settings(self) -> LineSettings:
        raise NotImplementedError  # what differs between the rungs

    @property
    def breaks(self) -> int:
        """How many breaks have begun."""
        raise NotImplementedError  # what differs between the rungs

    def send(self, data: bytes) -> None:
        raise NotImplementedError  # what differs between the rungs

    def lines(self, *, cts: bool = False, dsr: bool = False, dcd: bool = False) -> None:
        """Drive the lines that the program reads."""
        raise NotImplementedError  # what differs between the rungs

    @contextlib.contextmanager
    def playing(self, play: Play) -> Iterator[None]:
        """Answer all that comes with what ``play`` returns for it."""
        self._play = play
        try:
            yield
        finally:
            self._play = None

    @contextlib.contextmanager
    def looped(self) -> Iterator[None]:
        """Have a loopback plug as the device: TX to RX, RTS to CTS, DTR to DSR and DCD."""
        self._plug = True
        if self.driven:
            self._loop_lines(*self.driven[-1])
        try:
            with self.playing(bytes):
                yield
        finally:
            self._plug = False

    def _loop_lines(self, dtr: bool, rts: bool) -> None:
        self.lines(cts=rts, dsr=dtr, dcd=dtr)

    def until(self, condition: Callable[[], object], what: str = "it did not happen") -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"{what}: {self!r}"
            time.sleep(0.01)

    def forget(self) -> None:
        """Forget what earlier programs have done."""
        self.received.clear()
        self.driven.clear()

    def _came(self, data: bytes) -> None:
        if self._play is None:
            self.received += data
        elif answer := self._play(data):
            self.send(answer)

    def _drove(self, dtr: bool, rts: bool) -> None:
        if not self.driven or self.driven[-1] != (dtr, rts):
            self.driven.append((dtr, rts))
            if self._plug:
                self._loop_lines(dtr, rts)

    def __repr__(self) -> str:
        return f"<{self.settings} driven={self.driven} received={bytes(self.received[-200:])!r}>"


class _Far(AccessServer):
    """The access server that owns the device: its thread takes in, any thread may send."""

    def __init__(self, port: int, rung: NetworkRung) -> None:
        self.rung = rung
        self.sending = threading.RLock()
        super().__init__(port)

    def send(self, octets: bytes) -> None:
        with self.sending:
            super().send(octets)

    def _take(self, match: object) -> None:
        before = len(self.replies)
        TelnetClient._take(self, match)  # type: ignore[arg-type]  # what it gives, it gets
        for code, value in self.replies[before:]:
            if code == SET_CONTROL and value[0] in (DTR_ON, DTR_OFF):
                self.dtr = value[0] == DTR_ON
            elif code == SET_CONTROL and value[0] in (RTS_ON, RTS_OFF):
                self.rts = value[0] == RTS_ON
            self.rung.asked(code, value, (self.dtr, self.rts))
            if code in (1, 2, 3, 4, SET_CONTROL, PURGE):
                self.send(command(code + 100, self.in_force(code, value)))

    def in_force(self, code: int, asked: bytes) -> bytes:
        """Return what to answer: a value of 0 asks what is in force."""
        now = self.rung.settings
        match code:
            case 1:
                return now.baudrate.to_bytes(4, "big")
            case 2:
                return bytes((now.data_bits,))
            case 3:
                return bytes(number for number, each in PARITIES.items() if each is now.parity)
            case 4:
                return bytes(number for number, each in STOPS.items() if each is now.stop_bits)
        return asked


class NetworkRung(Rung):
    """A virtual port of a Portline; the device is behind an access server, by RFC 2217.

    ``whole`` says that everything passes; so it does under ``portline run`` (``launched``).
    """

    def __init__(
        self, path: str, port: int, *, launched: bool = False, whole: bool = False
    ) -> None:
        super().__init__(path)
        self.whole = launched or whole
        if launched:
            self.prefix = [
                *(sys.executable, *DEVELOPER_MODE, "-m", "portline"),
                *("run", "--port", path, "--"),
            ]
        self._settings = LineSettings()
        self._breaks = 0
        self._stopping = False
        self._far = _Far(port, self)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def settings(self) -> LineSettings:
        return self._settings

    @property
    def breaks(self) -> int:
        return self._breaks

    def send(self, data: bytes) -> None:
        self._far.send(escape(data))

    def lines(self, *, cts: bool = False, dsr: bool = False, dcd: bool = False) -> None:
        self._far.reads(CTS * cts | DSR * dsr | DCD * dcd)

    def asked(self, code: int, value: bytes, outputs: tuple[bool, bool]) -> None:
        """Take in a command to the device, whose DTR and RTS are now these."""
        now, number = self._settings, int.from_bytes(value, "big")
        if code == SET_BAUDRATE and number:
            self._settings = replace(now, baudrate=number)
        elif code == SET_DATASIZE and number:
            self._settings = replace(now, data_bits=number)
        elif code == SET_PARITY and number:
            self._settings = replace(now, parity=PARITIES[number])
        elif code == SET_STOPSIZE and number:
            self._settings = replace(now, stop_bits=STOPS[number])
        elif code == SET_CONTROL:
            self._breaks += number == BREAK_ON
            self._drove(*outputs)

    def _run(self) -> None:
        while not self._stopping and not self._far.closed:
            self._far.pump(0.2)
            if data := bytes(self._far.data):
                self._far.data.clear()
                self._came(data)

    def close(self) -> None:
        self._stopping = True
        self._thread.join(PATIENCE)
        self._far.close()


class _Double(UsbDouble):
    rung: UsbRung

    def port_data(self, data: bytes) -> None:
        self.rung._came(data)

    def port_report(self, report: Report) -> None:
        super().port_report(report)
        self.rung._drove(*self.outputs)

    def send(self, data: bytes) -> None:
        if threading.current_thread() is self._thread:
            self.port.write(data)
        else:
            super().send(data)

    def call(self, function: Callable[..., object], *arguments: object) -> object:
        if threading.current_thread() is self._thread:
            return function(*arguments)
        return super().call(function, *arguments)


class UsbRung(Rung):
    """A virtual port on USB/IP, made by this process: what the program opens is the kernel's."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.double = _Double(path)
        self.double.rung = self
        self.double.__enter__()

    @property
    def settings(self) -> LineSettings:
        return self.double.settings

    @property
    def breaks(self) -> int:
        return sum(self.double.breaks)

    def send(self, data: bytes) -> None:
        self.double.send(data)

    def lines(self, *, cts: bool = False, dsr: bool = False, dcd: bool = False) -> None:
        self.double.lines(cts=cts, dsr=dsr, dcd=dcd)

    def close(self) -> None:
        self.double.__exit__()
