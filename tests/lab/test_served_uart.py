"""Two wired 16550A, served by one Portline: RFC 2217 on one side, raw on the other."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from portline.line import LineSettings, Parity, StopBits
from portline.port.tty.termios2 import decode, read_attributes
from tests.interop.device import PATIENCE
from tests.interop.server import Service, free_port, listening
from tests.interop.telnet_client import TelnetClient, baudrate, command, escape
from tests.lab.uart import Monitor, clean_wire, modem_bits, set_modem_bits
from tests.ports import FLAGS

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.lab

SET_BAUDRATE, SET_DATASIZE, SET_PARITY, SET_STOPSIZE, SET_CONTROL = 1, 2, 3, 4, 5
LINE_MASK, MODEM_MASK, NOTIFY_LINE, NOTIFY_MODEM = 10, 11, 106, 107
"""RFC 2217 section 3; a server's are 100 higher."""

DTR, RTS, LOOP = 0x002, 0x004, 0x8000

CONFIG = """\
[connections.served]
port = "/dev/ttyS2"
listen = "127.0.0.1:{served}"
protocol = "rfc2217"

[connections.device]
port = "/dev/ttyS3"
listen = "127.0.0.1:{device}"
protocol = "raw"
"""


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """The TCP ports of the two; one Portline for all tests, because its start takes seconds."""
    clean_wire("/dev/ttyS2", "/dev/ttyS3")
    folder = tmp_path_factory.mktemp("served")
    served, device = free_port(), free_port()
    text = CONFIG.format(served=served, device=device)
    service = Service(text, served, file=folder / "portline.toml", log=folder / "log")
    service._wait(lambda: listening(device, service.process.pid), "it does not listen")
    yield served, device
    service.stop()


@pytest.fixture
def chip() -> Iterator[int]:
    """The served chip by a descriptor of the test's own; root passes Portline's lock."""
    fd = os.open("/dev/ttyS2", FLAGS)
    yield fd
    set_modem_bits(fd, DTR | RTS)
    os.close(fd)


@pytest.fixture
def client(ports: tuple[int, int], chip: int) -> Iterator[TelnetClient]:
    with TelnetClient.when_free(ports[0]) as made:
        yield made


def test_settings_reach_the_chip(client: TelnetClient, chip: int) -> None:
    sent = baudrate(19200) + b"".join(
        command(code, value)
        for code, value in ((SET_DATASIZE, 7), (SET_PARITY, 3), (SET_STOPSIZE, 2))
    )
    assert client.exchange(sent) == [
        (101, (19200).to_bytes(4, "big")),
        (102, b"\x07"),
        (103, b"\x03"),
        (104, b"\x02"),
    ]
    asked = LineSettings(19200, 7, Parity.EVEN, StopBits.TWO)
    assert decode(read_attributes(chip)) == asked


@pytest.mark.parametrize("parity", [1, 2, 3, 4, 5])
def test_all_parities(client: TelnetClient, chip: int, parity: int) -> None:
    assert client.ask(SET_PARITY, parity) == bytes((parity,))
    names = (Parity.NONE, Parity.ODD, Parity.EVEN, Parity.MARK, Parity.SPACE)
    assert decode(read_attributes(chip)).parity is names[parity - 1]


def test_one_and_a_half_stop_bits_go_with_five_data_bits(client: TelnetClient, chip: int) -> None:
    assert client.ask(SET_DATASIZE, 5) == b"\x05"
    assert client.ask(SET_STOPSIZE, 3) == b"\x03"
    found = decode(read_attributes(chip))
    assert (found.data_bits, found.stop_bits) == (5, StopBits.ONE_AND_A_HALF)
    assert client.ask(SET_STOPSIZE, 2) == b"\x03"
    assert client.ask(SET_DATASIZE, 8) == b"\x08"
    assert client.ask(SET_STOPSIZE, 1) == b"\x01"


def test_a_refused_rate_is_answered_with_the_one_in_force(client: TelnetClient, chip: int) -> None:
    client.exchange(baudrate(57600))
    assert client.exchange(baudrate(250000)) == [(101, (57600).to_bytes(4, "big"))]
    assert read_attributes(chip).ospeed == 57600


def test_outputs_reach_the_chip(client: TelnetClient, chip: int) -> None:
    for value, bits in ((9, RTS), (12, 0), (8, DTR), (11, DTR | RTS)):
        assert client.ask(SET_CONTROL, value) == bytes((value,))
        assert modem_bits(chip) & (DTR | RTS) == bits


def test_a_break_goes_out_and_ends(client: TelnetClient) -> None:
    assert client.ask(SET_CONTROL, 5) == b"\x05"
    assert client.ask(SET_CONTROL, 4) == b"\x05"
    assert client.ask(SET_CONTROL, 6) == b"\x06"
    assert client.ask(SET_CONTROL, 4) == b"\x06"


def test_inputs_are_told_as_they_change(client: TelnetClient, chip: int) -> None:
    client.until(lambda: bool(client.notices))
    assert client.notices == [(NOTIFY_MODEM, b"\xb0")]  # DCD, DSR and CTS, as QEMU has them
    set_modem_bits(chip, LOOP | RTS)  # as if the cable had only CTS
    client.until(lambda: len(client.notices) > 1)
    code, value = client.notices[1]
    assert (code, value[0] & 0xF0) == (NOTIFY_MODEM, 0x10)
    assert value[0] & 0x0A == 0x0A  # DCD and DSR have changed


def test_a_break_of_the_device_is_told_to_who_asked(client: TelnetClient) -> None:
    assert client.ask(LINE_MASK, 0x10) == b"\x10"
    client.notices.clear()
    with Monitor() as monitor:
        monitor.ask("chardev-send-break", id="ttyS2")
    client.until(lambda: bool(client.notices))
    code, value = client.notices[0]
    assert (code, value[0] & 0x10) == (NOTIFY_LINE, 0x10)


def test_data_goes_over_the_wire_unchanged(ports: tuple[int, int], client: TelnetClient) -> None:
    everything = bytes(range(256)) * 8
    for code, value in ((SET_DATASIZE, 8), (SET_PARITY, 1), (SET_STOPSIZE, 1)):
        assert client.ask(code, value) == bytes((value,))
    with socket.create_connection(("127.0.0.1", ports[1]), PATIENCE) as device:
        device.settimeout(PATIENCE)
        device.sendall(everything)
        assert client.read(len(everything)) == everything
        client.send(escape(everything))
        heard = b""
        while len(heard) < len(everything):
            heard += device.recv(65536)
        assert heard == everything
