"""A machine as sysfs and /dev show it, with folders and links where the kernel has them."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["Machine"]

CONTROLLER = "devices/pci0000:00/0000:00:14.0"
"""An xHCI controller; its bus is usb1."""


class Machine:
    """A /sys and a /dev without any port; the layout is that of Linux 6.12.

    ``udev`` makes the links that udev would make.
    """

    def __init__(self, root: Path, *, udev: bool = True) -> None:
        self.sys, self.dev, self.udev = root / "sys", root / "dev", udev
        self.dev.mkdir(parents=True)
        self._subsystem(self.sys / "devices/pci0000:00/0000:00:14.0", "pci")
        self._subsystem(self.sys / CONTROLLER / "usb1", "usb")
        self.write("class/tty/console/active", "tty0")

    # --- what the tests plug in -----------------------------------------------------------------

    def screen(self, name: str = "tty0") -> None:
        """Add a virtual console, which has no device behind it."""
        (self.dev / name).touch()
        (self.sys / "devices/virtual/tty" / name).mkdir(parents=True)
        self._class_link(name, self.sys / "devices/virtual/tty" / name)

    def uart(self, name: str, *, chip: bool = True, console: bool = False) -> None:
        """Add an 8250 UART: below "serial-base" since Linux 6.5; type 0 where there is no chip."""
        number = name.removeprefix("ttyS")
        home = "devices/pnp0/00:0" + number if chip else "devices/platform/serial8250"
        base = self.sys / home
        self._subsystem(base, "pnp" if chip else "platform")
        self._driver(base, "serial" if chip else "serial8250")
        ctrl = base / f"00:0{number}:0"
        port = ctrl / f"00:0{number}:0.0"
        for folder, driver in ((ctrl, "ctrl"), (port, "port")):
            self._subsystem(folder, "serial-base")
            self._driver(folder, driver)
        self._tty(name, port)
        self.write(f"class/tty/{name}/type", "4" if chip else "0")
        if console:
            self.write("class/tty/console/active", f"tty0 {name}")

    def adapter(self, place: str, vendor_id: str, product_id: str, **texts: str) -> Path:
        """Plug a USB device in at ``place`` like "1-1.4"; ``texts`` are its strings."""
        parts = place.partition("-")[2].split(".")
        hubs = [f"1-{'.'.join(parts[: n + 1])}" for n in range(len(parts))]
        folder = self.sys / CONTROLLER / "usb1" / "/".join(hubs)
        self._subsystem(folder, "usb")
        for name, text in {"idVendor": vendor_id, "idProduct": product_id, **texts}.items():
            (folder / name).write_text(text + "\n")
        return folder

    def usb_serial(
        self, name: str, adapter: Path, interface: int = 0, *, driver: str, number: int = 0
    ) -> None:
        """Add a ttyUSB: a device of its own below the interface, with the number of its port."""
        folder = self._interface(adapter, interface, driver)
        device = folder / name
        self._subsystem(device, "usb-serial")
        self._driver(device, driver)
        (device / "port_number").write_text(f"{number}\n")
        self._tty(name, device)
        self._udev_links(name, adapter, interface, f"-port{number}")

    def acm(self, name: str, adapter: Path, interface: int = 0) -> None:
        """Add a ttyACM: its device is the control interface itself."""
        folder = self._interface(adapter, interface, "cdc_acm")
        self._interface(adapter, interface + 1, "cdc_acm")
        self._tty(name, folder)
        self._udev_links(name, adapter, interface, "")

    def unplug(self, name: str) -> None:
        """Take a port away with the links to it; its adapter's folder stays behind, empty."""
        for folder in ("by-id", "by-path"):
            for link in (self.dev / "serial" / folder).glob("*"):
                if link.resolve() == self.dev / name:
                    link.unlink()
        (self.dev / name).unlink()
        (self.sys / "class/tty" / name).unlink()

    # --- what they are made of ------------------------------------------------------------------

    def write(self, path: str, text: str) -> None:
        file = self.sys / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")

    def _interface(self, adapter: Path, number: int, driver: str) -> Path:
        folder = adapter / f"{adapter.name}:1.{number}"
        if not folder.exists():
            self._subsystem(folder, "usb")
            self._driver(folder, driver)
            (folder / "bInterfaceNumber").write_text(f"{number:02x}\n")
        return folder

    def _tty(self, name: str, device: Path) -> None:
        (self.dev / name).touch()
        entry = device / "tty" / name
        entry.mkdir(parents=True)
        (entry / "device").symlink_to(device)
        self._class_link(name, entry)

    def _class_link(self, name: str, entry: Path) -> None:
        link = self.sys / "class/tty" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(entry)

    def _subsystem(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._link(folder / "subsystem", self.sys / "bus" / name)

    def _driver(self, folder: Path, name: str) -> None:
        self._link(folder / "driver", self.sys / "drivers" / name)

    def _link(self, link: Path, target: Path) -> None:
        target.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(target)

    def _udev_links(self, name: str, adapter: Path, interface: int, port: str) -> None:
        if not self.udev:
            return
        texts = [
            (adapter / text).read_text().strip().replace(" ", "_")
            for text in ("manufacturer", "product", "serial")
            if (adapter / text).exists()
        ]
        by_id = f"usb-{'_'.join(texts)}-if{interface:02x}{port}"
        sockets = adapter.name.partition("-")[2]
        by_path = f"pci-0000:00:14.0-usb-0:{sockets}:1.{interface}{port}"
        for folder, link in (("by-id", by_id), ("by-path", by_path)):
            path = self.dev / "serial" / folder / link
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)  # that of a twin: whoever comes last has it
            os.symlink(f"../../{name}", path)
