"""A Portline without the start of a Python: a fork of the test, which has its modules already.

In the lab a start of Python takes ten seconds and more, and this one takes none.  Everything from
the command line on is that of a process of its own.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Forked"]

PR_SET_PDEATHSIG: Final = 1

LOOK: Final = 0.005
"""Seconds between two looks whether it has ended."""

MODULES: Final = (
    "uvloop",
    "portline.cli.attach",
    "portline.cli.serve",
    "portline.cli.share",
    "portline.cli.status",
    "portline.control.companion",
    "portline.control.server",
    "portline.net.dial",
    "portline.net.tls.securing",
    "portline.port.cuse.port",
    "portline.port.tty.port",
    "portline.port.usbip.port",
    "portline.service.network.calling",
    "portline.service.network.door",
    "portline.service.network.gate",
    "portline.service.process.run",
    "portline.wire.rfc2217",
    "portline.wire.rfc2217_client",
    "portline.wire.rfc2217_server",
)
"""What a Portline imports as it runs; what is missing here each one imports for itself."""

_LIBC: Final = ctypes.CDLL(None)


class Forked:
    """``portline WORDS``, writing to the descriptor ``output``; used as a subprocess.Popen is."""

    def __init__(self, words: Sequence[str], output: int) -> None:
        _import()
        self.args = ["portline", *words]
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            try:
                _become(words, output)
            finally:
                os._exit(70)

    def poll(self) -> int | None:
        """Return the exit code, or the negative number of the signal; None while it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return as ``poll`` at its end.  Raises TimeoutExpired after ``timeout`` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            time.sleep(LOOK)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


def _import() -> None:
    """Import what a Portline imports as it runs, once for all of them."""
    for name in MODULES:
        import_module(name)


def _become(words: Sequence[str], output: int) -> None:
    """Be that Portline, and nothing that the tests are."""
    from portline.cli.app import main

    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, fd in enumerate((nothing, output, output)):
        os.dup2(fd, number)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    # pytest has others in their places.
    sys.stdin = os.fdopen(0, "r", closefd=False)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    for each in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2):
        signal.signal(each, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["portline", *words]
    try:
        main(list(words))
    except SystemExit as end:
        sys.stdout.flush()
        os._exit(end.code if isinstance(end.code, int) else bool(end.code))
