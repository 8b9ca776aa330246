"""Who commands whom follows from the ports, not from who connects to whom.

=======  =======  ==================================================================================
server   client   what has to happen
=======  =======  ==================================================================================
real     virtual  the client's application sets the device at the server
virtual  real     the server's application sets the device at the client
virtual  virtual  a null-modem cable: DTR here is DSR and DCD there, RTS here is CTS there
real     real     data passes; each device keeps its settings
=======  =======  ==================================================================================
"""

from __future__ import annotations

import os
import select
import time
from typing import TYPE_CHECKING

import pytest

from tests.filtered import unavailable
from tests.interop.device import PATIENCE, Device
from tests.interop.pair import Client, eventually, open_port, set_port
from tests.interop.server import SUT
from tests.interop.test_run import Program, portline_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.interop.server import Server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(SUT != "portline", reason="the client is Portline's"),
]

DATA = bytes(range(256)) * 4


def reads(port: int, count: int) -> bytes:
    received = b""
    while len(received) < count and select.select([port], [], [], PATIENCE)[0]:
        received += os.read(port, 4096)
    return received


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Device]:
    """The device of the client's machine."""
    made = Device(tmp_path / "ttyOTHER")
    yield made
    made.unplug()


def in_force(device: Device) -> tuple[int, int]:
    now = device.in_force()
    return now.baudrate, now.stop_size


def commands(device: Device, application: int) -> None:
    """See that an application sets a device, and that data passes in both directions."""
    eventually(lambda: in_force(device) == (19200, 2), "the first settings do not arrive")
    os.write(application, DATA)
    assert device.read(len(DATA)) == DATA
    device.write(DATA)
    assert reads(application, len(DATA)) == DATA
    set_port(application, 57600)
    eventually(lambda: in_force(device) == (57600, 1), "the second settings do not arrive")


def test_a_real_port_at_the_server_and_a_virtual_one_at_the_client(
    device: Device, share: Callable[..., Server], attach: Callable[..., Client]
) -> None:
    client = attach(share().port)
    application = open_port(client.path, 19200, two_stops=True)
    try:
        commands(device, application)
    finally:
        os.close(application)


def test_a_virtual_port_at_the_server_and_a_real_one_at_the_client(
    other: Device, share: Callable[..., Server], attach: Callable[..., Client], tmp_path: Path
) -> None:
    path = tmp_path / "ttyV0"
    server = share("rfc2217", "--virtual", str(path), device="")
    client = attach(server.port, "rfc2217", path=other.path, real=True)
    client.connected()
    application = open_port(path, 19200, two_stops=True)
    try:
        commands(other, application)
    finally:
        os.close(application)


def test_settings_that_were_made_before_the_client_came(
    other: Device, share: Callable[..., Server], attach: Callable[..., Client], tmp_path: Path
) -> None:
    path = tmp_path / "ttyV0"
    server = share("rfc2217", "--virtual", str(path), device="")
    application = open_port(path, 19200, two_stops=True)
    try:
        attach(server.port, "rfc2217", path=other.path, real=True)
        commands(other, application)
    finally:
        os.close(application)


def test_two_virtual_ports_are_a_null_modem_cable(
    share: Callable[..., Server], attach: Callable[..., Client], tmp_path: Path
) -> None:
    pytest.importorskip("serial", reason="pyserial is not installed")
    if reason := unavailable():
        pytest.skip(reason)
    path = tmp_path / "ttyV0"
    server = share("rfc2217", "--virtual", str(path), device="")
    client = attach(server.port)
    client.connected()
    with Program(*portline_run()) as near, Program(*portline_run()) as far:
        for program, port in ((near, path), (far, client.path)):
            opens = f"serial.Serial({str(port)!r}, 19200, timeout={PATIENCE})"
            assert program.says(f"globals().update(port={opens})") is None
        for here, there in ((near, far), (far, near)):
            for dtr, rts in ((False, True), (True, False), (False, False), (True, True)):
                here.says(f"[setattr(port, 'dtr', {dtr}), setattr(port, 'rts', {rts})] and None")
                wanted = (dtr, dtr, rts, False)
                until(there, "(port.dsr, port.cd, port.cts, port.ri)", wanted)
            assert here.says("port.write(bytes(range(256)))") == 256
            assert there.says("port.read(256)") == bytes(range(256))
        # Each application keeps its own settings, as two ends of a cable do.
        near.says("setattr(port, 'baudrate', 57600)")
        until(near, "port.write(b'x')", 1)
        assert far.says("port.read(1)") == b"x"
        assert far.says("port.baudrate") == 19200
        assert far.says("termios.tcgetattr(port.fd)[4] == termios.B19200") is True
        # Who closes its port drives nothing any more.
        near.says("port.close()")
        until(far, "(port.dsr, port.cd, port.cts)", (False, False, False))


def until(program: Program, expression: str, wanted: object) -> None:
    end = time.monotonic() + PATIENCE
    while (said := program.says(expression)) != wanted:
        assert time.monotonic() < end, f"{expression} is {said} and not {wanted}"


@pytest.mark.parametrize("protocol", ["raw", "rfc2217"])
def test_two_real_ports_keep_their_settings(
    device: Device,
    other: Device,
    share: Callable[..., Server],
    attach: Callable[..., Client],
    protocol: str,
) -> None:
    server = share(protocol, "--baudrate", "57600", "--stop-bits", "2")
    client = attach(server.port, protocol, "--baudrate", "19200", "-v", path=other.path, real=True)
    client.connected()
    for here, there in ((device, other), (other, device)):
        here.write(DATA)
        assert there.read(len(DATA)) == DATA
    assert (in_force(device), in_force(other)) == ((57600, 2), (19200, 1))
    assert "remote port differs" not in client.errors()
    assert "does not share" not in client.errors()
