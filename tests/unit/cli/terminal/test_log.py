from __future__ import annotations

from pathlib import Path

import pytest

from portline.cli.terminal.log import Log
from portline.errors import PortlineError


def test_what_comes_is_added_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"before,")
    log = Log()
    log.write(b"nowhere")
    log.begin(str(path))
    log.write(b"\x00\xff")
    assert log.path == str(path)
    assert log.end() == 2
    assert log.path == ""
    assert path.read_bytes() == b"before,\x00\xff"


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(PortlineError, match="Is a directory"):
        Log().begin(str(tmp_path))


def test_a_full_disk_ends_it_and_is_told_once() -> None:
    log = Log()
    log.begin("/dev/full")
    log.write(b"x")
    assert log.told() == "/dev/full: No space left on device; the log has ended"
    assert (log.told(), log.path) == ("", "")
    log.write(b"y")
