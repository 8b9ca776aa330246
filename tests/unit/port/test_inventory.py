"""The ports of a machine that exists as a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from portline.errors import PortAbsent, PortError
from portline.port.inventory import FoundPort, Usb, found_ports, resolve
from portline.port.mounts import MARK, Mount


class Machine:
    """A /sys and a /dev with a console, a ghost, an FTDI, a double adapter and a modem board."""

    def __init__(self, root: Path) -> None:
        self.sys, self.dev = root / "sys", root / "dev"
        (self.dev / "serial/by-id").mkdir(parents=True)
        (self.dev / "serial/by-path").mkdir()
        self.entry("tty0")
        self.uart("ttyS0", kind="4")
        self.uart("ttyS1", kind="0")
        self.uart("ttyS2", kind="4")
        self.write("class/tty/console/active", "tty0 ttyS0")
        first = self.adapter(
            "1-1", "0403", "6001", serial="A1", product="FT232R", manufacturer="FTDI"
        )
        self.usb_port("ttyUSB10", first, "00", driver="ftdi_sio", by_id="usb-FTDI_A1-if00")
        second = self.adapter("1-2", "0403", "6010", serial="B2")
        self.usb_port("ttyUSB2", second, "00", driver="ftdi_sio")
        self.usb_port("ttyUSB3", second, "01", driver="ftdi_sio", interface_name="Port B")
        board = self.adapter("1-3", "2341", "0043")
        self.usb_port("ttyACM0", board, "00", driver="cdc_acm")

    def write(self, path: str, text: str) -> None:
        file = self.sys / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")

    def entry(self, name: str, device: Path | None = None) -> None:
        (self.dev / name).touch()
        folder = self.sys / "class/tty" / name
        folder.mkdir(parents=True)
        if device is not None:
            device.mkdir(parents=True, exist_ok=True)
            (folder / "device").symlink_to(device)

    def driver(self, device: Path, name: str) -> None:
        target = self.sys / "drivers" / name
        target.mkdir(parents=True, exist_ok=True)
        (device / "driver").symlink_to(target)

    def uart(self, name: str, kind: str) -> None:
        chip = self.sys / "devices/pnp" / name
        self.entry(name, chip / "ctrl" / "port")
        self.driver(chip, "serial")
        self.driver(chip / "ctrl/port", "port")
        self.write(f"class/tty/{name}/type", kind)
        (self.dev / f"serial/by-path/pnp-{name}").symlink_to(self.dev / name)

    def adapter(self, place: str, vendor: str, product_id: str, **texts: str) -> Path:
        folder = f"devices/usb1/{place}"
        self.write(f"{folder}/idVendor", vendor)
        self.write(f"{folder}/idProduct", product_id)
        for name, text in texts.items():
            self.write(f"{folder}/{name}", text)
        return self.sys / folder

    def usb_port(
        self,
        name: str,
        adapter: Path,
        interface: str,
        *,
        driver: str,
        by_id: str = "",
        interface_name: str = "",
    ) -> None:
        folder = adapter / f"{adapter.name}:1.{int(interface)}"
        folder.mkdir()
        (folder / "bInterfaceNumber").write_text(interface + "\n")
        if interface_name:
            (folder / "interface").write_text(interface_name + "\n")
        self.entry(name, folder / name)
        self.driver(folder / name, driver)
        if by_id:
            (self.dev / "serial/by-id" / by_id).symlink_to(self.dev / name)

    def ports(self) -> dict[str, FoundPort]:
        return {Path(port.path).name: port for port in found_ports(self.sys, self.dev)}

    def resolve(self, identity: str) -> str:
        return Path(resolve(identity, self.sys, self.dev)).name


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_ghosts_and_screens_are_left_out_and_the_order_is_that_of_people(machine: Machine) -> None:
    assert list(machine.ports()) == ["ttyACM0", "ttyS0", "ttyS2", "ttyUSB2", "ttyUSB3", "ttyUSB10"]


def test_an_adapter_says_what_it_is(machine: Machine) -> None:
    port = machine.ports()["ttyUSB10"]
    assert port.usb == Usb("0403", "6001", "A1", "00", "FT232R", "FTDI")
    assert port.description == "FTDI FT232R"
    assert port.driver == "ftdi_sio"
    assert port.lasting_name == port.by_id == str(machine.dev / "serial/by-id/usb-FTDI_A1-if00")


def test_what_has_no_link_goes_by_its_identity(machine: Machine) -> None:
    ports = machine.ports()
    assert ports["ttyUSB3"].lasting_name == "usb:0403:6010:B2:01"
    assert ports["ttyUSB3"].description == "Port B"
    assert ports["ttyACM0"].lasting_name == "usb:2341:0043::00"
    assert ports["ttyACM0"].description == "cdc_acm"


def test_a_chip_goes_by_its_path(machine: Machine) -> None:
    ports = machine.ports()
    assert ports["ttyS2"].description == ports["ttyS2"].driver == "serial"
    assert ports["ttyS2"].lasting_name == str(machine.dev / "serial/by-path/pnp-ttyS2")
    assert ports["ttyS0"].console
    assert "console" in ports["ttyS0"].description


def test_a_machine_without_anything(tmp_path: Path) -> None:
    assert found_ports(tmp_path / "sys", tmp_path / "dev") == []
    assert FoundPort("/dev/ttyX").description == "serial port"
    assert FoundPort("/dev/ttyX").lasting_name == "/dev/ttyX"
    assert FoundPort("/dev/ttyX", usb=Usb("1", "2")).description == "USB serial port"


@pytest.mark.parametrize(
    ("identity", "name"),
    [
        ("usb:0403:6001", "ttyUSB10"),
        ("usb:0403:6001:A1", "ttyUSB10"),
        ("USB:0403:6001:a1:00", "ttyUSB10"),
        ("usb:0403:6010:B2:01", "ttyUSB3"),
        ("usb:0403:6010::00", "ttyUSB2"),
        ("usb:2341:0043::00", "ttyACM0"),
    ],
)
def test_identities(machine: Machine, identity: str, name: str) -> None:
    assert machine.resolve(identity) == name


def test_every_port_is_found_by_its_own_identity(machine: Machine) -> None:
    for name, port in machine.ports().items():
        if port.usb is not None:
            assert machine.resolve(port.usb.identity) == name


def test_an_absent_adapter(machine: Machine) -> None:
    with pytest.raises(PortAbsent, match="plugged in"):
        machine.resolve("usb:1a86:7523")


def test_an_ambiguous_identity_names_everything_it_could_mean(machine: Machine) -> None:
    with pytest.raises(PortError, match=r"ttyUSB2 .*B2:00.*ttyUSB3 .*B2:01"):
        machine.resolve("usb:0403:6010:B2")


@pytest.mark.parametrize("identity", ["usb:", "usb:0403", "usb::6001", "usb:0403:"])
def test_half_an_identity(machine: Machine, identity: str) -> None:
    with pytest.raises(PortError, match="not a USB identity"):
        machine.resolve(identity)


def test_a_device_under_a_virtual_port_is_listed_also_without_a_chip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(tmp_path)
    roots = {"ttyS1": "/5", "ttyS2": "/6//deleted"}

    def covering(path: str) -> Mount | None:
        root = roots.get(Path(path).name)
        return None if root is None else Mount(1, root, path, MARK, "devpts")

    monkeypatch.setattr("portline.port.inventory.covering", covering)
    found = {Path(p.path).name: (p.hidden, p.stale) for p in found_ports(machine.sys, machine.dev)}
    assert found["ttyS0"] == ("", False)
    assert found["ttyS1"] == ("/dev/pts/5", False)
    assert found["ttyS2"] == ("/dev/pts/6", True)
