"""Our end of a pseudo terminal."""

from __future__ import annotations

import errno
import fcntl
import grp
import os
from typing import TYPE_CHECKING

import pytest

from portline.line import LineSettings, Parity
from portline.port.pty import master as module
from portline.port.pty.master import Master
from portline.port.tty.termios2 import PARODD, decode, read_attributes, write_attributes

if TYPE_CHECKING:
    from collections.abc import Iterator

FLAGS = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK
TIOCEXCL = 0x540C


@pytest.fixture
def master() -> Iterator[Master]:
    made = Master(LineSettings(4800), mode=0o660, group=None)
    yield made
    made.close()


def test_the_terminal_starts_as_a_serial_port(master: Master) -> None:
    slave = os.open(master.terminal, FLAGS)
    found = read_attributes(slave)
    assert decode(found) == master.settings() == LineSettings(4800)
    assert found.lflag == found.oflag == 0
    assert os.stat(master.terminal).st_mode & 0o777 == 0o600
    os.close(slave)


def test_a_group_gets_access() -> None:
    group = grp.getgrgid(os.getegid()).gr_name
    made = Master(LineSettings(), mode=0o660, group=group)
    found = os.stat(made.terminal)
    assert (found.st_mode & 0o777, found.st_gid) == (0o660, os.getegid())
    made.close()
    made = Master(LineSettings(), mode=0o666, group="no-such-group")
    assert os.stat(made.terminal).st_mode & 0o777 == 0o606
    made.close()


def test_a_look_tells_whether_an_application_is_there_and_has_written(master: Master) -> None:
    assert master.look() == (False, False)
    slave = os.open(master.terminal, FLAGS)
    assert master.look() == (True, False)
    os.write(slave, b"x")
    while not master.look()[1]:
        pass
    os.close(slave)
    assert master.look() == (False, True)
    assert os.read(master.fd, 100) == b"\0x"
    assert master.look() == (False, False)


def test_settings_are_seen(master: Master) -> None:
    slave = os.open(master.terminal, FLAGS)
    assert not master.changed()
    found = read_attributes(slave)
    write_attributes(slave, type(found)(0, 0, found.cflag | PARODD, 0, 0, found.cc, 0, 4800))
    assert master.settings() == LineSettings(4800)
    assert master.changed()
    assert master.settings() == LineSettings(4800, parity=Parity.ODD)
    assert not master.changed()
    os.close(slave)


def test_the_next_application_finds_nothing_of_the_last_one(master: Master) -> None:
    os.write(master.fd, b"stale")
    assert master.renew()
    assert master.look() == (False, False)
    slave = os.open(master.terminal, FLAGS)
    with pytest.raises(BlockingIOError):
        os.read(slave, 100)
    os.close(slave)


def test_an_exclusive_flag_is_lifted_or_a_new_terminal_needed(
    master: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def refuse(path: str, flags: int) -> int:
        raise OSError(errno.EBUSY, "Device or resource busy")

    monkeypatch.setattr(os, "open", refuse)
    assert not master.renew()
    slave = real(master.terminal, FLAGS)
    assert master.renew(), "somebody is there: that is what keeps it busy"
    os.close(slave)


def test_root_lifts_the_exclusive_flag(master: Master) -> None:
    slave = os.open(master.terminal, FLAGS)
    fcntl.ioctl(slave, TIOCEXCL)
    os.close(slave)
    if os.geteuid() == 0:
        assert master.renew()
        slave = os.open(master.terminal, FLAGS)
        assert fcntl.ioctl(slave, 0x80045440, bytes(4)) == bytes(4)
        os.close(slave)
    else:
        assert not master.renew()


def test_no_leak_when_it_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(module, "write_attributes", fail)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="Input/output"):
        Master(LineSettings(), mode=0o660, group=None)
    assert len(os.listdir("/proc/self/fd")) == before
