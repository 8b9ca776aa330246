"""The programs that people use: what they do with other servers they have to do with ours."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import socket
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.interop.device import PATIENCE
from tests.interop.server import free_port, listening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.interop.device import Device
    from tests.interop.server import Server

# Slow: other programs, a server for each; the rules are in test_telnet_rules.py.
pytestmark = pytest.mark.slow

QUESTION, ANSWER = b"*IDN?\n", b"ACME,9000,1,2.0\n"
EVERY_OCTET = bytes(range(256))


@contextlib.contextmanager
def instrument(device: Device, times: int = 1) -> Iterator[None]:
    """A device that answers one question, as a multimeter does."""

    def answer() -> None:
        for _ in range(times):
            if device.read_until(QUESTION).endswith(QUESTION):
                device.write(ANSWER)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield
    finally:
        thread.join(2 * PATIENCE)


@contextlib.contextmanager
def running(command: list[str]) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A program on a terminal of its own; yields it and the terminal's master."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        command,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        env=os.environ | {"TERM": "dumb"},
    )
    os.close(slave)
    try:
        yield process, master
    finally:
        process.kill()
        process.wait()
        os.close(master)


def shows(master: int, wanted: bytes) -> bytes:
    """Return what the terminal shows until ``wanted`` is there, or all of it when time is up."""
    shown = b""
    deadline = time.monotonic() + PATIENCE
    while wanted not in shown and (left := deadline - time.monotonic()) > 0:
        if select.select([master], [], [], left)[0]:
            try:
                shown += os.read(master, 4096)
            except OSError:  # EIO: the program has ended
                break
    return shown


def ends(process: subprocess.Popen[bytes], data: bytes) -> tuple[bytes, bytes]:
    try:
        return process.communicate(data, 2 * PATIENCE)
    finally:
        process.kill()


def start(*command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


# --- raw -----------------------------------------------------------------------------------------


def test_socat_asks_an_instrument(
    device: Device, share: Callable[..., Server], require: Callable[[str], str]
) -> None:
    """``printf '*IDN?\\n' | socat - TCP:...``: half-closes at once, and still gets the answer."""
    socat = require("socat")
    server = share("raw")
    with instrument(device):
        output, errors = ends(start(socat, "-t5", "-", f"TCP:127.0.0.1:{server.port}"), QUESTION)
    assert output == ANSWER, errors


def test_socat_passes_every_octet(
    device: Device, share: Callable[..., Server], require: Callable[[str], str]
) -> None:
    socat = require("socat")
    server = share("raw")
    data = EVERY_OCTET * 64
    with device.echoing():
        output, errors = ends(start(socat, "-t2", "-", f"TCP:127.0.0.1:{server.port}"), data)
    assert output == data, errors


def test_socat_makes_a_port_of_it(
    device: Device, share: Callable[..., Server], require: Callable[[str], str], tmp_path: Path
) -> None:
    """What people run on the other machine for programs that want a path."""
    socat = require("socat")
    server = share("raw")
    link = tmp_path / "ttySOCAT"
    with attached(socat, link, server), link.open("r+b", buffering=0) as port:
        port.write(EVERY_OCTET)
        assert device.read(256) == EVERY_OCTET
        device.write(EVERY_OCTET)
        received = b""
        while len(received) < 256 and select.select([port], [], [], PATIENCE)[0]:
            received += port.read(256)
        assert received == EVERY_OCTET


def test_nc_asks_an_instrument(
    device: Device, share: Callable[..., Server], require: Callable[[str], str]
) -> None:
    nc = require("nc")
    server = share("raw")
    process = start(nc, "127.0.0.1", str(server.port))
    with instrument(device):
        process.stdin.write(QUESTION)
        process.stdin.flush()
        assert process.stdout.readline() == ANSWER
    server.stop()
    ends(process, b"")


# --- RFC 2217 and Telnet -------------------------------------------------------------------------


def test_gensiot_sets_the_baudrate_and_talks(
    device: Device, share: Callable[..., Server], require: Callable[[str], str]
) -> None:
    gensiot = require("gensiot")
    server = share()
    address = f"telnet(rfc2217),tcp,127.0.0.1,{server.port}"
    with (
        device.echoing(),
        running([gensiot, "--signature", "test", "-i", "stdio", address]) as (
            _,
            terminal,
        ),
    ):
        os.write(terminal, b"through gensio")
        assert b"through gensio" in shows(terminal, b"through gensio")


@pytest.mark.slow
def test_gensio_as_a_port_of_another_ser2net(
    device: Device, share: Callable[..., Server], require: Callable[[str], str], tmp_path: Path
) -> None:
    """ser2net in front of ours, as a concentrator: its own RFC 2217 client talks to ours."""
    ser2net = require("ser2net")
    server = share()
    config = tmp_path / "front.yaml"
    front = free_port()
    config.write_text(
        f"connection: &front\n  accepter: tcp,127.0.0.1,{front}\n"
        f"  connector: telnet(rfc2217),tcp,127.0.0.1,{server.port}\n",
        "utf-8",
    )
    process = start(ser2net, "-n", "-d", "-u", "-c", str(config))
    try:
        deadline = time.monotonic() + PATIENCE
        while not listening(front):
            assert time.monotonic() < deadline, "ser2net does not listen"
            time.sleep(0.05)
        with (
            device.echoing(),
            socket.create_connection(("127.0.0.1", front), PATIENCE) as client,
        ):
            data = EVERY_OCTET * 8
            client.sendall(data)
            received = b""
            while len(received) < len(data):
                chunk = client.recv(4096)
                assert chunk, received
                received += chunk
            assert received == data
    finally:
        process.kill()
        process.communicate()


def test_telnet_talks(
    device: Device, share: Callable[..., Server], require: Callable[[str], str]
) -> None:
    """The plain telnet program knows no RFC 2217, and is a terminal all the same."""
    telnet = require("telnet")
    server = share()
    with running([telnet, "127.0.0.1", str(server.port)]) as (_, terminal):
        assert b"Connected" in shows(terminal, b"Connected")
        device.write(b"login: ")
        assert b"login: " in shows(terminal, b"login: ")
        os.write(terminal, b"root\r")
        assert device.read(4) == b"root"


def test_telnet_talks_to_a_raw_port(
    device: Device, share: Callable[..., Server], require: Callable[[str], str]
) -> None:
    telnet = require("telnet")
    server = share("raw")
    with running([telnet, "127.0.0.1", str(server.port)]) as (_, terminal):
        assert b"Connected" in shows(terminal, b"Connected")
        device.write(b"login: ")
        assert b"login: " in shows(terminal, b"login: ")
        os.write(terminal, b"root\r")
        assert device.read(4) == b"root"


def test_microcom_sets_the_baudrate_and_talks(
    device: Device, share: Callable[..., Server], require: Callable[[str], str]
) -> None:
    microcom = require("microcom")
    server = share()
    with running([microcom, "-s", "57600", "-t", f"127.0.0.1:{server.port}"]) as (_, terminal):
        shows(terminal, b"connected")
        device.write(b"login: ")
        assert b"login: " in shows(terminal, b"login: ")
        os.write(terminal, b"root")
        assert device.read(4) == b"root"
        assert device.in_force().baudrate == 57600


# --- programs on a path, through socat -----------------------------------------------------------


@contextlib.contextmanager
def attached(socat: str, link: Path, server: Server) -> Iterator[None]:
    """A local path that is joined to the server by socat while the block runs."""
    process = start(socat, f"PTY,link={link},raw,echo=0,waitslave", f"TCP:127.0.0.1:{server.port}")
    try:
        deadline = time.monotonic() + PATIENCE
        while not link.exists():
            assert time.monotonic() < deadline, "socat makes no port"
            time.sleep(0.02)
        yield
    finally:
        process.kill()
        process.communicate()


def join(device: Device, program: socket.socket) -> None:
    """Pass data between a device and what plays it, until that one has ended."""
    while True:
        readable = select.select([device.master, program], [], [], PATIENCE)[0]
        if device.master in readable:
            program.sendall(device.drain())
        if program in readable:
            data = program.recv(4096)
            if not data:
                return
            device.write(data)


@pytest.mark.slow
def test_zmodem_transfer(
    device: Device, share: Callable[..., Server], require: Callable[[str], str], tmp_path: Path
) -> None:
    """A file goes by ZMODEM from a program on the socat port to one on the device's side."""
    socat, sender, receiver = require("socat"), require("sz"), require("rz")
    server = share("raw")
    content = os.urandom(200_000) + b"\xff" * 5000 + EVERY_OCTET * 20
    (tmp_path / "sent.bin").write_bytes(content)
    (tmp_path / "received").mkdir()
    link = tmp_path / "ttySOCAT"
    with attached(socat, link, server), link.open("r+b", buffering=0) as port:
        # What the device says while nobody is connected is not kept: be sure that socat is.
        port.write(b"!")
        assert device.read(1) == b"!"
        # Not on the pty's master itself: its settings are those of the slave, and rz changes them.
        remote, local = socket.socketpair()
        pump = threading.Thread(target=join, args=(device, local))
        pump.start()
        getting = subprocess.Popen(
            [receiver, "--binary", "--overwrite", "--quiet"],
            stdin=remote,
            stdout=remote,
            stderr=subprocess.DEVNULL,
            cwd=tmp_path / "received",
        )
        giving = subprocess.Popen(
            [sender, "--binary", "--quiet", str(tmp_path / "sent.bin")],
            stdin=port,
            stdout=port,
            stderr=subprocess.DEVNULL,
        )
        try:
            # sz flushes its pty as it ends, and may so take back its last word, for which rz then
            # waits half a minute: what counts is that sz was told that all of it arrived.
            assert giving.wait(60) == 0
        finally:
            for process in (giving, getting):
                process.kill()
                process.wait()
            remote.close()
            pump.join(PATIENCE)
            local.close()
    assert (tmp_path / "received" / "sent.bin").read_bytes() == content


@pytest.mark.slow
def test_picocom_talks(
    device: Device, share: Callable[..., Server], require: Callable[[str], str], tmp_path: Path
) -> None:
    socat, picocom = require("socat"), require("picocom")
    server = share("raw")
    link = tmp_path / "ttySOCAT"
    command = [picocom, "--noreset", "--nolock", "-b", "9600", str(link)]
    with attached(socat, link, server), running(command) as (_, terminal):
        assert b"Terminal ready" in shows(terminal, b"Terminal ready")
        os.write(terminal, b"root")
        assert device.read(4) == b"root"
        device.write(b"Password: ")
        assert b"Password: " in shows(terminal, b"Password: ")
