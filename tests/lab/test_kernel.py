"""The lab's kernel has what the tests need of it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

pytestmark = pytest.mark.lab


@pytest.mark.parametrize(
    "module",
    [
        "cdc_acm",
        "cuse",
        "ftdi_sio",
        "fuse",
        "pl2303",
        "ppp_async",
        "ppp_generic",
        "usbserial",
        "vhci_hcd",
    ],
)
def test_a_module_is_loaded(module: str) -> None:
    assert Path("/sys/module", module).is_dir()


@pytest.mark.parametrize("path", ["/dev/cuse", "/dev/ppp", "/dev/fuse"])
def test_a_device_is_there(path: str) -> None:
    assert stat.S_ISCHR(os.stat(path).st_mode)


@pytest.mark.parametrize("number", range(1, 6))
def test_a_uart_is_a_16550a(number: int) -> None:
    found = Path(f"/sys/class/tty/ttyS{number}/type").read_text("ascii")
    assert int(found) == 4  # PORT_16550A (linux/serial.h)


def test_a_usb_host_takes_devices() -> None:
    free = [
        line
        for line in Path("/sys/devices/platform/vhci_hcd.0/status").read_text().splitlines()
        if line.startswith("hs") and line.split()[2] == "004"  # VDEV_ST_NULL (usbip_common.h)
    ]
    assert len(free) >= 8


def test_what_is_written_stays_in_the_machines_memory() -> None:
    mounts = map(str.split, Path("/proc/mounts").read_text().splitlines())
    kinds = [(words[2], words[3]) for words in mounts if words[1] == "/"]
    [(kind, options)] = kinds
    assert kind == "overlay"
    assert "lowerdir=/host,upperdir=/over/upper" in options


def test_locks_have_their_folder() -> None:
    assert Path("/run/lock").is_dir()
    assert Path("/var/lock").is_dir()


def test_it_is_alone_in_its_network() -> None:
    assert set(os.listdir("/sys/class/net")) - {"bonding_masters"} <= {"lo", "sit0", "tunl0"}
    assert int(Path("/sys/class/net/lo/flags").read_text(), 16) & 1  # IFF_UP
