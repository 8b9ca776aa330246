"""Devices that call themselves something evil, and folders that change while they are read."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from portline.cli.app import main
from portline.config.places import Device
from portline.errors import PortError
from portline.port.inventory import ports as module
from portline.port.inventory.holder import Holder
from portline.port.inventory.naming import CANDIDATES, resolve
from portline.port.inventory.ports import found_ports, usb_ports
from portline.service import devices
from tests.unit.port.machine import Machine

EVIL = [
    "\x1b]0;owned\x07\x1b[2J\x1b[31m",
    "\x9b2J",
    "a\u202eb",
    "one\rtwo\x0bthree\x85four\u2028five",
    "\x00\x01\x7f",
    "wide \u6f22\u5b57 " * 9,
    "x" * 4000,
    " ",
    "::",
    "00",
    "'; rm -rf /; '",
    "$(reboot)",
    "--config",
]


def strings(folder: Path, **texts: bytes) -> None:
    for name, text in texts.items():
        (folder / name).write_bytes(text + b"\n")


def plugged(machine: Machine, count: int, **texts: bytes) -> None:
    folder = machine.adapter(f"1-{count + 1}", "0403", "6001")
    strings(folder, **texts)
    machine.usb_serial(f"ttyUSB{count}", folder, driver="ftdi_sio")


@pytest.fixture
def evil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Return a machine full of evil devices, which the commands take for this one."""
    machine = Machine(tmp_path, udev=False)
    for count, text in enumerate(EVIL):
        each = text.encode()
        plugged(machine, count, serial=each, product=each, manufacturer=each)
    plugged(machine, len(EVIL), serial=b"\xff\xfe\x1b[31m", product=b"\xc3\x28", manufacturer=b"")
    monkeypatch.setattr(devices, "found_ports", lambda: found_ports(machine.sys, machine.dev))
    # A program calls itself what it likes (prctl), too.
    held = [Holder(7, text[:15]) for text in EVIL]
    monkeypatch.setattr(devices, "holders", lambda paths: dict.fromkeys(paths, held))
    return machine


def test_no_device_moves_the_cursor(evil: Machine) -> None:
    for words in (["ports"], ["ports", "--json"]):
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 0, result.output
        assert all(line.isprintable() for line in result.output.split("\n"))


def test_a_long_text_does_not_spread_the_table(evil: Machine) -> None:
    lines = CliRunner().invoke(main, ["ports"]).output.splitlines()
    long = next(line for line in lines if "xxx" in line and "usb:" in line)
    assert long.index("usb:") < long.index("xxx") + 70


def test_each_device_has_a_name_that_means_it_alone(evil: Machine) -> None:
    for port in found_ports(evil.sys, evil.dev):
        name = port.lasting_name
        assert resolve(name, evil.sys, evil.dev) == port.path
        if not (port.usb and len(port.usb.serial) > 126):  # USB has no more
            assert Device().read(name) == name


def test_a_refusal_names_candidates_that_can_be_written(evil: Machine) -> None:
    with pytest.raises(PortError, match="more than one port") as refused:
        resolve("usb:0403:6001", evil.sys, evil.dev)
    assert str(refused.value).count("ttyUSB") == CANDIDATES
    assert str(refused.value).isprintable()


SERIAL = st.text(st.sampled_from("Aa0:. \x1b\u00df"), max_size=6)


@settings(max_examples=60)
@given(st.lists(SERIAL, min_size=1, max_size=4))
def test_names_lead_back_to_their_devices(serials: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(Path(folder), udev=False)
        for count, serial in enumerate(serials):
            plugged(machine, count, serial=serial.encode())
        for port in usb_ports(machine.sys, machine.dev):
            assert Device().read(port.lasting_name) == port.lasting_name
            assert resolve(port.lasting_name, machine.sys, machine.dev) == port.path


def test_links_in_a_circle_are_passed_over(evil: Machine) -> None:
    for folder in ("by-id", "by-path"):
        place = evil.dev / "serial" / folder
        place.mkdir(parents=True)
        os.symlink("circle", place / "circle")
        os.symlink("../../ttyUSB0", place / "evil\x1b[31m")
    os.symlink("ttyROUND", evil.sys / "class/tty/ttyROUND")
    os.symlink("ttyLOST", evil.dev / "ttyLOST")
    first = found_ports(evil.sys, evil.dev)[0]
    assert (first.by_id, first.by_path) == ("", "")
    assert resolve(f"{evil.dev}/serial/by-id/circle", evil.sys, evil.dev)
    with pytest.raises(PortError, match="ttyUSB0"):
        resolve(f"{evil.dev}/ttyUSB*", evil.sys, evil.dev)


def test_what_vanishes_at_any_moment_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each of the looks in turn the device is pulled out; nothing is raised."""
    machine = Machine(tmp_path)
    for count in range(3):
        plugged(machine, count, serial=b"A", product=b"B")
    spare = machine.sys.with_name("spare")
    shutil.copytree(machine.sys, spare, symlinks=True)
    victim = "devices/pci0000:00/0000:00:14.0/usb1/1-1"
    calls = 0
    due = 0

    def vanishing(name: str, function: Callable[..., object]) -> None:
        def called(*arguments: object, **more: object) -> object:
            nonlocal calls
            calls += 1
            if calls == due:
                shutil.rmtree(machine.sys / victim)
                (machine.sys / "class/tty/ttyUSB0").unlink()
            return function(*arguments, **more)

        monkeypatch.setattr(module, name, called)

    for name in ("_text", "_names", "_driver", "_interface", "_links"):
        vanishing(name, getattr(module, name))
    for moment in itertools.count(1):
        calls, due = 0, moment
        found = [port.path for port in found_ports(machine.sys, machine.dev)]
        assert found[-2:] == [f"{machine.dev}/ttyUSB1", f"{machine.dev}/ttyUSB2"]
        if calls < moment:
            break
        shutil.copytree(spare / victim, machine.sys / victim, symlinks=True)
        link = "class/tty/ttyUSB0"
        os.symlink(os.readlink(spare / link), machine.sys / link)
    assert moment > 20


@pytest.mark.parametrize("look", ["_text", "_names"])
def test_hundreds_of_ports_cost_as_much_each_as_a_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: str
) -> None:
    """In looks at files, which do not depend on how busy the machine is."""
    whole = getattr(module, look)
    looks = 0

    def counted(file: str) -> object:
        nonlocal looks
        looks += 1
        return whole(file)

    monkeypatch.setattr(module, look, counted)
    made = []
    for count in (20, 200):
        machine = Machine(tmp_path / str(count), udev=False)
        for number in range(count):
            plugged(machine, number, serial=f"S{number}".encode())
        looks = 0
        assert len(found_ports(machine.sys, machine.dev)) == count
        made.append(looks / count)
    assert made[1] <= made[0]
