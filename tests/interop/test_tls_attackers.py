"""What attackers do to an encrypted server, and what is told of secrets and mistakes."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.authority import Authority
from tests.interop.device import PATIENCE
from tests.interop.pair import eventually, status
from tests.interop.server import run_portline
from tests.interop.tls import ANSWER, QUESTION, authority, connected, folder, read

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.interop.device import Device
    from tests.interop.pair import Client
    from tests.interop.server import Server

__all__ = ["authority", "folder"]

# Quick ones are in tests/unit/net/tls.
pytestmark = pytest.mark.slow


def test_a_flood_disturbs_nobody_and_costs_bounded_memory(
    share: Callable[..., Server], device: Device, folder: Path, sockets: Path
) -> None:
    """Half-open handshakes, garbage, and 10 000 connects, while somebody is served."""
    server = share("raw", "--tls", "--max-connections", "2", developer_mode=False)
    with connected(server.port) as tls, contextlib.ExitStack() as stack:
        before = server.memory(), server.descriptors()
        silent = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            for _ in range(500)
        ]
        for sock in silent[::2]:
            with contextlib.suppress(OSError):
                sock.sendall(b"\x16\x03\x01\x40\x00" + bytes(range(200)))
        for number in range(100):
            for _ in range(100):
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", server.port), PATIENCE).close()
            if number % 10 == 0:
                tls.sendall(QUESTION)
                assert device.read(len(QUESTION)) == QUESTION
                device.write(ANSWER)
                assert read(tls, len(ANSWER)) == ANSWER
        told = status(server)
        assert len(told["peers"]) == 1
        assert told["state"] == "connected"  # and not full
        assert told["security"]["handshakes"] <= 64
        assert told["counters"]["handshakes_crowded_out"] > 400
        with connected(server.port) as another:
            another.sendall(QUESTION)
            assert device.read(len(QUESTION)) == QUESTION
        eventually(lambda: server.descriptors() < before[1] + 80, "descriptors are left open")
        assert server.memory() < before[0] + 24e6


def test_an_end_without_the_word_for_it_is_told_and_counted(
    share: Callable[..., Server], device: Device, folder: Path, sockets: Path
) -> None:
    server = share("raw", "-v", "--tls")
    with connected(server.port) as tls:
        tls.sendall(QUESTION)
        assert device.read(len(QUESTION)) == QUESTION
        socket.socket.shutdown(tls, socket.SHUT_WR)
        server.wait_errors("peer gone .*close_notify")
    assert status(server)["counters"]["truncated"] == 1


def test_no_secret_is_told_anywhere(
    share: Callable[..., Server],
    attach: Callable[..., Client],
    device: Device,
    folder: Path,
    sockets: Path,
    authority: Authority,
) -> None:
    issued = authority.issue("server", "localhost")
    server = share("raw", "-vv", "--tls", "--certificate", issued.certificate, "--key", issued.key)
    client = attach(f"localhost:{server.port}", "raw", "--tls", "--ca", authority.file)
    client.connected()
    secret = Path(issued.key).read_text().splitlines()
    told = [server.errors(), client.errors(), str(status(server)), str(status(client))]
    for process in (server.process.pid, client.process.pid):
        for name in ("cmdline", "environ"):
            told.append(Path(f"/proc/{process}/{name}").read_bytes().decode("utf-8", "replace"))
    for line in secret[1:-1]:
        assert not any(line in text for text in told)


def test_mistakes_of_the_command_line_name_the_remedy() -> None:
    for words, says in (
        (["share", "--virtual", "v", "--key", "k.pem"], "--key: is about TLS, which is off; give"),
        (["share", "--virtual", "v", "--tls", "--key", "k.pem"], "give --certificate too"),
        (["udp", "h:1", "--virtual", "v", "--tls"], "tls"),
        (["attach", "h:1", "--virtual", "v", "--tls", "--fingerprint", "x"], "64 hexadecimal"),
        (["attach", "h:1", "--virtual", "v", "--tls", "--tls-minimum", "1.1"], "1.3, 1.2"),
    ):
        code, text = run_portline(*words)
        assert code == 2, text
        assert says in text
        assert "Traceback" not in text
