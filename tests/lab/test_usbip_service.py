"""An application, two Portlines and a device: everything through a true terminal of the kernel.

The device is a USB double, so the test sees every setting of the real port; the application's port
is made by a second Portline in a process of its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.lab

serial = pytest.importorskip("serial", reason="pyserial is not installed")

from portline.line import FlowControl, LineSettings, Parity, StopBits  # noqa: E402  # see above
from tests.forked import Forked  # noqa: E402
from tests.interop.server import free_port, listening  # noqa: E402
from tests.usb_double import UsbDouble  # noqa: E402
from tests.waiting import LIMIT  # noqa: E402

DEVICE = "/dev/device"
NAME = "/dev/plc"

TIOCMIWAIT = 0x545C
DSR = 0x100


def until(condition: object, limit: float = 2 * LIMIT) -> None:
    deadline = time.monotonic() + limit
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


@contextlib.contextmanager
def portline(*words: str) -> Iterator[None]:
    """Run a Portline while the ``with`` lasts."""
    process = Forked(words, 2)
    try:
        yield
    finally:
        process.terminate()
        process.wait(2 * LIMIT)


@pytest.fixture(scope="module", params=["usbip", "cuse"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def line(backend: str) -> Iterator[UsbDouble]:
    """Return the device; the application's port is at NAME, made by a second Portline."""
    port = free_port()
    with (
        UsbDouble(DEVICE) as device,
        portline("share", DEVICE, "--listen", f"127.0.0.1:{port}", "--protocol", "rfc2217"),
    ):
        until(lambda: listening(port))
        with portline(
            *("attach", f"rfc2217://127.0.0.1:{port}", "--virtual", NAME),
            *("--backend", backend, "--name", "plc"),
        ):
            until(lambda: os.path.exists(NAME))
            yield device


@pytest.fixture
def application(line: UsbDouble) -> Iterator[serial.Serial]:
    port = serial.Serial(timeout=LIMIT)
    port.port, port.rts = NAME, False
    port.baudrate, port.bytesize, port.parity, port.stopbits = 250000, 7, "E", 2
    port.open()
    line.received.clear()
    yield port
    port.close()


def test_settings_and_lines_arrive_at_the_device(
    line: UsbDouble, application: serial.Serial
) -> None:
    wanted = LineSettings(250000, 7, Parity.EVEN, StopBits.TWO)
    until(lambda: line.settings == wanted)
    until(lambda: line.outputs == (True, False))
    application.baudrate, application.bytesize, application.parity = 12345, 5, "M"
    application.stopbits, application.rts = 1, True
    until(lambda: line.settings == LineSettings(12345, 5, Parity.MARK))
    until(lambda: line.outputs == (True, True))
    application.rtscts = True
    until(lambda: line.settings.flow_control is FlowControl.HARDWARE)


def test_data_passes_both_ways(line: UsbDouble, application: serial.Serial) -> None:
    application.bytesize, application.parity, application.stopbits = 8, "N", 1
    data = bytes(range(256)) * 8
    application.write(data)
    until(lambda: line.received == data)
    line.send(data)
    assert application.read(len(data)) == data


def test_a_drain_waits_for_the_transmitter_of_the_device(
    line: UsbDouble, application: serial.Serial
) -> None:
    line.holds = True
    over: list[float] = []

    def drain() -> None:
        application.write(b"leaving")
        termios.tcdrain(application.fd)
        over.append(time.monotonic())

    draining = threading.Thread(target=drain)
    draining.start()
    until(lambda: line.received == b"leaving")
    time.sleep(1.0)  # what must not happen cannot be waited for
    held = not over
    began = time.monotonic()
    line.holds = False
    line.let_go()
    draining.join(LIMIT)
    assert held
    assert over[0] >= began


def test_breaks_go_both_ways(line: UsbDouble, application: serial.Serial) -> None:
    line.reports.clear()
    application.send_break(0.25)
    until(lambda: line.breaks == [True, False])
    attributes = termios.tcgetattr(application.fd)
    attributes[0] |= termios.PARMRK | termios.INPCK
    attributes[0] &= ~(termios.IGNBRK | termios.BRKINT | termios.IGNPAR)
    termios.tcsetattr(application.fd, termios.TCSANOW, attributes)
    line.fault(break_received=True)
    assert application.read(3) == b"\xff\x00\x00"


def test_the_lines_of_the_device_are_read_and_waited_for(
    line: UsbDouble, application: serial.Serial
) -> None:
    line.lines(cts=True, dsr=True, dcd=True, ri=True)
    until(lambda: application.cts and application.dsr and application.cd and application.ri)
    waiting = threading.Thread(target=fcntl.ioctl, args=(application.fd, TIOCMIWAIT, DSR))
    waiting.start()
    time.sleep(0.3)  # it sleeps in the kernel, which cannot be seen
    assert waiting.is_alive()
    line.lines(cts=True)
    waiting.join(LIMIT)
    assert not waiting.is_alive()
    until(lambda: not application.dsr)


def test_the_status_tells_the_backend(line: UsbDouble, backend: str, tmp_path: Path) -> None:
    with (tmp_path / "shown").open("wb") as output:
        assert Forked(["status", "--json"], output.fileno()).wait(LIMIT) == 0
    shown = (tmp_path / "shown").read_text()
    assert f'"backend": "{backend}"' in shown
    assert backend == "cuse" or '"adapter": "pl2303"' in shown
    assert json.loads(shown)
