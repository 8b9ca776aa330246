"""What a kernel has only so many of, and what is done to it very often."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from portline.errors import PortBusy, PortError
from portline.port.names.repair import repair_links
from portline.port.usbip.vhci import Controller, Slot
from tests.cuse_double import CuseDouble, Refused
from tests.lab.killing import complaints, kernel_log, slots_taken
from tests.usb_double import UsbDouble
from tests.waiting import LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.lab

NAME = "/dev/ttyMANY"

OFTEN = int(os.environ.get("PORTLINE_OFTEN", "40"))
"""Openings by an application; a thousand take minutes."""

SMALL = 3
"""Places of a controller that is soon full."""

RATES = (termios.B1200, termios.B9600, termios.B115200)


class SmallController(Controller):
    """The true one, of which there are only SMALL places."""

    def slots(self) -> list[Slot]:
        fast = [slot for slot in super().slots() if slot.hub == "hs"]
        return fast[:SMALL]


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def echoes(double: UsbDouble) -> None:
    """Tell that an application can use it."""
    fd = os.open(double.path, os.O_RDWR | os.O_NOCTTY)
    try:
        before = len(double.received)
        os.write(fd, b"here")
        until(lambda: bytes(double.received[before:]) == b"here")
    finally:
        os.close(fd)


def test_a_full_controller_is_told_in_a_line_and_freed_places_are_used_again() -> None:
    with contextlib.ExitStack() as stack:
        doubles = [
            stack.enter_context(UsbDouble(f"{NAME}{n}", controller=SmallController()))
            for n in range(SMALL)
        ]
        late = UsbDouble(f"{NAME}9", controller=SmallController())
        late._thread.start()
        with pytest.raises(PortBusy, match="are taken") as full:
            late.call(late.port.open)
        assert "\n" not in str(full.value)
        assert not os.path.lexists(f"{NAME}9")
        for each in doubles:
            echoes(each)
        doubles[1].call(doubles[1].port.close)
        until(lambda: slots_taken() == SMALL - 1)
        late.call(late.port.open)
        until(lambda: late.port.path is not None or late.lost)
        echoes(late)
        for each in (doubles[0], doubles[2]):
            echoes(each)
        late.call(late.port.close)
        late.stop()
    until(lambda: slots_taken() == 0)
    assert complaints(kernel_log()) == []


def test_a_program_that_is_closing_a_port_keeps_no_other_port_waiting() -> None:
    """The kernel waits half a minute for it, before it plugs in anything below the same hub."""
    if len(list(Path("/sys/devices/platform").glob("vhci_hcd.*"))) < 2:
        pytest.skip("this kernel has one virtual USB controller only (CONFIG_USBIP_VHCI_NR_HCS)")
    busy = UsbDouble(f"{NAME}0", holds=True)
    busy.__enter__()
    closing = os.fork()
    if closing == 0:
        fd = os.open(busy.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        os.write(fd, bytes(4096))  # which nobody takes
        os.close(fd)
        os._exit(0)
    try:
        until(lambda: busy.received)
        with UsbDouble(f"{NAME}1"):  # and so the program has come to its close
            busy.call(busy.port.close)
        with UsbDouble(f"{NAME}2") as other:
            echoes(other)
            assert os.waitpid(closing, os.WNOHANG) == (0, 0)
    finally:
        os.kill(closing, signal.SIGKILL)
        os.waitpid(closing, 0)
        busy.stop()
    until(lambda: slots_taken() == 0)


def test_plugged_in_and_out_at_any_moment() -> None:
    """Also while the kernel asks what it is: no place is kept, and the next one works."""
    dice = random.Random(5)
    double = UsbDouble(NAME)
    double._thread.start()
    for _ in range(15):
        double.call(double.port.open)
        time.sleep(dice.choice((0, 0.01, 0.1, 0.5, 1.0)))
        double.call(double.port.close)
    until(lambda: slots_taken() == 0)
    assert not os.path.lexists(NAME)
    reasons = [str(error) for error in double.lost]
    for _ in range(3):  # as the keeper does, a second later
        double.lost.clear()
        double.call(double.port.open)
        until(lambda: double.port.path is not None or double.lost)
        if not double.lost:
            break
        reasons += [str(error) for error in double.lost]
        time.sleep(1)
    print("lost meanwhile:", reasons)
    echoes(double)
    double.call(double.port.close)
    double.stop()
    until(lambda: slots_taken() == 0)
    assert complaints(kernel_log()) == []


def _open_often() -> float:
    """Open, set and close the port; return milliseconds for each."""
    dice = random.Random(6)
    begun = time.monotonic()
    for _ in range(OFTEN):
        fd = os.open(NAME, os.O_RDWR | os.O_NOCTTY | dice.choice((0, os.O_NONBLOCK)))
        settings = termios.tcgetattr(fd)
        settings[3] = 0
        settings[4] = settings[5] = dice.choice(RATES)
        termios.tcsetattr(fd, dice.choice((termios.TCSANOW, termios.TCSAFLUSH)), settings)
        assert termios.tcgetattr(fd)[4] == settings[4]
        os.close(fd)
    return (time.monotonic() - begun) / OFTEN * 1e3


def test_opened_and_closed_often_by_usb() -> None:
    with UsbDouble(NAME) as double:
        print(f"usbip: {_open_often():.0f} ms for each opening")
        echoes(double)
        until(lambda: not double.in_use)


def test_opened_and_closed_often_by_cuse() -> None:
    with CuseDouble(NAME) as double:
        print(f"cuse: {_open_often():.0f} ms for each opening")
        double.until(lambda: double.look()["used"].count(False) == OFTEN)
        assert double.look()["held"] == 0
        fd = os.open(NAME, os.O_RDWR | os.O_NOCTTY)
        os.write(fd, b"here")
        double.until(lambda: double.received == b"here")
        os.close(fd)


def test_two_that_want_the_same_name() -> None:
    first, second = UsbDouble(NAME), UsbDouble(NAME)
    for each in (first, second):
        each._thread.start()
    try:
        for each in (first, second):  # neither is there when the other looks for the name
            each.call(each.port.open)
        until(lambda: first.port.path or first.lost)
        until(lambda: second.port.path or second.lost)
        [error] = [*first.lost, *second.lost]
        assert isinstance(error, PortBusy)
        has_it = second if first.lost else first
        assert os.path.realpath(NAME) == has_it.node
        echoes(has_it)
        with pytest.raises(Refused, match="PortBusy"), CuseDouble(NAME):
            pass
        echoes(has_it)
    finally:
        for each in (first, second):
            each.call(each.port.close)
            each.stop()
    until(lambda: slots_taken() == 0)
    assert not os.path.lexists(NAME)


KILLED = """
import asyncio, os, signal, sys
from portline.port.cuse.port import CusePort
from portline.port.usbip.port import UsbipPort
class Owner:
    def __getattr__(self, name):
        return lambda *a: a[0]() if name == "port_drain" else None
async def main():
    kind = {"usbip": UsbipPort, "cuse": CusePort}[sys.argv[1]]
    port = kind(sys.argv[2], owner=Owner(), loop=asyncio.get_running_loop())
    port.open()
    while port.path is None:
        await asyncio.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


@pytest.mark.parametrize("backend", ["usbip", "cuse"])
def test_what_a_killed_one_had_is_given_to_another(backend: str, tmp_path: Path) -> None:
    """Its link leads to the other one's port then, and is taken back by its own next one."""
    double = {"usbip": UsbDouble, "cuse": CuseDouble}[backend]
    mine, others = str(tmp_path / "mine"), str(tmp_path / "others")
    words = [sys.executable, "-c", KILLED, backend, mine]
    assert subprocess.run(words, timeout=2 * LIMIT, check=False).returncode == -signal.SIGKILL
    until(lambda: not os.path.exists(mine))
    with double(others):
        assert os.path.realpath(mine) == os.path.realpath(others)  # nobody can know
        with double(mine):
            assert os.path.realpath(mine) != os.path.realpath(others)
    assert not os.path.lexists(mine)


def test_the_controllers_module_is_taken_away_and_comes_back() -> None:
    with UsbDouble(NAME) as double:
        fd = os.open(NAME, os.O_RDWR | os.O_NOCTTY)
        unloaded = subprocess.run(
            ["modprobe", "-r", "vhci_hcd"],
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        if unloaded.returncode:
            os.close(fd)
            echoes(double)
            pytest.skip(f"the kernel keeps it: {unloaded.stderr.strip()}")
        until(lambda: double.lost)
        assert "gone" in str(double.lost[0])
        assert not os.path.lexists(NAME)
        with contextlib.suppress(OSError):
            assert os.read(fd, 1) == b""
        os.close(fd)
        with pytest.raises(PortError, match="modprobe -a vhci_hcd"):
            double.call(double.port.open)
        subprocess.run(["modprobe", "vhci_hcd"], timeout=LIMIT, check=True)
        until(lambda: Path("/sys/devices/platform/vhci_hcd.0/attach").exists())
        double.lost.clear()
        double.call(double.port.open)
        until(lambda: double.port.path is not None or double.lost)
        echoes(double)
    until(lambda: slots_taken() == 0)
    assert repair_links([Path("/dev")]).done == ()
    assert complaints(kernel_log()) == []
