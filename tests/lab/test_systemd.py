"""The unit of packaging/ under Debian's systemd as process 1: ``python -m lab --systemd``.

Programs that start take seconds here, so two services go through everything, one after the other.
"""

from __future__ import annotations

import contextlib
import grp
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tty
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.interop.server import free_port
from tests.lab.test_usbip_restart import STARTED, Application, Peer, listening, until
from tests.lab.uart import clean_wire, raw

if TYPE_CHECKING:
    from collections.abc import Iterator

BOOTED = Path("/run/systemd/system").is_dir()

pytestmark = [
    pytest.mark.lab,
    pytest.mark.long,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not BOOTED, reason="needs systemd as process 1: `python -m lab --systemd`"),
]

PACKAGED = Path(__file__).resolve().parents[2] / "packaging" / "portline.service"
UNIT = Path("/etc/systemd/system/portline.service")
CONFIG = Path("/etc/portline/portline.toml")
PROGRAM = Path("/usr/local/bin/portline")
RESTRICTED = PACKAGED.with_name("restricted.conf")
RUNTIME = Path("/run/portline")

NAME, OVER, NATIVE = "/dev/plc", "/dev/ttyS4", "/dev/ttyNATIVE"

ADAPTERS = """\
[connections.plc]
virtual = "/dev/plc"
backend = "usbip"
listen = "127.0.0.1:{plc}"
buffer-size = "64 KiB"

[connections.over]
virtual = "/dev/ttyS4"
overlap = true
backend = "usbip"
listen = "127.0.0.1:{over}"
buffer-size = "64 KiB"

[connections.native]
virtual = "/dev/ttyNATIVE"
backend = "cuse"
listen = "127.0.0.1:{native}"
"""


ORDINARY = """\
[connections.plc]
virtual = "plc"
listen = "127.0.0.1:{plc}"

[connections.meter]
port = "/dev/ttyS2"
baudrate = {baudrate}
listen = "127.0.0.1:{meter}"
"""

THIRD = """
[connections.third]
virtual = "third"
listen = "127.0.0.1:0"
"""

PATIENT = "TimeoutStartSec=infinity\n"
"""A start takes longer here than systemd waits."""


def systemctl(*words: str, code: int = 0) -> str:
    """Run systemctl; return what it says."""
    done = subprocess.run(
        ["systemctl", "--no-pager", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout
    return done.stdout


def shown(name: str) -> str:
    """Return a property of the service."""
    return systemctl("show", "--value", f"--property={name}", "portline").strip()


@pytest.fixture(autouse=True)
def installed() -> Iterator[None]:
    """Have the unit as the guide says; all of it goes with the machine."""
    if not PROGRAM.exists():
        PROGRAM.symlink_to(Path(sys.executable).with_name("portline"))
        subprocess.run(["useradd", "--system", "portline"], check=True)
        # The user gets to Python and to Portline, wherever they are.
        for program in (PROGRAM, Path(sys.executable)):
            for folder in program.resolve().parents:
                folder.chmod(folder.stat().st_mode | 0o111)
    CONFIG.parent.mkdir(exist_ok=True)
    shutil.copy(PACKAGED, UNIT)
    yield
    subprocess.run(["journalctl", "-u", "portline", "--no-pager", "-o", "short-monotonic"])
    with contextlib.suppress(AssertionError):
        systemctl("stop", "portline")
    shutil.rmtree(f"{UNIT}.d", ignore_errors=True)


def drop_in(text: str) -> None:
    """Change the unit as an administrator does."""
    folder = Path(f"{UNIT}.d")
    folder.mkdir(exist_ok=True)
    (folder / "test.conf").write_text(f"[Service]\n{text}\n")
    systemctl("daemon-reload")


def read(fd: int, count: int) -> bytes:
    """Read that many bytes of a terminal, fewer where it hangs up before."""
    found = b""
    while len(found) < count:
        assert select.select([fd], [], [], STARTED)[0], found
        try:
            piece = os.read(fd, count - len(found))
        except OSError:  # EIO
            piece = b""
        if not piece:
            break
        found += piece
    return found


def opened(path: Path) -> int:
    """Open a terminal as a program does; it is raw."""
    fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(fd)
    return fd


class Pair:
    """An application at an adapter, and its peer; both go on through everything."""

    def __init__(self, name: str, port: int) -> None:
        self.name = name
        self.port = port
        self.application = Application(name)
        self.peer = Peer(port)

    def goes_on(self, meanwhile: bytes = b"") -> None:
        """Check that the application has not noticed anything, and nothing is missing."""
        self.peer.expect(meanwhile)
        assert not self.application.hung_up()
        assert self.application.state() == self.application.before
        until(self.leads)
        self.peer.socket.sendall(b"answer")
        self.application.expect(b"answer")
        self.application.write(b"question")
        self.peer.expect(b"question")

    def leads(self) -> bool:
        """Tell whether who opens the name now gets where the application is."""
        return os.path.exists(self.name) and (
            os.stat(self.name).st_rdev == os.fstat(self.application.fd).st_rdev
        )


def test_adapters_stay_over_restart_and_kill() -> None:
    ports = {name: free_port() for name in ("plc", "over", "native")}
    CONFIG.write_text(ADAPTERS.format_map(ports))
    device = os.stat(OVER).st_rdev
    drop_in("User=root\n" + PATIENT)
    systemctl("start", "portline")
    assert listening(ports["plc"])  # as soon as systemd says that it has started
    until(lambda: os.path.exists(NAME) and os.stat(OVER).st_rdev != device)
    assert os.path.exists(NATIVE)
    pairs = [Pair(NAME, ports["plc"]), Pair(OVER, ports["over"])]
    for each in pairs:
        each.goes_on()
    assert 'Status: "3 connections, see portline status"' in systemctl("status", "portline")

    def survives(*words: str, number: int = 0, same: bool = False, named: bool = True) -> None:
        """Do something to the service, which has to go on; ``named`` says that names stay."""
        before = shown("MainPID")
        if number:
            os.kill(int(before), number)
        else:
            systemctl(*words)
        until(lambda: not listening(ports["plc"]) or shown("MainPID") != before)
        text = f"during {words} {number}".encode()
        for each in pairs:
            assert each.leads() or not named
            each.application.write(text)
        for each in pairs:
            each.goes_on(text)
        assert (shown("MainPID") == before) is same

    survives("restart", "--no-block", "portline", named=False)
    survives("kill", "--signal=KILL", "portline")
    survives(number=signal.SIGUSR2, same=True)
    until(lambda: os.path.exists(NATIVE))

    systemctl("stop", "portline")
    for each in pairs:
        until(each.application.hung_up)
        os.close(each.application.fd)
        each.peer.socket.close()
    until(lambda: not os.path.exists(pairs[0].application.node))
    assert os.stat(OVER).st_rdev == device
    assert not [path for path in (NAME, NATIVE, RUNTIME) if os.path.lexists(path)]


def test_devices_and_pseudo_terminals_go_through_everything() -> None:
    """The unit as it is, and at last with what packaging/restricted.conf takes from it."""
    clean_wire("/dev/ttyS2", "/dev/ttyS3")
    far = raw("/dev/ttyS3")
    ports = {name: free_port() for name in ("plc", "meter")}
    device = "/dev/ttyS2"
    os.chown(device, 0, grp.getgrnam("dialout").gr_gid)
    os.chmod(device, 0o660)  # no udev is there to do that
    good = ORDINARY.format(baudrate=9600, **ports)
    CONFIG.write_text(good)
    drop_in(PATIENT)
    link = RUNTIME / "plc"

    def passes() -> None:
        """Check both ports in both directions."""
        assert os.path.lexists(link)  # as soon as systemd says that it has started
        application = opened(link)
        peer = Peer(ports["plc"])
        os.write(application, b"question")
        peer.expect(b"question")
        peer.socket.sendall(b"answer")
        assert read(application, 6) == b"answer"
        peer.socket.close()
        os.close(application)
        with socket.create_connection(("127.0.0.1", ports["meter"]), STARTED) as peer_of_device:
            peer_of_device.sendall(b"question")
            assert read(far, 8) == b"question"
            os.write(far, b"answer")
            assert peer_of_device.recv(6, socket.MSG_WAITALL) == b"answer"

    systemctl("start", "portline")
    passes()
    assert 'Status: "2 connections, see portline status"' in systemctl("status", "portline")

    before = shown("MainPID")
    CONFIG.write_text(ORDINARY.format(baudrate=19200, **ports) + THIRD)
    systemctl("reload", "portline")
    assert shown("StatusText") == "3 connections, see portline status"
    CONFIG.write_text(good + "nonsense = 3\n")
    systemctl("reload", "portline", code=1)
    assert shown("MainPID") == before
    CONFIG.write_text(good)

    # A pseudo terminal is hung up by every restart, and there again after it.
    application = opened(link)
    systemctl("kill", "--signal=KILL", "portline")
    assert read(application, 1) == b""
    os.close(application)
    until(lambda: shown("ActiveState") == "active" and shown("MainPID") != before)
    passes()

    drop_in(PATIENT + RESTRICTED.read_text().replace("[Service]", ""))
    systemctl("restart", "portline")
    passes()
    systemctl("reload", "portline")

    systemctl("stop", "portline")
    assert not os.path.lexists(RUNTIME)
    CONFIG.write_text("nonsense")
    systemctl("start", "portline", code=1)
    assert shown("NRestarts") == "0"
    os.close(far)
