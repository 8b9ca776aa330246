"""pyserial's own tests, with a loopback device behind our server.

They are run against its own ``rfc2217://`` and against our handler of ``portline://``.

They come from the source package on PyPI, fetched by pip once.  A test is left out only when no
server could make it pass; IMPOSSIBLE holds each of these with the reason.  What was tried for
comparison: the native pty, ser2net, and pyserial's example server with ``loop://``.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.interop.fetched import pyserial_tests

serial = pytest.importorskip("serial", reason="pyserial is not installed")

if TYPE_CHECKING:
    from tests.interop.device import Device
    from tests.interop.server import Server

pytestmark = pytest.mark.slow

DRIVER = Path(__file__).with_name("pyserial_suite.py")

NO_LINES = "a pty has no CTS and DSR that a loopback plug could join to RTS and DTR"
ONE_BYTE = "pyserial's rfc2217 client returns one byte at most when its timeout is 0"
NO_WRITE_TIMEOUT = "pyserial's rfc2217 client has no write_timeout (NotImplementedError)"
NO_CANCEL = "pyserial's rfc2217 client has no cancel_read and no cancel_write"

BUFFERS = "the buffers of the network take what the device does not"

IMPOSSIBLE = {
    "rfc2217": {
        "test.Test0_DataWires.test1_RTS": NO_LINES,
        "test.Test0_DataWires.test2_DTR": NO_LINES,
        "test.Test4_Nonblocking.test2_Loopback": ONE_BYTE,
        "test.Test4_Nonblocking.test2_LoopbackTimeout": ONE_BYTE,
        "test.Test_MoreTimeouts.test_WriteTimeout": NO_WRITE_TIMEOUT,
        "test_cancel.TestCancelRead.test_cancel_once": NO_CANCEL,
        "test_cancel.TestCancelWrite.test_cancel_once": NO_CANCEL,
    },
    "portline": {
        "test.Test0_DataWires.test1_RTS": NO_LINES,
        "test.Test0_DataWires.test2_DTR": NO_LINES,
        "test.Test_MoreTimeouts.test_WriteTimeout": BUFFERS,
        "test_cancel.TestCancelWrite.test_cancel_once": BUFFERS,
    },
}

MODULES = {
    "test": 10,
    "test_advanced": 10,
    "test_context": 1,
    "test_high_load": 2,
    "test_iolib": 1,
    "test_pty": 3,
    "test_readline": 5,
    "test_rfc2217": 1,
    "test_rs485": 1,
    "test_settings_dict": 4,
    "test_threaded": 2,
    "test_timeout_class": 4,
    "test_url": 3,
    "test_util": 2,
}
"""How many tests of each module pass.  Not here: test_asyncio (needs serial.aio, which is gone),
test_cancel (NO_CANCEL), test_exclusive (skips itself on anything but a real port)."""

OF_EACH = {"rfc2217": MODULES, "portline": MODULES | {"test": 12, "test_cancel": 1}}


@pytest.fixture(scope="session")
def suite() -> Path:
    """The folder of pyserial's tests, of the version that is installed."""
    return pyserial_tests()


@pytest.mark.parametrize(
    ("scheme", "module"), [(scheme, module) for scheme in OF_EACH for module in OF_EACH[scheme]]
)
def test_suite(
    suite: Path, access_server: Server, shared_device: Device, scheme: str, module: str
) -> None:
    url = f"{scheme}://127.0.0.1:{access_server.port}"
    shared_device.drain()
    with shared_device.echoing():
        ended = subprocess.run(
            [sys.executable, str(DRIVER), str(suite), url, module]
            + [f"-{test}" for test in IMPOSSIBLE[scheme]],
            cwd=suite,
            capture_output=True,
            timeout=100,
            check=False,
        )
    lines = [line.split(maxsplit=1) for line in ended.stdout.decode().splitlines()]
    bad = [
        test for outcome, test in lines if outcome == "failed" and test not in IMPOSSIBLE[scheme]
    ]
    assert not bad, ended.stderr.decode()
    assert sum(outcome == "passed" for outcome, _ in lines) >= OF_EACH[scheme][module], lines
