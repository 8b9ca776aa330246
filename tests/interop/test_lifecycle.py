"""How it starts and ends: quickly, with success, and leaving nothing behind."""

from __future__ import annotations

import signal
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.interop.device import PATIENCE
from tests.interop.server import listening, run_portline
from tests.interop.telnet_client import TelnetClient, command

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.interop.device import Device
    from tests.interop.server import Server

signals = pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])


@signals
@pytest.mark.parametrize("protocol", ["raw", "rfc2217"])
def test_it_ends_when_told(share: Callable[..., Server], protocol: str, how: int) -> None:
    server = share(protocol)
    server.stop(how)
    assert not listening(server.port)


def test_it_ends_with_peers_connected(device: Device, share: Callable[..., Server]) -> None:
    server = share("raw")
    with ExitStack() as stack:
        peers = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), PATIENCE))
            for _ in range(5)
        ]
        device.write(b"x")
        assert [peer.recv(1) for peer in peers] == [b"x"] * 5
        server.stop()
        assert [peer.recv(1) for peer in peers] == [b""] * 5


def test_it_ends_with_a_client_that_reads_nothing(
    device: Device, share: Callable[..., Server]
) -> None:
    server = share()
    with TelnetClient(server.port) as client:
        client.agree()
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(200):
            try:
                device.write(b"." * 65536, patience=0.2)
            except AssertionError:
                break
        server.stop()


def test_it_ends_with_a_device_that_reads_nothing(
    device: Device, share: Callable[..., Server]
) -> None:
    server = share()
    with TelnetClient(server.port) as client:
        client.agree()
        client.socket.settimeout(0.3)
        try:
            while True:
                client.socket.sendall(b"." * 65536)
        except TimeoutError:
            pass
        server.stop()


def test_it_ends_in_the_middle_of_a_command(share: Callable[..., Server]) -> None:
    server = share()
    with TelnetClient(server.port) as client:
        client.agree()
        client.send(command(1, b"\0\0")[:-2])
        server.stop()
        client.until_closed()


def test_it_ends_without_a_device(share: Callable[..., Server], tmp_path: Path) -> None:
    server = share("raw", device=tmp_path / "ttyABSENT")
    server.stop()


def test_it_starts_again_at_once_on_the_same_port(
    device: Device, share: Callable[..., Server]
) -> None:
    first = share("raw")
    with socket.create_connection(("127.0.0.1", first.port), PATIENCE) as peer:
        peer.sendall(b"1")
        assert device.read(1) == b"1"
        first.stop()  # it closes first, so the connection lingers in TIME_WAIT on its side
    share("raw", port=first.port)


def test_it_is_restarted_in_place(device: Device, share: Callable[..., Server]) -> None:
    """The same process serves the same port, with no descriptor more than before."""
    server = share("raw")
    descriptors = []
    for count in (b"0", b"1", b"2"):
        with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as peer:
            peer.sendall(count)
            assert device.read(1) == count
            descriptors.append(server.descriptors())
            server.process.send_signal(signal.SIGUSR2)
            assert peer.recv(1) == b""
        server.wait_listening()
    assert server.process.poll() is None
    assert len(set(descriptors)) == 1
    server.stop()


@signals
def test_virtual_port_is_gone_afterwards(
    share: Callable[..., Server], tmp_path: Path, how: int
) -> None:
    name = tmp_path / "ttyV0"
    server = share("raw", "--virtual", str(name), device="")
    assert name.is_symlink()
    with name.open("r+b", buffering=0) as application:
        with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as peer:
            peer.sendall(b"hello\n")
            assert application.read(6) == b"hello\n"
        server.stop(how)
    assert not name.is_symlink()


def test_virtual_port_of_a_killed_server_is_taken_over(
    share: Callable[..., Server], tmp_path: Path
) -> None:
    name = tmp_path / "ttyV0"
    killed = share("raw", "--virtual", str(name), device="")
    killed.process.kill()
    killed.process.wait()
    # It may take a moment: until then the number may be another test's, which is refused.
    server = share("raw", "--virtual", str(name), "-v", device="", wait=False)
    server._wait(lambda: "is open" in server.errors(), "it does not take the name over")
    server.stop()
    assert not name.is_symlink()


def test_help_and_version_end_with_success() -> None:
    for words in (["--help"], ["share", "--help"], ["--version"]):
        code, text = run_portline(*words)
        assert code == 0, text
        assert text
