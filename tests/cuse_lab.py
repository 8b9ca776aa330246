"""CUSE ports on the lab's kernel, with a test as the application.

The kernel answers every call on the device only when the port has, and the port is in the test's
own loop: so the application is a thread, and the test talks to it through a socket.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
import threading
from typing import TYPE_CHECKING

from portline.port.cuse.port import CusePort
from tests.ports import FLAGS, SETTINGS, FarEnd, VirtualBench, VirtualRecorder, until

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["KernelCuseBench"]


class LabApplication(FarEnd):
    """A thread that has the device open, and passes on what it reads and is to write."""

    def __init__(self, path: str) -> None:
        self._inner, outer = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        for end in (self._inner, outer):
            end.setblocking(False)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        super().__init__(outer.detach())
        self.thread = threading.Thread(target=self._run, args=(path,))
        self.thread.start()

    def _run(self, path: str) -> None:
        try:
            device = os.open(path, FLAGS)
        except OSError:
            self._inner.close()
            return
        try:
            self._pass_on(device)
        except OSError:
            pass  # the port has gone
        finally:
            self._inner.close()
            os.close(device)

    def _pass_on(self, device: int) -> None:
        to_device, to_test = b"", b""
        inner = self._inner.fileno()
        poll = select.poll()
        while True:
            poll.register(device, (0 if to_test else select.POLLIN) | _out(to_device))
            poll.register(inner, (0 if to_device else select.POLLIN) | _out(to_test))
            events = dict(poll.poll())
            at_device, at_test = events.get(device, 0), events.get(inner, 0)
            if at_test & select.POLLHUP and not at_test & select.POLLIN:
                return
            if at_test & select.POLLIN and not to_device:
                to_device = os.read(inner, 4096)
                if not to_device:
                    return
            if at_device & select.POLLIN and not to_test:
                to_test = os.read(device, 4096)
            try:
                if to_device and at_device & select.POLLOUT:
                    to_device = to_device[os.write(device, to_device) :]
                if to_test and at_test & select.POLLOUT:
                    to_test = to_test[os.write(inner, to_test) :]
            except BlockingIOError:
                pass


def _out(waiting: bytes) -> int:
    return select.POLLOUT if waiting else 0


class KernelCuseBench(VirtualBench):
    """A CusePort on the true /dev/cuse; the test is the application."""

    can_be_lost = True
    much = 100_000
    often = 150

    def __init__(self, folder: Path) -> None:
        self.owner = VirtualRecorder()
        self.far = FarEnd(-1)
        self.virtual = CusePort(
            "portline-test",
            SETTINGS,
            owner=self.owner,
            loop=asyncio.get_running_loop(),
            group=None,
        )
        self.port = self.virtual

    async def application(self) -> FarEnd:
        """Open an application and wait until the port knows."""
        assert self.port.path is not None
        before = len(self.owner.used)
        self.far = LabApplication(self.port.path)
        await until(lambda: len(self.owner.used) > before)
        return self.far

    def close(self) -> None:
        self.far.close()
        self.port.close()
        if isinstance(self.far, LabApplication):
            self.far.thread.join()
