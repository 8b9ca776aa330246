"""``portline ports``."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from portline.cli.ports import ports
from portline.port.inventory.holder import Holder
from portline.port.inventory.ports import FoundPort, Usb
from portline.port.inventory.topology import Socket
from portline.service import devices as module

MACHINE = [
    FoundPort("/dev/ttyS0", driver="serial", console=True),
    FoundPort(
        "/dev/ttyUSB0",
        driver="ftdi_sio",
        by_id="/dev/serial/by-id/usb-FTDI_A1-if00",
        usb=Usb("0403", "6001", "A1", "00", "FT232R", "FTDI"),
    ),
    FoundPort("/dev/ttyACM0", driver="cdc_acm", usb=Usb("2341", "0043", "my board", "00")),
]


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> list[FoundPort]:
    found = list(MACHINE)
    held = {"/dev/ttyUSB0": [Holder(812, "ser2net"), Holder(813)]}
    monkeypatch.setattr(module, "found_ports", lambda: found)
    monkeypatch.setattr(module, "holders", lambda paths: {p: held.get(p, []) for p in paths})
    return found


def run(*arguments: str) -> str:
    result = CliRunner().invoke(ports, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_table_ends_with_what_to_paste() -> None:
    assert run().splitlines() == [
        "PORT          WHAT IT IS                   IDENTITY                   HELD BY",
        "/dev/ttyS0    the console of this machine                             free",
        "/dev/ttyUSB0  FTDI FT232R                  usb:0403:6001:A1:00        "
        "pid 812 (ser2net), pid 813",
        "    portline share /dev/serial/by-id/usb-FTDI_A1-if00 "
        "--listen 127.0.0.1:4002 --protocol rfc2217",
        "/dev/ttyACM0  cdc_acm                      usb:2341:0043:my board:00  free",
        "    portline share 'usb:2341:0043:my board:00' --listen 127.0.0.1:4003 --protocol rfc2217",
    ]


def test_two_of_a_kind_are_told_apart_by_their_place(machine: list[FoundPort]) -> None:
    twin = Usb("1a86", "7523")
    machine[:] = [
        FoundPort(f"/dev/ttyUSB{n}", usb=twin, socket=Socket(f"1-{n}:1.0"), twin=True)
        for n in (1, 2)
    ]
    lines = run().splitlines()
    assert "path:1-1:1.0" in lines[1]
    assert lines[4] == (
        "    portline share path:1-2:1.0 --listen 127.0.0.1:4002 --protocol rfc2217"
    )
    assert [entry["place"] for entry in json.loads(run("--json"))] == [
        "path:1-1:1.0",
        "path:1-2:1.0",
    ]


def test_no_ports_is_an_answer_too(machine: list[FoundPort]) -> None:
    machine.clear()
    assert "No serial ports were found" in run()
    assert "--device" in run()
    assert json.loads(run("--json")) == []


def test_json_for_programs() -> None:
    console, ftdi, board = json.loads(run("--json"))
    assert console["share"] is None
    assert console["identity"] is None
    assert ftdi["path"] == "/dev/ttyUSB0"
    assert ftdi["name"] == "/dev/serial/by-id/usb-FTDI_A1-if00"
    assert ftdi["usb"]["serial"] == "A1"
    assert ftdi["holders"] == [{"pid": 812, "program": "ser2net"}, {"pid": 813, "program": ""}]
    assert board["share"].startswith("portline share 'usb:2341:0043:my board:00' ")


def test_a_device_under_a_virtual_port(
    machine: list[FoundPort], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        module, "terminal_holder", lambda path: Holder(9) if path == "/dev/pts/1" else None
    )
    machine[:] = [
        FoundPort("/dev/ttyS1", driver="serial", hidden="/dev/pts/1"),
        FoundPort("/dev/ttyS2", driver="serial", hidden="/dev/pts/2"),
        FoundPort("/dev/ttyS3", driver="serial", hidden="/dev/pts/3", stale=True),
    ]
    table = run()
    assert "under a virtual port of pid 9" in table
    assert "under a virtual port of another program" in table
    assert "under a virtual port that is gone; run `portline repair`" in table
    assert "portline share" not in table
    entries = json.loads(run("--json"))
    assert [each["hidden"] for each in entries] == ["/dev/pts/1", "/dev/pts/2", "/dev/pts/3"]
    assert [each["stale"] for each in entries] == [False, False, True]


def test_a_virtual_port_that_is_an_adapter_is_not_offered(machine: list[FoundPort]) -> None:
    usb = Usb("1209", "0001", "plc", "00", "virtual port plc", "Portline")
    machine[:] = [FoundPort("/dev/ttyUSB1", driver="pl2303", usb=usb)]
    assert "Portline virtual port plc" in run()
    assert "portline share" not in run()


def test_how_virtual_ports_can_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = "the kernel's module vhci_hcd is not loaded; `sudo modprobe vhci_hcd`"
    monkeypatch.setattr("portline.port.usbip.vhci.obstacle", lambda _chip: missing)
    monkeypatch.setattr("portline.port.cuse.channel.obstacle", lambda: "not for this user")
    lines = run("--virtual").splitlines()
    assert lines[0].startswith("--backend usbip --adapter pl2303: a USB serial adapter")
    assert lines[1].startswith("    every program has: data, any baudrate, parity,")
    assert lines[2] == f"    not here: {missing}"
    assert lines[5] == lines[8] == "    not here: as above"
    assert lines[11] == "    not here: not for this user"
    assert lines[-2:] == [
        "--backend pty: a pseudo terminal, which auto takes here",
        "    every program has: data, any baudrate",
    ]
    ways = json.loads(run("--virtual", "--json"))
    assert [(way["backend"], way["adapter"], way["auto"]) for way in ways] == [
        ("usbip", "pl2303", False),
        ("usbip", "ftdi", False),
        ("usbip", "cdc-acm", False),
        ("cuse", "", False),
        ("pty", "", True),
    ]
    monkeypatch.setattr("portline.port.usbip.vhci.obstacle", lambda _chip: "")
    assert "which auto takes here" in run("--virtual").splitlines()[0]
