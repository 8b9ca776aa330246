"""A virtual port over a device, in a mount namespace of the test's own."""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import termios
import textwrap
import time
from typing import TYPE_CHECKING

import pytest

from tests.interop.conftest import lacking
from tests.interop.device import PATIENCE
from tests.interop.pair import status
from tests.interop.server import SOURCE, SUT, Server, free_port
from tests.namespace import DEVICE, Namespace, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(SUT != "portline", reason="the feature is Portline's"),
]

KILLS = 10

NAME = "/dev/ttyS1"

FLAGS = os.O_RDWR | os.O_NOCTTY


@pytest.fixture
def namespace(tmp_path: Path) -> Iterator[Namespace]:
    try:
        made = Namespace(tmp_path)
    except Unavailable as error:
        lacking(str(error))
        raise
    yield made
    made.close()


@pytest.fixture
def overlap(namespace: Namespace, share: Callable[..., Server]) -> Callable[..., Server]:
    """Return a function that starts a Portline inside with a virtual port over a device."""

    def start(name: str = NAME, *options: str, **keywords: object) -> Server:
        return share(
            "raw",
            "--virtual",
            name,
            "--overlap",
            *options,
            device="",
            prefix=namespace.prefix,
            **keywords,
        )

    return start


def portline(namespace: Namespace, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command inside."""
    environment = f"PYTHONPATH={SOURCE}"
    command = ["env", environment, sys.executable, "-X", "dev", "-m", "portline", *words]
    return namespace.run(*command)


def inside(namespace: Namespace, program: str) -> str:
    """Run lines of Python inside; return what they print."""
    lines = "import os\n" + textwrap.dedent(program)
    command = ["env", f"PYTHONPATH={SOURCE}", sys.executable, "-X", "dev", "-W", "error"]
    ended = namespace.run(*command, "-c", lines)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


def kill(server: Server) -> None:
    server.process.kill()
    server.process.wait()


def eventually(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.01)


def talk(fd: int, peer: socket.socket) -> None:
    """Let an application and a peer say something to each other."""
    os.write(fd, b"to the network")
    assert peer.recv(14) == b"to the network"
    peer.sendall(b"to the line\n")
    assert os.read(fd, 12) == b"to the line\n"


# --- while it is there, and at the end -----------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_the_name_leads_to_the_virtual_port_and_at_the_end_to_the_device(
    namespace: Namespace, overlap: Callable[..., Server], how: int
) -> None:
    assert namespace.is_device(NAME)
    server = overlap()
    assert not namespace.is_device(NAME)
    fd = os.open(namespace.seen(NAME), FLAGS)
    try:
        assert os.isatty(fd)
        with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as peer:
            talk(fd, peer)
        if how != signal.SIGHUP:  # which may mean to read the configuration again
            server.stop(how)
            assert namespace.is_device(NAME)
            assert namespace.layers(NAME) == []
            assert os.read(fd, 1) == b""  # as when a USB adapter is unplugged
    finally:
        os.close(fd)


def test_a_link_leads_to_the_device_and_that_is_said(
    namespace: Namespace, overlap: Callable[..., Server]
) -> None:
    server = overlap("/dev/by-id/usb-Maker")
    server.wait_errors(r"/dev/by-id/usb-Maker \(/dev/ttyS1\)")
    assert not namespace.is_device(NAME)
    server.stop()
    assert namespace.is_device(NAME)
    assert os.readlink(namespace.seen("/dev/by-id/usb-Maker")) == "../ttyS1"


def test_that_others_do_not_see_it_is_said(overlap: Callable[..., Server]) -> None:
    server = overlap()
    server.wait_errors("only this program sees its virtual ports")


@pytest.mark.parametrize("lazily", [True, False])
def test_unmounting_by_hand_brings_the_device_back(
    namespace: Namespace, overlap: Callable[..., Server], sockets: Path, lazily: bool
) -> None:
    server = overlap()
    assert status(server)["state"] == "listening"
    fd = os.open(namespace.seen(NAME), FLAGS) if lazily else -1
    done = namespace.run("umount", *(["-l"] if lazily else []), NAME)
    assert done.returncode == 0, done.stderr
    assert namespace.is_device(NAME)
    told = status(server)
    assert told["state"] == "error"
    assert "does not lie over it any more" in told["reason"]
    if lazily:
        with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as peer:
            talk(fd, peer)  # who had it open goes on
        os.close(fd)
    server.stop()
    assert namespace.is_device(NAME)


def test_exclusive_use_outlives_its_application_and_the_name_leads_to_a_new_terminal(
    namespace: Namespace, share: Callable[..., Server]
) -> None:
    """In a user namespace, because a server that is root everywhere may simply lift TIOCEXCL."""
    own = ["unshare", "-U", "-r", "-m", "--propagation", "private", "--"]
    if namespace.run(*own, "true").returncode != 0:
        lacking("no user namespaces here")
    prefix = [*namespace.prefix, *own]
    server = share("raw", "--virtual", NAME, "--overlap", device="", prefix=prefix)
    seen = f"/proc/{server.process.pid}/root{NAME}"
    before = os.stat(seen).st_rdev
    fd = os.open(seen, FLAGS)
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as peer:
        fcntl.ioctl(fd, termios.TIOCEXCL)
        talk(fd, peer)
        os.close(fd)
        eventually(lambda: os.stat(seen).st_rdev not in (before, DEVICE))
        fd = os.open(seen, FLAGS)
        talk(fd, peer)
        os.close(fd)
    server.stop()


def test_at_no_time_is_the_device_reached_while_terminals_are_exchanged(
    namespace: Namespace,
) -> None:
    told = inside(
        namespace,
        """
        from portline.port.names import mounts, overlap
        spot = overlap.Overlap("/dev/ttyS1", {})
        pairs = [os.openpty() for _ in range(4)]
        names = [os.ttyname(slave) for _, slave in pairs]
        spot.put("/dev/ttyS1", names[0])
        spot.move("/dev/ttyS1", names[1], names[2])  # not the one that lies there
        assert mounts.covering("/dev/ttyS1").terminal == names[0]
        spot.move("/dev/ttyS1", names[0], names[1])
        assert mounts.covering("/dev/ttyS1").terminal == names[1]

        def attach(terminal, path, *, beneath=False, attach=overlap.attach):
            if beneath:
                raise OSError(22, "Invalid argument")  # as before Linux 6.5
            attach(terminal, path)

        overlap.attach = attach
        spot.move("/dev/ttyS1", names[1], names[2])
        assert mounts.covering("/dev/ttyS1").terminal == names[2]
        spot.remove("/dev/ttyS1", names[1])
        assert mounts.covering("/dev/ttyS1").terminal == names[2]
        spot.remove("/dev/ttyS1", names[2])
        assert mounts.covering("/dev/ttyS1") is None
        spot.remove("/dev/ttyS1", names[2])
        print("done")
        """,
    )
    assert told == "done\n"
    assert namespace.layers(NAME) == []


def test_a_mount_on_top_of_ours_is_not_taken_for_it(namespace: Namespace) -> None:
    told = inside(
        namespace,
        """
        import subprocess
        from portline.port.names import mounts
        master, slave = os.openpty()
        mounts.attach(os.ttyname(slave), "/dev/ttyS1")
        ours = mounts.covering("/dev/ttyS1")
        subprocess.run(["mount", "--bind", "/dev/null", "/dev/ttyS1"], check=True)
        mounts.detach(ours)
        assert mounts.covering("/dev/ttyS1").kind != "devpts"
        assert mounts.covering("/dev/none") is None
        assert mounts.covering("/dev/ttyS2") is None
        print("done")
        """,
    )
    assert told == "done\n"
    assert len(namespace.layers(NAME)) == 2


def test_ports_says_what_lies_over_a_device(
    namespace: Namespace, overlap: Callable[..., Server], tmp_path: Path
) -> None:
    sysfs = tmp_path / "sys"
    chip = sysfs / "devices/platform/serial8250/tty/ttyS1"
    chip.mkdir(parents=True)
    (sysfs / "class/tty").mkdir(parents=True)
    (sysfs / "class/tty/ttyS1").symlink_to("../../devices/platform/serial8250/tty/ttyS1")
    program = f"""
        from pathlib import Path
        from portline.cli import ports
        from portline.service import devices
        from portline.port.inventory.ports import found_ports
        devices.found_ports = lambda: found_ports(Path("{sysfs}"))
        ports.ports([], standalone_mode=False)
        """
    server = overlap()
    live = inside(namespace, program)
    assert f"under a virtual port of pid {server.process.pid} (" in live
    assert "portline share" not in live
    kill(server)
    assert "under a virtual port that is gone; run `portline repair`" in inside(namespace, program)
    assert portline(namespace, "repair").returncode == 0
    free = inside(namespace, program)
    assert "free" in free
    assert "portline share /dev/ttyS1" in free


# --- crashes -------------------------------------------------------------------------------------


def test_after_a_kill_the_next_start_takes_over(
    namespace: Namespace, overlap: Callable[..., Server]
) -> None:
    kill(overlap())
    with pytest.raises(OSError, match="Input/output error"):
        os.open(namespace.seen(NAME), FLAGS)
    server = overlap()
    fd = os.open(namespace.seen(NAME), FLAGS)
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as peer:
        talk(fd, peer)
    os.close(fd)
    assert len(namespace.layers(NAME)) == 1
    server.stop()
    assert namespace.is_device(NAME)


def test_after_a_kill_any_start_brings_the_device_back(
    namespace: Namespace, overlap: Callable[..., Server], share: Callable[..., Server]
) -> None:
    kill(overlap())
    other = share("raw", device="/dev/ttyABSENT", prefix=namespace.prefix)
    assert namespace.is_device(NAME)
    other.wait_errors(f"{NAME}: is the device again")


def test_after_a_kill_repair_brings_the_device_back(
    namespace: Namespace, overlap: Callable[..., Server]
) -> None:
    kill(overlap())
    os.symlink("/dev/pts/987654", namespace.seen("/dev/ttyV0"))
    os.symlink("/dev/pts", namespace.seen("/dev/terminals"))
    repaired = portline(namespace, "repair")
    assert repaired.returncode == 0, repaired.stderr
    assert repaired.stdout.splitlines() == [
        f"{NAME}: is the device again; a virtual port that is gone lay over it",
        "/dev/ttyV0: removed; it led to a virtual port that is gone",
    ]
    assert namespace.is_device(NAME)
    assert os.readlink(namespace.seen("/dev/terminals")) == "/dev/pts"
    again = portline(namespace, "repair")
    assert (again.returncode, again.stdout) == (0, "Nothing to repair.\n")


def test_an_application_that_was_there_at_the_kill_ends_and_finds_the_device(
    namespace: Namespace, overlap: Callable[..., Server]
) -> None:
    server = overlap()
    fd = os.open(namespace.seen(NAME), FLAGS)
    kill(server)
    assert os.read(fd, 1) == b""
    assert portline(namespace, "repair").returncode == 0  # although it is still open
    assert namespace.is_device(NAME)
    os.close(fd)


def test_a_live_overlap_is_not_repaired(
    namespace: Namespace, overlap: Callable[..., Server]
) -> None:
    server = overlap()
    repaired = portline(namespace, "repair")
    assert (repaired.returncode, repaired.stdout) == (0, "Nothing to repair.\n")
    assert not namespace.is_device(NAME)
    server.stop()


def test_somebody_elses_dead_mount_is_not_touched(namespace: Namespace) -> None:
    master, slave = os.openpty()
    mounted = namespace.run("mount", "--bind", os.ttyname(slave), "/dev/ttyS2")
    assert mounted.returncode == 0, mounted.stderr
    os.close(slave)
    os.close(master)
    assert portline(namespace, "repair").stdout == "Nothing to repair.\n"
    assert len(namespace.layers("/dev/ttyS2")) == 1


@pytest.mark.parametrize("remedy", ["start", "repair"])
@pytest.mark.slow
def test_kills_at_any_moment(
    namespace: Namespace, overlap: Callable[..., Server], remedy: str
) -> None:
    """The number of the dice is said by pytest when it fails, in the test's output."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    for _ in range(KILLS):
        server = overlap(wait=False)
        # Reading the source takes most of a start; what matters comes after that.
        time.sleep(dice.uniform(0.1, 0.5))
        kill(server)
        assert len(namespace.layers(NAME)) <= 1
        if remedy == "repair":
            assert portline(namespace, "repair").returncode == 0
            assert namespace.is_device(NAME)
    server = overlap()
    assert len(namespace.layers(NAME)) == 1
    server.stop()
    assert namespace.is_device(NAME)


# --- refusals ------------------------------------------------------------------------------------


def test_a_second_portline_is_refused(
    namespace: Namespace, overlap: Callable[..., Server], tmp_path: Path
) -> None:
    first = overlap()
    second = overlap(wait=False)
    second.wait_errors(
        rf"/dev/ttyS1: a virtual port of pid {first.process.pid} \(.*\) lies over it already; stop"
    )
    second.stop()
    assert not namespace.is_device(NAME)
    first.stop()
    assert namespace.is_device(NAME)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("/dev/ttyS99", "there is no device to lie over .*; plug it in, or leave overlap out"),
        ("/dev/null", "is no serial device"),
        ("/dev/tty", "is no serial device"),
        ("/dev/tty1", "is no serial device"),
        ("/dev/console", "is no serial device"),
        ("/dev/ptmx", "is no serial device"),
        ("/dev/by-id", "is a folder"),
        ("/dev/file", "is a file and no device"),
    ],
)
def test_only_a_serial_device_is_hidden(
    namespace: Namespace, overlap: Callable[..., Server], name: str, said: str
) -> None:
    with open(namespace.seen("/dev/file"), "w", encoding="ascii"):
        pass
    server = overlap(name, wait=False)
    server.wait_errors(f"{name}: {said}")
    assert namespace.layers(name) == []


def test_without_the_privilege_it_is_refused_in_one_line(
    namespace: Namespace, overlap: Callable[..., Server], tmp_path: Path
) -> None:
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        lacking("setpriv is not installed")
    without = [str(setpriv), "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", "--"]
    kill(overlap())
    refused = portline(namespace, "ports")  # which needs none
    assert refused.returncode == 0
    command = ["env", f"PYTHONPATH={SOURCE}", sys.executable, "-m", "portline", "repair"]
    repaired = namespace.run(*without, *command)
    assert repaired.returncode == 1
    assert repaired.stderr == (
        "portline: error: /dev/ttyS1: a virtual port that is gone still lies over it, and to take "
        "that away takes the capability CAP_SYS_ADMIN; run `sudo portline repair`\n"
    )
    server = Server(
        "",
        "raw",
        "--virtual",
        "/dev/ttyS2",
        "--overlap",
        log=tmp_path / "unprivileged.log",
        prefix=[*namespace.prefix, *without],
        port=free_port(),
    )
    server.wait_errors("/dev/ttyS2: to lie over a device takes the capability CAP_SYS_ADMIN; run")
    server.stop()
    assert namespace.layers("/dev/ttyS2") == []
