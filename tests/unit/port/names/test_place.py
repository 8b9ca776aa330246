"""The name of a virtual port."""

from __future__ import annotations

import os
from contextlib import nullcontext
from itertools import count
from pathlib import Path

import pytest

from portline.errors import PortBusy, PortDenied, PortError
from portline.port.names.place import Place, _is_anothers, _is_younger, folder_for, marked

GONE = "/dev/pts/999999"
ALIVE = "/dev/pts/ptmx"
"""Something below /dev/pts that is there."""


def place(tmp_path: Path, terminals: dict[str, str] | None = None, name: str = "port") -> Place:
    return Place(name, terminals or {}, tmp_path)


def test_a_name_goes_into_the_folder_and_a_path_where_it_says(tmp_path: Path) -> None:
    assert place(tmp_path).path() == f"{tmp_path}/port"
    assert place(tmp_path, name="/elsewhere/port").path() == "/elsewhere/port"
    assert place(tmp_path, name="./port").path() == f"{Path.cwd()}/port"


@pytest.mark.parametrize("name", ["", ".", "..", "a/..", "a\0b", "a\nb", "\udcff"])
def test_impossible_names(tmp_path: Path, name: str) -> None:
    impossible = place(tmp_path, name=name)
    with pytest.raises(PortError, match=r"not a name.*take one like plc"):
        impossible.path()


def test_a_relative_path_without_a_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> str:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(os, "getcwd", fail)
    with pytest.raises(PortError, match="a path that begins with /"):
        place(tmp_path, name="./port").path()


def test_the_link_is_made_moved_and_removed(tmp_path: Path) -> None:
    spot, path = place(tmp_path), f"{tmp_path}/port"
    spot.put(path, "/dev/pts/1")
    assert os.readlink(path) == "/dev/pts/1"
    spot.move(path, "/dev/pts/1", "/dev/pts/2")
    assert os.readlink(path) == "/dev/pts/2"
    spot.remove(path, "/dev/pts/2")
    assert os.listdir(tmp_path) == []


def test_a_link_that_is_no_longer_ours_stays(tmp_path: Path) -> None:
    spot, path = place(tmp_path), f"{tmp_path}/port"
    os.symlink("/dev/null", path)
    spot.move(path, "/dev/pts/1", "/dev/pts/2")
    spot.remove(path, "/dev/pts/1")
    assert os.readlink(path) == "/dev/null"
    os.unlink(path)
    spot.remove(path, "/dev/pts/1")


@pytest.mark.parametrize(
    ("target", "terminals"),
    [
        (GONE, {}),
        ("/dev/./ttyUSB77", {}),
        ("/dev/./null", {"/dev/./null": "/another/port"}),
        (ALIVE, {ALIVE: "/another/port"}),
        ("/dev/pts/1", {}),
    ],
    ids=["gone", "adapter-gone", "adapter-of-another", "number-given-out-again", "by-chance-right"],
)
def test_a_leftover_of_a_crash_is_replaced(
    tmp_path: Path, target: str, terminals: dict[str, str]
) -> None:
    path = f"{tmp_path}/port"
    os.symlink(target, path)
    Path(f"{tmp_path}/.port.{os.getpid()}").touch()
    place(tmp_path, terminals).put(path, "/dev/pts/1")
    assert os.readlink(path) == "/dev/pts/1"


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (ALIVE, "live terminal /dev/pts/ptmx, perhaps of another Portline; stop that one"),
        ("/dev/null", "leads to /dev/null, which is no virtual port; choose another name"),
        ("/dev/ttyUSB77", "leads to /dev/ttyUSB77, which is not there; remove the link"),
    ],
)
def test_somebodys_link_is_not_touched(tmp_path: Path, target: str, said: str) -> None:
    path = f"{tmp_path}/port"
    os.symlink(target, path)
    with pytest.raises(PortBusy, match=said) as caught:
        place(tmp_path).put(path, "/dev/pts/1")
    assert os.readlink(path) == target
    assert (f"rm {path}" in str(caught.value)) == (target == "/dev/ttyUSB77")


def test_the_program_that_serves_a_name_is_named(tmp_path: Path) -> None:
    master, slave = os.openpty()
    path = f"{tmp_path}/port"
    os.symlink(os.ttyname(slave), path)
    try:
        with pytest.raises(PortBusy, match=f"is a virtual port of pid {os.getpid()} ") as caught:
            place(tmp_path, name=path).put(path, GONE)
    finally:
        os.close(master)
        os.close(slave)
    assert str(caught.value).count(path) == 1
    assert caught.value.holder is not None


@pytest.mark.parametrize("ours", [False, True])
def test_a_number_that_was_given_to_another_program_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ours: bool
) -> None:
    monkeypatch.setattr("portline.port.inventory.holder.Holder.is_portline", lambda holder: ours)
    for attempt in count():
        path = f"{tmp_path}/port{attempt}"
        master, slave = os.openpty()
        name = os.ttyname(slave)
        os.close(master)
        os.close(slave)
        os.symlink(name, path)
        clock = tmp_path / "clock"
        while clock.touch() or clock.stat().st_ctime_ns == os.lstat(path).st_ctime_ns:
            pass  # the kernel's clock for files moves once in some milliseconds
        master, slave = os.openpty()
        try:
            if os.ttyname(slave) != name:
                continue  # somebody else was quicker
            with pytest.raises(PortBusy) if ours else nullcontext():
                place(tmp_path).put(path, GONE)
            assert os.readlink(path) == (name if ours else GONE)
        finally:
            os.close(master)
            os.close(slave)
        return


def test_the_folder_goes_with_the_last_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "portline"
    folder.mkdir()
    monkeypatch.setattr("portline.port.names.place.folder_for", lambda name: folder)
    spots = [Place(name, {}, None) for name in ("one", "two")]
    for spot in spots:
        spot.put(spot.path(), "/dev/pts/1")
    spots[0].remove(f"{folder}/one", "/dev/pts/1")
    assert os.listdir(folder) == ["two"]
    spots[1].remove(f"{folder}/two", "/dev/pts/1")
    assert not folder.exists()


def test_a_file_or_device_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "port").write_text("precious")
    with pytest.raises(PortBusy, match="real file or device"):
        place(tmp_path).put(f"{tmp_path}/port", "/dev/pts/1")
    assert (tmp_path / "port").read_text() == "precious"


def test_another_port_of_this_program(tmp_path: Path) -> None:
    path = f"{tmp_path}/port"
    os.symlink(ALIVE, path)
    with pytest.raises(PortBusy, match="another virtual port of this program"):
        place(tmp_path, {ALIVE: path}).put(path, "/dev/pts/1")


def test_no_folder_and_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PortError, match=f"no folder {tmp_path}/none"):
        place(tmp_path).put(f"{tmp_path}/none/port", "/dev/pts/1")

    def fail(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    os.symlink(GONE, f"{tmp_path}/port")
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", fail)
        with pytest.raises(PortDenied, match="Permission denied"):
            place(tmp_path).put(f"{tmp_path}/port", "/dev/pts/1")
        patched.setattr(os, "symlink", fail)
        with pytest.raises(PortDenied, match="Permission denied"):
            place(tmp_path).put(f"{tmp_path}/port", "/dev/pts/1")


def test_root_gets_dev(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert folder_for("x", dev=tmp_path) == tmp_path


def test_others_get_a_folder_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = os.geteuid()
    missing = tmp_path / "no-dev"
    found = folder_for("x", dev=missing, runtime=str(tmp_path))
    assert found == tmp_path / "portline"
    assert found.stat().st_mode & 0o777 == 0o700
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    found = folder_for("x", dev=missing, temporary=tmp_path)
    assert found == folder_for("x", dev=missing, temporary=tmp_path)
    assert found == tmp_path / f"portline-{user}"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert folder_for("x", dev=missing) == tmp_path / "portline"


def test_somebody_elses_folder_is_not_used(tmp_path: Path) -> None:
    folder = tmp_path / f"portline-{os.geteuid()}"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(PortError, match="not a folder of this user alone"):
        folder_for("x", dev=tmp_path / "no", temporary=tmp_path, runtime="")
    folder.rmdir()
    (tmp_path / "elsewhere").mkdir()
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PortError, match="not a folder of this user alone"):
        folder_for("x", dev=tmp_path / "no", temporary=tmp_path, runtime="")
    with pytest.raises(PortError, match="cannot be made"):
        folder_for("x", dev=tmp_path / "no", runtime=str(tmp_path / "missing"))


def test_no_folder_given_asks_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portline.port.names.place.folder_for", lambda name: tmp_path)
    assert Place("x", {}, None).path() == f"{tmp_path}/x"


def test_a_link_that_somebody_takes_away_is_told(tmp_path: Path) -> None:
    place = Place(f"{tmp_path}/plc", {}, None)
    path, terminal = place.path(), str(tmp_path / "terminal")
    Path(terminal).touch()
    place.put(path, terminal)
    assert place.fault(path, terminal) is None
    os.unlink(path)
    told = place.fault(path, terminal)
    assert str(told).startswith(f"{path}: does not lead to the virtual port any more")
    os.symlink("/dev/null", path)
    assert place.fault(path, terminal) is not None


def test_an_adapter_is_known_by_its_maker_and_its_port_by_its_number(tmp_path: Path) -> None:
    made = {"ttyUSB0": ("Portline", "plc"), "ttyUSB1": ("Prolific", "plc"), "ttyUSB3": ("\xff", "")}
    for name, (maker, serial) in made.items():
        device = tmp_path / f"devices/usb1/{name}"
        port = device / f"1-1:1.0/{name}"
        port.mkdir(parents=True)
        (device / "manufacturer").write_bytes(f"{maker}\n".encode("latin-1"))
        (device / "serial").write_text(f"{serial}\n")
        entry = tmp_path / "class/tty" / name
        entry.mkdir(parents=True)
        (entry / "device").symlink_to(port)
    assert marked("/dev/ttyUSB0") == "/dev/./ttyUSB0"
    assert not _is_anothers("/dev/plc", "ttyUSB0", tmp_path)
    assert not _is_anothers("/tmp/plc-with-a-long-name", "ttyUSB0", tmp_path)  # may be cut
    assert _is_anothers("/dev/meter", "ttyUSB0", tmp_path)
    for name in ("ttyUSB1", "ttyUSB2", "ttyUSB3"):
        assert _is_anothers("/dev/plc", name, tmp_path)


def test_a_device_that_was_made_after_its_link_is_another_ones(tmp_path: Path) -> None:
    link, device = tmp_path / "plc", tmp_path / "tty0"
    device.touch()
    link.symlink_to(device)
    made = link.lstat().st_mtime
    os.utime(device, (made, made - 1))
    assert not _is_younger(str(link))
    os.utime(device, (made, made + 1))
    assert _is_younger(str(link))
    device.unlink()
    assert not _is_younger(str(link))
