"""The controller through a sysfs made of files."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from portline.errors import PortBusy, PortError
from portline.port.usbip.chips import CHIPS, IDENTITIES, make_chip
from portline.port.usbip.vhci import Controller, Slot, obstacle

HEAD = "hub port sta spd dev      sockfd local_busid\n"


class Sysfs:
    """A machine with two controllers; the second file of status has the second one's ports."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "devices/platform/vhci_hcd.0"
        self.folder.mkdir(parents=True)
        (self.folder / "attach").touch()
        self.status(
            ["hs  0000 006 002 00010002 000005 1-1", "hs  0001 004 000 00000000 000000 0-0"]
        )
        self.driver("usb-serial", "pl2303")
        self.driver("usb-serial", "ftdi_sio")
        (root / "bus/usb/drivers/cdc_acm").mkdir(parents=True)

    def status(self, lines: list[str]) -> None:
        (self.folder / "status").write_text(HEAD + "\n".join(lines) + "\n")
        (self.folder / "status.1").write_text(HEAD + "ss  0008 004 000 00000000 000000 0-0\n")

    def driver(self, bus: str, name: str) -> None:
        folder = self.root / "bus" / bus / "drivers" / name
        folder.mkdir(parents=True)
        (folder / "new_id").touch()

    def terminal(self, address: str, *inner: str) -> None:
        self.root.joinpath("bus/usb/devices", address, f"{address}:1.0", *inner).mkdir(parents=True)


@pytest.fixture
def sysfs(tmp_path: Path) -> Sysfs:
    return Sysfs(tmp_path / "sys")


def test_the_ports_of_all_controllers(sysfs: Sysfs) -> None:
    assert Controller(sysfs.root).slots() == [
        Slot("hs", 0, "006", "1-1"),
        Slot("hs", 1, "004", "0-0"),
        Slot("ss", 8, "004", "0-0", 1),
    ]


def test_an_adapter_takes_the_first_free_port(sysfs: Sysfs) -> None:
    with socket.socket() as end:
        assert Controller(sysfs.root).attach("plc", end) == 1
        assert (sysfs.folder / "attach").read_text() == f"1 {end.fileno()} {0x10002} 2"


@pytest.mark.parametrize("taken", [False, True])
def test_a_controller_that_is_unplugging_something_is_taken_last(
    sysfs: Sysfs, tmp_path: Path, taken: bool
) -> None:
    platform = sysfs.folder.parent
    (platform / "vhci_hcd.0/usb1/1-1").mkdir(parents=True)
    (platform / "vhci_hcd.0/usb1/1-0:1.0").mkdir()  # an interface, of the root hub
    (platform / "vhci_hcd.1/usb3/3-1").mkdir(parents=True)
    status = sysfs.folder / "status.1"
    status.write_text(
        HEAD + "hs  0016 006 002 00010002 000005 3-1\nhs  0017 004 000 00000000 000000 0-0\n"
    )
    with socket.socket() as end:
        assert Controller(sysfs.root).attach("plc", end) == 1
        (platform / "vhci_hcd.0/usb1/1-2").mkdir()  # of which the status knows nothing any more
        if taken:
            status.write_text(status.read_text().replace("004", "006"))
        assert Controller(sysfs.root).attach("plc", end) == (1 if taken else 17)


def test_all_ports_taken_is_busy(sysfs: Sysfs) -> None:
    sysfs.status(["hs  0000 006 002 00010002 000005 1-1"])
    with socket.socket() as end, pytest.raises(PortBusy, match=r"plc: all ports .* are taken"):
        Controller(sysfs.root).attach("plc", end)


@pytest.mark.parametrize("adapter", CHIPS)
def test_a_driver_is_told_of_our_numbers_once(sysfs: Sysfs, adapter: str) -> None:
    chip = make_chip(adapter, "plc")
    Controller(sysfs.root).prepare("plc", chip, IDENTITIES[adapter])
    file = sysfs.root / "bus/usb-serial/drivers" / chip.drivers[0] / "new_id"
    if adapter == "cdc-acm":
        assert not file.exists()
        return
    assert file.read_text() == "1209 0001" if adapter == "pl2303" else "1209 0002"
    told = os.stat(file).st_mtime_ns
    Controller(sysfs.root).prepare("plc", chip, IDENTITIES[adapter])
    assert os.stat(file).st_mtime_ns == told


def test_the_terminal_is_found_where_the_driver_makes_it(
    sysfs: Sysfs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dev = tmp_path / "dev"
    dev.mkdir()
    controller = Controller(sysfs.root, dev)
    assert controller.node(0) is None
    sysfs.terminal("1-1", "ttyUSB3")
    assert controller.node(0) is None  # the driver has it, the folder /dev does not
    (dev / "ttyUSB3").symlink_to("/dev/null")
    assert controller.node(0) == str(dev / "ttyUSB3")
    sysfs.terminal("3-1", "tty", "ttyACM0")
    (dev / "ttyACM0").symlink_to("/dev/null")
    sysfs.status(["hs  0000 006 002 00010002 000005 3-1"])
    assert controller.node(0) == str(dev / "ttyACM0")
    assert controller.node(5) is None


def test_what_is_missing_is_named_with_the_command(tmp_path: Path) -> None:
    pl2303, modules = CHIPS["pl2303"], tmp_path / "modules"
    bare = tmp_path / "bare"
    (modules / "6.1").mkdir(parents=True)
    assert "this kernel has no virtual USB controller" in obstacle(pl2303, bare, modules, "6.1")
    (modules / "6.1/modules.dep").write_text("kernel/drivers/usb/usbip/vhci-hcd.ko: x.ko\n")
    assert obstacle(pl2303, bare, modules, "6.1").endswith(
        "`sudo modprobe -a vhci_hcd pl2303 usbserial`"
    )
    machine = Sysfs(tmp_path / "sys")
    assert obstacle(pl2303, machine.root) == ""
    assert obstacle(CHIPS["cdc-acm"], machine.root) == ""
    (machine.root / "bus/usb-serial/drivers/pl2303/new_id").unlink()
    (machine.root / "bus/usb-serial/drivers/pl2303").rmdir()
    assert obstacle(pl2303, machine.root).endswith("`sudo modprobe pl2303`")


def test_without_root_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Sysfs(tmp_path / "sys")
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "takes root" in obstacle(CHIPS["pl2303"], machine.root)
    with pytest.raises(PortError, match="plc: to plug in a virtual USB adapter takes root"):
        Controller(machine.root).prepare("plc", make_chip("pl2303", "plc"), (1, 2))
