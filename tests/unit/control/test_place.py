from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from portline.control.place import GRACE, Places, owner_alone, pid_of, remove_stale
from portline.errors import PortlineError

DEAD = 4194304
"""One more than the largest process number of Linux."""


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a short path that stands for ``/``."""
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    with TemporaryDirectory(prefix="ctl-") as name:
        folder = Path(name)
        (folder / "run").mkdir()
        (folder / "tmp").mkdir()
        yield folder


def places(root: Path, user: int | None = None) -> Places:
    return Places(run=root / "run", temporary=root / "tmp", user=user)


@contextmanager
def listening(path: Path) -> Iterator[Path]:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))
        made.listen()
        yield path


def left_over(path: Path) -> Path:
    with listening(path):
        pass
    return path


def test_each_user_has_folders_in_an_order(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert places(root, 0).folders() == [root / "run/portline", root / "tmp/portline-0"]
    assert places(root, 1000).folders() == [root / "tmp/portline-1000"]
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    assert places(root, 1000).folders() == [
        Path("/run/user/1000/portline"),
        root / "tmp/portline-1000",
    ]
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/one:/run/two")
    assert places(root, 1000).folders() == places(root, 1000)._searched() == [Path("/run/one")]


def test_the_first_folder_that_can_be_had_is_made(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(root / "none"))
    made = places(root, os.geteuid()).make() if os.geteuid() else places(root).make()
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    Places.tidy(made)
    assert not made.exists()


def test_a_folder_of_somebody_else_is_passed_over(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = os.geteuid()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(root))
    (root / "portline").mkdir(mode=0o777)
    (root / "portline").chmod(0o777)
    (root / "run/portline").symlink_to(root / "tmp")
    assert places(root, user).make() == root / f"tmp/portline-{user}"
    (root / f"tmp/portline-{user}").chmod(0o720)
    with pytest.raises(PortlineError, match=r"portline is not a folder of this user alone; .*-"):
        places(root, user).make()


def test_a_folder_that_cannot_be_made(root: Path) -> None:
    with pytest.raises(PortlineError, match=r"1000 cannot be made: No such file") as caught:
        Places(run=root / "x", temporary=root / "x/tmp-7", user=1000).make()
    assert str(caught.value).count("cannot be made") == 1


def test_a_folder_of_systemd_is_not_removed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(root / "mine"))
    made = places(root).make()
    assert made == root / "mine"
    Places.tidy(made)
    assert made.exists()


def test_a_user_finds_the_own_sockets_by_their_numbers(root: Path) -> None:
    user = os.geteuid()
    mine = root / f"tmp/portline-{user}"
    found = [left_over(mine / name) for name in ("5.sock", "10.sock")]
    for name in ("x.sock", "0.sock", "5.sock.1", "ttyV0"):
        (mine / name).touch()
    assert places(root, user).sockets() == found
    (root / "run/portline").mkdir()
    found.insert(0, left_over(root / "run/portline/7.sock"))  # the service of this user
    assert places(root, user).sockets() == found


def test_root_finds_those_of_all(root: Path) -> None:
    found = [
        left_over(root / name)
        for name in ("run/portline/1.sock", "run/user/5/portline/2.sock", "tmp/portline-5/3.sock")
    ]
    left_over(root / "tmp/portline-6/4.sock")
    (root / "tmp/portline-6").chmod(0o777)
    (root / "tmp/portline-7").symlink_to(root / "tmp/portline-5")
    assert places(root, 0).sockets() == found
    assert not places(root, 0).others()


def test_a_service_of_another_user_is_noticed(root: Path) -> None:
    another = os.geteuid() + 1
    assert not places(root, another).others()
    left_over(root / "run/portline/1.sock")
    assert places(root, another).others()
    assert places(root, another).sockets() == []


@pytest.mark.parametrize(
    ("name", "pid"), [("1.sock", 1), ("012.sock", None), ("1.sock2", None), ("a.sock", None)]
)
def test_the_name_tells_the_process(name: str, pid: int | None) -> None:
    assert pid_of(Path("/x") / name) == pid


def test_owner_alone_wants_a_folder(root: Path) -> None:
    assert owner_alone(root, None)
    assert not owner_alone(root, os.geteuid() + 1)
    assert not owner_alone(root / "none", None)


def test_a_socket_is_stale_when_nobody_listens(root: Path) -> None:
    assert remove_stale(left_over(root / f"{DEAD}.sock"))
    assert not (root / f"{DEAD}.sock").exists()
    with listening(root / f"{DEAD}.sock") as path:
        assert not remove_stale(path)
        assert path.exists()


def test_a_socket_of_a_live_process_may_be_in_the_making(root: Path) -> None:
    path = left_over(root / f"{os.getppid()}.sock")
    now = path.lstat().st_mtime
    assert not remove_stale(path, now=now + GRACE - 1)
    assert remove_stale(path, now=now + GRACE + 1)


def test_a_socket_of_this_process_is_left_over_from_its_namesake(root: Path) -> None:
    assert remove_stale(left_over(root / f"{os.getpid()}.sock"))


def test_a_process_of_somebody_else_lives(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(pid: int, number: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "kill", deny)
    assert not remove_stale(left_over(root / "5.sock"))


def test_a_full_backlog_is_no_sign_of_death(root: Path) -> None:
    path = root / f"{DEAD}.sock"
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(str(path))
        busy.listen(0)
        callers = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        for caller in callers:
            caller.setblocking(False)
            caller.connect_ex(str(path))
        assert not remove_stale(path)
        for caller in callers:
            caller.close()


def test_what_is_no_socket_stays(root: Path) -> None:
    path = root / f"{DEAD}.sock"
    assert not remove_stale(path)
    path.touch()
    assert not remove_stale(path)
    assert path.exists()
