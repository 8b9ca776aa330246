"""``tcdrain`` of a program that ``portline run`` has started, through a client and a server.

What is asserted is an order of events: when the drain is over, the device has everything.
"""

from __future__ import annotations

import os
import select
import termios
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.filtered import unavailable
from tests.interop.device import PATIENCE
from tests.interop.server import SUT, Server, free_port
from tests.interop.test_programs import start
from tests.interop.test_run import Program, portline_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.interop.device import Device

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(SUT != "portline", reason="this is a command of Portline"),
]

MUCH = 100_000
"""Bytes; more than a pseudo terminal takes (20 kB), so a device that does not read holds them."""

FLAGS = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK

SETTINGS = "termios.tcgetattr(port)"

DRAINS = {
    "tcdrain": "termios.tcdrain(port)",
    "TCSADRAIN": f"termios.tcsetattr(port, termios.TCSADRAIN, {SETTINGS})",
    "TCSAFLUSH": f"termios.tcsetattr(port, termios.TCSAFLUSH, {SETTINGS})",
}


@pytest.fixture(autouse=True)
def available() -> None:
    if reason := unavailable():
        pytest.skip(reason)


@pytest.fixture
def near(tmp_path: Path) -> Path:
    return tmp_path / "near"


@pytest.fixture
def attach(near: Path, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Return a function that makes a port that is served a virtual one here.

    It returns once the client says ``says``: by default, that its peer can tell its line state.
    """
    made: list[Server] = []

    def begin(port: int, protocol: str = "rfc2217", says: str = "peer tells .*line-state") -> None:
        words = ("attach", f"{protocol}://127.0.0.1:{port}", "--virtual", str(near), "-vv")
        client = Server("", words=words, wait=False, log=tmp_path / "client.log")
        made.append(client)
        client.wait_errors(says)

    yield begin
    for client in made:
        client.stop()


@pytest.fixture
def program(near: Path) -> Iterator[Callable[[], Program]]:
    """Return a function that starts a program that has the near port open, in raw mode."""
    made: list[Program] = []

    def begin() -> Program:
        each = Program(*portline_run())
        made.append(each)
        each.says("globals().update(tty=__import__('tty'), signal=__import__('signal'))")
        each.says(f"globals().update(port=os.open({str(near)!r}, os.O_RDWR | os.O_NOCTTY))")
        each.says("tty.setraw(port, termios.TCSANOW)")
        return each

    yield begin
    for each in made:
        each.close()


@pytest.fixture
def far(tmp_path: Path, share: Callable[..., Server]) -> Iterator[tuple[Server, int]]:
    """A line of 600 baud, and the descriptor of the device at its end."""
    server = share("rfc2217", "--virtual", str(tmp_path / "far"), "--strict-baudrate", device="")
    fd = os.open(tmp_path / "far", FLAGS)
    attributes = termios.tcgetattr(fd)
    attributes[0] = attributes[1] = attributes[3] = 0
    attributes[4] = attributes[5] = termios.B600
    termios.tcsetattr(fd, termios.TCSANOW, attributes)
    yield server, fd
    os.close(fd)


def read_now(fd: int) -> bytes:
    """Return what has arrived, without waiting for more."""
    data = b""
    with suppress(BlockingIOError):
        while True:
            data += os.read(fd, 65536)
    return data


@pytest.mark.parametrize("drain", DRAINS.values(), ids=DRAINS)
def test_a_drain_returns_when_the_device_has_the_last_byte(
    far: tuple[Server, int],
    attach: Callable[..., None],
    program: Callable[[], Program],
    drain: str,
) -> None:
    server, device = far
    attach(server.port)
    writer = program()
    for size in (60, 1):
        assert writer.says(f"(os.write(port, bytes({size})), {drain})") == (size, None)
        assert read_now(device) == bytes(size)


def test_without_it_the_device_would_have_less(
    far: tuple[Server, int], attach: Callable[..., None], program: Callable[[], Program]
) -> None:
    """So the line of these tests is slow enough to show a drain that returns too early."""
    server, device = far
    attach(server.port)
    writer = program()
    assert writer.says("os.write(port, bytes(120))") == 120
    early = read_now(device)
    assert len(early) < 120
    writer.says("termios.tcdrain(port)")
    assert early + read_now(device) == bytes(120)


@pytest.fixture
def held(
    device: Device,
    share: Callable[..., Server],
    attach: Callable[..., None],
    program: Callable[[], Program],
) -> Program:
    """A program that drains while its device does not read."""
    attach(share("rfc2217").port)
    writer = program()
    writer.begins(f"(os.write(port, bytes({MUCH})), termios.tcdrain(port))[0]")
    assert select.select([device.master], [], [], PATIENCE)[0]
    return writer


def test_a_device_that_does_not_read_holds_the_drain(device: Device, held: Program) -> None:
    assert not held.has_said(0.3)
    assert device.read(MUCH) == bytes(MUCH)
    assert held.hears() == MUCH


def test_nobody_else_waits_for_it(
    device: Device, held: Program, program: Callable[[], Program]
) -> None:
    other = program()
    assert isinstance(other.says("fcntl.ioctl(port, termios.TIOCMGET, bytes(4))"), bytes)
    assert isinstance(other.says(f"{SETTINGS}[2]"), int)
    assert not held.has_said(0)
    assert device.read(MUCH) == bytes(MUCH)
    assert held.hears() == MUCH


def test_a_signal_ends_it(
    device: Device,
    share: Callable[..., Server],
    attach: Callable[..., None],
    program: Callable[[], Program],
) -> None:
    attach(share("rfc2217").port)
    writer = program()
    writer.says("str(signal.signal(signal.SIGALRM, lambda *_: 1 / 0))")
    assert writer.says("os.write(port, bytes(60_000))") == 60_000
    alarm = "signal.setitimer(signal.ITIMER_REAL, 0.3)"
    assert "ZeroDivisionError" in writer.says(f"({alarm}, termios.tcdrain(port))")
    assert device.read(60_000) == bytes(60_000)
    assert writer.says("termios.tcdrain(port)") is None


# --- peers that tell less -------------------------------------------------------------------------


@pytest.fixture
def ser2net(device: Device, require: Callable[[str], str], tmp_path: Path) -> Iterator[int]:
    """The port of a ser2net that shares the device: it answers no question for its line state."""
    program, port, config = require("ser2net"), free_port(), tmp_path / "ser2net.yaml"
    config.write_text(
        f"connection: &shared\n  accepter: telnet(rfc2217),tcp,127.0.0.1,{port}\n"
        f"  connector: serialdev,{device.path},9600n81,local\n",
        "utf-8",
    )
    process = start(program, "-n", "-d", "-u", "-c", str(config))
    yield port
    process.kill()
    process.communicate()


def test_ser2net_has_received_it(
    device: Device, ser2net: int, attach: Callable[..., None], program: Callable[[], Program]
) -> None:
    attach(ser2net)
    writer = program()
    for number in range(3):
        data = b"%d" % number * 1000
        drain = f"(os.write(port, {data!r}), termios.tcdrain(port))"
        assert writer.says(drain) == (len(data), None)
        assert device.read(len(data)) == data


def test_a_raw_peer_has_acknowledged_it(
    device: Device,
    share: Callable[..., Server],
    attach: Callable[..., None],
    program: Callable[[], Program],
) -> None:
    attach(share("raw").port, "raw", "peer connected")
    writer = program()
    assert writer.says("(os.write(port, bytes(1000)), termios.tcdrain(port))") == (1000, None)
    assert device.read(1000) == bytes(1000)


def test_while_nobody_is_connected_it_is_kept(
    device: Device,
    share: Callable[..., Server],
    attach: Callable[..., None],
    program: Callable[[], Program],
) -> None:
    port = free_port()
    attach(port, "raw", "trying again")
    writer = program()
    assert writer.says("(os.write(port, bytes(1000)), termios.tcdrain(port))") == (1000, None)
    share("raw", port=port)
    assert device.read(1000) == bytes(1000)
