"""A USB port without a kernel: a stand-in for the controller, with the model of a driver behind it.

An application is a descriptor: what is written to it the driver writes, what the driver receives
is read from it.  So the suite of all ports runs over the adapters on every machine; with the real
kernel it runs in the lab.
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from portline.port.usbip.port import UsbipPort
from portline.port.usbip.vhci import Controller
from tests.ports import SETTINGS, FarEnd, VirtualRecorder, until
from tests.usb_host import DRIVERS, Driver

if TYPE_CHECKING:
    from pathlib import Path

    from portline.port.shelf import Shelf
    from portline.port.usbip.chip import Chip

NODE = "/dev/null"
"""Stands for the terminal that the kernel would make; nobody opens it."""


class Kernel(Controller):
    """A controller that runs a driver on the socket it is given, in the test's loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, node: str | None = NODE) -> None:
        super().__init__()
        self.loop = loop
        self.where = node
        self.driver: Driver | None = None
        self.socket: socket.socket | None = None
        self.chip = ""
        self._unsent = bytearray()

    def prepare(self, name: str, chip: Chip, identity: tuple[int, int]) -> None:
        self.chip = chip.name

    def attach(self, name: str, kernels: socket.socket) -> int:
        self.unplug()
        self.driver = DRIVERS[self.chip]()
        self.socket = kernels.dup()
        self.socket.setblocking(False)
        self.loop.add_reader(self.socket.fileno(), self._readable)
        return 0

    def node(self, number: int) -> str | None:
        return self.where

    def turn(self) -> None:
        """Send what the driver has to say."""
        if self.driver is None or self.socket is None:
            return
        self.driver.look()
        self._unsent += self.driver.host.take_output()
        try:
            while self._unsent:
                del self._unsent[: self.socket.send(self._unsent)]
        except BlockingIOError:
            pass
        except ConnectionError:
            self.unplug()
        if self._unsent:
            self.loop.call_soon(self.turn)

    def _readable(self) -> None:
        assert self.socket is not None
        assert self.driver is not None
        try:
            data = self.socket.recv(65536)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self.unplug()
            return
        self.driver.host.feed(data)
        self.turn()

    def unplug(self) -> None:
        if self.socket is not None:
            self.loop.remove_reader(self.socket.fileno())
            self.socket.close()
            self.socket = None
            self._unsent.clear()


class Application(FarEnd):
    """An application that has the port open: a descriptor, and the driver behind it."""

    def __init__(self, kernel: Kernel) -> None:
        inner, outer = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        for end in (inner, outer):
            end.setblocking(False)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        super().__init__(outer.detach())
        self.kernel = kernel
        self._inner = inner
        assert kernel.driver is not None
        self.driver = kernel.driver
        self._open = True
        self.driver.buffer = 2048
        self.driver.open()
        kernel.turn()
        kernel.loop.call_soon(self._move)

    def _move(self) -> None:
        """Move data in both directions, as the terminal's buffers do, while the port is open."""
        if not self._open:
            return
        driver = self.driver
        if len(driver.unsent) < 4096:
            with suppress(BlockingIOError):
                driver.unsent += self._inner.recv(4096)
        with suppress(BlockingIOError):
            while driver.received:
                del driver.received[: self._inner.send(driver.received[:1024])]
        self.kernel.turn()
        self.kernel.loop.call_later(0.001, self._move)

    def close(self) -> None:
        if self._open:
            self._open = False
            self._inner.close()
            os.close(self.fd)
            self.driver.unsent.clear()
            self.driver.received.clear()
            self.driver.close()
            self.kernel.turn()


class UsbBench:
    """A UsbipPort; the test is the application, and the kernel too."""

    often = 1000
    """Openings that count as often, as fast as its driver is."""

    can_be_lost = True
    much = 600_000
    adapter = "pl2303"
    strict = False

    def __init__(self, folder: Path, shelf: Shelf | None = None) -> None:
        self.kernel = Kernel(asyncio.get_running_loop())
        self.far: Any = None
        self._folder = folder
        self.begin(shelf)

    def begin(self, shelf: Shelf | None, **more: Any) -> None:
        """Make a port, not yet open, with an owner of its own."""
        self.owner = VirtualRecorder()
        given: dict[str, Any] = {"adapter": self.adapter, "strict": self.strict} | more
        self.virtual = UsbipPort(
            "virtual",
            owner=self.owner,
            loop=self.kernel.loop,
            directory=self._folder,
            group=None,
            controller=self.kernel,
            shelf=shelf,
            **given,
        )
        self.port = self.virtual

    async def open(self) -> Application:
        """Open the port and then an application; return what talks to it."""
        self.port.open()
        return await self.application()

    async def application(self) -> Application:
        """Open an application and wait until the port knows."""
        before = len(self.owner.used)
        self.far = Application(self.kernel)
        self.far.driver.set(SETTINGS)
        await until(lambda: len(self.owner.used) > before)
        await until(lambda: self.virtual.application.settings.baudrate == SETTINGS.baudrate)
        self.owner.reports.clear()
        return self.far

    def unplug(self) -> None:
        self.kernel.unplug()

    def close(self) -> None:
        if self.far is not None:
            self.far.close()
        self.port.close()
        self.kernel.unplug()


class FtdiBench(UsbBench):
    adapter = "ftdi"


class AcmBench(UsbBench):
    adapter = "cdc-acm"
