"""What the tests of encrypted connections have in common: the other end, and who vouches for it."""

from __future__ import annotations

import contextlib
import os
import re
import select
import socket
import ssl
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.authority import Authority
from tests.interop.device import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.interop.device import Device

__all__ = [
    "ANSWER",
    "FINGERPRINT",
    "QUESTION",
    "answers",
    "authority",
    "connected",
    "folder",
    "names",
    "read",
    "shown",
    "trusting",
]

QUESTION, ANSWER = b"*IDN?\n", b"ACME,9000,1,2.0\n"
FINGERPRINT = re.compile(r"sha256:[0-9a-f]{64}")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state folder of the Portlines of this test."""
    made = tmp_path / "state"
    monkeypatch.setenv("STATE_DIRECTORY", str(made))
    return made


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def trusting(authority: Authority | None = None) -> ssl.SSLContext:
    if authority is not None:
        return ssl.create_default_context(cafile=authority.file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@contextlib.contextmanager
def connected(
    port: int, context: ssl.SSLContext | None = None, name: str = "localhost"
) -> Iterator[ssl.SSLSocket]:
    with (
        socket.create_connection(("127.0.0.1", port), PATIENCE) as sock,
        (context or trusting()).wrap_socket(sock, server_hostname=name) as tls,
    ):
        yield tls


def read(tls: ssl.SSLSocket, size: int) -> bytes:
    got = b""
    while len(got) < size and (data := tls.recv(size - len(got))):
        got += data
    return got


def answers(device: Device, command: list[str], *, keep: float = 0) -> bytes:
    """Return what a program shows that asks the device a question through its standard input."""
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        try:
            process.stdin.write(QUESTION)
            process.stdin.flush()
            assert device.read(len(QUESTION)) == QUESTION
            device.write(ANSWER)
            return shown(process, ANSWER)
        finally:
            process.kill()


def shown(process: subprocess.Popen[bytes], wanted: bytes) -> bytes:
    """Return what a program shows until ``wanted`` is there, or all of it when time is up."""
    assert process.stdout is not None
    file, seen = process.stdout.fileno(), b""
    while wanted not in seen and select.select([file], [], [], PATIENCE)[0]:
        data = os.read(file, 65536)
        if not data:
            break
        seen += data
    return seen


def names(tls: ssl.SSLSocket) -> str:
    found = tls.getpeercert()
    assert found is not None
    return str(dict(pair for group in found["subject"] for pair in group)["commonName"])
