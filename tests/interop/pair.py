"""A cable through the network: an application's virtual port, a client, a server, a device."""

from __future__ import annotations

import os
import termios
import time
import tty
from pathlib import Path
from typing import TYPE_CHECKING, Any

from portline.control.client import ask
from tests.interop.device import PATIENCE
from tests.interop.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Client", "eventually", "open_port", "set_port", "status"]

SPEEDS = {
    1200: termios.B1200,
    9600: termios.B9600,
    19200: termios.B19200,
    57600: termios.B57600,
    115200: termios.B115200,
}


class Client(Server):
    """``portline attach`` with a virtual port called ``path``, or a real one there."""

    def __init__(
        self,
        *hosts: str,
        path: Path,
        protocol: str = "rfc2217",
        options: Sequence[str] = (),
        real: bool = False,
        log: Path,
        prefix: Sequence[str] = (),
    ) -> None:
        self.path = path
        self.asked_for_settings = protocol == "rfc2217"
        here = ["--port" if real else "--virtual", str(path)]
        words = ["attach", *hosts, *here, "--protocol", protocol, "-vv", *options]
        super().__init__("", protocol, port=0, log=log, wait=False, words=words, prefix=prefix)
        self._wait(path.exists, "it makes no port")

    @property
    def connections(self) -> int:
        """How often it has connected."""
        return self.errors().count("peer connected")

    def connected(self, times: int = 1) -> None:
        """Wait until it has connected so many times."""
        self._wait(lambda: self.connections >= times, f"it does not connect {times} times")

    def asked(self) -> dict[str, tuple[Any, Any]]:
        """Return what the remote port was asked for, and what is in force there."""
        peers = status(self)["peers"]
        return {each["item"]: (each["asked"], each["in_force"]) for each in peers[0]["remote"]}

    def agree(self) -> dict[str, tuple[Any, Any]]:
        """Wait until everything that was asked for has its answer; return it."""
        self._wait(
            lambda: (
                bool(status(self)["peers"])
                and self.asked()
                and all(now is not None for _, now in self.asked().values())
            ),
            "something is not answered",
        )
        return self.asked()


def status(server: Server) -> Any:
    """Return what ``portline status --json`` says of the one connection of a process."""
    folder = Path(os.environ["RUNTIME_DIRECTORY"])
    (connection,) = ask(folder / f"{server.process.pid}.sock", "status")["connections"]
    return connection


def eventually(condition: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Wait until ``condition()`` is true."""
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def open_port(path: Path, baudrate: int = 115200, *, two_stops: bool = False) -> int:
    """Open a port as an application does: raw, with a speed; returns the descriptor."""
    descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY)
    set_port(descriptor, baudrate, two_stops=two_stops)
    return descriptor


def set_port(
    descriptor: int, baudrate: int, *, two_stops: bool = False, hardware: bool = False
) -> None:
    """Change the settings of an open port."""
    tty.setraw(descriptor, termios.TCSANOW)
    attributes = termios.tcgetattr(descriptor)
    attributes[2] |= termios.CLOCAL
    if two_stops:
        attributes[2] |= termios.CSTOPB
    else:
        attributes[2] &= ~termios.CSTOPB
    if hardware:
        attributes[2] |= termios.CRTSCTS
    attributes[4] = attributes[5] = SPEEDS[baudrate]
    termios.tcsetattr(descriptor, termios.TCSANOW, attributes)
