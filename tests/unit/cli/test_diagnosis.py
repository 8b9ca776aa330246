"""The checks of `portline doctor`, each on a machine of files."""

from __future__ import annotations

import os
import resource
from dataclasses import replace
from pathlib import Path

import pytest

from portline.cli.diagnosis import limits, ports, virtual
from portline.cli.diagnosis.checks import diagnose
from portline.cli.diagnosis.finding import Finding, Weight
from portline.cli.diagnosis.machine import Machine
from portline.port.inventory.holder import Holder
from portline.port.ladder import LADDER, Adapter, Backend
from tests.unit.port.machine import Machine as Files


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture
def machine(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine without ports, on which nothing is wrong."""
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.setattr(virtual, "stale_overlaps", list)
    monkeypatch.setattr(virtual, "stale_links", lambda folders: [])
    write(tmp_path / "proc/sys/kernel/seccomp/actions_avail", "kill_process errno user_notif log")
    write(tmp_path / "proc/sys/kernel/pty/max", "4096\n")
    write(tmp_path / "proc/sys/kernel/pty/nr", "3\n")
    write(tmp_path / "proc/sys/fs/inotify/max_user_instances", "128\n")
    for name in ("run", "tmp"):
        (tmp_path / name).mkdir()
    return Machine(
        sys=files.sys,
        dev=files.dev,
        proc=tmp_path / "proc",
        run=tmp_path / "run",
        temporary=tmp_path / "tmp",
        ladder=LADDER[-1:],
        processor="x86_64",
        libraries=tmp_path / "usr/lib",
        settings=tmp_path / "etc",
        answer=lambda command: None,
    )


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def plugged(files: Files) -> Path:
    """Plug an adapter in; a test may open its node, which is a file."""
    files.usb_serial("ttyUSB0", files.adapter("1-1", "1a86", "7523"), driver="ch341")
    return files.dev / "ttyUSB0"


def wrong(machine: Machine) -> list[Finding]:
    return [finding for finding in diagnose(machine) if finding.weight is Weight.WRONG]


def test_nothing_is_wrong(machine: Machine, files: Files) -> None:
    plugged(files)
    assert [str(finding) for finding in diagnose(machine)] == [
        "--backend pty: is possible here",
        "portline run: is possible here",
    ]


def test_the_wrong_comes_first(machine: Machine) -> None:
    write(machine.proc / "sys/kernel/pty/nr", "4090")
    assert [finding.weight.value for finding in diagnose(machine)] == ["wrong", "good", "good"]


# --- ports ----------------------------------------------------------------------------------------


@pytest.fixture
def closed(machine: Machine, files: Files, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A port that this user may not open; for root there is none, so the answer is made."""
    node = plugged(files)
    real = os.access

    def access(path: str, mode: int, *, effective_ids: bool = False) -> bool:
        return str(path) != str(node) and real(path, mode, effective_ids=effective_ids)

    monkeypatch.setattr(ports.os, "access", access)
    return node


def status(node: Path, monkeypatch: pytest.MonkeyPatch, mode: int, group: int) -> None:
    real = os.stat
    fake = os.stat_result((0o020000 | mode, 1, 1, 1, 0, group, 0, 0, 0, 0))
    monkeypatch.setattr(
        ports.os, "stat", lambda p, **k: fake if str(p) == str(node) else real(p, **k)
    )


class Group:
    gr_name = "dialout"

    def __init__(self, *members: str) -> None:
        self.gr_mem = list(members)


@pytest.mark.parametrize(
    ("members", "remedy"),
    [
        ((), "`sudo usermod -aG dialout me`, then log in anew"),
        (("me",), "me is in the group dialout since the last login; log in anew"),
    ],
)
def test_a_port_of_a_group(
    machine: Machine,
    closed: Path,
    monkeypatch: pytest.MonkeyPatch,
    members: tuple[str, ...],
    remedy: str,
) -> None:
    status(closed, monkeypatch, 0o660, 20)
    monkeypatch.setattr(ports.grp, "getgrgid", lambda number: Group(*members))
    monkeypatch.setattr(ports, "_user_name", lambda user: "me")
    assert wrong(machine) == [
        Finding(Weight.WRONG, str(closed), "this user may not open it", remedy)
    ]


def test_a_port_of_root_alone(
    machine: Machine, closed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status(closed, monkeypatch, 0o600, 0)
    assert "a rule of udev" in wrong(machine)[0].remedy


def test_a_port_without_a_node(machine: Machine, files: Files) -> None:
    plugged(files).unlink()
    assert "--device=" in wrong(machine)[0].remedy


def test_the_console_is_the_machines(machine: Machine, files: Files) -> None:
    files.uart("ttyS0", console=True)
    (files.dev / "ttyS0").unlink()
    assert not wrong(machine)


@pytest.mark.parametrize("program", ["ser2net", "portline"])
def test_a_port_that_is_held(
    machine: Machine, files: Files, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    node = plugged(files)
    write(machine.proc / "812/comm", program)
    write(machine.proc / "812/cmdline", f"/usr/bin/{program}\0serve\0")
    held = [Holder(812, program)]
    monkeypatch.setattr(ports, "holders", lambda paths, proc: dict.fromkeys(paths, held))
    found = [str(finding) for finding in wrong(machine)]
    assert found == (
        []
        if program == "portline"
        else [
            f"{node}: is held by pid 812 (ser2net); end that program (kill 812) to share the port"
        ]
    )


@pytest.mark.parametrize("program", ["ModemManager", "brltty"])
def test_programs_that_try_ports_out(machine: Machine, files: Files, program: str) -> None:
    write(machine.proc / "77/comm", f"{program}\n")
    assert not wrong(machine), "there is no USB port that it could disturb"
    plugged(files)
    (finding,) = wrong(machine)
    assert finding.subject == f"{program} (pid 77)"
    assert "ttyUSB0" in finding.text
    assert "sudo systemctl" in finding.remedy
    assert ('ATTRS{idVendor}=="1a86"' in finding.remedy) == (program == "ModemManager")


def test_a_rule_of_udev_keeps_modem_manager_off(machine: Machine, files: Files) -> None:
    found = plugged(files).stat().st_rdev
    write(machine.proc / "77/comm", "ModemManager\n")
    data = machine.run / f"udev/data/c{os.major(found)}:{os.minor(found)}"
    write(data, "E:ID_MM_DEVICE_IGNORE=0\n")
    assert wrong(machine)
    write(data, "I:1\nE:ID_MM_DEVICE_IGNORE=1\n")
    assert not wrong(machine)


# --- virtual ports --------------------------------------------------------------------------------


def test_a_way_that_is_not_possible_is_a_note(machine: Machine) -> None:
    usbip = LADDER[0]
    assert usbip.backend is Backend.USBIP
    every = replace(usbip, obstacle=lambda adapter: "no module; `modprobe it`")
    (finding,) = virtual.rungs(replace(machine, ladder=(every,)))
    assert finding.weight is Weight.NOTE
    assert str(finding) == "--backend usbip: is not possible here: no module; `modprobe it`"
    one = replace(usbip, obstacle=lambda adapter: "no" if adapter is Adapter.FTDI else "")
    assert [str(each) for each in virtual.rungs(replace(machine, ladder=(one,)))] == [
        "--backend usbip --adapter pl2303: is possible here",
        "--backend usbip --adapter ftdi: is not possible here: no",
        "--backend usbip --adapter cdc-acm: is possible here",
    ]


def test_a_dev_in_which_the_kernel_makes_no_nodes(machine: Machine) -> None:
    usbip, cuse = (replace(LADDER[n], obstacle=lambda _: "") for n in (0, 1))
    both = replace(machine, ladder=(usbip, cuse, LADDER[-1]))
    mounts = machine.proc / "self/mounts"
    assert not list(virtual.nodes(both))  # unknown
    write(
        mounts, "/dev/vda / ext4 rw 0 0\nudev /dev devtmpfs rw 0 0\ndevpts /dev/pts devpts rw 0 0"
    )
    assert not list(virtual.nodes(both))
    write(mounts, "udev /dev devtmpfs rw 0 0\ntmpfs /dev tmpfs rw 0 0\n")
    (finding,) = virtual.nodes(both)
    assert finding.weight is Weight.WRONG
    assert "is a tmpfs and no devtmpfs" in finding.text
    assert "--backend usbip and cuse" in finding.text
    (finding,) = virtual.nodes(
        replace(both, ladder=(replace(usbip, obstacle=lambda _: "no"), cuse))
    )
    assert "--backend cuse do not" in finding.text
    assert not list(virtual.nodes(machine))


def test_what_portline_run_takes(machine: Machine) -> None:
    write(machine.proc / "sys/kernel/seccomp/actions_avail", "kill_process errno log")
    assert [finding.weight for finding in virtual.filters(machine)] == [Weight.NOTE]
    (finding,) = virtual.filters(replace(machine, processor="riscv64"))
    assert "riscv64" in finding.text
    assert finding.remedy.startswith("start the program without")


def test_what_a_killed_portline_has_left(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual, "stale_overlaps", lambda: ["/dev/ttyS1"])
    monkeypatch.setattr(virtual, "stale_links", lambda folders: ["/dev/ttyV0"])
    assert [str(finding) for finding in wrong(machine)] == [
        "/dev/ttyS1: a virtual port that is gone lies over it; `sudo portline repair`",
        "/dev/ttyV0: leads to a virtual port that is gone; `portline repair`",
    ]


# --- limits and folders ---------------------------------------------------------------------------


def test_open_files(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits.resource, "getrlimit", lambda which: (256, 1023))
    assert "LimitNOFILE=" in wrong(machine)[0].remedy
    unlimited = (256, resource.RLIM_INFINITY)
    monkeypatch.setattr(limits.resource, "getrlimit", lambda which: unlimited)
    assert not wrong(machine)


def test_pseudo_terminals(machine: Machine) -> None:
    write(machine.proc / "sys/kernel/pty/nr", "4080")
    assert not wrong(machine)
    write(machine.proc / "sys/kernel/pty/nr", "4081")
    assert wrong(machine)[0].remedy == "`sudo sysctl kernel.pty.max=8192`"


def test_inotify_instances(machine: Machine) -> None:
    write(machine.proc / "sys/fs/inotify/max_user_instances", "6")
    write(machine.proc / "812/comm", "editor")
    (machine.proc / "812/fd").mkdir()
    for number in range(3):
        assert not wrong(machine)
        (machine.proc / f"812/fd/{number}").symlink_to("anon_inode:inotify")
    (machine.proc / "812/fd/9").symlink_to("/dev/null")
    assert "about 3 of 6" in wrong(machine)[0].text


def test_a_folder_that_is_not_mine(machine: Machine) -> None:
    user = replace(machine, user=os.geteuid() or 4711)
    folder = machine.temporary / f"portline-{user.user}"
    folder.mkdir()
    folder.chmod(0o777)
    (finding,) = wrong(user)
    assert finding.subject == str(folder)
    assert "not a folder of this user alone" in finding.text


def test_a_runtime_folder_that_is_not_there(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(machine.run / "user/4711"))
    (finding,) = wrong(replace(machine, user=4711))
    assert f"no folder {machine.run}/user/4711" in finding.text
    # Root's sockets are in /run, its virtual ports in /dev: it does not need that folder.
    assert not wrong(replace(machine, user=0))


def test_nothing_where_there_is_nothing_to_be_seen(machine: Machine, tmp_path: Path) -> None:
    assert not wrong(replace(machine, proc=tmp_path / "none", sys=tmp_path / "none"))
