"""Portline run as a page tells its reader to, in a folder where nothing else is."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

from tests.docs.pages import ROOT
from tests.interop.server import _leash, free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = [
    "PATIENCE",
    "Place",
    "environment",
    "listening",
    "with_passwords",
    "write_password",
]

PATIENCE: Final = 20.0
"""Seconds after which what has to happen has failed; never a speed."""


def environment() -> dict[str, str]:
    """Return an environment in which ``python -m portline`` is the one beside these tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return kept | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "PYTHONUNBUFFERED": "1"}


def listening(port: int) -> bool:
    """Tell whether somebody listens, or receives datagrams, on any address."""
    states = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}
    return any(
        words[3] == state and int(words[1].rpartition(":")[2], 16) == port
        for name, state in states.items()
        for words in _table(name)
    )


def _table(name: str) -> list[list[str]]:
    try:
        with open(f"/proc/net/{name}", encoding="ascii") as table:
            return [line.split() for line in table.readlines()[1:]]
    except FileNotFoundError:  # a kernel without IPv6
        return []


class Place:
    """A folder with devices, and TCP ports in place of those on the page.

    A device is the slave of a pseudo terminal; the test has its ``masters``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.masters: dict[str, int] = {}
        self.ports: dict[int, int] = {}
        self.prefix: list[str] = []
        """How a command begins that is to run elsewhere than on this machine as it is."""
        self.variables: dict[str, str] = {}
        """Variables of the environment beside the usual ones, for what is run until it ends."""
        self._slaves: dict[str, int] = {}

    def close(self) -> None:
        for fd in (*self.masters.values(), *self._slaves.values()):
            os.close(fd)

    def device(self, shown: str) -> str:
        """Return the path of the device that stands for the one ``shown`` on the page."""
        if shown not in self._slaves:
            self.masters[shown], self._slaves[shown] = os.openpty()
        return os.ttyname(self._slaves[shown])

    def port(self, shown: int) -> int:
        """Return the TCP port that stands for the one ``shown`` on the page."""
        while shown not in self.ports:
            free = free_port()
            if free not in self.ports.values():
                self.ports[shown] = free
        return self.ports[shown]

    def with_ports(self, text: str) -> str:
        """Return text with the TCP ports of this place in the addresses."""
        return re.sub(
            r"(127\.0\.0\.1:|\*:)(\d{4,5})\b", lambda m: f"{m[1]}{self.port(int(m[2]))}", text
        )

    def with_devices(self, text: str) -> str:
        """Return text with the devices of this place in place of paths in quotes."""
        return re.sub(r'"(/dev/[^"]+)"', lambda m: f'"{self.device(m[1])}"', text)

    def run(self, *words: str, typed: str | None = None, noted: str = "") -> str:
        """Run Portline until it ends with success; return what it wrote.

        ``typed`` comes through a pipe; ``noted`` is a part of the note that there is, "" for none.
        """
        ended = self._ended(words, typed)
        assert (ended.returncode, bool(ended.stderr)) == (0, bool(noted)), ended.stderr
        assert noted in ended.stderr
        return ended.stdout

    def fails(self, *words: str) -> str:
        """Run Portline until it ends because something cannot be done; return why."""
        ended = self._ended(words)
        assert (ended.returncode, ended.stdout) == (1, "")
        return ended.stderr

    def _ended(
        self, words: tuple[str, ...], typed: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.prefix, sys.executable, "-m", "portline", *words],
            cwd=self.folder,
            env=environment() | self.variables,
            input=typed,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def start(self, *words: str) -> Running:
        """Start Portline."""
        return Running(self, words)


def write_password(place: Place, name: str) -> None:
    """Write a file with a password, which is good for both ends."""
    path = place.folder / name
    path.write_text("correct horse battery staple\n", encoding="utf-8")
    path.chmod(0o600)


def with_passwords(place: Place, text: str) -> str:
    """Return a configuration whose files with passwords are here, and make them."""
    for name in re.findall(r"/etc/portline/([a-z.]+password)", text):
        write_password(place, name)
    for name in re.findall(r"/etc/portline/([a-z]+\.(?:pem|key))", text):
        (place.folder / name).touch()
    return text.replace("/etc/portline/", f"{place.folder}/")


class Running:
    """A Portline that runs within ``with``; then it is ended by SIGTERM, and has to end well."""

    def __init__(self, place: Place, words: tuple[str, ...]) -> None:
        self._log = place.folder / "log"
        self._place = place
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*_leash(), *place.prefix, sys.executable, "-m", "portline", *words],
                cwd=place.folder,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def __enter__(self) -> Running:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            self.process.send_signal(signal.SIGTERM)
            code = self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.process.wait()
        if error is None:
            assert (code, "Traceback" in self.said()) == (0, False), self.said()

    def said(self) -> str:
        """Return what it has written so far."""
        return self._log.read_text("utf-8", "replace")

    def says(self, text: str) -> None:
        self.does(lambda: text in self.said(), f"say {text!r}")

    def listens(self) -> None:
        """Wait until it listens on all TCP ports of its place."""
        ports = self._place.ports.values()
        self.does(lambda: all(map(listening, ports)), f"listen on {', '.join(map(str, ports))}")

    def does(self, condition: Callable[[], object], what: str) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            code = self.process.poll()
            assert code is None, f"ended with {code} and did not {what}: {self.said()}"
            assert time.monotonic() < end, f"did not {what}: {self.said()}"
            time.sleep(0.01)
