"""The kind of a terminal, by its number."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from portline.port.inventory.drivers import driver_kind, is_console, is_controlling

DRIVERS = """\
/dev/tty             /dev/tty        5       0 system:/dev/tty
serial               /dev/ttyS       4 64-111 serial
usbserial            /dev/ttyUSB   188 0-511 serial
pty_slave            /dev/pts      136 0-1048575 pty:slave
unknown              /dev/tty        4 1-63 console

"""

CONSOLES = """\
tty0                 -WU (EC  p  )    4:1
ttyS0                -W- (E   p a)    4:64
netcon0              -W- (E     a)
"""


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "tty").mkdir()
    (tmp_path / "self").mkdir()
    (tmp_path / "tty/drivers").write_text(DRIVERS)
    (tmp_path / "consoles").write_text(CONSOLES)
    return tmp_path


@pytest.mark.parametrize(
    ("major", "minor", "kind"),
    [
        (4, 64, "serial"),
        (4, 111, "serial"),
        (4, 112, "serial"),
        (204, 64, "serial"),
        (4, 63, "console"),
        (188, 3, "serial"),
        (136, 70000, "pty:slave"),
        (5, 0, "system:/dev/tty"),
        (5, 1, ""),
        (1, 3, ""),
    ],
)
def test_the_kind_of_a_driver(proc: Path, major: int, minor: int, kind: str) -> None:
    assert driver_kind(os.makedev(major, minor), proc) == kind


def test_consoles(proc: Path) -> None:
    assert is_console(os.makedev(4, 64), proc)
    assert not is_console(os.makedev(4, 65), proc)


@pytest.mark.parametrize(("major", "minor"), [(4, 65), (136, 300), (188, 4097)])
def test_the_controlling_terminal(proc: Path, major: int, minor: int) -> None:
    # As the kernel writes it: new_encode_dev() in include/linux/kdev_t.h.
    number = (minor & 0xFF) | (major << 8) | ((minor & ~0xFF) << 12)
    (proc / "self/stat").write_text(f"7 (a ) S b) S 1 7 7 {number} 7 4194304 0")
    assert is_controlling(os.makedev(major, minor), proc)
    assert not is_controlling(os.makedev(major, minor + 1), proc)


def test_a_kernel_that_does_not_tell(tmp_path: Path) -> None:
    for ask in (driver_kind, is_console, is_controlling):
        with pytest.raises(OSError, match="No such file"):
            ask(0, tmp_path)


def test_this_kernel_tells() -> None:
    assert driver_kind(os.stat("/dev/null").st_rdev) == ""
    assert not is_console(os.stat("/dev/null").st_rdev)
    assert not is_controlling(os.stat("/dev/null").st_rdev)
