"""An encrypted client: whom it believes, and what it does where it does not."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import ssl
import stat
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.authority import Authority
from tests.interop.device import PATIENCE
from tests.interop.pair import eventually, status
from tests.interop.server import free_port, listening
from tests.interop.tls import ANSWER, QUESTION, authority, folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.interop.device import Device
    from tests.interop.pair import Client
    from tests.interop.server import Server

__all__ = ["authority", "folder"]

# Quick ones are in tests/unit/net/tls.
pytestmark = pytest.mark.slow


def asks(client: Client, device: Device) -> None:
    """Ask the device through the virtual port."""
    descriptor = os.open(client.path, os.O_RDWR | os.O_NOCTTY)
    try:
        os.write(descriptor, QUESTION)
        assert device.read(len(QUESTION)) == QUESTION
        device.write(ANSWER)
        got = b""
        while len(got) < len(ANSWER):
            got += os.read(descriptor, 100)
        assert got == ANSWER
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("protocol", ["raw", "rfc2217"])
def test_both_ends_are_ours(
    share: Callable[..., Server],
    attach: Callable[..., Client],
    device: Device,
    folder: Path,
    protocol: str,
) -> None:
    server = share(protocol, "--tls")
    client = attach(server.port, protocol, "--tls")
    client.connected()
    asks(client, device)
    (peer,) = status(client)["peers"]
    assert peer["security"]["fingerprint"] == status(server)["security"]["certificate"]
    known = folder / "known-servers"
    assert known.read_text().split()[:2] == [
        f"127.0.0.1:{server.port}",
        peer["security"]["fingerprint"],
    ]
    assert stat.S_IMODE(known.stat().st_mode) == 0o600


def test_a_man_in_the_middle_is_noticed_and_named(
    share: Callable[..., Server],
    attach: Callable[..., Client],
    device: Device,
    folder: Path,
    tmp_path: Path,
    authority: Authority,
    require: Callable[[str], str],
) -> None:
    server = share("raw", "--tls")
    issued = authority.issue("mallory", "localhost")
    front = free_port()
    honest = f"TCP:127.0.0.1:{server.port}"
    with program(
        require("socat"), f"TCP-LISTEN:{front},bind=127.0.0.1,fork,reuseaddr", honest, port=front
    ):
        client = attach(front, "raw", "--tls")
        client.connected()
        asks(client, device)
        client.stop()
    keys = f"cert={issued.certificate},key={issued.key},verify=0"
    with program(
        require("socat"),
        f"OPENSSL-LISTEN:{front},bind=127.0.0.1,fork,reuseaddr,{keys}",
        f"OPENSSL:127.0.0.1:{server.port},verify=0",
        port=front,
    ):
        client = attach(front, "raw", "--tls")
        client.wait_errors(r"has changed: it is known as sha256:\w+ since .*middle.*delete line 1")
        assert client.connections == 0
        told = status(client)
        assert told["state"] == "connecting"
        assert "has changed" in told["reason"]
        assert told["counters"]["handshakes_bad_certificate"] >= 1


@contextlib.contextmanager
def program(*command: str, port: int) -> Iterator[None]:
    """Run a program that listens; its children end with it."""
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            eventually(lambda: listening(port), f"{command[0]} does not listen")
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("expired", "it has expired"),
        ("name", "for another name"),
        ("address", "for another address"),
        ("stranger", "CA is not trusted here"),
        ("fingerprint", "fingerprint wants sha256:0000"),
        ("plain", "answers in plain text"),
        ("old", "no version of TLS that is allowed here"),
    ],
)
def test_a_server_that_is_no_good_is_refused(
    share: Callable[..., Server],
    attach: Callable[..., Client],
    device: Device,
    folder: Path,
    tmp_path: Path,
    authority: Authority,
    kind: str,
    says: str,
) -> None:
    issued = {
        "expired": lambda: authority.issue("x", "localhost", days=-1),
        "name": lambda: authority.issue("x", "elsewhere.test"),
        "address": lambda: authority.issue("x", "192.0.2.1"),
        "stranger": lambda: Authority(tmp_path, "other").issue("x", "localhost"),
    }.get(kind, lambda: authority.issue("x", "localhost"))()
    files = ["--certificate", issued.certificate, "--key", issued.key]
    trust = ["--ca", authority.file]
    if kind == "fingerprint":
        trust = ["--fingerprint", f"sha256:{'0' * 64}"]
    host = "127.0.0.1" if kind == "address" else "localhost"
    if kind == "plain":
        server = share("rfc2217")  # it speaks first
        port = server.port
    elif kind == "old":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(issued.certificate, issued.key)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with old_server(context) as port:
            attach(f"{host}:{port}", "raw", "--tls", *trust).wait_errors(says)
        return
    else:
        port = share("raw", "--tls", *files).port
    client = attach(f"{host}:{port}", "raw", "--tls", *trust)
    client.wait_errors(says)
    assert client.connections == 0
    line = next(line for line in client.errors().splitlines() if "trying again" in line)
    assert f"{host}:{port}" in line


@contextlib.contextmanager
def old_server(context: ssl.SSLContext) -> Iterator[int]:
    """Serve handshakes of the old days in a thread."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)

        def serve() -> None:
            while not ended.is_set():
                with contextlib.suppress(OSError):
                    sock, _ = listener.accept()
                    with sock, contextlib.suppress(OSError):
                        sock.settimeout(PATIENCE)
                        context.wrap_socket(sock, server_side=True).close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            ended.set()
            thread.join(PATIENCE)


def test_a_client_shows_its_certificate_and_checks_the_name(
    share: Callable[..., Server],
    attach: Callable[..., Client],
    device: Device,
    folder: Path,
    authority: Authority,
) -> None:
    issued, mine = authority.issue("server", "meter.test"), authority.issue("me")
    server = share(
        *("rfc2217", "--tls", "--certificate", issued.certificate, "--key", issued.key),
        *("--client-ca", authority.file),
    )
    client = attach(
        *(server.port, "rfc2217", "--tls", "--ca", authority.file, "--tls-name", "meter.test"),
        *("--certificate", mine.certificate, "--key", mine.key),
    )
    client.connected()
    client.agree()
    asks(client, device)
    (peer,) = status(client)["peers"]
    assert peer["security"]["subject"] == "server"
    assert not (folder / "known-servers").exists()


def test_a_client_without_the_certificate_that_is_asked_for_is_told_so(
    share: Callable[..., Server], attach: Callable[..., Client], folder: Path, authority: Authority
) -> None:
    """In TLS 1.3 the server says so when the client believes to be connected already."""
    server = share("raw", "--tls", "--client-ca", authority.file)
    client = attach(server.port, "raw", "--tls")
    client.wait_errors("warning .*refuses our certificate.*certificate required.*trying again")
    server.wait_errors("has shown no certificate")
    eventually(lambda: "refuses our certificate" in status(client)["reason"], "no reason is shown")
    assert status(client)["counters"]["handshakes_refused_by_peer"] >= 1


def test_a_connection_that_is_cut_is_made_again_and_nothing_is_lost(
    share: Callable[..., Server], attach: Callable[..., Client], device: Device, folder: Path
) -> None:
    server = share("raw", "--tls")
    client = attach(server.port, "raw", "--tls")
    client.connected()
    server.stop(signal.SIGINT)
    descriptor = os.open(client.path, os.O_RDWR | os.O_NOCTTY)
    try:
        os.write(descriptor, QUESTION)
        share("raw", "--tls", port=server.port)
        client.connected(2)
        assert device.read(len(QUESTION)) == QUESTION
    finally:
        os.close(descriptor)
