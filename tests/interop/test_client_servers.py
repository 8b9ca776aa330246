"""Our client and the servers of others: real ones where they can be had, else played.

What is played is what is documented of each implementation: what it answers, and which value.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import socket
import struct
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.interop.device import PATIENCE, Device
from tests.interop.pair import Client, eventually, open_port, set_port, status
from tests.interop.server import SUT, Server, free_port
from tests.interop.telnet_client import COM_PORT, DO, TelnetClient, command, option
from tests.interop.test_programs import running, shows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(SUT != "portline", reason="the client is Portline's"),
]

EVERY_OCTET = bytes(range(256))

RETRY = ("--retry", "50ms", "--retry-max", "500ms")

LINE = ("baudrate", "data-bits", "parity", "stop-bits", "flow-control")
OUTPUTS = ("dtr", "rts")
MASKS = ("line-mask", "modem-mask")


class Foreign(Server):
    """The server of somebody else; ``command`` is told the TCP port."""

    def __init__(self, command: Callable[[int], list[str]], log: Path) -> None:
        self.port = free_port()
        self.log = log
        self._launch(command(self.port), wait=True)

    def stop(self, how: int = 15) -> None:
        self.process.send_signal(how)
        self.process.wait(PATIENCE)


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[Callable[..., Foreign]]:
    with contextlib.ExitStack() as stack:

        def start(command: Callable[[int], list[str]]) -> Foreign:
            server = Foreign(command, tmp_path / "foreign.log")
            stack.callback(server.stop)
            return server

        yield start


def ser2net(device: Device, folder: Path, program: str) -> Callable[[int], list[str]]:
    def made(port: int) -> list[str]:
        config = folder / "ser2net.yaml"
        config.write_text(
            f"connection: &shared\n  accepter: telnet(rfc2217),tcp,127.0.0.1,{port}\n"
            f"  connector: serialdev,{device.path},9600n81,local\n",
            "utf-8",
        )
        return [program, "-n", "-d", "-u", "-c", str(config)]

    return made


def agrees(client: Client, *items: str) -> None:
    """Wait until what was asked for is in force, as far as the server tells it."""

    def agreed() -> bool:
        asked = client.asked()
        return all(item in asked and asked[item][0] == asked[item][1] for item in items)

    client.connected()
    eventually(agreed, f"{client.asked()}: {client.errors()}")


def passes(device: Device, port: int) -> None:
    """Pass every octet in both directions."""
    data = EVERY_OCTET * 8
    os.write(port, data)
    assert device.read(len(data)) == data
    device.write(data)
    received = b""
    while len(received) < len(data) and select.select([port], [], [], PATIENCE)[0]:
        received += os.read(port, 4096)
    assert received == data


def works(
    device: Device,
    client: Client,
    *told: str,
    silent: tuple[str, ...] = (),
    differs: tuple[str, ...] = (),
) -> None:
    """Use the port with one speed and another; nobody is warned but of what ``differs``.

    The server answers everything but what is ``silent``, asked once or more.
    """
    port = open_port(client.path, 19200, two_stops=True)
    try:
        agrees(client, *told)
        assert (device.in_force().baudrate, device.in_force().stop_size) == (19200, 2)
        passes(device, port)
        set_port(port, 57600)
        eventually(lambda: device.in_force().baudrate == 57600, "the speed does not change")
        agrees(client, *told)
        passes(device, port)
        eventually(
            lambda: peer(client)["unanswered"] >= len(silent), f"not {silent} are left unanswered"
        )
        unanswered = re.findall(r"nothing about (\S+)", client.errors())
        assert set(unanswered) == set(silent), client.errors()
    finally:
        os.close(port)
    warned = re.findall(r"remote port differs: (\S+)", client.errors())
    assert tuple(warned) == differs, client.errors()
    assert client.connections == 1


def peer(client: Client) -> Any:
    (only,) = status(client)["peers"]
    return only


# --- real ones -----------------------------------------------------------------------------------


def test_ser2net(
    device: Device,
    foreign: Callable[..., Foreign],
    attach: Callable[..., Client],
    require: Callable[[str], str],
    tmp_path: Path,
) -> None:
    server = foreign(ser2net(device, tmp_path, require("ser2net")))
    client = attach(server.port)
    # A pseudo terminal has no signal lines, and what ser2net cannot do it does not answer.
    works(device, client, *LINE, silent=(*MASKS, *OUTPUTS), differs=OUTPUTS)
    assert peer(client)["signature"] == "ser2net"


def test_the_example_server_of_pyserial(
    device: Device, foreign: Callable[..., Foreign], attach: Callable[..., Client]
) -> None:
    pytest.importorskip("serial", reason="pyserial is not installed")
    script = str(Path(__file__).with_name("pyserial_server.py"))
    server = foreign(lambda port: [sys.executable, script, str(device.path), str(port)])
    client = attach(server.port)
    works(device, client, *LINE, *OUTPUTS, silent=("signature", *MASKS))
    server.wait_errors("dtr True")
    eventually(lambda: server.errors().splitlines()[-2:] == ["dtr False", "rts False"], "no end")


def test_the_server_of_esptool(
    device: Device, foreign: Callable[..., Foreign], attach: Callable[..., Client]
) -> None:
    """It is pyserial's example, but says nothing about DTR and RTS."""
    pytest.importorskip("serial", reason="pyserial is not installed")
    script = str(Path(__file__).with_name("pyserial_server.py"))
    server = foreign(
        lambda port: [sys.executable, script, "--silent-lines", str(device.path), str(port)]
    )
    client = attach(server.port)
    works(device, client, *LINE, silent=("signature", *MASKS, *OUTPUTS))
    server.wait_errors("lines 8\nlines 11\n")


@pytest.mark.parametrize("options", [[], ["-i"]], ids=["", "for Cisco"])
def test_sredird(
    device: Device,
    foreign: Callable[..., Foreign],
    attach: Callable[..., Client],
    require: Callable[[str], str],
    tmp_path: Path,
    options: list[str],
) -> None:
    socat, sredird = require("socat"), require("sredird")
    words = " ".join([sredird, *options, "0", os.ttyname(device.slave), str(tmp_path / "lock")])
    server = foreign(
        lambda port: [socat, f"TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork", f"EXEC:{words}"]
    )
    client = attach(server.port)
    works(device, client, *LINE)
    assert peer(client)["signature"].startswith("SRedird")


# --- played ones ---------------------------------------------------------------------------------


class Played(TelnetClient):
    """An access server that answers each command as ``answer(code, value)`` says.

    It accepts one connection; ``asked`` is what it was asked, ``data`` what is for its device.
    """

    def __init__(self, answer: Callable[[int, bytes], bytes | None]) -> None:
        self.answer = answer
        self.asked: list[tuple[int, bytes]] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        self.socket, _ = self.listener.accept()
        self.data, self.options, self.others = bytearray(), [], []
        self.replies, self.notices = [], []
        self.closed, self.segmentation, self._undecoded = False, "whole", b""
        self.send(option(DO, COM_PORT))
        while not self.closed:
            self.pump(1.0)

    def _take(self, match: re.Match[bytes]) -> None:
        super()._take(match)
        while self.replies:
            code, value = self.replies.pop(0)
            self.asked.append((code, value))
            answer = self.answer(code, value)
            if answer is not None:
                self.send(command(code + 100, answer))

    def close(self) -> None:
        self.listener.close()
        if hasattr(self, "socket"):
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join(PATIENCE)
        super().close()


@pytest.fixture
def played() -> Iterator[Callable[..., Played]]:
    with contextlib.ExitStack() as stack:

        def start(answer: Callable[[int, bytes], bytes | None]) -> Played:
            server = Played(answer)
            stack.callback(server.close)
            return server

        yield start


def hub4com(code: int, value: bytes) -> bytes | None:
    """It has no signature, takes commands of exact length only, and says "no flow control"."""
    match code, len(value):
        case (1, 4) | (2 | 3 | 4 | 10 | 11 | 12, 1):
            return value
        case 5, 1 if value[0] <= 3:
            return b"\x01"
        case 5, 1 if value[0] >= 13:
            return b"\x0e"
        case 5, 1:
            return value
        case 7, 1:
            return b"\xb0"
        case _:
            return None


def test_hub4com(played: Callable[..., Played], attach: Callable[..., Client]) -> None:
    server = played(hub4com)
    client = attach(server.port)
    port = os.open(client.path, os.O_RDWR | os.O_NOCTTY)
    try:
        set_port(port, 19200, hardware=True)
        agrees(client, "baudrate", "data-bits", "parity", "stop-bits", *OUTPUTS)
        os.write(port, b"goes on")
        eventually(lambda: server.data == b"goes on", "data does not pass")
        assert client.asked()["flow-control"] == ("hardware", "none")
        client.wait_errors("differs: flow-control is none and not hardware")
    finally:
        os.close(port)
    assert client.errors().count("remote port differs") == 1


RATES = {8: 9600, 10: 19200, 13: 57600}


class Cisco:
    """It takes and tells rates in one byte, and answers the inbound flow control with 0."""

    rate = 8

    def __call__(self, code: int, value: bytes) -> bytes | None:
        match code, len(value):
            case 1, size:
                if size == 1 and value[0] in RATES:
                    self.rate = value[0]
                return bytes((self.rate,))
            case 5, 1 if 13 <= value[0] <= 16:
                return b"\0"
            case 2 | 3 | 4 | 5 | 10 | 11 | 12, 1:
                return value
            case 7, _:
                return b"\xb0"
            case _:
                return None


def test_cisco(played: Callable[..., Played], attach: Callable[..., Client]) -> None:
    server = played(Cisco())
    client = attach(server.port)
    port = open_port(client.path, 19200, two_stops=True)
    try:
        agrees(client, *LINE, *OUTPUTS)
        assert (server.answer.rate, client.asked()["baudrate"]) == (10, (19200, 19200))
        set_port(port, 57600)
        eventually(lambda: server.answer.rate == 13, "the speed does not change")
        agrees(client, *LINE, *OUTPUTS)
        assert server.asked.count((1, struct.pack("!I", 19200))) <= 1
        assert (1, struct.pack("!I", 57600)) not in server.asked
    finally:
        os.close(port)
    assert "remote port differs" not in client.errors(), client.errors()


def test_a_server_that_answers_nothing(
    played: Callable[..., Played], attach: Callable[..., Client]
) -> None:
    server = played(lambda code, value: None)
    client = attach(server.port)
    port = open_port(client.path, 19200)
    try:
        os.write(port, b"goes on")
        eventually(lambda: getattr(server, "data", b"") == b"goes on", "data does not pass")
        # Each setting is told once, however often it is asked for.
        set_port(port, 57600)
        eventually(lambda: peer(client)["unanswered"] >= 15, "they are waited for")
        set_port(port, 9600)
        eventually(lambda: peer(client)["unanswered"] >= 20, "they are waited for")
    finally:
        os.close(port)
    for item in LINE:
        assert client.errors().count(f"differs: {item} was asked for and not answered") == 1


# --- a server that has no place ------------------------------------------------------------------


def refused(
    device: Device, attach: Callable[..., Client], port: int, says: str, tmp_path: Path
) -> None:
    """The second client gets no word of the refusal to its application, and a place afterwards."""
    first = attach(port)
    first.connected()
    eventually(lambda: peer(first)["signature"], "it is not served")
    second = attach(port, "rfc2217", *RETRY, path=tmp_path / "ttySECOND")
    application = open_port(second.path, 19200)
    try:
        os.write(application, b"precious")
        eventually(lambda: says in status(second)["reason"], f"{status(second)}")
        assert not select.select([application], [], [], 0)[0]
        first.stop()
        assert device.read(8) == b"precious"
        device.write(b"at last")
        assert select.select([application], [], [], PATIENCE)[0]
        assert os.read(application, 7) == b"at last"
    finally:
        os.close(application)


def test_our_server_has_no_place(
    device: Device, share: Callable[..., Server], attach: Callable[..., Client], tmp_path: Path
) -> None:
    refused(device, attach, share().port, "is in use by", tmp_path)


def test_another_host_is_tried_where_the_first_has_no_place(
    device: Device, share: Callable[..., Server], attach: Callable[..., Client], tmp_path: Path
) -> None:
    busy = share()
    other = Device(tmp_path / "ttyOTHER")
    try:
        free = share(device=other.path)
        first = attach(busy.port)
        first.connected()
        eventually(lambda: peer(first)["signature"], "it is not served")
        hosts = [f"127.0.0.1:{each.port}" for each in (busy, free)]
        second = attach(hosts[0], "rfc2217", *RETRY, hosts[1], path=tmp_path / "ttySECOND")
        application = open_port(second.path, 19200)
        os.write(application, b"precious")
        assert other.read(8) == b"precious"
        os.close(application)
    finally:
        other.unplug()


def test_ser2net_has_no_place(
    device: Device,
    foreign: Callable[..., Foreign],
    attach: Callable[..., Client],
    require: Callable[[str], str],
    tmp_path: Path,
) -> None:
    server = foreign(ser2net(device, tmp_path, require("ser2net")))
    refused(device, attach, server.port, "Port already in use", tmp_path)


# --- ours, and the client of gensio --------------------------------------------------------------


def test_gensiot_and_our_server(
    device: Device, share: Callable[..., Server], require: Callable[[str], str]
) -> None:
    """Every octet but those that mean something to the terminal passes, in both directions."""
    gensiot = require("gensiot")
    server = share()
    address = f"telnet(rfc2217),tcp,127.0.0.1,{server.port}"
    data = bytes(set(EVERY_OCTET) - {0x1C}) * 4
    with running([gensiot, "-e", "-1", "-i", "stdio(self,raw)", address]) as (_, terminal):
        os.write(terminal, b"!")
        assert device.read(1) == b"!"  # it is connected
        device.write(b"here")
        assert shows(terminal, b"here").endswith(b"here")
        os.write(terminal, data)
        assert device.read(len(data)) == data
        device.write(data)
        assert shows(terminal, data) == data
