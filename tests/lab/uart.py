"""The machine's own serial ports for tests: 16550A chips, wired as lab/wiring.py says."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import itertools
import json
import os
import select
import struct
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from portline.port.tty.port import PosixPort
from portline.port.tty.termios2 import encode, read_attributes, write_attributes
from tests.ports import FLAGS, PATIENCE, SETTINGS, FarEnd, Recorder

if TYPE_CHECKING:
    from portline.port.base import SerialPort

__all__ = ["Monitor", "UartBench", "channel", "clean_wire", "modem_bits", "set_modem_bits"]

TIOCMGET, TIOCMSET = 0x5415, 0x5418

_numbers = itertools.count()


def channel(name: str) -> str:
    """Return the path of a channel out of the guest (lab/wiring.py)."""
    for port in Path("/sys/class/virtio-ports").iterdir():
        if (port / "name").read_text("ascii").strip() == name:
            return f"/dev/{port.name}"
    raise AssertionError(f"the machine has no channel {name}")


def modem_bits(fd: int) -> int:
    return int(struct.unpack("i", fcntl.ioctl(fd, TIOCMGET, bytes(4)))[0])


def set_modem_bits(fd: int, bits: int) -> None:
    fcntl.ioctl(fd, TIOCMSET, struct.pack("i", bits))


def clean(*fds: int) -> None:
    """Wait until nothing of earlier tests is on the wire between two descriptors, either way."""
    for sender, receiver in (fds, fds[::-1]):
        mark = b"<clean %d>" % next(_numbers)
        end = time.monotonic() + PATIENCE
        os.write(sender, mark)
        heard = b""
        while not heard.endswith(mark):
            left = end - time.monotonic()
            assert left > 0, f"only {heard[-100:]!r} came"
            if select.select([receiver], [], [], left)[0]:
                with contextlib.suppress(BlockingIOError):
                    heard = (heard + os.read(receiver, 65536))[-100:]


def raw(path: str) -> int:
    """Open a port as it is after a start, but raw and at 115200 baud; return the descriptor."""
    fd = os.open(path, FLAGS)
    write_attributes(fd, encode(SETTINGS, read_attributes(fd)))
    set_modem_bits(fd, 0x006)
    return fd


def clean_wire(*paths: str) -> None:
    """Do the same for two ports that are wired to each other; both are raw afterwards."""
    fds = [raw(path) for path in paths]
    clean(*fds)
    for fd in fds:
        os.close(fd)


class UartBench:
    """A PosixPort on a 16550A; the test is the device, at the other end of its wire."""

    can_be_lost = False

    much = 40_000

    often = 150

    path = "/dev/ttyS1"

    def __init__(self, _folder: object = None) -> None:
        self.owner = Recorder()
        self.far = FarEnd(os.open(channel("ttyS1"), FLAGS))
        fd = raw(self.path)
        clean(fd, self.far.fd)
        termios.tcflush(fd, termios.TCIOFLUSH)
        os.close(fd)
        self.port: SerialPort = self.make()

    def make(self, **options: Any) -> PosixPort:
        """Return the port, made anew."""
        options.setdefault("settings", SETTINGS)
        return PosixPort(self.path, owner=self.owner, loop=asyncio.get_running_loop(), **options)

    async def open(self) -> FarEnd:
        """Open the port; return what talks to it."""
        self.port.open()
        return self.far

    def close(self) -> None:
        self.port.close()
        self.far.close()


class Monitor:
    """The machine as its owner sees it: QMP (docs/interop/qmp-spec of QEMU)."""

    def __init__(self) -> None:
        self._fd = os.open(channel("monitor"), FLAGS)
        self._heard = b""
        self.ask("qmp_capabilities")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def ask(self, command: str, **arguments: object) -> object:
        """Have a command done; return the answer."""
        mark = next(_numbers)
        asked = {"execute": command, "arguments": arguments, "id": mark}
        os.write(self._fd, json.dumps(asked).encode() + b"\n")
        end = time.monotonic() + PATIENCE
        while True:
            line, found, rest = self._heard.partition(b"\n")
            if found:
                self._heard = rest
                answer = json.loads(line)
                if answer.get("id") == mark:
                    # Asking again for what is agreed on already is refused, and does no harm.
                    assert "return" in answer or command == "qmp_capabilities", answer
                    return answer.get("return")
                continue
            left = end - time.monotonic()
            assert left > 0, f"no answer to {asked}: {self._heard!r}"
            select.select([self._fd], [], [], left)
            with contextlib.suppress(BlockingIOError):
                self._heard += os.read(self._fd, 65536)
