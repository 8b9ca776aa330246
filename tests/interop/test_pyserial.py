"""pyserial as the client: what most Python programs with a remote port use.

Its rfc2217:// client asks for four settings at once, wants each echoed exactly within three
seconds, and has one slot for all SET-CONTROL replies: it is the peer that misses a reply first.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.interop.device import PATIENCE

serial = pytest.importorskip("serial", reason="pyserial is not installed")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.interop.device import Device
    from tests.interop.server import Server

# pyserial 3.5 still calls them at each open.
pytestmark = pytest.mark.filterwarnings("ignore:set(Daemon|Name):DeprecationWarning")

MEGABYTE = os.urandom(1 << 20)


@pytest.fixture
def url(access_server: Server) -> str:
    return f"rfc2217://127.0.0.1:{access_server.port}"


@pytest.fixture
def port(url: str, shared_device: Device) -> Iterator[serial.SerialBase]:
    """An open pyserial port."""
    shared_device.drain()
    with serial.serial_for_url(url, timeout=PATIENCE) as opened:
        yield opened


def both_ways(port: serial.SerialBase, device: Device, data: bytes) -> tuple[bytes, bytes]:
    """Send data from both ends at once; return what came to the device and to the port."""
    at_device: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: at_device.append(device.read(len(data), 60))),
        threading.Thread(target=device.write, args=(data, 60)),
        threading.Thread(target=port.write, args=(data,)),
    ]
    for thread in threads:
        thread.start()
    at_port = bytearray()
    end = time.monotonic() + 60
    while len(at_port) < len(data) and time.monotonic() < end:
        at_port += port.read(min(len(data) - len(at_port), 4096))
    for thread in threads:
        thread.join(60)
    return at_device[0], bytes(at_port)


def test_baudrate(port: serial.SerialBase, shared_device: Device) -> None:
    for baudrate in (50, 300, 9600, 12345, 115200, 921600, 4000000):
        port.baudrate = baudrate
        assert shared_device.in_force().baudrate == baudrate


def test_stop_bits(port: serial.SerialBase, shared_device: Device) -> None:
    for stopbits in (2, 1, 2):
        port.stopbits = stopbits
        assert shared_device.in_force().stop_size == stopbits


@pytest.mark.parametrize(
    ("setting", "outbound"), [({"xonxoff": True}, 2), ({"rtscts": True}, 3), ({}, 1)]
)
def test_flow_control(
    url: str, shared_device: Device, setting: dict[str, bool], outbound: int
) -> None:
    with serial.serial_for_url(url, **setting):
        assert outbound in shared_device.in_force().flow_out


def test_what_a_pty_cannot_do_is_refused_and_harms_nothing(
    port: serial.SerialBase, shared_device: Device
) -> None:
    """A pty keeps 8N; pyserial takes the truthful answer as a refusal, which it is."""
    with pytest.raises(ValueError, match="datasize"):
        port.bytesize = 7
    port.bytesize = 8
    with pytest.raises(ValueError, match="parity"):
        port.parity = "E"
    port.parity = "N"
    port.write(b"fine")
    assert shared_device.read(4) == b"fine"


def test_lines(port: serial.SerialBase) -> None:
    for state in (False, True, False, True):
        port.dtr = state
        port.rts = state
        port.rts = not state
    assert port.rts is False
    assert port.dtr is True


def test_modem_lines_of_a_pty_are_off(port: serial.SerialBase) -> None:
    assert [port.cts, port.dsr, port.ri, port.cd] == [False] * 4


def test_modem_lines_are_polled(url: str) -> None:
    with serial.serial_for_url(f"{url}?poll_modem") as port:
        assert not port.cts


def test_break_is_sent_or_refused(port: serial.SerialBase, shared_device: Device) -> None:
    """A pty has no break: a server may say so, which pyserial reports, and goes on."""
    try:
        port.break_condition = True
    except ValueError as error:
        assert "control" in str(error)  # noqa: PT017 - no exception is right as well
    port.break_condition = False
    port.write(b"fine")
    assert shared_device.read(4) == b"fine"


def test_client_that_does_not_wait_for_confirmations(url: str, shared_device: Device) -> None:
    with serial.serial_for_url(f"{url}?ign_set_control", timeout=PATIENCE) as port:
        for state in (False, True) * 3:
            port.dtr = state
            port.rts = state
        port.baudrate = 57600
        assert shared_device.in_force().baudrate == 57600


def test_received_data_is_thrown_away(port: serial.SerialBase, shared_device: Device) -> None:
    shared_device.write(b"old")
    time.sleep(0.2)
    port.reset_input_buffer()
    shared_device.write(b"new")
    assert port.read(3) == b"new"


def test_unsent_data_is_thrown_away(port: serial.SerialBase, shared_device: Device) -> None:
    port.reset_output_buffer()
    port.write(b"new")
    assert shared_device.read(3) == b"new"


def test_timeout_may_be_changed_often(port: serial.SerialBase) -> None:
    """Each change of the timeout makes pyserial send all settings again."""
    for index in range(5):
        port.timeout = 1 + index


@pytest.mark.parametrize(
    "times", [pytest.param(3, marks=pytest.mark.covered), pytest.param(20, marks=pytest.mark.slow)]
)
def test_port_opens_again_at_once(url: str, shared_device: Device, times: int) -> None:
    port = serial.serial_for_url(url, do_not_open=True, timeout=PATIENCE)
    for index in range(times):
        port.open()
        port.write(b"%d." % index)
        assert shared_device.read_until(b".") == b"%d." % index
        port.close()


def test_megabyte_both_ways_at_once(port: serial.SerialBase, shared_device: Device) -> None:
    assert both_ways(port, shared_device, MEGABYTE) == (MEGABYTE, MEGABYTE)


def test_raw_megabyte_both_ways_at_once(device: Device, share: Callable[..., Server]) -> None:
    server = share("raw")
    with serial.serial_for_url(f"socket://127.0.0.1:{server.port}", timeout=PATIENCE) as port:
        assert both_ways(port, device, MEGABYTE) == (MEGABYTE, MEGABYTE)
