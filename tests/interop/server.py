"""The system under test as a process: ``portline share``, or another server for comparison.

``PORTLINE_SUT=ser2net`` runs the conformance checks against ser2net instead, which shows that a
check can be passed by somebody, and prints a score.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from tests.forked import Forked
from tests.interop.device import PATIENCE
from tests.waiting import IN_LAB, SLOWNESS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["END_LIMIT", "SUT", "Server", "Service", "free_port", "listening", "run_portline"]

SUT = os.environ.get("PORTLINE_SUT", "portline")

SOURCE = Path(__file__).resolve().parents[2] / "src"

DEVELOPER_MODE = ["-X", "dev"] if sys.flags.dev_mode else []
"""How Python runs Portline: in its developer mode if the tests themselves do, as in CI."""

END_LIMIT = 2.0 * SLOWNESS
"""Seconds within which the server has to be gone after SIGTERM or SIGINT; those in which it waits
for a processor, because the machine is busy, do not count."""

_PORTLINE = (sys.executable, "-m", "portline")

_FAULTS = re.compile(
    r"Traceback|Warning:|never awaited|never retrieved|Exception ignored|was destroyed"
    r"|Unhandled|Fatal Python error|exception calling"
)


_given: set[int] = set()
"""The TCP ports that were found free by this process, and may be about to be used."""


def free_port() -> int:
    """Return a TCP port that nobody uses, below the range from which clients get theirs.

    None is returned twice while there are others.
    """
    dice = random.SystemRandom()
    while True:
        port = dice.randrange(20000, 32000)
        if port in _given and len(_given) < 10000:
            continue
        _given.add(port)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def listening(port: int, process: int | None = None) -> bool:
    """Tell whether somebody, or one process, listens; a connection would count as a peer."""
    state = "0A"
    address = f"0100007F:{port:04X}"
    table = map(str.split, Path("/proc/net/tcp").read_text("ascii").splitlines())
    sockets = {f"socket:[{row[9]}]" for row in table if row[1] == address and row[3] == state}
    if process is None:
        return bool(sockets)
    files = Path(f"/proc/{process}/fd")
    with suppress(OSError):  # it has ended, or a file was closed meanwhile
        return any(os.readlink(file) in sockets for file in files.iterdir())
    return False


def stalled(process: int) -> float:
    """Return the seconds that a process has waited for a processor (proc(5), schedstat)."""
    with suppress(OSError):  # it has ended, or the kernel does not count
        tasks = Path(f"/proc/{process}/task").iterdir()
        return sum(int((task / "schedstat").read_text("ascii").split()[1]) for task in tasks) / 1e9
    return 0.0


def _leash() -> list[str]:
    """Return the start of a command that does not outlive the tests, should they be killed.

    A server left behind would open the next pty that gets the number of its device's, whosever
    that is, and take its data.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []


def _started(command: Sequence[str], output: BinaryIO) -> subprocess.Popen[bytes] | Forked:
    if IN_LAB and list(command[:3]) == list(_PORTLINE):
        return Forked(command[3:], output.fileno())
    return subprocess.Popen(
        [*_leash(), *command],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=_environment(),
    )


class Server:
    """One running server.  ``errors()`` is what it has written to its standard error so far."""

    def __init__(
        self,
        device: Path | str,
        protocol: str = "rfc2217",
        *options: str,
        port: int | None = None,
        log: Path,
        developer_mode: bool = True,
        wait: bool = True,
        prefix: Sequence[str] = (),
        words: Sequence[str] = (),
    ) -> None:
        self.port = free_port() if port is None else port
        self.log = log
        if words:  # another command of Portline than ``share``
            command = [sys.executable, *DEVELOPER_MODE, "-m", "portline", *words]
            command = [sys.executable, *DEVELOPER_MODE, "-m", "portline", *words]
        else:
            command = _COMMANDS[SUT](str(device), protocol, self.port, options, log, developer_mode)
        self._launch([*prefix, *command], wait=wait)

    def _launch(self, command: Sequence[str], *, wait: bool) -> None:
        with self.log.open("wb") as stderr:
            self.process = _started(command, stderr)
        if wait:
            try:
                self.wait_listening()
            except AssertionError:
                self.process.kill()
                self.process.wait()
                raise

    def wait_listening(self) -> None:
        """Wait until a client can connect."""
        self._wait(lambda: listening(self.port, self.process.pid), "it does not listen")

    def wait_errors(self, pattern: str) -> None:
        """Wait until what it wrote matches ``pattern`` (letter case does not matter)."""
        wanted = re.compile(pattern, re.IGNORECASE)
        self._wait(lambda: bool(wanted.search(self.errors())), f"it does not say {pattern!r}")

    def wait_ended(self) -> int:
        """Wait until it has ended by itself; return its exit code."""
        return self.process.wait(PATIENCE)

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if self.process.poll() is not None and not condition():
                raise AssertionError(f"ended with {self.process.returncode}: {self.errors()}")
            assert time.monotonic() < deadline, f"{what}: {self.errors()}"
            time.sleep(0.01)

    def errors(self) -> str:
        return self.log.read_text("utf-8", "replace")

    def stop(self, how: int = signal.SIGTERM) -> None:
        """End it as an operator does; it has to go quickly, with success, and without a fault."""
        if SUT != "portline":
            self.process.terminate()
            self.process.wait(PATIENCE)
            return
        begin, before = time.monotonic(), stalled(self.process.pid)
        if self.process.poll() is None:
            self.process.send_signal(how)
        while (code := self.process.poll()) is None:
            took = time.monotonic() - begin
            # A thread that has ended is not counted any more.
            waited = max(0.0, stalled(self.process.pid) - before)
            if took - waited > END_LIMIT or took > PATIENCE:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"still there {took:.1f} s after {how!r}: {self.errors()}")
            time.sleep(0.005)
        assert code == 0, f"exit code {code}: {self.errors()}"
        self.check_errors()

    def check_errors(self) -> None:
        """Raise AssertionError when a programming fault shows in what it wrote."""
        assert not _FAULTS.search(self.errors()), self.errors()

    def descriptors(self) -> int:
        """Return how many file descriptors it has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def memory(self) -> int:
        """Return its resident memory in bytes."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text("ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


class Service(Server):
    """``portline serve`` with a file of its own; listening when ``port`` is listened on."""

    def __init__(self, config: str, port: int, *options: str, file: Path, log: Path) -> None:
        self.port = port
        self.log = log
        self.file = file
        file.write_text(config, "utf-8")
        portline = [sys.executable, *DEVELOPER_MODE, "-m", "portline", "serve", str(file)]
        self._launch([*portline, *options], wait=True)

    def reload(self, config: str, says: str) -> None:
        """Write another file, tell it to be read, and wait until the service ``says`` something.

        ``says`` is a regular expression for what is written from now on.
        """
        before = len(self.errors())
        self.file.write_text(config, "utf-8")
        self.process.send_signal(signal.SIGHUP)
        wanted = re.compile(says, re.IGNORECASE)
        self._wait(lambda: bool(wanted.search(self.errors()[before:])), f"it does not say {says!r}")


def _environment() -> dict[str, str]:
    paths = [str(SOURCE), os.environ.get("PYTHONPATH", "")]
    # The mode stands on the command line, where a test can leave it out.
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDEVMODE"}
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


def run_portline(*words: str) -> tuple[int, str]:
    """Run the command line until it ends; return its exit code and all that it wrote."""
    ended = subprocess.run(
        [sys.executable, *DEVELOPER_MODE, "-m", "portline", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=_environment(),
        timeout=2 * PATIENCE,
        check=False,
    )
    return ended.returncode, ended.stdout.decode("utf-8", "replace")


def _portline(
    device: str, protocol: str, port: int, options: Sequence[str], _log: Path, developer_mode: bool
) -> list[str]:
    mode = DEVELOPER_MODE if developer_mode else []
    serial = [] if "--baudrate" in options or "--virtual" in options else ["--baudrate", "9600"]
    command = [sys.executable, *mode, "-m", "portline", "share"]
    if device:
        command.append(device)
    return [*command, "--listen", f"127.0.0.1:{port}", "--protocol", protocol, *serial, *options]


def _ser2net(
    device: str, protocol: str, port: int, options: Sequence[str], log: Path, _mode: bool
) -> list[str]:
    telnet = "telnet(rfc2217)," if protocol == "rfc2217" else ""
    many = 1 if protocol == "rfc2217" else 8
    config = log.with_suffix(".yaml")
    config.write_text(
        f"connection: &shared\n  accepter: {telnet}tcp,127.0.0.1,{port}\n"
        f"  connector: serialdev,{device},9600n81,local\n"
        f"  options:\n    max-connections: {many}\n",
        "utf-8",
    )
    return ["/usr/sbin/ser2net", "-n", "-d", "-u", "-c", str(config)]


_COMMANDS = {"portline": _portline, "ser2net": _ser2net}
