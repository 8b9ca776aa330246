"""Being told of opens and closes."""

from __future__ import annotations

import asyncio
import errno
import os
from typing import TYPE_CHECKING

import pytest

from portline.port.pty import inotify as module
from portline.port.pty.inotify import EVENT, IN_Q_OVERFLOW, OpenWatch
from tests.ports import turns, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Run


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_opens_and_closes_are_told_and_nothing_else(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        file = tmp_path / "file"
        file.write_text("x")
        seen: list[str] = []
        watch = OpenWatch(str(file), lambda: seen.append("look"), asyncio.get_running_loop())
        os.stat(file)
        await turns()
        assert seen == []
        fd = os.open(file, os.O_RDONLY)
        await until(lambda: len(seen) == 1)
        os.close(fd)
        await until(lambda: len(seen) == 2)
        watch.close()
        watch.close()
        os.close(os.open(file, os.O_RDONLY))
        await turns()
        assert len(seen) == 2

    run(scenario())


def test_one_descriptor_serves_a_loop_while_it_is_needed(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        before = descriptors()
        files = [tmp_path / str(n) for n in range(20)]
        seen: list[int] = []
        watches = []
        for number, file in enumerate(files):
            file.touch()
            watches.append(OpenWatch(str(file), lambda n=number: seen.append(n), loop))
        assert descriptors() == before + 1
        os.close(os.open(files[7], os.O_RDONLY))
        await until(lambda: seen)
        assert set(seen) == {7}
        for watch in watches:
            watch.close()
        assert descriptors() == before

    run(scenario())


def test_a_file_that_is_not_there(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        before = descriptors()
        with pytest.raises(FileNotFoundError):
            OpenWatch(str(tmp_path / "absent"), lambda: None, asyncio.get_running_loop())
        assert descriptors() == before

    run(scenario())


def test_a_file_that_goes(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        file = tmp_path / "file"
        file.touch()
        watch = OpenWatch(str(file), lambda: None, asyncio.get_running_loop())
        file.unlink()
        await turns()
        watch.close()

    run(scenario())


def test_everybody_looks_when_the_kernel_lost_count(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        seen: list[int] = []
        watches = []
        for number in range(3):
            (tmp_path / str(number)).touch()
            watches.append(
                OpenWatch(
                    str(tmp_path / str(number)),
                    lambda n=number: seen.append(n),
                    asyncio.get_running_loop(),
                )
            )
        instance = module._INSTANCES[asyncio.get_running_loop()]
        monkeypatch.setattr(os, "read", lambda *_: EVENT.pack(-1, IN_Q_OVERFLOW, 0, 0))
        instance._readable()
        monkeypatch.undo()
        instance._readable()
        assert sorted(seen) == [0, 1, 2]
        for watch in watches:
            watch.close()

    run(scenario())


def test_the_systems_limit(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def inotify_init1(self, flags: int) -> int:
            module.ctypes.set_errno(errno.EMFILE)
            return -1

    async def scenario() -> None:
        monkeypatch.setattr(module, "_LIBC", Full())
        with pytest.raises(OSError, match="Too many open files"):
            OpenWatch(str(tmp_path), lambda: None, asyncio.get_running_loop())
        assert len(module._INSTANCES) == 0

    run(scenario())
