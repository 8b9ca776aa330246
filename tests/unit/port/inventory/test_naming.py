"""What a port is called, on a machine that exists as a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from portline.errors import PortAbsent, PortError
from portline.port.inventory.naming import CANDIDATES, resolve
from portline.port.inventory.ports import found_ports
from tests.unit.port.machine import Machine

MAC = "34:85:18:8B:5C:04"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path)
    made.uart("ttyS0")
    made.uart("ttyS1", chip=False)
    single = made.adapter("1-1", "0403", "6001", serial="A1", product="FT232R")
    made.usb_serial("ttyUSB10", single, driver="ftdi_sio")
    double = made.adapter("1-2.3", "0403", "6010", serial="B2", product="Dual RS232")
    made.usb_serial("ttyUSB2", double, 0, driver="ftdi_sio")
    made.usb_serial("ttyUSB3", double, 1, driver="ftdi_sio")
    made.acm("ttyACM0", made.adapter("1-3", "2341", "0043"))
    made.acm("ttyACM1", made.adapter("1-4", "303a", "1001", serial=MAC))
    return made


def meant(machine: Machine, name: str) -> str:
    return Path(resolve(name, machine.sys, machine.dev)).resolve().name


@pytest.mark.parametrize(
    ("name", "device"),
    [
        ("usb:0403:6001", "ttyUSB10"),
        ("usb:0403:6001:A1", "ttyUSB10"),
        ("usb:0403:6001:a1:00", "ttyUSB10"),
        ("usb:0403:6010:B2:01", "ttyUSB3"),
        ("usb:0403:6010::00", "ttyUSB2"),
        ("usb:2341:0043::00", "ttyACM0"),
        (f"usb:303a:1001:{MAC}", "ttyACM1"),
        (f"usb:303a:1001:{MAC}:00", "ttyACM1"),
        ("path:1-1", "ttyUSB10"),
        ("path:1-2.3:1.1", "ttyUSB3"),
        ("path:pci-0000:00:14.0-usb-0:1", "ttyUSB10"),
        ("path:pci-0000:00:14.0-usb-0:2.3:1.0", "ttyUSB2"),
        ("path:pci-0000:00:14.0-usb-0:2.3:1.1-port0", "ttyUSB3"),
        ("path:pci-0000:00:14.0-usb-0:3:1.0", "ttyACM0"),
    ],
)
def test_names(machine: Machine, name: str, device: str) -> None:
    assert meant(machine, name) == device


@pytest.mark.parametrize(
    ("pattern", "device"),
    [
        ("ttyUSB1*", "ttyUSB10"),
        ("tty[UA][SC][BM]?0", "ttyUSB10"),
        ("serial/by-id/*FT232R*", "ttyUSB10"),
        ("serial/by-path/*2.3:1.1*", "ttyUSB3"),
        ("serial/*/*A1*", "ttyUSB10"),
        ("ttyS*", "ttyS0"),
    ],
)
def test_patterns(machine: Machine, pattern: str, device: str) -> None:
    assert meant(machine, f"{machine.dev}/{pattern}") == device


def test_a_pattern_that_is_also_a_name_is_that_name(machine: Machine) -> None:
    (machine.dev / "tty[1]").touch()
    assert meant(machine, f"{machine.dev}/tty[1]") == "tty[1]"


def test_every_port_is_found_by_all_its_own_names(machine: Machine) -> None:
    for port in found_ports(machine.sys, machine.dev):
        names = [port.path, port.lasting_name, port.by_id, port.by_path]
        names += [port.usb.identity] if port.usb is not None else []
        names += [port.socket.name] if port.socket is not None else []
        for name in filter(None, names):
            assert meant(machine, name) == Path(port.path).name


def test_a_plain_path_stays_what_it_is() -> None:
    assert resolve("/dev/ttyNONE0") == "/dev/ttyNONE0"


@pytest.mark.parametrize("name", ["usb:1a86:7523", "path:1-7", "path:1", "path:", "/dev/ttyNONE*"])
def test_what_is_absent(machine: Machine, name: str) -> None:
    with pytest.raises(PortAbsent, match="plugged in"):
        meant(machine, name)


@pytest.mark.parametrize(
    "name", ["usb:0403:6010:B2", "path:1-2.3", "path:pci-0000:00:14.0-usb-0:2.3"]
)
def test_an_ambiguous_name_tells_everything_it_could_mean(machine: Machine, name: str) -> None:
    with pytest.raises(PortError, match=r"ttyUSB2 .*if00.*ttyUSB3 .*if01.*; say which") as caught:
        meant(machine, name)
    assert not isinstance(caught.value, PortAbsent)


def test_an_ambiguous_pattern_tells_the_lasting_names(machine: Machine) -> None:
    with pytest.raises(PortError, match=r"ttyUSB2 \(.*by-id/.*\), .*ttyUSB3 \(.*\), .*ttyUSB10"):
        meant(machine, f"{machine.dev}/ttyUSB*")


def test_a_pattern_of_things_that_are_no_ports(machine: Machine) -> None:
    for number in range(CANDIDATES + 2):
        (machine.dev / f"odd{number}").touch()
    with pytest.raises(PortError, match=r"odd0, .* and 2 more; say which"):
        meant(machine, f"{machine.dev}/odd*")


def test_a_serial_number_that_ends_like_the_interface_of_another_is_refused(
    machine: Machine,
) -> None:
    machine.acm("ttyACM2", machine.adapter("1-5", "303a", "1001", serial=f"{MAC}:00"))
    with pytest.raises(PortError, match=r"ttyACM1 .*ttyACM2 "):
        meant(machine, f"usb:303a:1001:{MAC}:00")
    assert meant(machine, f"usb:303a:1001:{MAC}:00:00") == "ttyACM2"


def test_an_adapter_is_found_again_under_another_number(machine: Machine) -> None:
    machine.unplug("ttyUSB10")
    for name in ("usb:0403:6001:A1", "path:1-1"):
        with pytest.raises(PortAbsent):
            meant(machine, name)
    adapter = machine.adapter("1-6", "0403", "6001", serial="A1", product="FT232R")
    machine.usb_serial("ttyUSB0", adapter, driver="ftdi_sio")
    assert meant(machine, "usb:0403:6001:A1") == "ttyUSB0"
    assert meant(machine, "path:1-6") == "ttyUSB0"
    with pytest.raises(PortAbsent):
        meant(machine, "path:1-1")


@pytest.mark.parametrize("identity", ["usb:", "usb:0403", "usb::6001", "usb:0403:"])
def test_half_an_identity(machine: Machine, identity: str) -> None:
    with pytest.raises(PortError, match="not a USB identity"):
        meant(machine, identity)
