"""The ports of a machine that exists as a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from portline.port.inventory.ports import FoundPort, Usb, found_ports, usb_ports
from portline.port.inventory.topology import Socket
from portline.port.names.mounts import MARK, Mount
from tests.unit.port.machine import Machine


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return a machine with a console, a ghost, an FTDI, a double adapter and a modem board."""
    made = Machine(tmp_path)
    made.screen()
    made.uart("ttyS0", console=True)
    made.uart("ttyS1", chip=False)
    made.uart("ttyS2")
    first = made.adapter("1-1", "0403", "6001", serial="A1", product="FT232R", manufacturer="FTDI")
    made.usb_serial("ttyUSB10", first, driver="ftdi_sio")
    made.udev = False
    double = made.adapter("1-2.3", "0403", "6010", serial="B2")
    made.usb_serial("ttyUSB2", double, 0, driver="ftdi_sio")
    made.usb_serial("ttyUSB3", double, 1, driver="ftdi_sio")
    (double / "1-2.3:1.1" / "interface").write_text("Port B\n")
    made.acm("ttyACM0", made.adapter("1-3", "2341", "0043"))
    return made


def ports(machine: Machine) -> dict[str, FoundPort]:
    return {Path(port.path).name: port for port in found_ports(machine.sys, machine.dev)}


def test_ghosts_and_screens_are_left_out_and_the_order_is_that_of_people(machine: Machine) -> None:
    assert list(ports(machine)) == ["ttyACM0", "ttyS0", "ttyS2", "ttyUSB2", "ttyUSB3", "ttyUSB10"]


def test_an_adapter_says_what_it_is(machine: Machine) -> None:
    port = ports(machine)["ttyUSB10"]
    assert port.usb == Usb("0403", "6001", "A1", "00", "FT232R", "FTDI")
    assert port.description == "FTDI FT232R"
    assert port.driver == "ftdi_sio"
    link = machine.dev / "serial/by-id/usb-FTDI_FT232R_A1-if00-port0"
    assert port.lasting_name == port.by_id == str(link)
    assert port.socket == Socket("1-1:1.0", "pci-0000:00:14.0-usb-0:1:1.0", "0")
    assert port.by_path.endswith(f"/{port.socket.name.removeprefix('path:')}")


def test_what_has_no_link_goes_by_its_identity(machine: Machine) -> None:
    found = ports(machine)
    assert found["ttyUSB3"].lasting_name == "usb:0403:6010:B2:01"
    assert found["ttyUSB3"].description == "Port B"
    assert found["ttyACM0"].lasting_name == "usb:2341:0043::00"
    assert found["ttyACM0"].description == found["ttyACM0"].driver == "cdc_acm"


def test_a_chip_goes_by_its_name(machine: Machine) -> None:
    found = ports(machine)
    assert found["ttyS2"].description == found["ttyS2"].driver == "serial"
    assert found["ttyS2"].lasting_name == str(machine.dev / "ttyS2")
    assert (found["ttyS2"].usb, found["ttyS2"].socket) == (None, None)
    assert found["ttyS0"].console
    assert "console" in found["ttyS0"].description


def test_two_of_a_kind_go_by_their_place(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    for number, place in enumerate(("1-4", "1-5")):
        adapter = machine.adapter(place, "1a86", "7523", product="USB Serial")
        machine.usb_serial(f"ttyUSB{number}", adapter, driver="ch341-uart")
    names = [port.lasting_name for port in found_ports(machine.sys, machine.dev)]
    by_path = machine.dev / "serial/by-path"
    assert names == [f"{by_path}/pci-0000:00:14.0-usb-0:{n}:1.0-port0" for n in (4, 5)]
    machine.unplug("ttyUSB1")
    [alone] = found_ports(machine.sys, machine.dev)
    assert not alone.twin
    for link in by_path.glob("*"):
        link.unlink()
    machine.udev = False
    adapter = machine.adapter("1-6", "1a86", "7523", product="USB Serial")
    machine.usb_serial("ttyUSB1", adapter, driver="ch341-uart")
    names = [port.lasting_name for port in found_ports(machine.sys, machine.dev)]
    assert names == [f"path:pci-0000:00:14.0-usb-0:{n}:1.0-port0" for n in (4, 6)]


def test_several_ports_of_one_interface_have_numbers(tmp_path: Path) -> None:
    machine = Machine(tmp_path, udev=False)
    adapter = machine.adapter("1-1", "110a", "1410", serial="MX")
    for number in range(4):
        machine.usb_serial(f"ttyUSB{number}", adapter, driver="ti_usb_3410_5052", number=number)
    found = ports(machine)
    assert found["ttyUSB3"].lasting_name == "usb:110a:1410:MX:00.3"
    assert not any(port.twin for port in found.values())


def test_usb_ports_are_the_same_ones(machine: Machine) -> None:
    found = [port for port in found_ports(machine.sys, machine.dev) if port.usb is not None]
    assert usb_ports(machine.sys, machine.dev) == found


def test_a_machine_without_anything(tmp_path: Path) -> None:
    assert found_ports(tmp_path / "sys", tmp_path / "dev") == []
    assert FoundPort("/dev/ttyX").description == "serial port"
    assert FoundPort("/dev/ttyX").lasting_name == "/dev/ttyX"
    assert FoundPort("/dev/ttyX", usb=Usb("1", "2")).description == "USB serial port"


def test_a_device_under_a_virtual_port_is_listed_also_without_a_chip(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    roots = {"ttyS1": "/5", "ttyS2": "/6//deleted"}

    def covering(path: str) -> Mount | None:
        root = roots.get(Path(path).name)
        return None if root is None else Mount(1, root, path, MARK, "devpts")

    monkeypatch.setattr("portline.port.inventory.ports.covering", covering)
    found = {Path(p.path).name: (p.hidden, p.stale) for p in found_ports(machine.sys, machine.dev)}
    assert found["ttyS0"] == ("", False)
    assert found["ttyS1"] == ("/dev/pts/5", False)
    assert found["ttyS2"] == ("/dev/pts/6", True)
