"""A virtual port over a device: what is done and refused (in earnest: interop/test_overlap.py)."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from portline.errors import PortAbsent, PortBusy, PortDenied, PortError
from portline.port.names.overlap import LAYERS_MAX, Overlap, is_private, uncover
from portline.port.pty.port import PtyPort
from tests.ports import Recorder
from tests.unit.port.mounting import Kernel

NAME = "/dev/ttyOVER"
SERIAL = os.makedev(4, 70)
FIRST, SECOND = "/dev/pts/801", "/dev/pts/802"


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    device(monkeypatch)
    return Kernel(monkeypatch)


def device(
    monkeypatch: pytest.MonkeyPatch,
    mode: int = stat.S_IFCHR,
    *,
    kind: str = "serial",
    console: bool = False,
    controlling: bool = False,
) -> None:
    """Let NAME be such a file."""
    real = os.stat

    def fake(path: str, **keywords: bool) -> object:
        if path == NAME:
            return SimpleNamespace(st_mode=mode, st_rdev=SERIAL)
        return real(path, **keywords)

    monkeypatch.setattr(os, "stat", fake)
    monkeypatch.setattr("portline.port.names.overlap.driver_kind", lambda number: kind)
    monkeypatch.setattr("portline.port.names.overlap.is_console", lambda number: console)
    monkeypatch.setattr("portline.port.names.overlap.is_controlling", lambda number: controlling)


# --- the name ------------------------------------------------------------------------------------


def test_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "by-id").symlink_to(tmp_path / "ttyUSB0")
    assert Overlap(f"{tmp_path}/by-id", {}).path() == os.path.realpath(tmp_path / "ttyUSB0")


@pytest.mark.parametrize("name", ["ttyS1", "", "/dev/a\0b", "/dev/a\nb"])
def test_impossible_names(name: str) -> None:
    with pytest.raises(PortError, match="not the path of a device like /dev/ttyS1"):
        Overlap(name, {}).path()


def test_a_relative_path_without_a_current_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> str:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(os, "getcwd", fail)
    with pytest.raises(PortError, match="a path that begins with /"):
        Overlap("./ttyS1", {}).path()


# --- put, move, remove ---------------------------------------------------------------------------


def test_put_move_and_remove(kernel: Kernel) -> None:
    spot = Overlap(NAME, {})
    spot.put(NAME, FIRST)
    assert kernel.roots(NAME) == ["/801"]
    spot.move(NAME, FIRST, SECOND)
    assert kernel.roots(NAME) == ["/802"]
    assert kernel.calls == ["attach", "beneath", "detach"]
    spot.remove(NAME, SECOND)
    assert kernel.roots(NAME) == []


def test_an_older_kernel_takes_the_old_one_away_first(kernel: Kernel) -> None:
    kernel.refuses["beneath"] = errno.EINVAL
    spot = Overlap(NAME, {})
    spot.put(NAME, FIRST)
    spot.move(NAME, FIRST, SECOND)
    assert kernel.roots(NAME) == ["/802"]


def test_a_move_that_fails_leaves_a_dead_port_that_the_end_takes_away(kernel: Kernel) -> None:
    spot = Overlap(NAME, {})
    spot.put(NAME, FIRST)
    kernel.refuses["beneath"] = errno.EBUSY
    with pytest.raises(PortError, match="cannot lie over the device: Device or resource busy"):
        spot.move(NAME, FIRST, SECOND)
    kernel.kill(FIRST)
    spot.remove(NAME, SECOND)
    assert kernel.roots(NAME) == []


def test_what_was_taken_away_by_hand_is_not_missed(kernel: Kernel) -> None:
    spot = Overlap(NAME, {})
    spot.put(NAME, FIRST)
    kernel.table.clear()
    spot.move(NAME, FIRST, SECOND)
    spot.remove(NAME, FIRST)
    assert kernel.roots(NAME) == []
    kernel.add(NAME, "/7")
    spot.remove(NAME, FIRST)
    assert kernel.roots(NAME) == ["/7"]


def test_an_end_that_fails_says_nothing(kernel: Kernel) -> None:
    spot = Overlap(NAME, {})
    spot.put(NAME, FIRST)
    kernel.refuses["detach"] = errno.EPERM
    spot.remove(NAME, FIRST)


def test_what_a_killed_portline_left_there_is_taken_away_first(kernel: Kernel) -> None:
    kernel.add(NAME, "/5//deleted")
    kernel.add(NAME, "/801//deleted")
    Overlap(NAME, {}).put(NAME, FIRST)
    assert kernel.roots(NAME) == ["/801"]


def test_uncovering_is_bounded(kernel: Kernel) -> None:
    for _ in range(LAYERS_MAX + 1):
        kernel.add(NAME, "/5//deleted")
    assert uncover(NAME) == LAYERS_MAX
    assert uncover(NAME) == 1
    assert uncover(NAME) == 0


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("root", ["/5", "/5//deleted"])
def test_what_somebody_else_has_mounted_stays(kernel: Kernel, root: str) -> None:
    kernel.add(NAME, root, options=frozenset({"rw"}))
    with pytest.raises(PortBusy, match=rf"already \(devpts {root}\); take it away \(umount {NAME}"):
        Overlap(NAME, {}).put(NAME, FIRST)
    assert kernel.roots(NAME) == [root]


def test_a_live_portline_is_named(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel.add(NAME, "/5")
    monkeypatch.setattr("portline.port.names.overlap.terminal_holder", lambda terminal: None)
    with pytest.raises(PortBusy, match="a virtual port of another Portline lies over") as caught:
        Overlap(NAME, {}).put(NAME, FIRST)
    assert caught.value.holder is None
    monkeypatch.setattr("portline.port.names.overlap.terminal_holder", lambda terminal: "pid 8 (x)")
    with pytest.raises(PortBusy, match=r"^/dev/ttyOVER: a virtual port of pid 8 \(x\)") as caught:
        Overlap(NAME, {}).put(NAME, FIRST)
    assert caught.value.holder == "pid 8 (x)"


def test_another_port_of_this_program(kernel: Kernel) -> None:
    kernel.add(NAME, "/5")
    with pytest.raises(PortBusy, match=f"/by-id/x: {NAME}: another virtual port of this program"):
        Overlap("/by-id/x", {"/dev/pts/5": NAME}).put(NAME, FIRST)


def test_without_a_device(kernel: Kernel) -> None:
    path = f"{NAME}-that-is-not-there"
    with pytest.raises(PortAbsent, match=r"no device to lie over .*; plug it in, or leave overlap"):
        Overlap(path, {}).put(path, FIRST)


@pytest.mark.parametrize(
    ("mode", "kind", "console", "controlling", "said"),
    [
        (stat.S_IFREG, "serial", False, False, "is a file and no device"),
        (stat.S_IFBLK, "serial", False, False, "is a file and no device"),
        (stat.S_IFDIR, "serial", False, False, "is a folder"),
        (stat.S_IFCHR, "serial", True, False, "is the console of this machine"),
        (stat.S_IFCHR, "serial", False, True, "is the terminal from which Portline was started"),
        (stat.S_IFCHR, "console", False, False, "is no serial device"),
        (stat.S_IFCHR, "", False, False, "is no serial device"),
    ],
)
def test_only_a_serial_device_is_hidden(
    kernel: Kernel,
    monkeypatch: pytest.MonkeyPatch,
    mode: int,
    kind: str,
    console: bool,
    controlling: bool,
    said: str,
) -> None:
    device(monkeypatch, mode, kind=kind, console=console, controlling=controlling)
    with pytest.raises(PortError, match=f"{said}; a virtual port lies over a serial device only"):
        Overlap(NAME, {}).put(NAME, FIRST)
    assert kernel.table == []


def test_a_kernel_that_does_not_tell_what_a_device_is(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(number: int) -> bool:
        raise FileNotFoundError(2, "No such file or directory", "/proc/consoles")

    monkeypatch.setattr("portline.port.names.overlap.is_console", fail)
    with pytest.raises(PortError, match=r"cannot be told to be a serial device .*/proc/consoles"):
        Overlap(NAME, {}).put(NAME, FIRST)


@pytest.mark.parametrize(
    ("number", "kind", "said"),
    [
        (errno.EPERM, PortDenied, "CAP_SYS_ADMIN; run Portline as root, give its service Ambient"),
        (errno.EACCES, PortDenied, "or choose another name and leave overlap out"),
        (errno.ENOSYS, PortError, "takes Linux 5.14; leave overlap out"),
        (errno.EINVAL, PortError, "takes Linux 5.14; leave overlap out"),
        (errno.ENOENT, PortError, "cannot lie over the device: No such file"),
    ],
)
def test_what_the_kernel_refuses(
    kernel: Kernel, number: int, kind: type[PortError], said: str
) -> None:
    kernel.refuses["attach"] = number
    with pytest.raises(kind, match=said) as caught:
        Overlap(NAME, {}).put(NAME, FIRST)
    assert "\n" not in str(caught.value)


def test_a_dead_port_that_may_not_be_taken_away(kernel: Kernel) -> None:
    kernel.add(NAME, "/5//deleted")
    kernel.refuses["detach"] = errno.EPERM
    with pytest.raises(PortDenied, match="CAP_SYS_ADMIN"):
        Overlap(NAME, {}).put(NAME, FIRST)


# --- who sees it ---------------------------------------------------------------------------------


def test_mounts_of_its_own(tmp_path: Path) -> None:
    line = "{} 1 8:1 / / rw - ext4 /dev/vda rw\n"
    for process, number in (("self", 5), ("1", 6)):
        (tmp_path / process).mkdir()
        (tmp_path / process / "mountinfo").write_text(line.format(number))
    assert is_private(tmp_path)
    (tmp_path / "1/mountinfo").write_text(line.format(6) + line.format(5))
    assert not is_private(tmp_path)
    (tmp_path / "1/mountinfo").unlink()
    assert not is_private(tmp_path)


# --- as a port -----------------------------------------------------------------------------------


def test_a_port_over_a_device(kernel: Kernel) -> None:
    async def scenario() -> None:
        port = PtyPort(
            NAME, owner=Recorder(), loop=asyncio.get_running_loop(), overlap=True, group=None
        )
        port.open()
        assert port.path == NAME
        assert len(kernel.roots(NAME)) == 1
        port.close()
        assert kernel.roots(NAME) == []
        kernel.refuses["attach"] = errno.EPERM
        with pytest.raises(PortDenied):
            port.open()
        assert port.path is None

    asyncio.run(scenario())
