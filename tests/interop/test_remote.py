"""Ports opened from Python - ``portline.open`` and ``portline://`` - at our server and ser2net."""

from __future__ import annotations

import asyncio
import os
import threading
import tty
from typing import TYPE_CHECKING

import pytest

import portline
from portline.line import LineSettings
from tests.interop.device import PATIENCE, Device
from tests.interop.server import Server, _ser2net

serial = pytest.importorskip("serial", reason="pyserial is not installed")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Run

# Slow: megabytes, and ser2net; the rules are in tests/unit/remote.
pytestmark = pytest.mark.slow

MEGABYTE = os.urandom(1 << 20)


class Ser2net(Server):
    """ser2net with one port."""

    def __init__(self, device: Device, log: Path) -> None:
        super().__init__(device.path, log=log, wait=False)

    def _launch(self, command: object, *, wait: bool) -> None:
        shared = [str(self.log.with_name("ttyDEVICE")), "rfc2217", self.port, (), self.log, True]
        super()._launch(_ser2net(*shared), wait=True)  # type: ignore[arg-type]


@pytest.fixture(params=["portline", "ser2net"])
def at(
    request: pytest.FixtureRequest,
    device: Device,
    share: Callable[..., Server],
    require: Callable[[str], str],
    tmp_path: Path,
) -> Iterator[str]:
    """The address of a server that shares the device."""
    if request.param == "portline":
        yield f"127.0.0.1:{share().port}"
        return
    require("ser2net")
    tty.setraw(device.slave)
    server = Ser2net(device, tmp_path / "ser2net.log")
    yield f"127.0.0.1:{server.port}"
    server.process.kill()
    server.process.wait()


def test_asyncio(run: Run, at: str, device: Device) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        async with portline.open(f"rfc2217://{at}", baudrate=57600) as port:
            assert port.settings.baudrate == device.in_force().baudrate == 57600
            await port.set(baudrate=12345, stop_bits=2)
            assert (device.in_force().baudrate, device.in_force().stop_size) == (12345, 2)
            assert port.settings == LineSettings.parse("12345-8N2")
            await port.set(stop_bits=1)
            read = loop.run_in_executor(None, device.read, len(MEGABYTE), 60)
            write = loop.run_in_executor(None, device.write, MEGABYTE, 60)
            port.write(MEGABYTE)
            assert await port.read_exactly(len(MEGABYTE)) == MEGABYTE
            await port.drain()
            assert await read == MEGABYTE
            await write

    run(scenario())


def test_pyserial(at: str, device: Device) -> None:
    url = f"portline://{at}"
    with serial.serial_for_url(url, 57600, timeout=PATIENCE, write_timeout=PATIENCE) as port:
        assert device.in_force().baudrate == 57600
        port.baudrate = 12345
        assert device.in_force().baudrate == 12345
        port.dtr = port.rts = False
        port.dtr = port.rts = True
        at_device: list[bytes] = []
        threads = [
            threading.Thread(target=lambda: at_device.append(device.read(len(MEGABYTE), 60))),
            threading.Thread(target=device.write, args=(MEGABYTE, 60)),
            threading.Thread(target=port.write, args=(MEGABYTE,)),
        ]
        for thread in threads:
            thread.start()
        assert port.read(len(MEGABYTE)) == MEGABYTE
        for thread in threads:
            thread.join(60)
        assert at_device == [MEGABYTE]
        port.reset_input_buffer()
        port.reset_output_buffer()
    for index in range(3):
        with serial.serial_for_url(url, timeout=PATIENCE) as port:
            port.write(b"%d." % index)
            assert device.read_until(b".") == b"%d." % index


def test_a_port_that_somebody_has_is_an_error_that_says_who(
    run: Run, share: Callable[..., Server]
) -> None:
    async def scenario() -> None:
        url = f"rfc2217://127.0.0.1:{share().port}"
        async with portline.open(url):
            with pytest.raises(portline.PeerError, match=r"saying: .*in use"):
                await portline.open(url)

    run(scenario())
