from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from portline.config import saving
from portline.config.editing import added
from portline.config.saving import change, rewrite
from portline.errors import ConfigError

TEXT = '[connections.meter]\nport = "/dev/ttyUSB0"\n'


def upper(text: str) -> str:
    return text.replace("USB0", "USB1")


def test_a_file_is_replaced_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "portline.toml"
    path.write_text(TEXT)
    path.chmod(0o640)
    before = path.stat().st_ino
    assert rewrite(path, upper) == upper(TEXT) == path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert path.stat().st_ino != before
    assert list(tmp_path.iterdir()) == [path]


def test_a_configuration_is_read_once_for_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "portline.toml"
    path.write_text(TEXT)
    read = []
    examined = saving.examined

    def counted(text: str, source: str, web: object) -> object:
        read.append(text)
        return examined(text, source, None)

    monkeypatch.setattr(saving, "examined", counted)
    monkeypatch.setattr("portline.config.document.examined", counted)
    assert change(path, upper).connections["meter"].port == "/dev/ttyUSB1"
    assert read == [upper(TEXT)]


def test_a_file_that_says_the_same_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "portline.toml"
    path.write_text(TEXT)
    before = path.stat()
    rewrite(path, str)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_new_file_is_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "new.toml"
    assert rewrite(path, lambda text: text + TEXT) == TEXT
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.toml").write_text(TEXT)
    link = tmp_path / "portline.toml"
    link.symlink_to("real.toml")
    rewrite(link, upper)
    assert link.is_symlink()
    assert (tmp_path / "real.toml").read_text() == upper(TEXT)


def test_links_in_a_circle_are_told_of(tmp_path: Path) -> None:
    link = tmp_path / "portline.toml"
    link.symlink_to("portline.toml")
    with pytest.raises(ConfigError, match="symbolic links"):
        rewrite(link, upper)


def test_a_change_by_somebody_else_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "portline.toml"
    path.write_text(TEXT)

    def slow(text: str) -> str:
        path.write_text(text + "# mine\n")
        return upper(text)

    with pytest.raises(ConfigError, match="somebody has changed it meanwhile; try again"):
        rewrite(path, slow)
    assert path.read_text() == TEXT + "# mine\n"
    assert list(tmp_path.iterdir()) == [path]


def test_whoever_reads_has_one_of_both(tmp_path: Path) -> None:
    path = tmp_path / "portline.toml"
    one, two = TEXT + "# 1\n" * 20_000, TEXT + "# 2\n" * 20_000
    path.write_text(one)
    seen = set()
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            seen.add(path.read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(20):
        rewrite(path, lambda text: two if text == one else one)
    ended.set()
    reader.join()
    assert seen <= {one, two}


def test_a_disk_that_is_full_leaves_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "portline.toml"
    path.write_text(TEXT)

    def full(fd: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(saving.os, "fsync", full)
    with pytest.raises(ConfigError, match=r"cannot be written: No space left.*nothing was changed"):
        rewrite(path, upper)
    assert path.read_text() == TEXT
    assert list(tmp_path.iterdir()) == [path]


def test_mistakes_change_nothing_and_are_all_told(tmp_path: Path) -> None:
    path = tmp_path / "portline.toml"
    path.write_text(TEXT)
    with pytest.raises(ConfigError) as caught:
        change(path, lambda text: text + "baudrat = 5\nparity = 'x'\n")
    assert [mistake.partition(": ")[0] for mistake in caught.value.mistakes] == [
        "connections.meter.baudrat",
        "connections.meter.parity",
    ]
    assert path.read_text() == TEXT
    config = change(path, upper)
    assert config.connections["meter"].port_name == "/dev/ttyUSB1"


def test_a_file_that_cannot_be_read_is_no_change(tmp_path: Path) -> None:
    path = tmp_path / "portline.toml"
    path.write_text(TEXT)
    missing = tmp_path / "missing.pem"
    with pytest.raises(
        ConfigError, match=r"meter\.client-ca: .*missing.pem cannot be read: No such"
    ):
        change(path, lambda text: f'{text}tls = true\nclient-ca = "{missing}"\n')
    assert path.read_text() == TEXT
    os.mkfifo(missing)
    change(path, lambda text: f'{text}tls = true\nclient-ca = "{missing}"\n')  # does not wait


def test_what_is_no_toml_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("[connections.meter]\nport = /dev/x\n")
    with pytest.raises(ConfigError) as caught:
        change(path, lambda text: added(text, "new", {"port": "/dev/y"}))
    (line,) = caught.value.mistakes
    assert line.startswith(f"{path}:2: not TOML")
    assert [option for option, _ in caught.value.faults] == [""]


def test_a_mistake_that_was_there_before_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "portline.toml"
    path.write_text(TEXT + 'parityy = "odd"\n')
    wrong = {"port": "/dev/ttyUSB1", "listen": 4002, "baudrate": "fast"}
    with pytest.raises(ConfigError) as caught:
        change(path, lambda text: added(text, "scale", wrong))
    there, new = caught.value.mistakes
    assert there.startswith(f"{path}:3: connections.meter.parityy: unknown option")
    assert new.startswith("connections.scale.baudrate: ")
    assert [key for key, _ in caught.value.faults] == [
        "connections.meter.parityy",
        "connections.scale.baudrate",
    ]
