"""Whatever peers, devices and operators do wrong: it is said clearly, and harms nobody else."""

from __future__ import annotations

import contextlib
import os
import random
import re
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.interop.conftest import lacking
from tests.interop.device import PATIENCE, Device
from tests.interop.server import listening
from tests.interop.telnet_client import (
    COM_PORT,
    DO,
    IAC,
    SB,
    WILL,
    TelnetClient,
    command,
    option,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.interop.server import Server

MEMORY_LIMIT = 24 << 20
"""Bytes by which the server may grow whatever a peer sends: its queues, sockets, and slack."""


def serves(server: Server, device: Device) -> None:
    """Check that a new client gets data both ways, and answers."""
    server.check_errors()
    device.drain()
    with TelnetClient.when_free(server.port) as client:
        assert client.ask(4, 1) == b"\1"
        client.send(b"to the device")
        assert device.read_until(b"device").endswith(b"to the device")
        device.write(b"to the client")
        client.until(lambda: client.data.endswith(b"to the client"))


# --- peers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 10))]
)
def test_garbage(access_server: Server, shared_device: Device, seed: int) -> None:
    dice = random.Random(seed)
    octets = dice.randbytes(4000)
    if seed % 2:  # more of what a Telnet server looks at
        octets = bytes(dice.choices((*range(240, 256), 0, 1, 5, 44, 65), k=4000))
    with (
        TelnetClient.when_free(access_server.port) as client,
        contextlib.suppress(ConnectionError),
    ):
        client.send(octets)
        client.pump(0.1)
    serves(access_server, shared_device)


UNFINISHED = {
    "iac": bytes((IAC,)),
    "do": bytes((IAC, DO)),
    "suboption": bytes((IAC, SB)),
    "command": bytes((IAC, SB, COM_PORT, 1, 0, 0)),
    "almost": bytes((IAC, SB, COM_PORT, 1, 0, 0, 0, 1, IAC)),
    "oversize": bytes((IAC, SB, COM_PORT, 0)) + b"x" * 100_000,
}


@pytest.mark.parametrize("end", ["close", "reset", "finish"])
@pytest.mark.parametrize("start", UNFINISHED)
def test_client_that_ends_in_the_middle(
    access_server: Server, shared_device: Device, start: str, end: str
) -> None:
    client = TelnetClient.when_free(access_server.port)
    client.send(UNFINISHED[start])
    getattr(client, end)()
    if end == "finish":
        client.until_closed()
        client.close()
    serves(access_server, shared_device)


def test_reset_while_data_flows(access_server: Server, shared_device: Device) -> None:
    client = TelnetClient.when_free(access_server.port)
    client.send(b"x" * 5000)
    shared_device.fill()
    client.reset()
    serves(access_server, shared_device)


FLOODS = {
    "iac": bytes((IAC,)) * 1_000_000,
    "nop": bytes((IAC, 241)) * 500_000,
    "will": option(WILL, 99) * 300_000,
    "query": command(1, bytes(4)) * 100_000,
    "unknown": command(77, b"?") * 100_000,
    "unterminated": bytes((IAC, SB, COM_PORT)) + b"\1" * 4_000_000,
}


@pytest.mark.parametrize(
    "flood",
    [
        pytest.param(
            flood, marks=[pytest.mark.slow] if flood in ("nop", "query", "unknown") else []
        )
        for flood in FLOODS
    ],
)
def test_flood(device: Device, share: Callable[..., Server], flood: str) -> None:
    """A million of them, answers unread, and a device that takes what is data."""
    server = share(developer_mode=False)
    serves(server, device)
    before = server.memory()
    with device.echoing(), TelnetClient(server.port) as client:
        client.socket.setblocking(False)
        view = memoryview(FLOODS[flood])
        patience = time.monotonic() + 3
        while view and time.monotonic() < patience:
            try:
                view = view[client.socket.send(view[:65536]) :]
            except BlockingIOError:  # it holds us back, as it may: nobody reads its answers
                time.sleep(0.01)
            except ConnectionError:  # or it had enough
                break
        assert server.memory() - before < MEMORY_LIMIT
    while device.read(1 << 20, 0.3):  # what of it was data still comes
        pass
    serves(server, device)


# --- the network ---------------------------------------------------------------------------------


def test_port_in_use(device: Device, share: Callable[..., Server]) -> None:
    """It says which; then it ends with an error, or goes on trying, which succeeds later."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        server = share("raw", port=port, wait=False)
        with contextlib.suppress(AssertionError):
            server.wait_errors(rf"{port}\b")
        assert str(port) in server.errors()
        assert "use" in server.errors()
    with contextlib.suppress(AssertionError):
        server.wait_listening()
    assert server.process.poll() != 0
    assert server.process.poll() is not None or listening(port)


def test_port_without_permission(
    share: Callable[..., Server], require: Callable[[str], str]
) -> None:
    start = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text("ascii")
    if int(start) <= 79:
        lacking("anybody may listen on any port on this machine")
    server = share("raw", port=79, wait=False, prefix=powerless(require))
    said(server, "permi|not allowed|may not|denied")
    assert "79" in server.errors()


def powerless(require: Callable[[str], str]) -> list[str]:
    """Return the start of a command line that takes the super-user's exceptions away."""
    if os.geteuid() != 0:
        return []
    powers = "-dac_override,-dac_read_search,-net_bind_service"
    return [require("setpriv"), f"--bounding-set={powers}", f"--inh-caps={powers}", "--"]


def said(server: Server, pattern: str) -> None:
    """Check that it says ``pattern``, and either ends with an error or goes on trying."""
    with contextlib.suppress(AssertionError):
        server.wait_errors(pattern)
    assert re.search(pattern, server.errors(), re.IGNORECASE), server.errors()
    server.check_errors()
    with contextlib.suppress(subprocess.TimeoutExpired):
        assert server.process.wait(0.3) > 0, "a failure has to be told by the exit code"


# --- the device ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["file", "folder", "null"])
def test_not_a_serial_port(share: Callable[..., Server], tmp_path: Path, kind: str) -> None:
    path = {"file": tmp_path / "file", "folder": tmp_path, "null": Path("/dev/null")}[kind]
    (tmp_path / "file").write_bytes(b"")
    server = share("raw", device=path, wait=False)
    said(server, str(path))
    if kind != "null":  # which is a character device, and may become a port by another name
        server.wait_ended()


def test_device_without_permission(
    device: Device, share: Callable[..., Server], require: Callable[[str], str]
) -> None:
    os.fchmod(device.slave, 0)
    server = share("raw", wait=False, prefix=powerless(require))
    said(server, "permi|not allowed|may not|denied")
    assert str(device.path) in server.errors()


def test_absent_device_is_used_when_it_appears(
    share: Callable[..., Server], tmp_path: Path
) -> None:
    late = Device(tmp_path / "ttyLATE", plugged=False)
    server = share(device=late.path)
    server.wait_errors("ttyLATE")
    late.plug()
    try:
        wait_until_used(server, late)
        serves(server, late)
    finally:
        late.unplug()


def test_device_that_comes_back_is_used_again(device: Device, share: Callable[..., Server]) -> None:
    server = share()
    serves(server, device)
    for _ in range(2):
        device.unplug()
        time.sleep(0.1)
        device.plug()
        wait_until_used(server, device)
        serves(server, device)


def test_client_outlives_a_device_that_comes_back(
    device: Device, share: Callable[..., Server]
) -> None:
    server = share("raw")
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as client:
        client.sendall(b"one")
        assert device.read(3) == b"one"
        device.unplug()
        time.sleep(0.1)
        device.plug()
        received = b""
        deadline = time.monotonic() + PATIENCE
        while not received and time.monotonic() < deadline:
            client.sendall(b"two")
            received = device.read(1, 0.1)
        assert received
        device.write(b"three")
        assert client.recv(5) == b"three"


def wait_until_used(server: Server, device: Device) -> None:
    """Wait until data of a new client reaches the device."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(ConnectionError), TelnetClient(server.port) as client:
            client.send(b"?")
            if device.read(1, 0.2):
                return
    raise AssertionError(f"{device.path} is there and is not used: {server.errors()}")


# --- the command line ----------------------------------------------------------------------------


def first_quick(*values: str) -> list[object]:
    """Leave all but the first to the slow part: each takes a process to be refused."""
    return [values[0], *(pytest.param(value, marks=pytest.mark.slow) for value in values[1:])]


@pytest.mark.parametrize("baudrate", first_quick("4000001", "7", "0", "-9600", "fast", "9600.5"))
def test_baudrate_that_cannot_be(
    device: Device, share: Callable[..., Server], baudrate: str
) -> None:
    server = share("raw", "--baudrate", baudrate, wait=False)
    assert server.wait_ended() > 0
    assert "baud" in server.errors()
    assert baudrate in server.errors()


@pytest.mark.parametrize("protocol", first_quick("telnet9", "", "RAW!"))
def test_protocol_that_nobody_speaks(
    device: Device, share: Callable[..., Server], protocol: str
) -> None:
    server = share(protocol, wait=False)
    assert server.wait_ended() > 0
    assert "protocol" in server.errors()


@pytest.mark.parametrize(
    "address", first_quick("127.0.0.1:99999", "127.0.0.1:", "nowhere.invalid:")
)
def test_address_that_cannot_be(share: Callable[..., Server], address: str) -> None:
    server = share("raw", "--listen", address, wait=False)
    assert server.wait_ended() > 0
    assert address in server.errors()
