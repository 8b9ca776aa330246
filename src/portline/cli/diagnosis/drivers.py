"""USB adapters without a driver, and those that a program for braille displays is going to take."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from portline.cli.diagnosis.finding import Finding, Weight
from portline.cli.diagnosis.machine import contents, entries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from portline.cli.diagnosis.machine import Machine

__all__ = ["drivers", "takers"]

CHIPS: Final = {
    ("0403", "6001"): "ftdi_sio",
    ("0403", "6010"): "ftdi_sio",
    ("0403", "6011"): "ftdi_sio",
    ("0403", "6014"): "ftdi_sio",
    ("0403", "6015"): "ftdi_sio",
    ("067b", "2303"): "pl2303",
    ("067b", "23a3"): "pl2303",
    ("10c4", "ea60"): "cp210x",
    ("10c4", "ea70"): "cp210x",
    ("1a86", "5523"): "ch341",
    ("1a86", "7523"): "ch341",
    ("1a86", "55d4"): "cdc_acm",
    ("2341", "0043"): "cdc_acm",
    ("303a", "1001"): "cdc_acm",
}
"""USB adapters that are met often, and their drivers (drivers/usb/serial, drivers/usb/class)."""

_PRODUCT: Final = re.compile(r'^\s*ENV\{PRODUCT\}=="([0-9a-fA-F]+)/([0-9a-fA-F]+)/', re.MULTILINE)
"""A line of brltty's rules: the numbers have no zeros in front."""


def drivers(machine: Machine) -> Iterator[Finding]:
    """Find serial adapters of USB for which the kernel has no driver."""
    folder = machine.sys / "bus/usb/devices"
    for name in sorted(entries(folder)):
        device = folder / name
        chip = (contents(device / "idVendor"), contents(device / "idProduct"))
        driver = CHIPS.get(chip)
        if driver is None:
            continue
        interfaces = [device / each for each in entries(device) if each.startswith(f"{name}:")]
        if interfaces and not any((each / "driver").exists() for each in interfaces):
            product = contents(device / "product")
            yield Finding(
                Weight.WRONG,
                f"USB {':'.join(chip)}" + (f" ({product})" if product else ""),
                f"is plugged in, and no driver has taken it; its driver is {driver}",
                f"`sudo modprobe {driver}`; if there is none, install the further modules of this "
                "kernel (linux-modules-extra), or pass the device into this machine or container",
            )


def takers(machine: Machine) -> Iterator[Finding]:
    """Find rules of udev by which brltty takes an adapter as soon as it is plugged in."""
    usb = [port for port in machine.ports() if port.usb is not None]
    if not usb:
        return
    for name, text in _rules(machine):
        taken = {(a.zfill(4).lower(), b.zfill(4).lower()) for a, b in _PRODUCT.findall(text)}
        for port in usb:
            if port.usb is not None and (port.usb.vendor, port.usb.product) in taken:
                yield Finding(
                    Weight.WRONG,
                    port.path,
                    f"brltty takes adapters like this one for braille displays ({name}), if not "
                    "now, then when it is plugged in again",
                    f"`sudo ln -s /dev/null {machine.settings}/udev/rules.d/{name}`, or remove "
                    "brltty where nobody reads braille",
                )


def _rules(machine: Machine) -> Iterator[tuple[str, str]]:
    """Yield brltty's rules that are in force: a file in /etc stands for that of the same name."""
    folders = (machine.settings / "udev/rules.d", machine.libraries / "udev/rules.d")
    seen = set()
    for folder in folders:
        for name in sorted(entries(folder)):
            if "brltty" in name and name.endswith(".rules") and name not in seen:
                seen.add(name)
                yield name, contents(folder / name)
