"""A virtual port whose application keeps the terminal for itself (TIOCEXCL)."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

import pytest

from portline.line import (
    LineSettings,
)
from portline.port.pty.master import Master
from portline.port.tty.termios2 import decode, read_attributes
from tests.ports import VirtualBench, until
from tests.unit.port.far_end import set_line

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Run


def keep_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the terminal stay exclusive as it does for everybody but root."""
    monkeypatch.setattr(Master, "renew", lambda self: False)


def test_a_terminal_that_stays_exclusive_is_exchanged(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        bench = VirtualBench(tmp_path)
        far = await bench.open()
        bench.port.write(b"x" * 200_000)
        set_line(far, LineSettings(1200))
        first = os.path.realpath(str(bench.port.path))
        keep_busy(monkeypatch)
        far.close()
        await until(lambda: bench.owner.used == [True, False])
        assert os.path.realpath(str(bench.port.path)) != first
        assert bench.owner.full == [True, False]
        far = await bench.application()
        assert decode(read_attributes(far.fd)) == LineSettings(1200)
        await far.write(b"as before")
        await until(lambda: bench.owner.received == b"as before")
        bench.port.write(b"there and back")
        await far.expect(b"there and back")
        assert bench.owner.lost == []
        before = len(os.listdir("/proc/self/fd"))
        far.close()
        await until(lambda: bench.owner.used == [True, False] * 2)
        assert len(os.listdir("/proc/self/fd")) == before - 1
        bench.close()

    run(scenario())


def test_no_terminal_left_to_exchange_it_for(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> tuple[int, int]:
        raise OSError(errno.ENOSPC, "No space left on device")

    async def scenario() -> None:
        bench = VirtualBench(tmp_path)
        far = await bench.open()
        keep_busy(monkeypatch)
        monkeypatch.setattr(os, "openpty", fail)
        far.close()
        await until(lambda: bench.owner.lost)
        assert bench.port.path is None
        assert bench.owner.used == [True, False]
        bench.close()

    run(scenario())


NOBODY = """
import asyncio, fcntl, os, sys
from portline.port.pty.port import PtyPort
from tests.ports import Recorder, until
os.setgroups([]); os.setgid(65534); os.setuid(65534)
FLAGS = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK

async def main():
    owner = Recorder()
    port = PtyPort("exclusive", owner=owner, loop=asyncio.get_running_loop(), directory=sys.argv[1])
    port.open()
    for count in range(1, 4):
        fd = os.open(port.path, FLAGS)
        fcntl.ioctl(fd, 0x540C)
        await until(lambda: owner.used == [True, False] * (count - 1) + [True])
        os.close(fd)
        await until(lambda: owner.used == [True, False] * count)
    port.close()
    assert os.listdir(sys.argv[1]) == []

asyncio.run(main())
print("fine")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_exclusive_programs_one_after_the_other_without_root() -> None:
    # Not in tmp_path, whose parents are closed to others.
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        found = subprocess.run(
            [sys.executable, "-c", NOBODY, folder], capture_output=True, text=True, timeout=60
        )
    assert found.stdout == "fine\n", found.stderr
