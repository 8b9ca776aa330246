"""Addresses that cannot be listened on, adapters without a driver, and who is about to take one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from portline.cli.diagnosis.drivers import drivers, takers
from portline.cli.diagnosis.finding import Weight
from portline.cli.diagnosis.machine import Listening, Machine
from portline.cli.diagnosis.network import addresses
from tests.unit.port.machine import Machine as Files


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture
def machine(files: Files, tmp_path: Path) -> Machine:
    return Machine(
        sys=files.sys, dev=files.dev, libraries=tmp_path / "usr/lib", settings=tmp_path / "etc"
    )


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def told(machine: Machine, host: str, port: int) -> list[str]:
    at = replace(machine, listening=(Listening("[web]", host, port),))
    return [str(finding) for finding in addresses(at)]


def test_an_address_that_is_free_is_nothing_wrong(machine: Machine) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert told(machine, "127.0.0.1", port) == []


def test_another_program_that_listens_there_is_named(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import socket, sys; s = socket.create_server(('127.0.0.1', 0));"
        "print(s.getsockname()[1], flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        port = int(program.stdout.readline())
        for host in ("127.0.0.1", "*"):
            (line,) = told(machine, host, port)
            assert line.startswith(f"[web]: listen {host}:{port}: python")
            assert f"(pid {program.pid}) listens there; end that program" in line
        unseen = replace(machine, proc=Path("/none"))
        assert "which this user cannot see; `sudo ss -ltnp" in told(unseen, "127.0.0.1", port)[0]
        monkeypatch.setattr(
            "portline.cli.diagnosis.network.Places.others", lambda self: True, raising=True
        )
        (finding,) = addresses(replace(unseen, listening=(Listening("m", "127.0.0.1", port),)))
        assert finding.weight is Weight.NOTE  # a service of another user is meant to
        assert "another user's program" in finding.text
        program.communicate("")


def test_a_portline_that_listens_there_is_meant_to(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "portline.cli.diagnosis.network.Holder.is_portline", lambda self, proc: True
    )
    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert told(machine, "127.0.0.1", listening.getsockname()[1]) == []


def test_an_address_of_another_machine(machine: Machine) -> None:
    (line,) = told(machine, "192.0.2.1", 4001)
    assert "this machine has no such address; `ip address`" in line


def test_ports_for_root_alone(machine: Machine, tmp_path: Path) -> None:
    user = replace(machine, user=1000, proc=tmp_path / "proc")
    assert "may not listen on TCP ports below 1024" in told(user, "127.0.0.1", 23)[0]
    write(user.proc / "sys/net/ipv4/ip_unprivileged_port_start", "500\n")
    assert "below 500" in told(user, "127.0.0.1", 23)[0]
    assert not any("below" in line for line in told(replace(user, user=0), "127.0.0.1", 23))


# --- adapters -------------------------------------------------------------------------------------


def test_an_adapter_without_a_driver(machine: Machine) -> None:
    device = machine.sys / "bus/usb/devices/1-1"
    for name, text in (("idVendor", "1a86"), ("idProduct", "7523"), ("product", "USB Serial")):
        write(device / name, f"{text}\n")
    assert list(drivers(machine)) == []  # not configured yet
    (device / "1-1:1.0").mkdir()
    (finding,) = drivers(machine)
    assert str(finding).startswith(
        "USB 1a86:7523 (USB Serial): is plugged in, and no driver has taken it; its driver is "
        "ch341; `sudo modprobe ch341`"
    )
    (device / "1-1:1.0/driver").mkdir()
    assert list(drivers(machine)) == []
    write(device / "idProduct", "0001\n")
    (device / "1-1:1.0/driver").rmdir()
    assert list(drivers(machine)) == []


def test_brltty_is_going_to_take_an_adapter(machine: Machine, files: Files) -> None:
    rules = machine.libraries / "udev/rules.d/85-brltty.rules"
    write(rules, '# ENV{PRODUCT}=="1a86/7523/*"\nENV{PRODUCT}=="403/6001/*", GOTO="run"\n')
    files.usb_serial("ttyUSB0", files.adapter("1-1", "1a86", "7523"), driver="ch341")
    assert list(takers(machine)) == []
    write(rules, 'ENV{PRODUCT}=="1a86/7523/*", ENV{BRLTTY_BRAILLE_DRIVER}="bm", GOTO="run"\n')
    (finding,) = takers(machine)
    assert "brltty takes adapters like this one" in finding.text
    assert "ln -s /dev/null" in finding.remedy
    (machine.settings / "udev/rules.d").mkdir(parents=True)
    os.symlink("/dev/null", machine.settings / "udev/rules.d/85-brltty.rules")
    assert list(takers(machine)) == []
