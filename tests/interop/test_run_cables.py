"""``portline run --port NAME=HOST:PORT``: a remote port for as long as one program runs."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.authority import Authority
from tests.filtered import unavailable
from tests.interop.device import PATIENCE
from tests.interop.server import SUT, _environment, free_port

pytest.importorskip("serial", reason="pyserial is not installed")

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.interop.device import Device
    from tests.interop.server import Server

pytestmark = [
    pytest.mark.skipif(SUT != "portline", reason="this is a command of Portline"),
    pytest.mark.usefixtures("sockets"),
]


@pytest.fixture(autouse=True)
def available() -> None:
    if reason := unavailable():
        pytest.skip(reason)


def start(*ports: str, program: str, options: Sequence[str] = ()) -> subprocess.Popen[str]:
    """Start a Python program with these ports."""
    options = [*options, *(word for port in ports for word in ("--port", port))]
    return subprocess.Popen(
        [
            *(sys.executable, "-X", "dev", "-m", "portline", "run", *options, "--"),
            *(sys.executable, "-c", program),
        ],
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*ports: str, program: str) -> tuple[int, str, str]:
    """Run such a program until it and its ports have ended; return its code and its output."""
    process = start(*ports, program=program)
    try:
        out, err = process.communicate(timeout=2 * PATIENCE)
    finally:
        process.kill()
    return process.returncode, out, err


def test_a_program_uses_a_remote_port(
    share: Callable[..., Server], device: Device, tmp_path: Path
) -> None:
    name = tmp_path / "ttyV0"
    server = share("rfc2217")
    with start(
        f"{name}=127.0.0.1:{server.port}",
        program=f"""
import serial
port = serial.Serial({str(name)!r}, 57600, stopbits=2, timeout={PATIENCE})
port.rts = False
port.write(b"hello")
print(port.read(5))
raise SystemExit(7)
""",
    ) as process:
        assert device.read(5) == b"hello"
        now = device.in_force()
        assert (now.baudrate, now.stop_size) == (57600, 2)
        device.write(b"world")
        out, err = process.communicate(timeout=2 * PATIENCE)
    assert (process.returncode, out, err) == (7, "b'world'\n", "")
    assert not name.is_symlink()


def test_the_way_of_a_remote_port_is_encrypted(
    share: Callable[..., Server], device: Device, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    name, issued = tmp_path / "ttyV0", authority.issue("server", "127.0.0.1")
    server = share("rfc2217", "--tls", "--certificate", issued.certificate, "--key", issued.key)
    process = start(
        f"{name}=rfc2217s://127.0.0.1:{server.port}",
        options=["--ca", authority.file],
        program=f"""
import serial
with serial.Serial({str(name)!r}, 57600, timeout={PATIENCE}) as port:
    port.write(b"hello")
    print(port.read(5))
""",
    )
    with process:
        assert device.read(5) == b"hello"
        device.write(b"world")
        out, err = process.communicate(timeout=2 * PATIENCE)
    assert (process.returncode, out, err) == (0, "b'world'\n", "")


@pytest.mark.parametrize("protocol", ["raw", "rfc2217"])
def test_last_words_arrive(
    share: Callable[..., Server], device: Device, tmp_path: Path, protocol: str
) -> None:
    name = tmp_path / "ttyV0"
    server = share(protocol)
    words = bytes(range(33, 127)) * 40
    code, _, err = run(
        f"{name}={protocol}://127.0.0.1:{server.port}",
        program=f"import os; os.write(os.open({str(name)!r}, os.O_RDWR | os.O_NOCTTY), {words!r})",
    )
    assert code == 0, err
    assert device.read(len(words)) == words


def test_what_the_program_leaves_behind_keeps_the_port(
    share: Callable[..., Server], device: Device, tmp_path: Path
) -> None:
    name = tmp_path / "ttyV0"
    server = share("rfc2217")
    go_on = tmp_path / "go-on"
    leftover = f"""
import os, time
while not os.path.exists({str(go_on)!r}):
    time.sleep(0.05)
os.write(os.open({str(name)!r}, os.O_RDWR | os.O_NOCTTY), b"later")
"""
    code, _, err = run(
        f"{name}=127.0.0.1:{server.port}",
        program=f"""
from subprocess import DEVNULL, Popen
import sys
Popen([sys.executable, "-c", {leftover!r}], stdout=DEVNULL, stderr=DEVNULL)
""",
    )
    assert code == 0, err
    assert name.is_symlink()
    go_on.touch()
    assert device.read(5) == b"later"
    deadline = time.monotonic() + PATIENCE
    while name.is_symlink():
        assert time.monotonic() < deadline, "the port stays after the last process"
        time.sleep(0.02)


def test_a_program_starts_without_the_network(tmp_path: Path) -> None:
    name = tmp_path / "ttyV0"
    port = free_port()
    code, _, err = run(
        f"{name}=127.0.0.1:{port}", program=f"open({str(name)!r}, 'wb', 0).write(b'x')"
    )
    assert code == 0
    assert f"127.0.0.1:{port}: connection refused" in err
    assert not name.is_symlink()


@pytest.mark.parametrize(
    ("ports", "expected", "says"),
    [
        (["ttyV0=127.0.0.1"], 2, "--port: "),
        (["{folder}/a/ttyV0=127.0.0.1:4001", "{folder}/b/ttyV0=127.0.0.1:4001"], 2, "ttyV0"),
        (["{folder}/missing/ttyV0=127.0.0.1:4001"], 1, "there is no folder"),
        (["{folder}/nothing"], 2, "No such file"),
    ],
)
def test_mistakes_are_told_and_nothing_is_started(
    tmp_path: Path, ports: list[str], expected: int, says: str
) -> None:
    started = tmp_path / "started"
    code, _, err = run(
        *(port.format(folder=tmp_path) for port in ports),
        program=f"open({str(started)!r}, 'w')",
    )
    assert code == expected, err
    assert says in err
    assert "Traceback" not in err
    assert not started.exists()
