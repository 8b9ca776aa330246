from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from portline.errors import PortError
from portline.line import LineSettings
from portline.port.pty import pair as module
from portline.port.pty.strict import StrictInlet, StrictOutlet
from tests.conftest import Run
from tests.ports import StrictBench, VirtualBench


def test_no_terminals_left(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> tuple[int, int]:
        raise OSError(errno.ENOSPC, "No space left on device")

    async def scenario() -> None:
        bench = VirtualBench(tmp_path)
        monkeypatch.setattr(os, "openpty", fail)
        with pytest.raises(PortError, match=r"too many, see sysctl kernel.pty.max"):
            bench.port.open()
        bench.close()

    run(scenario())


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENOENT])
def test_no_inotify(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    def fail(path: str, look: Callable[[], None], loop: object) -> None:
        raise OSError(error, os.strerror(error))

    async def scenario() -> None:
        bench = VirtualBench(tmp_path)
        monkeypatch.setattr(module, "OpenWatch", fail)
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(PortError, match="inotify"):
            bench.port.open()
        assert len(os.listdir("/proc/self/fd")) == before
        bench.close()

    run(scenario())


def test_only_a_strict_one_is_held_to_the_speed_of_the_line(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = VirtualBench(tmp_path)
        bench.port.open()
        pair = bench.virtual._pair
        assert pair is not None
        assert not isinstance(pair.inlet, StrictInlet)
        pair.set_character_time(1.0)
        assert pair.outlet.character_time == 0.0
        bench.close()

        strict = StrictBench(tmp_path)
        strict.port.open()
        pair = strict.virtual._pair
        assert pair is not None
        assert isinstance(pair.inlet, StrictInlet)
        assert isinstance(pair.outlet, StrictOutlet)
        pair.set_character_time(LineSettings(300).character_time)
        assert pair.outlet.character_time == LineSettings(300).character_time
        strict.close()

    run(scenario())
