"""Opening a device, and what is said when that does not work."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from typing import TYPE_CHECKING

import pytest

from portline.errors import PortAbsent, PortBusy, PortDenied, PortError
from portline.port.tty import node
from portline.port.tty.node import close_node, is_pty, open_node

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def terminal() -> Iterator[str]:
    master, slave = os.openpty()
    os.fchmod(slave, 0o660)
    name = os.ttyname(slave)
    os.close(slave)
    yield name
    os.close(master)


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A /proc in which process 812 is ser2net."""
    (tmp_path / "proc/812/fd").mkdir(parents=True)
    (tmp_path / "proc/812/comm").write_text("ser2net\n")
    return tmp_path / "proc"


def opened(name: str) -> str:
    """Open and close; return the path."""
    fd, path = open_node(name)
    assert not os.get_inheritable(fd)
    assert not os.get_blocking(fd)
    close_node(fd)
    return path


def fail_to_open(monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    def fail(*_: object) -> int:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "open", fail)


def test_a_device_that_this_process_answers_for_is_never_opened(
    terminal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "ANSWERED_HERE", {os.stat(terminal).st_rdev})
    with pytest.raises(PortBusy, match="virtual port of this program"):
        open_node(terminal)


def test_a_path_and_a_link(terminal: str, tmp_path: Path) -> None:
    assert opened(terminal) == terminal
    link = tmp_path / "by-id"
    link.symlink_to(terminal)
    assert opened(str(link)) == str(link)


def test_a_usb_identity_is_looked_up(monkeypatch: pytest.MonkeyPatch, terminal: str) -> None:
    monkeypatch.setattr(node, "resolve", {"usb:0403:6001": terminal}.__getitem__)
    assert opened("usb:0403:6001") == terminal


def test_no_such_device(tmp_path: Path) -> None:
    with pytest.raises(PortAbsent, match=r"^/dev/ttyNONE: is not there; is it plugged in\?"):
        open_node("/dev/ttyNONE")
    link = tmp_path / "by-id"
    link.symlink_to("/dev/ttyNONE")
    with pytest.raises(PortAbsent, match="points to /dev/ttyNONE"):
        open_node(str(link))


@pytest.mark.parametrize("name", ["/dev/null", "/proc/self/status", "/"])
def test_something_else(name: str) -> None:
    with pytest.raises(PortError, match="is not a serial port"):
        open_node(name)


@pytest.mark.parametrize("error", [errno.ENXIO, errno.ENODEV, errno.EIO, errno.ENOENT])
def test_a_device_that_goes_while_it_is_opened(
    monkeypatch: pytest.MonkeyPatch, terminal: str, error: int
) -> None:
    fail_to_open(monkeypatch, error)
    with pytest.raises(PortAbsent):
        open_node(terminal)


def test_a_device_that_goes_right_after(monkeypatch: pytest.MonkeyPatch, terminal: str) -> None:
    def fail(fd: int) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(node, "read_raw", fail)
    with pytest.raises(PortAbsent, match="went away"):
        open_node(terminal)


@pytest.mark.parametrize("error", [errno.EACCES, errno.ENOENT])
def test_a_device_that_goes_before_its_fault_is_looked_into(
    monkeypatch: pytest.MonkeyPatch, terminal: str, error: int
) -> None:
    fail_to_open(monkeypatch, error)

    def gone(_path: str) -> str:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr(node, "_denied", gone)
    monkeypatch.setattr(node, "_absent", gone)
    with pytest.raises(PortAbsent, match="went away"):
        open_node(terminal)


def test_what_cannot_be_a_path() -> None:
    with pytest.raises(PortError, match="is not a path"):
        open_node("/dev/tty\0")


def test_any_other_fault(monkeypatch: pytest.MonkeyPatch, terminal: str) -> None:
    fail_to_open(monkeypatch, errno.EMFILE)
    with pytest.raises(PortError, match="Too many open files"):
        open_node(terminal)


# --- locks ----------------------------------------------------------------------------------------


def test_two_of_us(terminal: str) -> None:
    fd, _ = open_node(terminal)
    try:
        with pytest.raises(PortBusy, match="another connection of this program") as caught:
            open_node(terminal)
        assert caught.value.holder is not None
        shared, _ = open_node(terminal, exclusive=False)
        close_node(shared)
    finally:
        close_node(fd)
    assert opened(terminal)


def test_a_locked_port_names_who_locked_it(terminal: str, proc: Path) -> None:
    found = os.stat(terminal)
    place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    (proc / "locks").write_text(f"1: FLOCK  ADVISORY  WRITE 812 {place} 0 EOF\n")
    mine = os.open(terminal, os.O_RDWR | os.O_NOCTTY)
    fcntl.flock(mine, fcntl.LOCK_EX)
    try:
        with pytest.raises(PortBusy, match=r"is locked by pid 812 \(ser2net\); stop it") as caught:
            open_node(terminal, proc=proc)
    finally:
        os.close(mine)
    assert caught.value.holder == "pid 812 (ser2net)"


def test_an_exclusive_port_names_who_has_it_open(
    monkeypatch: pytest.MonkeyPatch, terminal: str, proc: Path
) -> None:
    (proc / "812/fd/5").symlink_to(terminal)
    fail_to_open(monkeypatch, errno.EBUSY)
    with pytest.raises(PortBusy, match=r"exclusive use by pid 812 \(ser2net\)"):
        open_node(terminal, proc=proc)
    (proc / "812/fd/5").unlink()
    with pytest.raises(PortBusy, match="by another program") as caught:
        open_node(terminal, proc=proc)
    assert caught.value.holder is None


def test_a_lock_file_counts_while_its_process_lives(
    terminal: str, tmp_path: Path, proc: Path
) -> None:
    file = tmp_path / f"LCK..{os.path.basename(terminal)}"
    file.write_text("       812\n")
    with pytest.raises(PortBusy, match=r"locked by pid 812 \(ser2net\) with .*LCK"):
        open_node(terminal, locks=tmp_path, proc=proc)
    fd, _ = open_node(terminal, exclusive=False, locks=tmp_path, proc=proc)
    close_node(fd)
    file.write_text("       813\n")
    fd, _ = open_node(terminal, locks=tmp_path, proc=proc)
    close_node(fd)


def test_the_kernels_lock_is_left_alone_on_a_pty(terminal: str) -> None:
    fd, _ = open_node(terminal)
    assert is_pty(fd)
    assert exclusive_flag(fd) == 0
    close_node(fd)


def test_the_kernels_lock_is_taken_given_back_and_respected(
    monkeypatch: pytest.MonkeyPatch, terminal: str, proc: Path
) -> None:
    monkeypatch.setattr(node, "is_pty", lambda fd: False)
    watcher = os.open(terminal, os.O_RDWR | os.O_NOCTTY)
    try:
        fd, _ = open_node(terminal)
        assert exclusive_flag(watcher) == 1
        close_node(fd)
        assert exclusive_flag(watcher) == 0
        fcntl.ioctl(watcher, node.TIOCEXCL)
        with pytest.raises(PortBusy, match="exclusive use"):
            open_node(terminal, proc=proc)
        fcntl.ioctl(watcher, node.TIOCNXCL)
    finally:
        os.close(watcher)


def exclusive_flag(fd: int) -> int:
    return int(struct.unpack("i", fcntl.ioctl(fd, node.TIOCGEXCL, bytes(4)))[0])


# --- permissions ----------------------------------------------------------------------------------


def test_the_group_that_helps_is_named(monkeypatch: pytest.MonkeyPatch, terminal: str) -> None:
    group = os.stat(terminal).st_gid
    monkeypatch.setattr(os, "getegid", lambda: group + 1)
    monkeypatch.setattr(os, "getgroups", list)
    fail_to_open(monkeypatch, errno.EACCES)
    with monkeypatch.context() as patched:
        patched.setattr(node, "SYSTEM_GROUPS", (node.grp.getgrgid(group).gr_name,))
        with pytest.raises(PortDenied, match="sudo chgrp dialout"):
            open_node(terminal)
    monkeypatch.setattr(node, "SYSTEM_GROUPS", ())
    with pytest.raises(PortDenied, match=r"sudo usermod -aG \w+ \$USER.*log in again"):
        open_node(terminal)


def test_a_group_without_a_name(monkeypatch: pytest.MonkeyPatch, terminal: str) -> None:
    monkeypatch.setattr(os, "getegid", lambda: -1)
    monkeypatch.setattr(os, "getgroups", list)

    def nobody(number: int) -> None:
        raise KeyError(number)

    monkeypatch.setattr(node.grp, "getgrgid", nobody)
    fail_to_open(monkeypatch, errno.EACCES)
    with pytest.raises(PortDenied, match="--group-add"):
        open_node(terminal)


def test_a_container_that_was_not_given_the_device(
    monkeypatch: pytest.MonkeyPatch, terminal: str
) -> None:
    monkeypatch.setattr(os, "getegid", lambda: os.stat(terminal).st_gid)
    fail_to_open(monkeypatch, errno.EPERM)
    with pytest.raises(PortDenied, match="--device"):
        open_node(terminal)


def test_a_node_for_nobody(monkeypatch: pytest.MonkeyPatch, terminal: str) -> None:
    os.chmod(terminal, 0o600)
    fail_to_open(monkeypatch, errno.EACCES)
    with pytest.raises(PortDenied, match=r"mode 600.*udev"):
        open_node(terminal)


def test_a_folder_that_is_closed(monkeypatch: pytest.MonkeyPatch, terminal: str) -> None:
    def fail(path: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "stat", fail)
    with pytest.raises(PortDenied, match="folder"):
        open_node(terminal)


# --- closing --------------------------------------------------------------------------------------


def test_closing_throws_away_what_the_line_holds_back(
    monkeypatch: pytest.MonkeyPatch, terminal: str
) -> None:
    fd, _ = open_node(terminal)
    calls: list[int] = []

    def ioctl(fd: int, request: int, argument: object = 0) -> bytes:
        calls.append(request)
        return struct.pack("i", 5)

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    close_node(fd)
    assert calls == [node.TIOCOUTQ, node.TCFLSH]


def test_closing_what_is_gone() -> None:
    close_node(9999)
