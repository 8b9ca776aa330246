"""USB ports on the lab's kernel: the true drivers, and a test as the application.

The kernel answers some calls on a terminal (open, close, tcsetattr, modem lines) only when the
adapter has answered it.  Where that is in the test's own loop, they are made in threads.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
import tty
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from portline.line import BAUDRATE_MAX, LineSettings
from portline.port.tty.termios2 import encode, read_attributes, write_attributes
from portline.port.usbip.port import UsbipPort
from tests.ports import FLAGS, PATIENCE, SETTINGS, FarEnd, VirtualRecorder, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["KernelAcmBench", "KernelBench", "KernelFtdiBench", "KernelStrictBench", "aside"]

LOG = logging.getLogger(__name__)


class Drained(VirtualRecorder):
    """An owner for whom everything has left at once; closing a port waits for that."""

    def port_drain(self, done: Callable[[], None]) -> None:
        self.draining.append(done)
        done()


async def aside(call: Callable[..., Any], *arguments: object) -> Any:
    """Make a call that the loop has to answer, in a thread."""
    return await asyncio.get_running_loop().run_in_executor(None, call, *arguments)


def prepare(fd: int, settings: LineSettings) -> None:
    """Make a terminal transparent, with these settings."""
    tty.setraw(fd)
    write_attributes(fd, encode(settings, read_attributes(fd)))


class LabFarEnd(FarEnd):
    """A descriptor of the true terminal."""

    def close(self) -> None:
        """Close it in a thread, which ends when the adapter has answered, or is gone."""
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            self.closing = threading.Thread(target=os.close, args=(fd,))
            self.closing.start()


class KernelBench:
    """A UsbipPort on the true controller; the test is the application."""

    often = 20
    """Openings that count as often, as fast as its driver is."""

    can_be_lost = True
    much = 200_000
    adapter = "pl2303"
    strict = False
    settings = SETTINGS

    def __init__(self, folder: Path) -> None:
        self.owner = Drained()
        self.far = LabFarEnd(-1)
        self.port = UsbipPort(
            "virtual",
            owner=self.owner,
            loop=asyncio.get_running_loop(),
            adapter=self.adapter,
            directory=folder,
            strict=self.strict,
            group=None,
        )

    async def open(self) -> FarEnd:
        """Open the port and then an application; return what talks to it."""
        self.port.open()
        return await self.application()

    async def application(self) -> FarEnd:
        """Open an application, have it set the line, and wait until the port knows."""
        await self._named()
        before = len(self.owner.used)
        self.far = LabFarEnd(await aside(os.open, self.port.path, FLAGS))
        await aside(prepare, self.far.fd, self.settings)
        await until(lambda: len(self.owner.used) > before)
        await until(lambda: self.port.application.settings == self.settings)
        self.owner.reports.clear()
        return self.far

    async def _named(self) -> None:
        """Wait for the terminal.

        A kernel that gets too little of a processor gives an adapter up; as a connection does, open
        the port anew then, a few times.
        """
        lost = self.owner.lost
        seen = len(lost)
        for _ in range(3):
            await until(lambda: self.port.path is not None or len(lost) > seen)
            if self.port.path is not None:
                return
            LOG.warning("%s", lost.pop())
            self.port.open()
        raise AssertionError("no terminal, three times")

    def unplug(self) -> None:
        self.port.close()

    def close(self) -> None:
        """Unplug, and close when the kernel has noticed: before, it would wait for answers."""
        node = self.port.node
        self.port.close()
        deadline = time.monotonic() + PATIENCE
        while node is not None and os.path.exists(node) and time.monotonic() < deadline:
            time.sleep(0.005)
        self.far.close()
        if (closing := getattr(self.far, "closing", None)) is not None:
            closing.join()


class KernelStrictBench(KernelBench):
    strict = True
    settings = replace(SETTINGS, baudrate=BAUDRATE_MAX)


class KernelFtdiBench(KernelBench):
    adapter = "ftdi"


class KernelAcmBench(KernelBench):
    adapter = "cdc-acm"
