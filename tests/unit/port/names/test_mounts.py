"""What lies over a device, as the kernel tells it (made in earnest in interop/test_overlap.py)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from portline.port.names.mounts import Mount, attach, covering, detach, mounts

OURS = (
    "66 24 0:26 /5 /dev/ttyS1 rw,nosuid,noexec,relatime,nosymfollow shared:7 master:2 "
    "- devpts devpts rw,mode=620,ptmxmode=000"
)


def test_a_live_port_of_portline() -> None:
    mount = Mount.parse(OURS)
    assert (mount.number, mount.point, mount.kind) == (66, "/dev/ttyS1", "devpts")
    assert (mount.terminal, mount.ours, mount.dead) == ("/dev/pts/5", True, False)


def test_a_port_of_a_portline_that_has_gone_is_dead() -> None:
    mount = Mount.parse(OURS.replace("/5 ", "/5//deleted "))
    assert (mount.terminal, mount.ours, mount.dead) == ("/dev/pts/5", True, True)


@pytest.mark.parametrize(
    ("root", "dead"), [("/ttyUSB0", False), ("/ttyACM12", False), ("/ttyUSB0//deleted", True)]
)
def test_the_terminal_of_an_adapter_made_in_software(root: str, dead: bool) -> None:
    line = OURS.replace("/5 ", f"{root} ").replace("- devpts devpts", "- devtmpfs udev")
    mount = Mount.parse(line)
    assert mount.terminal == "/dev/" + root[1:].partition("/")[0]
    assert (mount.ours, mount.dead) == (True, dead)


@pytest.mark.parametrize(
    ("before", "after", "terminal"),
    [
        (",nosymfollow", "", "/dev/pts/5"),
        (",nosuid", "", "/dev/pts/5"),
        ("/dev/ttyS1", "/dev/console", "/dev/pts/5"),
        ("- devpts", "- tmpfs", ""),
        ("/5 ", "/ ", ""),
        ("/5 ", "/ptmx ", ""),
    ],
    ids=["no-mark", "half-a-mark", "console", "no-devpts", "all-of-devpts", "no-terminal"],
)
def test_what_is_not_ours(before: str, after: str, terminal: str) -> None:
    mount = Mount.parse(OURS.replace(before, after))
    assert (mount.terminal, mount.ours) == (terminal, False)


def test_a_path_with_blanks_and_a_file_that_was_deleted() -> None:
    mount = Mount.parse(r"1 2 8:1 /a//deleted /mnt/a\040b\134c rw - ext4 /dev/vda rw")
    assert (mount.point, mount.dead) == ("/mnt/a b\\c", False)


def test_a_path_may_have_what_elsewhere_ends_a_line(tmp_path: Path) -> None:
    """Whoever mounts a stick with such a label must not end every Portline."""
    label = "/media/a\u2028b\x85c\x0bd\x1ce\xa0f"
    (tmp_path / "mountinfo").write_text(OURS.replace("/dev/ttyS1", label) + "\n" + OURS + "\n")
    assert [mount.point for mount in mounts(tmp_path)] == [label, "/dev/ttyS1"]


def test_the_mounts_of_this_process() -> None:
    found = {mount.point: mount.kind for mount in mounts()}
    assert found["/proc"] == "proc"


def test_a_root_of_mounts_is_covered_by_itself_and_other_things_by_nothing(tmp_path: Path) -> None:
    proc = covering("/proc")
    assert proc is not None
    assert proc.kind == "proc"
    assert covering(str(tmp_path)) is None
    assert covering(f"{tmp_path}/none") is None


def test_what_does_not_lie_there_is_not_taken_away(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    detach(Mount(-1, "/5", f"{tmp_path}/file", frozenset(), "devpts"))


def test_no_terminal_and_nothing_to_lie_over(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    with pytest.raises(OSError, match=r"No such file|not permitted|not implemented"):
        attach(f"{tmp_path}/terminal", f"{tmp_path}/device")
    assert len(os.listdir("/proc/self/fd")) == len(before)
