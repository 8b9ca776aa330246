"""pyserial's own tests on virtual ports, with a loopback plug as the device at the far end.

On every rung of the ladder, as its authors run them on hardware.  A test that fails is in
IMPOSSIBLE with its reason, and fails on any port of that kind, whoever makes it.  Over the network,
without a virtual port: test_pyserial_suite.py.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.interop.fetched import pyserial_tests
from tests.interop.rung import RUNGS
from tests.interop.server import SUT, _environment
from tests.waiting import SLOWNESS

serial = pytest.importorskip("serial", reason="pyserial is not installed")

if TYPE_CHECKING:
    from tests.interop.rung import Rung

pytestmark = [
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.skipif(SUT != "portline", reason="these are ports of Portline"),
    pytest.mark.parametrize("made_rung", RUNGS, indirect=True),
]

DRIVER = Path(__file__).with_name("pyserial_suite.py")

NO_LINES = "a pseudo terminal has no signal lines (ENOTTY)"
BUFFER = "it writes a kilobyte and wants that to block, which the kernel's buffer takes at once"
FIFO = "it wants 2800 bytes to block after XOFF, and the driver of a USB adapter buffers 4096"

WITH_BUFFER = {"test_cancel.TestCancelWrite.test_cancel_once": BUFFER}

IMPOSSIBLE = {
    "pty": WITH_BUFFER
    | {
        "test.Test0_DataWires.test1_RTS": NO_LINES,
        "test.Test0_DataWires.test2_DTR": NO_LINES,
        "test.Test0_DataWires.test3_RI": NO_LINES,
        "test_rs485.Test_RS485_class.test_RS485_class": NO_LINES,
    },
    "run": WITH_BUFFER,
    "usbip": WITH_BUFFER | {"test.Test_MoreTimeouts.test_WriteTimeout": FIFO},
    "cuse": WITH_BUFFER,
}

MODULES = {
    "test": 15,
    "test_advanced": 10,
    "test_cancel": 2,
    "test_context": 1,
    "test_exclusive": 3,
    "test_high_load": 2,
    "test_iolib": 1,
    "test_readline": 5,
    "test_rs485": 2,
    "test_settings_dict": 4,
    "test_threaded": 2,
}
"""How many tests of each module concern a port (test_exclusive has one more, for Windows).  The
others do not open it: test_pty, test_rfc2217, test_timeout_class, test_url, test_util; and
test_asyncio needs serial.aio, which is gone."""


def test_suite(rung: Rung) -> None:
    words = [sys.executable, str(DRIVER), str(pyserial_tests()), rung.path, *MODULES]
    words += [f"-{test}" for test in IMPOSSIBLE[rung.kind]]
    with rung.looped():
        ended = subprocess.run(
            [*rung.prefix, *words],
            env=_environment(),
            capture_output=True,
            timeout=110 * min(SLOWNESS, 3),
            check=False,
        )
    said = ended.stderr.decode()
    lines = [line.split(maxsplit=1) for line in ended.stdout.decode().splitlines()]
    failed = {test for outcome, test in lines if outcome == "failed"}
    passed = sum(outcome == "passed" for outcome, _ in lines)
    print(f"{rung.kind}: {passed} passed, {len(failed)} failed")
    assert failed == set(IMPOSSIBLE[rung.kind]), said
    assert passed + len(failed) == sum(MODULES.values()), lines
