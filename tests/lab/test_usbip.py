"""USB ports on a true kernel, with programs that know nothing of them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
from functools import partial
from pathlib import Path

import pytest

pytestmark = pytest.mark.lab

serial = pytest.importorskip("serial", reason="pyserial is not installed")

from portline.line import (  # noqa: E402  # where pyserial is missing nothing else is worth a look
    FlowControl,
    LineSettings,
    Parity,
    StopBits,
)
from portline.port.names.repair import repair_overlaps  # noqa: E402
from tests.shelf import MemoryShelf  # noqa: E402
from tests.usb_double import UsbDouble  # noqa: E402
from tests.waiting import LIMIT  # noqa: E402

ADAPTERS = ["pl2303", "ftdi", "cdc-acm"]
NAME = "/dev/plc"

TIOCMIWAIT = 0x545C
TIOCGICOUNT = 0x545D
CTS, DCD, RI, DSR = 0x020, 0x040, 0x080, 0x100

PARITIES = {parity.value: parity for parity in Parity}
STOPS = {1: StopBits.ONE, 1.5: StopBits.ONE_AND_A_HALF, 2: StopBits.TWO}


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest) -> str:
    return request.param


def opened(path: str = NAME, **settings: object) -> serial.Serial:
    return serial.Serial(path, timeout=LIMIT, **settings)


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def icount(fd: int) -> tuple[int, ...]:
    """CTS, DSR, RI, DCD, received, sent, framing, overrun, parity, breaks."""
    return struct.unpack_from("10i", fcntl.ioctl(fd, TIOCGICOUNT, bytes(80)))


def test_settings_and_lines_of_pyserial_arrive(adapter: str) -> None:
    with UsbDouble(NAME, adapter) as double:
        assert os.path.realpath(NAME) == double.node
        port = serial.Serial(timeout=LIMIT)
        port.port, port.rts = NAME, False
        port.baudrate, port.bytesize, port.parity, port.stopbits = 250000, 7, "E", 2
        port.open()
        wanted = LineSettings(250000, 7, Parity.EVEN, StopBits.TWO)
        double.until(lambda: double.settings == wanted)
        double.until(lambda: double.outputs == (True, False))
        bits = (7, 8) if adapter == "ftdi" else (5, 6, 7, 8)
        for size in bits:
            for letter, parity in PARITIES.items():
                port.bytesize, port.parity = size, letter
                double.until(
                    lambda size=size, parity=parity: (
                        (double.settings.data_bits, double.settings.parity) == (size, parity)
                    )
                )
        port.bytesize, port.parity, port.stopbits = 8, "N", 1
        for rate in (300, 12345, 115200, 1_000_000):
            port.baudrate = rate
            double.until(lambda rate=rate: double.settings.baudrate == rate)
        port.rts, port.dtr = True, False
        double.until(lambda: double.outputs == (False, True))
        port.send_break(0.01)
        double.until(lambda: double.breaks == [True, False])
        if adapter != "cdc-acm":
            port.rtscts = True
            double.until(lambda: double.settings.flow_control is FlowControl.HARDWARE)
        port.close()
        double.until(lambda: not double.in_use)
    assert not os.path.lexists(NAME)


def test_data_passes_both_ways(adapter: str) -> None:
    everything = bytes(range(256)) * 40
    with UsbDouble(NAME, adapter, echo=True) as double, opened(baudrate=115200) as port:
        writing = threading.Thread(target=port.write, args=(everything,))
        writing.start()
        assert port.read(len(everything)) == everything
        writing.join()
        assert double.received == everything


def test_lines_are_read_and_waited_for(adapter: str) -> None:
    with UsbDouble(NAME, adapter) as double, opened() as port:
        seen = [(port.dsr, port.cd, port.ri)]
        double.lines(cts=True, dsr=True, dcd=True, ri=True)
        double.until(lambda: (port.dsr, port.cd, port.ri) == (True, True, True))
        assert seen == [(False, False, False)]
        assert port.cts
        if adapter != "cdc-acm":
            double.lines(dsr=True, dcd=True)
            double.until(lambda: not port.cts)
        woken: list[float] = []

        def wait() -> None:
            fcntl.ioctl(port.fd, TIOCMIWAIT, DSR)
            woken.append(time.monotonic())

        waiting = threading.Thread(target=wait)
        waiting.start()
        time.sleep(0.3)  # not a condition that can be seen: it sleeps in the kernel
        assert waiting.is_alive()
        double.lines(dcd=True)
        waiting.join(LIMIT)
        assert woken
        if adapter != "pl2303":  # its driver has no counters
            assert icount(port.fd)[1] > 0


def marked(double: UsbDouble, port: serial.Serial) -> None:
    attributes = termios.tcgetattr(port.fd)
    attributes[0] |= termios.PARMRK | termios.INPCK
    attributes[0] &= ~(termios.IGNPAR | termios.IGNBRK | termios.BRKINT)
    termios.tcsetattr(port.fd, termios.TCSANOW, attributes)


@pytest.mark.parametrize("adapter", ["pl2303", "ftdi"])
def test_faults_mark_their_characters(adapter: str) -> None:
    with UsbDouble(NAME, adapter) as double, opened(parity="E") as port:
        marked(double, port)
        double.send(b"a")
        double.fault(parity=True)
        double.send(b"Xb")
        assert port.read(5) == b"a\xff\x00Xb"
        double.fault(framing=True)
        double.send(b"Yc")
        assert port.read(4) == b"\xff\x00Yc"
        double.fault(break_received=True)
        double.send(b"d")
        assert port.read(4) == b"\xff\x00\x00d"
        if adapter == "ftdi":
            framing, _, parity, breaks = icount(port.fd)[6:10]
            assert (framing, parity, breaks) == (1, 1, 1)


def test_faults_of_the_class_are_counted() -> None:
    with UsbDouble(NAME, "cdc-acm") as double, opened() as port:
        double.fault(parity=True, framing=True, overrun=True)
        double.fault(break_received=True)
        double.send(b"after")
        double.until(lambda: icount(port.fd)[9] == 1)
        data = port.read(5)
        data += port.read(5 - len(data.lstrip(b"\0")))
        assert data.lstrip(b"\0") == b"after"  # newer kernels make a character of the break
        assert icount(port.fd)[6:10] == (1, 1, 1, 1)


def test_a_drain_lasts_until_all_has_left(adapter: str) -> None:
    with UsbDouble(NAME, adapter, holds=True) as double, opened() as port:
        over: list[float] = []

        def drain() -> None:
            port.write(b"leaving" * 50)
            termios.tcdrain(port.fd)
            over.append(time.monotonic())

        draining = threading.Thread(target=drain)
        draining.start()
        double.until(lambda: len(double.received) == 350)
        double.until(lambda: double.held)
        time.sleep(0.5)  # not a condition that can be seen: it waits in the kernel
        assert not over
        gone = time.monotonic()
        while draining.is_alive():  # the last of several transfers may ask again
            double.let_go()
            draining.join(0.01)
        assert over[0] >= gone
        double.holds = False
        double.let_go()


def test_a_drain_at_the_speed_of_the_line_takes_its_time(adapter: str) -> None:
    characters = 600
    with UsbDouble(NAME, adapter, strict=True) as double, opened(baudrate=4800) as port:
        began = time.monotonic()
        port.write(b"x" * characters)
        termios.tcdrain(port.fd)
        took = time.monotonic() - began
        ideal = characters * double.settings.character_time
        assert len(double.received) == characters
        print(f"{adapter}: {characters} characters in {took:.3f} s, ideal {ideal:.3f} s")
        assert took >= 0.99 * ideal


def test_cts_holds_the_line(adapter: str) -> None:
    if adapter == "cdc-acm":
        return  # the class has no CTS: test_settings_and_lines_of_pyserial_arrive
    with UsbDouble(NAME, adapter) as double, opened(rtscts=True) as port:
        double.until(lambda: double.settings.flow_control is FlowControl.HARDWARE)
        port.write(b"held")
        time.sleep(0.3)  # what must not happen cannot be waited for
        assert double.received == b""
        double.lines(cts=True)
        double.until(lambda: double.received == b"held")


def test_it_has_the_kernels_line_discipline(adapter: str) -> None:
    with UsbDouble(NAME, adapter) as double:
        fd = os.open(NAME, os.O_RDWR | os.O_NOCTTY)
        double.send(b"ab\x7fc\rrest")
        assert os.read(fd, 100) == b"ac\n"
        double.until(lambda: b"\b \b" in double.received)
        os.close(fd)


def test_stty_sees_all_it_set(adapter: str) -> None:
    stty = program("stty")
    flow = [] if adapter == "cdc-acm" else ["crtscts"]
    words = ["19200", "cs7", "parenb", "parodd", "cstopb", *flow, "raw", "-echo"]
    with UsbDouble(NAME, adapter) as double:
        fd = os.open(NAME, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        done = subprocess.run(
            [stty, "-F", NAME, *words], capture_output=True, timeout=LIMIT, check=False
        )
        assert done.returncode == 0, done.stderr
        shown = subprocess.run(
            [stty, "-F", NAME, "-a"], capture_output=True, timeout=LIMIT, check=True, text=True
        ).stdout
        assert "speed 19200" in shown
        assert {"cs7", "parenb", "parodd", "cstopb", *flow} <= set(shown.split())
        hardware = FlowControl.HARDWARE if flow else FlowControl.NONE
        wanted = LineSettings(19200, 7, Parity.ODD, StopBits.TWO, hardware)
        double.until(lambda: double.settings == wanted)
        os.close(fd)


def test_picocom_accepts_the_settings() -> None:
    picocom = program("picocom")
    with UsbDouble(NAME) as double:
        words = ["-b", "57600", "-d", "7", "-y", "e", "-p", "2", "--exit-after", "1000", NAME]
        done = subprocess.run(
            [picocom, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=LIMIT, check=False,
        )  # fmt: skip
        assert "mismatch" not in done.stdout + done.stderr
        assert LineSettings(57600, 7, Parity.EVEN, StopBits.TWO) in [
            getattr(report, "settings", None) for report in double.reports
        ]


def test_pppd_carries_packets_between_two() -> None:
    """One is in a network of its own, so what is sent to it really goes through the line."""
    pppd, ping, unshare = program("pppd"), program("ping"), program("unshare")
    theirs = "10.9.0.2"
    with UsbDouble("/dev/pppA") as one, UsbDouble("/dev/pppB", "ftdi") as two:
        # A null modem cable.
        one.port_data = lambda data: two._loop.call_soon_threadsafe(two.port.write, data)  # type: ignore[method-assign]
        two.port_data = lambda data: one._loop.call_soon_threadsafe(one.port.write, data)  # type: ignore[method-assign]
        common = ["115200", "local", "noauth", "nodetach", "nocrtscts", "nodefaultroute"]
        children = [
            subprocess.Popen([*words, *common, *more], stdout=subprocess.DEVNULL)
            for words, more in (
                ([pppd, "/dev/pppA"], [f"10.9.0.1:{theirs}"]),
                ([unshare, "--net", pppd, "/dev/pppB"], [f"{theirs}:10.9.0.1", "noccp"]),
            )
        ]
        try:
            one.until(lambda: pings(ping, theirs, "-c", "1", "-W", "1"))
            assert pings(ping, theirs, "-c", "3", "-i", "0.2", "-s", "1400")
        finally:
            for child in children:
                child.terminate()
            for child in children:
                child.wait(LIMIT)


def pings(ping: str, address: str, *words: str) -> bool:
    """Return whether every packet came back."""
    command = [ping, *words, address]
    ended = subprocess.run(command, stdout=subprocess.DEVNULL, timeout=LIMIT, check=False)
    return ended.returncode == 0


# --- processes that end, and that follow each other -----------------------------------------------

SERVER = """
import asyncio, sys
from portline.port.usbip.port import UsbipPort
class Owner:
    def __getattr__(self, name):
        return lambda *a: a[0]() if name == "port_drain" else None
async def main():
    port = UsbipPort(
        sys.argv[1], owner=Owner(), loop=asyncio.get_running_loop(), overlap="overlap" in sys.argv
    )
    port.open()
    while port.path is None:
        await asyncio.sleep(0.01)
    print(port.node, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


def test_a_killed_server_leaves_nothing_that_hangs() -> None:
    for _ in range(2):
        server = subprocess.Popen(
            [sys.executable, "-c", SERVER, NAME], stdout=subprocess.PIPE, text=True
        )
        try:
            assert server.stdout is not None
            node = server.stdout.readline().strip()
            port = opened()
        finally:
            server.send_signal(signal.SIGKILL)
            server.wait()
            server.stdout.close()
        with contextlib.suppress(OSError):  # EIO, or the end of the file
            assert os.read(port.fd, 1) == b""
        port.close()
        deadline = time.monotonic() + LIMIT
        while os.path.exists(node):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert os.path.lexists(NAME)  # left over, and taken over by the next round
    with UsbDouble(NAME) as double:
        assert os.path.realpath(NAME) == double.node


def test_a_device_is_given_back_after_a_kill() -> None:
    target = "/dev/ttyS3"
    before = os.stat(target).st_rdev
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, target, "overlap"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        node = server.stdout.readline().strip()
        assert os.stat(target).st_rdev == os.stat(node).st_rdev != before
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait()
        server.stdout.close()
    deadline = time.monotonic() + LIMIT
    while os.path.exists(node):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert repair_overlaps().done == (target,)
    assert os.stat(target).st_rdev == before


def test_another_process_goes_on_unnoticed() -> None:
    shelf = MemoryShelf()
    double = UsbDouble(NAME, holds=True, shelf=shelf)
    double.__enter__()
    port = opened(baudrate=57600, parity="E")
    port.write(b"before")
    double.until(lambda: double.received == b"before")
    port.rts = False
    double.lines(dsr=True)
    double.until(lambda: port.dsr)
    assert double.call(partial(double.port.leave, b"", named=True))
    double.stop()
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            ours.close()
            second = UsbDouble(NAME, echo=True, shelf=shelf)
            second._thread.start()
            second.call(second.port.open)
            second.lines(dsr=True)
            theirs.sendall(f"{second.settings} {second.outputs}\n".encode())
            theirs.recv(1)
            second.call(second.port.close)
            second.stop()
            status = 0
        finally:
            os._exit(status)
    theirs.close()
    shelf.forget()
    ours.settimeout(LIMIT)
    assert ours.recv(100) == b"57600-8E1 (True, False)\n"
    termios.tcdrain(port.fd)  # held by the first process, let go by the second
    port.write(b"echo")
    assert port.read(4) == b"echo"
    assert port.dsr
    port.close()
    ours.close()
    assert os.waitpid(child, 0)[1] == 0
    assert not os.path.lexists(NAME)


def test_lying_over_a_device() -> None:
    target = "/dev/ttyS3"
    before = os.stat(target).st_rdev
    with UsbDouble(target, overlap=True) as double, opened(target) as port:
        double.send(b"over it")
        assert port.read(7) == b"over it"
        assert os.stat(target).st_rdev == os.stat(double.node).st_rdev
    assert os.stat(target).st_rdev == before


def test_what_udev_and_list_ports_see() -> None:
    from serial.tools import list_ports

    with UsbDouble(NAME) as double:
        [found] = [each for each in list_ports.comports() if each.device == double.node]
        assert (found.manufacturer, found.serial_number) == ("Portline", "plc")
        assert Path("/sys/class/tty", os.path.basename(double.node)).exists()
