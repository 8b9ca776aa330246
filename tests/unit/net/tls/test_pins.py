from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from portline.errors import PortlineError
from portline.net.tls.pins import PINS_LIMIT, Pins
from portline.net.tls.state import make_state_folder, state_folder

if TYPE_CHECKING:
    from pathlib import Path

ONE = f"sha256:{'1' * 64}"
TWO = f"sha256:{'2' * 64}"


def test_who_is_met_at_first_is_known_from_then_on(tmp_path: Path) -> None:
    pins = Pins(tmp_path / "state")
    assert pins.check("meter:4001", ONE) == ""
    assert pins.check("meter:4001", ONE) == ""
    assert pins.check("meter:4002", TWO) == ""
    lines = pins.path.read_text().splitlines()
    assert [line.split()[:2] for line in lines] == [["meter:4001", ONE], ["meter:4002", TWO]]
    assert stat.S_IMODE(pins.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(pins.path.parent.stat().st_mode) == 0o700


def test_one_that_has_changed_is_told_with_both_the_file_the_line_and_the_remedy(
    tmp_path: Path,
) -> None:
    pins = Pins(tmp_path)
    pins.path.write_text(f"# mine\nother:1 {TWO}\n[::1]:4001 {ONE} 2026-01-02T03:04:05")
    before = pins.path.read_bytes()
    text = pins.check("[::1]:4001", TWO)
    for part in (ONE, TWO, str(pins.path), "line 3", "2026-01-02", "fingerprint", "middle"):
        assert part in text
    assert "\n" not in text
    assert pins.path.read_bytes() == before
    assert pins.check("new:1", TWO) == ""
    assert pins.path.read_bytes().startswith(before + b"\nnew:1 ")


def test_a_line_that_says_nothing_is_a_fault_and_not_a_stranger(tmp_path: Path) -> None:
    pins = Pins(tmp_path)
    pins.path.write_text(f"meter:1 {ONE[:-1]}\n")
    with pytest.raises(PortlineError, match=r"known-servers:1: has no fingerprint"):
        pins.check("meter:1", ONE)


def test_many_at_the_same_time_lose_none(tmp_path: Path) -> None:
    pins = Pins(tmp_path)
    names = [f"host{number}:1" for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda name: pins.check(name, ONE), names)) == {""}
    assert sorted(line.split()[0] for line in pins.path.read_text().splitlines()) == sorted(names)
    assert sorted(os.listdir(tmp_path)) == [".known-servers.lock", "known-servers"]


def test_a_file_that_is_too_large_or_no_file_is_a_fault(tmp_path: Path) -> None:
    pins = Pins(tmp_path)
    pins.path.write_bytes(b"#" * (PINS_LIMIT + 1))
    with pytest.raises(PortlineError, match="shorten it"):
        pins.check("meter:1", ONE)
    pins.path.unlink()
    pins.path.mkdir()
    with pytest.raises(PortlineError, match="cannot be used"):
        pins.check("meter:1", ONE)


def test_the_folder_is_the_one_of_the_service_or_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", f"{tmp_path}:/other")
    assert state_folder() == tmp_path
    monkeypatch.delenv("STATE_DIRECTORY")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert str(state_folder()) == "/var/lib/portline"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    assert state_folder() == tmp_path / "xdg" / "portline"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert state_folder() == tmp_path / ".local/state/portline"


def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(PortlineError, match="chmod 700"):
        make_state_folder(folder)
    (tmp_path / "file").write_text("")
    with pytest.raises(PortlineError, match="STATE_DIRECTORY"):
        make_state_folder(tmp_path / "file" / "below")
