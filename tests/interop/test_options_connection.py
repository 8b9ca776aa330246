"""The connection settings, each tried from outside: it would fail if the option did nothing."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.interop.cable import TIMER_KEEPALIVE, timer
from tests.interop.device import PATIENCE, Device
from tests.interop.server import Server, free_port, listening
from tests.interop.telnet_client import TelnetClient, baudrate, command

# Slow: a process for each option; the rules are in tests/unit/service.
pytestmark = pytest.mark.slow

Share = Callable[..., Server]
Connect = Callable[..., socket.socket]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Return a function that connects a raw peer, from any address of 127.0.0.0/8."""
    with ExitStack() as stack:

        def call(port: int, source: str = "127.0.0.1") -> socket.socket:
            peer = socket.create_connection(("127.0.0.1", port), PATIENCE, (source, 0))
            return stack.enter_context(peer)

        yield call


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def proves_to_be_in(device: Device, *peers: socket.socket) -> None:
    """Wait until each peer has been let in: what it sends comes out of the port."""
    for peer in peers:
        peer.sendall(b"?")
        assert device.read(1) == b"?"


def is_open(peer: socket.socket) -> bool:
    """Tell whether the server has not closed it, so far."""
    peer.setblocking(False)
    try:
        return peer.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    finally:
        peer.settimeout(PATIENCE)


def rest(peer: socket.socket) -> str:
    """Return what comes until the server closes."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while data := peer.recv(4096):
            received += data
    return received.decode()


# --- keepalive ------------------------------------------------------------------------------------


def timer_of(server: Server, peer: socket.socket) -> tuple[int, float]:
    """Return which timer the server's kernel runs for a peer, and the seconds until it rings."""
    return timer(server.process.pid, peer.getsockname()[1])


@pytest.mark.parametrize(("value", "seconds"), [("40s", 40.0), ("10min", 600.0)])
def test_a_silent_peer_is_probed_after_the_time_that_keepalive_says(
    device: Device, share: Share, connect: Connect, value: str, seconds: float
) -> None:
    server = share("raw", "--keepalive", value)
    peer = connect(server.port)
    proves_to_be_in(device, peer)
    until(lambda: timer_of(server, peer)[0] == TIMER_KEEPALIVE, "no keepalive")
    assert seconds - PATIENCE < timer_of(server, peer)[1] <= seconds


def test_after_a_probe_the_retry_time_counts(
    device: Device, share: Share, connect: Connect
) -> None:
    server = share("raw", "--keepalive", "1s", "--keepalive-retry", "5min")
    peer = connect(server.port)
    proves_to_be_in(device, peer)
    # Linux waits for it after each probe, and looks only then whether there was an answer.
    until(lambda: timer_of(server, peer)[1] > 300 - PATIENCE, "the retry time is not used")
    assert timer_of(server, peer)[1] <= 300


def test_no_peer_is_probed_where_keepalive_is_off(
    device: Device, share: Share, connect: Connect
) -> None:
    server = share("raw", "--keepalive", "0")
    peer = connect(server.port)
    proves_to_be_in(device, peer)
    assert timer_of(server, peer)[0] != TIMER_KEEPALIVE


# --- inactivity -----------------------------------------------------------------------------------


def test_who_is_silent_is_disconnected_and_who_speaks_or_hears_is_not(
    device: Device, share: Share, connect: Connect
) -> None:
    # Only the last peer that spoke hears, so the quiet one's silence is complete.
    server = share("raw", "--inactivity", "1500ms", "--send-to", "last-active", "--verbose")
    quiet, talker = connect(server.port), connect(server.port)
    proves_to_be_in(device, quiet, talker)
    begun = time.monotonic()
    while time.monotonic() < begun + 1.0:
        talker.sendall(b".")
        time.sleep(0.05)
    while is_open(quiet):  # from now on the talker only hears
        assert time.monotonic() < begun + PATIENCE
        device.write(b"!")
        time.sleep(0.05)
    assert time.monotonic() - begun > 1.4
    until(lambda: 'reason="no activity for 1.5 s"' in server.errors(), "no reason")
    assert is_open(talker)


def test_commands_are_no_activity(share: Share) -> None:
    server = share("rfc2217", "--inactivity", "1s")
    with TelnetClient(server.port) as client:
        client.agree()
        deadline = time.monotonic() + PATIENCE
        with contextlib.suppress(OSError):
            while not client.closed:
                assert time.monotonic() < deadline, "polling keeps it connected"
                client.send(command(7, 0))  # which stop bits?
                client.pump(0.1)


# --- how many, and who gives way ------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 3])
def test_one_too_many_is_told_who_is_there(
    device: Device, share: Share, connect: Connect, limit: int
) -> None:
    server = share("raw", "--max-connections", str(limit))
    inside = [connect(server.port) for _ in range(limit)]
    proves_to_be_in(device, *inside)
    told = rest(connect(server.port))
    assert told.endswith("; try again later\r\n")
    assert f"127.0.0.1:{inside[0].getsockname()[1]}" in told
    assert all(map(is_open, inside))
    inside[0].close()
    proves_to_be_in(device, connect(server.port))


def test_the_oldest_or_the_one_of_the_same_address_is_replaced(
    device: Device, share: Share, connect: Connect, tmp_path: Path
) -> None:
    other_device = Device(tmp_path / "ttyOTHER")
    both = ("--max-connections", "2", "--verbose", "--when-full")
    oldest = share("raw", *both, "replace-oldest")
    same = share("raw", *both, "replace-same-address", device=other_device.path)
    old = [connect(oldest.port), connect(oldest.port)]
    known = [connect(same.port, "127.0.0.2"), connect(same.port, "127.0.0.3")]
    proves_to_be_in(device, *old)
    proves_to_be_in(other_device, *known)
    assert "nobody has your address 127.0.0.9" in rest(connect(same.port, "127.0.0.9"))

    proves_to_be_in(device, new := connect(oldest.port))
    assert rest(old[0]) == ""
    assert is_open(old[1])
    reason = f"replaced by 127.0.0.1:{new.getsockname()[1]} (when-full = replace-oldest)"
    oldest.wait_errors(re.escape(reason))

    proves_to_be_in(other_device, connect(same.port, "127.0.0.3"))
    assert rest(known[1]) == ""
    assert is_open(known[0])
    assert "nobody has your address 127.0.0.9" in rest(connect(same.port, "127.0.0.9"))
    other_device.unplug()


def test_who_is_idle_is_replaced(device: Device, share: Share, connect: Connect) -> None:
    options = ("--when-full", "replace-idle", "--idle-after", "2s", "--send-to", "none")
    server = share("raw", "--max-connections", "2", *options)
    idle, busy = connect(server.port), connect(server.port)
    proves_to_be_in(device, idle, busy)
    assert "nobody has been idle for 2 s" in rest(connect(server.port))
    for _ in range(22):
        time.sleep(0.1)
        proves_to_be_in(device, busy)
    proves_to_be_in(device, connect(server.port))
    assert rest(idle) == ""
    assert is_open(busy)


def test_a_controlling_peer_is_replaced_with_its_settings(device: Device, share: Share) -> None:
    server = share("rfc2217", "--when-full", "replace-idle", "--idle-after", "200ms")
    with TelnetClient(server.port) as old:
        old.agree()
        old.exchange(baudrate(115200))
        assert device.in_force().baudrate == 115200
        time.sleep(0.3)
        with TelnetClient(server.port) as new:
            new.agree()
            assert new.exchange(baudrate(0)) == [(101, (9600).to_bytes(4, "big"))]
            old.until_closed()
            assert b"portline" not in old.data
    assert device.in_force().baudrate == 9600


# --- when the port is open, and when somebody listens ---------------------------------------------


def has_open(server: Server, device: Device) -> bool:
    """Tell whether the server has the device open."""
    terminal = os.ttyname(device.slave)
    found = False
    for descriptor in Path(f"/proc/{server.process.pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            found = found or str(descriptor.readlink()) == terminal
    return found


def test_the_port_is_open_only_while_somebody_is_connected(
    device: Device, share: Share, connect: Connect
) -> None:
    server = share("raw", "--open-when-connected")
    assert not has_open(server, device)
    first, second = connect(server.port), connect(server.port)
    proves_to_be_in(device, first, second)
    assert has_open(server, device)
    first.close()
    proves_to_be_in(device, second)
    assert has_open(server, device)
    second.close()
    until(lambda: not has_open(server, device), "it does not close the port")
    proves_to_be_in(device, connect(server.port))


def test_the_port_is_always_open_otherwise(device: Device, share: Share) -> None:
    server = share("raw", "--no-open-when-connected")
    until(lambda: has_open(server, device), "it does not open the port")


@pytest.mark.parametrize("protocol", ["raw", "rfc2217"])
def test_it_listens_only_while_an_application_has_the_virtual_port_open(
    share: Share, connect: Connect, tmp_path: Path, protocol: str
) -> None:
    name = tmp_path / "ttyV0"
    port = free_port()
    options = ("--virtual", str(name), "--listen-when-open")
    server = share(protocol, *options, device="", port=port, wait=False)
    until(name.is_symlink, "no virtual port")
    for _ in range(2):
        time.sleep(0.1)
        assert not listening(port)
        with name.open("r+b", buffering=0):
            server.wait_listening()
            connect(port)
        until(lambda: not listening(port), "it still listens")
