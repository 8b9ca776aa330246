"""Namespaces of a test's own, so that nothing outside changes: devices to lie over, a network."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["DEVICE", "Namespace", "Network", "Unavailable"]

DEVICE = os.makedev(4, 200)
"""The number of the serial devices: ttyS136, which no machine has; nothing ever opens them."""

DRIVERS = """\
/dev/tty             /dev/tty        5       0 system:/dev/tty
/dev/console         /dev/console    5       1 system:console
serial               /dev/ttyS       4 64-255 serial
pty_slave            /dev/pts      136 0-1048575 pty:slave
unknown              /dev/tty        4 1-63 console
"""
"""What the kernel would say on a machine with all those ports."""

SETUP = """\
set -e
mount -t tmpfs -o mode=755 dev "$0"
mkdir "$0/pts" "$0/shm" "$0/by-id"
mount --rbind /dev/pts "$0/pts"
mknod "$0/ptmx" c 5 2
mknod "$0/tty" c 5 0
mknod "$0/console" c 5 1
mknod "$0/tty1" c 4 1
mknod "$0/null" c 1 3
mknod "$0/urandom" c 1 9
mknod "$0/ttyS1" c 4 200
mknod "$0/ttyS2" c 4 200
ln -s ../ttyS1 "$0/by-id/usb-Maker"
mount --bind "$1" /proc/tty/drivers
mount --rbind "$0" /dev
echo ready
exec cat
"""
"""Makes the new /dev and lives until its input ends."""


class Unavailable(Exception):
    """This machine or user cannot make such a namespace; the text says why."""


class Namespace:
    """A namespace with the serial devices /dev/ttyS1 and /dev/ttyS2, made in the folder ``place``.

    ``prefix`` begins a command that runs inside; ``seen(path)`` is the path of the same thing for
    the test.
    """

    def __init__(self, place: Path) -> None:
        unshare, nsenter = shutil.which("unshare"), shutil.which("nsenter")
        if unshare is None or nsenter is None:
            raise Unavailable("unshare and nsenter are not installed")
        folder, drivers = place / "dev", place / "drivers"
        folder.mkdir()
        drivers.write_text(DRIVERS)
        self._process = subprocess.Popen(
            [unshare, "-m", "--propagation", "private", "sh", "-c", SETUP, folder, drivers],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            _, errors = self._process.communicate()
            raise Unavailable(f"no mounts of its own (it takes root): {' '.join(errors.split())}")
        self.prefix = [nsenter, f"--mount=/proc/{self._process.pid}/ns/mnt", "--"]

    def close(self) -> None:
        """Let it go; it lives on as long as a program is inside."""
        self._process.communicate()

    def seen(self, path: str) -> str:
        """Return where a program outside finds a path of the inside; links are not followed."""
        return f"/proc/{self._process.pid}/root{path}"

    def is_device(self, path: str) -> bool:
        """Return whether a path leads to the real device."""
        return os.stat(self.seen(path)).st_rdev == DEVICE

    def layers(self, path: str) -> list[str]:
        """Return the roots of what is mounted over a path."""
        with open(f"/proc/{self._process.pid}/mountinfo", encoding="utf-8") as lines:
            return [words[3] for words in map(str.split, lines) if words[4] == path]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a program inside until it ends."""
        return subprocess.run(
            [*self.prefix, *command], capture_output=True, text=True, timeout=30, check=False
        )


WIRED = """\
set -e
ip link set lo up
ip link add near type veth peer name far netns "$0"
ip address add 10.77.0.1/24 dev near
ip link set near addrgenmode none
ip address add fe80::1/64 dev near nodad
ip address add fd77::1/64 dev near nodad
ip link set near up
nsenter --net=/proc/"$0"/ns/net sh -c '
    ip link set lo up
    ip address add 10.77.0.2/24 dev far
    ip link set far addrgenmode none
    ip address add fe80::2/64 dev far nodad
    ip address add fd77::2/64 dev far nodad
    ip link set far up
    until ip link show dev far | grep -q "state UP"; do sleep 0.02; done'
until ip link show dev near | grep -q "state UP"; do sleep 0.02; done
ip route add default dev near
echo ready
exec cat
"""
"""Joins the two by a cable and lives until its input ends."""


class Network:
    """Two machines with a cable between them, as far as the network goes; use it in ``with``.

    ``prefix`` begins a command on the one (interface near, 10.77.0.1, fd77::1), ``far`` on the
    other (far, 10.77.0.2, fd77::2).
    """

    def __init__(self) -> None:
        for program in ("unshare", "nsenter", "ip"):
            if shutil.which(program) is None:
                raise Unavailable(f"{program} is not installed")
        self._far = self._start("echo ready; exec cat")
        try:
            self._near = self._start(WIRED, str(self._far.pid))
        except Unavailable:
            self._far.communicate()
            raise
        self.prefix, self.far = (
            ["nsenter", f"--net=/proc/{process.pid}/ns/net", "--"]
            for process in (self._near, self._far)
        )

    def _start(self, script: str, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            ["unshare", "-n", "sh", "-c", script, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            _, errors = process.communicate()
            raise Unavailable(f"no network of its own (it takes root): {' '.join(errors.split())}")
        return process

    def __enter__(self) -> Network:
        return self

    def __exit__(self, *error: object) -> None:
        for process in (self._near, self._far):
            process.communicate()
