"""Cleaning up after a Portline that was killed."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from portline.errors import PortDenied, PortError
from portline.port.names.repair import (
    Repairs,
    link_folders,
    repair_links,
    repair_overlaps,
    stale_links,
    stale_overlaps,
)
from tests.unit.port.mounting import Kernel

GONE = "/dev/pts/999999"


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    return Kernel(monkeypatch)


def test_only_what_is_ours_and_dead_is_taken_away(kernel: Kernel) -> None:
    kernel.add("/dev/ttyS2", "/5//deleted")
    kernel.add("/dev/ttyS1", "/6//deleted")
    kernel.add("/dev/ttyS3", "/7")
    kernel.add("/dev/ttyS4", "/8//deleted", options=frozenset({"rw"}))
    assert repair_overlaps() == Repairs(("/dev/ttyS1", "/dev/ttyS2"))
    assert [mount.point for mount in kernel.table] == ["/dev/ttyS3", "/dev/ttyS4"]
    assert repair_overlaps() == Repairs()


def test_a_dead_port_under_a_live_one_stays(kernel: Kernel) -> None:
    kernel.add("/dev/ttyS1", "/5//deleted")
    kernel.add("/dev/ttyS1", "/6")
    assert repair_overlaps() == Repairs()
    assert len(kernel.table) == 2


@pytest.mark.parametrize(
    ("number", "kind", "said"),
    [
        (errno.EPERM, PortDenied, "capability CAP_SYS_ADMIN; run `sudo portline repair`"),
        (errno.EIO, PortError, "cannot be taken away: Input/output error"),
    ],
)
def test_what_cannot_be_taken_away_is_told(
    kernel: Kernel, number: int, kind: type[PortError], said: str
) -> None:
    kernel.add("/dev/ttyS1", "/5//deleted")
    kernel.refuses["detach"] = number
    (error,) = repair_overlaps().failed
    assert type(error) is kind
    assert said in str(error)


def test_without_proc_there_is_nothing_to_find(kernel: Kernel) -> None:
    kernel.refuses["mounts"] = errno.ENOENT
    assert repair_overlaps() == Repairs()


def test_links_to_terminals_that_are_gone_are_removed(tmp_path: Path) -> None:
    master, slave = os.openpty()
    folder = tmp_path / "portline"
    folder.mkdir()
    targets = {"gone": GONE, "live": os.ttyname(slave), "null": "/dev/null", "usb": "/dev/ttyUSB99"}
    for name, target in targets.items():
        (folder / name).symlink_to(target)
    (folder / "file").touch()
    assert repair_links([folder, tmp_path / "none"]) == Repairs((f"{folder}/gone",))
    assert sorted(os.listdir(folder)) == ["file", "live", "null", "usb"]
    os.close(master)
    os.close(slave)


def test_an_empty_folder_goes_too(tmp_path: Path) -> None:
    folder = tmp_path / "portline"
    folder.mkdir()
    (folder / "gone").symlink_to(GONE)
    repair_links([folder])
    assert not folder.exists()


def test_a_folder_that_is_a_link_is_not_looked_into(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/gone").symlink_to(GONE)
    (tmp_path / "portline").symlink_to(tmp_path / "real")
    assert repair_links([tmp_path / "portline"]) == Repairs()


def test_somebody_elses_link_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").symlink_to(GONE)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert repair_links([tmp_path]) == Repairs()


def test_a_link_that_cannot_be_removed_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "gone").symlink_to(GONE)
    monkeypatch.setattr(Path, "unlink", fail)
    (error,) = repair_links([tmp_path]).failed
    assert str(error) == f"{tmp_path}/gone: cannot be removed: Permission denied"


def test_where_links_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    monkeypatch.setattr(os, "geteuid", lambda: 7)
    assert link_folders(tmp_path) == [Path("/run/user/7/portline"), tmp_path / "portline-7"]
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert link_folders(tmp_path) == [Path("/dev"), tmp_path / "portline-0"]


def test_what_would_be_repaired_is_told_and_left(kernel: Kernel, tmp_path: Path) -> None:
    kernel.add("/dev/ttyS2", "/5//deleted")
    kernel.add("/dev/ttyS1", "/6//deleted")
    kernel.add("/dev/ttyS1", "/7")
    kernel.add("/dev/ttyS4", "/8//deleted", options=frozenset({"rw"}))
    (tmp_path / "gone").symlink_to(GONE)
    (tmp_path / "other").symlink_to("/nowhere")
    assert stale_overlaps() == ["/dev/ttyS2"]
    assert stale_links([tmp_path]) == [str(tmp_path / "gone")]
    assert len(kernel.table) == 4
    assert os.path.lexists(tmp_path / "gone")
