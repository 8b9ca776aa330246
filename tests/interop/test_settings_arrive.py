"""7E2 at 250000 baud with RTS off, set by an application, arrives so at a device.

Two Portlines are between them: one makes the application's port, the other has the device.  That is
a virtual port of a third one, for both under ``portline run``, so everything passes and the test
sees it by RFC 2217.  The same on the lab's kernel: tests/lab/test_usbip_service.py.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from portline.line import LineSettings, Parity, StopBits
from tests.filtered import unavailable
from tests.interop.device import PATIENCE
from tests.interop.pair import Client, eventually
from tests.interop.rung import NetworkRung
from tests.interop.server import DEVELOPER_MODE, SUT, Server, _environment, listening

pytest.importorskip("serial", reason="pyserial is not installed")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

REASON = unavailable()

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(SUT != "portline", reason="these are ports of Portline"),
    pytest.mark.skipif(bool(REASON), reason=REASON or "-"),
]

WANTED = LineSettings(250000, 7, Parity.EVEN, StopBits.TWO)

RUN = [sys.executable, *DEVELOPER_MODE, "-m", "portline", "run", "--port"]

SEEN = "settings read back: 250000 7 even 2"

C = r"""
#include <asm/termbits.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>
#define CHECK(what) if ((what) < 0) { perror(#what); return 1; }

int main(int argc, char **argv)
{
    struct termios2 t;
    int rts = 0x004, c, fd = open(argv[1], O_RDWR | O_NOCTTY);
    CHECK(fd)
    CHECK(ioctl(fd, TCGETS2, &t))
    t.c_iflag = t.c_oflag = t.c_lflag = 0;
    t.c_cflag = BOTHER | CS7 | PARENB | CSTOPB | CLOCAL | CREAD;
    t.c_ispeed = t.c_ospeed = 250000;
    CHECK(ioctl(fd, TCSETS2, &t))
    CHECK(ioctl(fd, 0x5417 /* TIOCMBIC */, &rts))
    CHECK(ioctl(fd, TCGETS2, &t))
    printf("settings read back: %d %d %s %d\n", t.c_ospeed, (t.c_cflag & CSIZE) == CS7 ? 7 : 8,
           t.c_cflag & PARENB ? t.c_cflag & PARODD ? "odd" : "even" : "none",
           t.c_cflag & CSTOPB ? 2 : 1);
    CHECK(write(fd, "from C", 6))
    fflush(stdout);
    c = getchar(); /* until the test has seen it */
    return c != '\n';
}
"""

PYSERIAL = """
import serial, sys
port = serial.Serial()
port.port, port.rts = sys.argv[1], False
port.baudrate, port.bytesize, port.parity, port.stopbits = 250000, 7, "E", 2
port.open()
print("settings read back: 250000 7 even 2", flush=True)
port.write(b"from pyserial")
sys.stdin.readline()
"""

IOCTLS = """
import fcntl, os, struct, sys, termios
fd = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
form = struct.Struct("4IB19s2I")  # struct termios2
given = list(form.unpack(fcntl.ioctl(fd, 0x802C542A, bytes(form.size))))
given[2] = 0x1000 | termios.CS7 | termios.PARENB | termios.CSTOPB | termios.CREAD | termios.CLOCAL
given[0] = given[1] = given[3] = 0
given[6] = given[7] = 250000
fcntl.ioctl(fd, 0x402C542B, form.pack(*given))
fcntl.ioctl(fd, termios.TIOCMBIC, struct.pack("i", termios.TIOCM_RTS))
now = form.unpack(fcntl.ioctl(fd, 0x802C542A, bytes(form.size)))
assert now[2] & (termios.CSIZE | termios.PARENB | termios.PARODD | termios.CSTOPB) == (
    termios.CS7 | termios.PARENB | termios.CSTOPB
), hex(now[2])
print("settings read back:", now[7], "7 even 2", flush=True)
os.write(fd, b"from ioctl")
sys.stdin.readline()
"""


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NetworkRung]:
    """What the second Portline takes for a device; the test sees what is asked of it."""
    folder = tmp_path_factory.mktemp("device")
    path = folder / "ttyDEV"
    server = Server("", "rfc2217", "--virtual", str(path), "--backend", "pty", log=folder / "log")
    made = NetworkRung(str(path), server.port, launched=True)
    yield made
    made.close()
    server.stop()


@pytest.fixture(scope="module")
def port(device: NetworkRung, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The application's port, of the first Portline; the second one has the device."""
    folder = tmp_path_factory.mktemp("port")
    far = Server(device.path, prefix=device.prefix, log=folder / "far.log", wait=False)
    # Two Pythons start, one after the other.
    eventually(lambda: listening(far.port), "the second Portline does not listen", 4 * PATIENCE)
    near = Client(
        f"127.0.0.1:{far.port}",
        path=folder / "ttyAPP",
        options=("--backend", "pty"),
        log=folder / "near.log",
    )
    near.connected()
    yield near.path
    near.stop()
    far.stop()


def said_by(command: list[str], device: NetworkRung, greeting: bytes, rts: bool) -> str:
    """Run an application until all has arrived that it sets; return what it says."""
    device.forget()
    application = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_environment()
    )
    try:
        device.until(lambda: greeting in device.received, "its data does not arrive")
        device.until(lambda: device.settings == WANTED, "its settings do not arrive")
        device.until(lambda: device.driven[-1:] == [(True, rts)], "its lines do not arrive")
        said, _ = application.communicate("\n", PATIENCE)
    finally:
        application.kill()
        application.wait()
    assert application.returncode == 0
    return said


def test_of_a_program_in_c(
    device: NetworkRung, port: Path, require: Callable[[str], str], tmp_path: Path
) -> None:
    (tmp_path / "program.c").write_text(C)
    program = str(tmp_path / "program")
    subprocess.run([require("gcc"), "-o", program, f"{program}.c"], check=True, timeout=PATIENCE)
    command = [*RUN, str(port), "--", program, str(port)]
    assert said_by(command, device, b"from C", rts=False) == f"{SEEN}\n"


@pytest.mark.parametrize("code", [PYSERIAL, IOCTLS], ids=["pyserial", "ioctl"])
def test_of_a_program_in_python(device: NetworkRung, port: Path, code: str) -> None:
    command = [*RUN, str(port), "--", sys.executable, "-c", textwrap.dedent(code), str(port)]
    greeting = b"from pyserial" if code is PYSERIAL else b"from ioctl"
    assert said_by(command, device, greeting, rts=False) == f"{SEEN}\n"


def test_of_stty(device: NetworkRung, port: Path, require: Callable[[str], str]) -> None:
    """It has no word for RTS, and of what it sets only the rate is not one that it knows."""
    stty = f"{require('stty')} raw cs7 parenb -parodd cstopb 230400"
    shell = f"{stty} && {require('stty')} && printf 'from stty' && read line"
    command = [*RUN, str(port), "--", "sh", "-c", f'({shell}) < "$1" > "$1"', "sh", str(port)]
    device.forget()
    application = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=_environment())
    try:
        device.until(lambda: b"from stty" in device.received, "its data does not arrive")
        device.until(
            lambda: device.settings == LineSettings(230400, 7, Parity.EVEN, StopBits.TWO),
            "its settings do not arrive",
        )
        assert b"speed 230400" in device.received
        device.send(b"\n")
        assert application.wait(PATIENCE) == 0
    finally:
        application.kill()
        application.wait()
