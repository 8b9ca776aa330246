"""A service manager played by a test: it keeps descriptors as systemd does (sd_notify(3))."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import suppress
from types import TracebackType

__all__ = ["Manager"]

PREPARED = """
import fcntl, os, sys
given = [int(each) for each in sys.argv[1].split(",") if each]
beyond = 3 + len(given) + max(given, default=0)
moved = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, beyond) for each in given]
for each in given:
    os.close(each)
for number, each in enumerate(moved, 3):
    os.dup2(each, number)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""
"""The main process has its own number in a variable, and its descriptors from 3 on."""


class Manager:
    """Listens at ``address`` while the ``with`` lasts; ``kept`` are the descriptors by name.

    ``ready`` and ``status`` are what the service has told of itself.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.kept: dict[str, list[int]] = {}
        self.ready = False
        self.status = ""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def __enter__(self) -> Manager:
        self._socket.bind("\0" + self.address[1:] if self.address[0] == "@" else self.address)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.listen()
        self._socket.close()
        self.release()

    def environment(self) -> dict[str, str]:
        return {"NOTIFY_SOCKET": self.address}

    def listen(self) -> None:
        """Do what it was told since."""
        with suppress(BlockingIOError):
            while True:
                data, descriptors, _flags, _address = socket.recv_fds(self._socket, 4096, 253)
                self._told(
                    dict(line.split("=", 1) for line in data.decode().splitlines()), descriptors
                )

    def _told(self, said: dict[str, str], descriptors: list[int]) -> None:
        if "READY" in said:
            self.ready, self.status = said["READY"] == "1", said["STATUS"]
            return
        name = said["FDNAME"]
        if "FDSTOREREMOVE" in said:
            for each in self.kept.pop(name, []):
                os.close(each)
            return
        assert said["FDSTORE"] == "1"
        kept = self.kept.setdefault(name, [])
        for each in descriptors:
            if any(os.path.sameopenfile(each, other) for other in kept):
                os.close(each)  # systemd looks whether it has it
            else:
                kept.append(each)

    def release(self) -> None:
        """Let go of everything, as when the service is stopped."""
        for kept in self.kept.values():
            for each in kept:
                os.close(each)
        self.kept.clear()

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start Python with ``words`` as a service that gets what is kept; its output is ours."""
        self.listen()
        pairs = [(name, each) for name, kept in self.kept.items() for each in kept]
        variables = {
            "LISTEN_FDS": str(len(pairs)),
            "LISTEN_FDNAMES": ":".join(name for name, _ in pairs),
        }
        given = [each for _, each in pairs]
        return subprocess.Popen(
            [sys.executable, "-c", PREPARED, ",".join(map(str, given)), *words],
            env=os.environ | self.environment() | (variables if pairs else {}),
            pass_fds=given,
            stdout=subprocess.DEVNULL,
            text=True,
        )
