"""Who holds a device, read from a small /proc of our own."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from portline.port.inventory.holder import Holder, holders, lock_holder, uucp_holder
from tests.waiting import SLOWNESS


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A /proc with one process 812 that has the null device open, and one that hides."""
    folder = tmp_path / "proc"
    (folder / "812/fd").mkdir(parents=True)
    (folder / "812/comm").write_text("ser2net\n")
    (folder / "812/fd/0").symlink_to("socket:[1234]")
    (folder / "812/fd/3").symlink_to("/dev/null")
    (folder / "812/fd/4").symlink_to("/dev/gone")
    (folder / "900").mkdir()
    (folder / str(os.getpid()) / "fd").mkdir(parents=True)
    (folder / str(os.getpid()) / "fd/3").symlink_to("/dev/null")
    (folder / "uptime").write_text("1 1")
    return folder


def test_the_process_that_has_it_open_is_named(proc: Path) -> None:
    found = holders(["/dev/null", "/dev/zero", "/dev/not-there"], proc)
    assert found == {
        "/dev/null": [Holder(812, "ser2net")],
        "/dev/zero": [],
        "/dev/not-there": [],
    }
    assert str(found["/dev/null"][0]) == "pid 812 (ser2net)"


def test_no_device_and_no_proc(tmp_path: Path, proc: Path) -> None:
    assert holders(["/dev/not-there"], proc) == {"/dev/not-there": []}
    assert holders(["/dev/null"], tmp_path / "nothing") == {"/dev/null": []}


def test_a_process_without_a_name() -> None:
    assert str(Holder.of(1, Path("/nowhere"))) == "pid 1"


def test_the_process_that_locked_it(proc: Path, tmp_path: Path) -> None:
    file = tmp_path / "device"
    file.touch()
    found = file.stat()
    place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    (proc / "locks").write_text(
        "1: POSIX  ADVISORY  READ 77 00:00:1 0 EOF\n"
        f"2: OFDLCK ADVISORY  READ -1 {place} 0 EOF\n"
        f"2: -> FLOCK  ADVISORY  WRITE 813 {place} 0 EOF\n"
        f"3: FLOCK  ADVISORY  WRITE 812 {place} 0 EOF\n"
        "short\n"
    )
    assert lock_holder(str(file), proc) == Holder(812, "ser2net")
    assert lock_holder("/dev/null", proc) is None
    assert lock_holder(str(tmp_path / "absent"), proc) is None
    assert lock_holder(str(file), tmp_path / "nothing") is None


@pytest.mark.parametrize(
    ("contents", "pid"),
    [
        (b"       812\n", 812),
        (b"812 kermit root\n", 812),
        ((812).to_bytes(4, "little"), 812),
        (b"       900\n", 900),
        (b"       901\n", None),
        (b"", None),
        (b"nonsense", None),
        (b"         0\n", None),
        pytest.param(f"{os.getpid():10d}\n".encode(), None, id="ourselves"),
    ],
)
def test_lock_files_of_uucp(proc: Path, tmp_path: Path, contents: bytes, pid: int | None) -> None:
    (tmp_path / "LCK..ttyUSB0").write_bytes(contents)
    found = uucp_holder("/dev/ttyUSB0", tmp_path, proc)
    assert (found and found.pid) == pid


@pytest.mark.parametrize("kind", ["pipe", "link to a pipe", "folder", "link in a circle"])
def test_what_anybody_may_put_there_instead_of_a_lock_file(
    proc: Path, tmp_path: Path, kind: str
) -> None:
    """Opening a pipe waits for a writer: one user could stop the Portline of another."""
    file, pipe = tmp_path / "LCK..ttyUSB0", tmp_path / "pipe"
    os.mkfifo(pipe)
    match kind:
        case "pipe":
            pipe.rename(file)
            pipe = file
        case "link to a pipe":
            file.symlink_to(pipe)
        case "folder":
            file.mkdir()
        case _:
            file.symlink_to(file)
    found: list[Holder | None] = []
    looking = threading.Thread(
        target=lambda: found.append(uucp_holder("/dev/ttyUSB0", tmp_path, proc)), daemon=True
    )
    looking.start()
    looking.join(5 * SLOWNESS)
    waits = looking.is_alive()
    if waits:
        os.close(os.open(pipe, os.O_RDWR))
    assert not waits
    assert found == [None]


def test_no_lock_file(tmp_path: Path, proc: Path) -> None:
    assert uucp_holder("/dev/ttyUSB0", tmp_path, proc) is None


@pytest.mark.parametrize(
    ("words", "ours"),
    [
        (["python3", "-m", "portline", "serve"], True),
        (["python3", "/opt/x/lib/portline/__main__.py", "serve"], True),
        (["/usr/bin/python3", "/opt/x/bin/portline", "demo"], True),
        (["vi", "/etc/portline/portline.toml"], False),
        (["socat", "pty", "tcp:portline:1"], False),
        (None, True),
    ],
)
def test_who_may_be_a_portline(tmp_path: Path, words: list[str] | None, ours: bool) -> None:
    if words is not None:
        (tmp_path / "7").mkdir()
        (tmp_path / "7/cmdline").write_text("\0".join([*words, ""]))
    assert Holder(7).is_portline(tmp_path) is ours


def test_when_a_process_began(tmp_path: Path) -> None:
    begun = Holder(os.getpid()).begun()
    assert begun is not None
    assert begun < time.time()
    assert Holder(7).begun(tmp_path) is None
    (tmp_path / "7").mkdir()
    (tmp_path / "7/stat").write_text("7 (a ) b) S " + " ".join(map(str, range(3, 25))))
    later = Holder(7).begun(tmp_path)
    (tmp_path / "7/stat").write_text("7 (x) S")
    assert Holder(7).begun(tmp_path) is None
    assert later is not None
    assert later <= begun
