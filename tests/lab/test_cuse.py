"""CUSE ports on a true kernel, with programs that know nothing of them."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import shutil
import signal
import stat
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.lab

serial = pytest.importorskip("serial", reason="pyserial is not installed")

from portline.line import (  # noqa: E402  # where pyserial is missing nothing else counts
    FlowControl,
    LineSettings,
    Parity,
    StopBits,
)
from tests.cuse_double import CuseDouble, Refused  # noqa: E402
from tests.interop.test_programs import running, shows  # noqa: E402
from tests.waiting import LIMIT  # noqa: E402

NAME = "/dev/ttyFAR0"

TIOCEXCL, TIOCOUTQ, TIOCMIWAIT, TIOCGICOUNT = 0x540C, 0x5411, 0x545C, 0x545D
CTS, DSR = 0x020, 0x100

BLOCKING = os.O_RDWR | os.O_NOCTTY
NONBLOCKING = BLOCKING | os.O_NONBLOCK


@pytest.fixture
def double() -> Iterator[CuseDouble]:
    with CuseDouble(NAME) as made:
        yield made
    assert not os.path.lexists(NAME)


def opened(path: str = NAME, **settings: object) -> serial.Serial:
    return serial.Serial(path, timeout=LIMIT, **settings)


@contextlib.contextmanager
def descriptor(flags: int = BLOCKING, path: str = NAME) -> Iterator[int]:
    fd = os.open(path, flags)
    try:
        yield fd
    finally:
        os.close(fd)


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def icount(fd: int) -> tuple[int, ...]:
    """CTS, DSR, RI, DCD, received, sent, framing, overrun, parity, breaks."""
    return struct.unpack_from("10i", fcntl.ioctl(fd, TIOCGICOUNT, bytes(80)))


def change(fd: int, **fields: Callable[[int], int]) -> None:
    """Change the flags of a terminal: ``iflag``, ``oflag``, ``cflag``, ``lflag``."""
    names = ["iflag", "oflag", "cflag", "lflag"]
    attributes = termios.tcgetattr(fd)
    for name, function in fields.items():
        attributes[names.index(name)] = function(attributes[names.index(name)])
    termios.tcsetattr(fd, termios.TCSANOW, attributes)


def expect(fd: int, data: bytes) -> None:
    """Read exactly that."""
    got = b""
    while len(got) < len(data) and select.select([fd], [], [], LIMIT)[0]:
        got += os.read(fd, len(data) - len(got))
    assert got == data


class Child:
    """A process that does one thing with the device, which may block."""

    def __init__(self, code: str, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-c", "import os, sys, fcntl, signal\n" + code, *arguments],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.line() == "ready"

    def line(self) -> str:
        assert self.process.stdout is not None
        assert select.select([self.process.stdout], [], [], 4 * LIMIT)[0]
        return self.process.stdout.readline().strip()

    def ended(self) -> int:
        """Wait for its end; return its status."""
        try:
            return self.process.wait(LIMIT)
        finally:
            assert self.process.stdout is not None
            self.process.stdout.close()


READ = """
fd = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
print('ready', flush=True)
try:
    print('read', os.read(fd, 1), flush=True)
except OSError as error:
    print('error', error.errno, flush=True)
"""


# --- settings and lines ---------------------------------------------------------------------------


def test_settings_and_lines_of_pyserial_arrive(double: CuseDouble) -> None:
    port = serial.Serial(timeout=LIMIT)
    port.port, port.rts = NAME, False
    port.baudrate, port.bytesize, port.parity, port.stopbits = 250000, 7, "E", 2
    port.open()
    double.until(lambda: double.settings == LineSettings(250000, 7, Parity.EVEN, StopBits.TWO))
    assert double.outputs == (True, False)
    for size in (5, 6, 7, 8):
        for parity in Parity:
            port.bytesize, port.parity = size, parity.value
            now = double.settings
            assert (now.data_bits, now.parity) == (size, parity)
    port.bytesize, port.parity, port.stopbits = 8, "N", 1
    for rate in (300, 12345, 115200, 1_000_000):
        port.baudrate = rate
        assert double.settings.baudrate == rate
    port.rts, port.dtr = True, False
    assert double.outputs == (False, True)
    port.rtscts = True
    assert double.settings.flow_control is FlowControl.HARDWARE
    port.close()
    double.until(lambda: double.look()["used"] == [True, False])
    assert double.outputs == (False, False)


def test_stty_sees_all_it_set(double: CuseDouble) -> None:
    words = ["19200", "cs7", "parenb", "parodd", "cstopb", "crtscts", "raw", "-echo", "parmrk"]
    stty = program("stty")
    with descriptor(NONBLOCKING):
        done = subprocess.run(
            [stty, "-F", NAME, *words, "min", "7", "time", "3"],
            capture_output=True, timeout=LIMIT, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        shown = subprocess.run(
            [stty, "-F", NAME, "-a"], capture_output=True, timeout=LIMIT, check=True, text=True
        ).stdout
    assert "speed 19200" in shown
    assert "min = 7; time = 3;" in shown
    assert set(words[1:]) - {"raw"} <= set(shown.split())
    wanted = LineSettings(19200, 7, Parity.ODD, StopBits.TWO, FlowControl.HARDWARE)
    assert double.settings == wanted


def test_setserial_shows_a_port(double: CuseDouble) -> None:
    done = subprocess.run(
        [program("setserial"), "-a", NAME],
        capture_output=True,
        timeout=LIMIT,
        check=True,
        text=True,
    )
    assert "UART: 16550A" in done.stdout
    assert double.look()["used"] == [True, False]


def test_picocom_accepts_the_settings(double: CuseDouble) -> None:
    words = ["-b", "57600", "-d", "7", "-y", "e", "-p", "2", "--exit-after", "1000", NAME]
    done = subprocess.run(
        [program("picocom"), *words], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=LIMIT, check=False,
    )  # fmt: skip
    assert "mismatch" not in done.stdout + done.stderr
    # It puts back what it found when it ends.
    assert LineSettings(57600, 7, Parity.EVEN, StopBits.TWO) in double.look()["seen"]


@pytest.mark.parametrize("name", ["tio", "minicom"])
def test_a_terminal_program_talks(double: CuseDouble, name: str, tmp_path: Path) -> None:
    words = {
        "tio": ["-n", "-b", "19200", "-d", "7", "-p", "even", "-s", "2", NAME],
        "minicom": ["-o", "-b", "19200", "-D", NAME],
    }[name]
    begun, leave = {"tio": (b"Connected", b"\x14q"), "minicom": (b"CTRL-A Z", b"\x01q\r")}[name]
    command = ["env", "TERM=vt100", f"HOME={tmp_path}", "LC_ALL=C", program(name), *words]
    double.lines(cts=True, dsr=True, dcd=True)  # minicom waits for CTS
    with running(command) as (process, terminal):
        assert begun in shows(terminal, begun)
        double.until(lambda: double.settings.baudrate == 19200)
        assert double.settings.data_bits == (7 if name == "tio" else 8)
        os.write(terminal, b"root")
        double.until(lambda: b"root" in double.received)
        double.send(b"Password: ")
        assert b"Password: " in shows(terminal, b"Password: ")
        os.write(terminal, leave[:2])
        if name == "minicom":  # it asks
            shows(terminal, b"eave")
            os.write(terminal, leave[2:])
        assert process.wait(LIMIT) == 0


def test_lines_are_read_waited_for_and_counted(double: CuseDouble) -> None:
    with opened() as port:
        assert (port.cts, port.dsr, port.cd, port.ri) == (False,) * 4
        double.lines(cts=True, dsr=True, dcd=True, ri=True)
        assert (port.cts, port.dsr, port.cd, port.ri) == (True,) * 4
        waiting = threading.Thread(target=fcntl.ioctl, args=(port.fd, TIOCMIWAIT, CTS | DSR))
        waiting.start()
        double.until(lambda: double.look()["held"] == 1)
        double.lines(cts=True, dsr=True, dcd=True)
        assert double.look()["held"] == 1  # RI was not what it waits for
        double.lines(cts=True, dcd=True)
        waiting.join(LIMIT)
        assert not waiting.is_alive()
        assert icount(port.fd)[:4] == (1, 2, 1, 1)
        port.write(b"12345")
        double.until(lambda: double.received == b"12345")
        double.send(b"abc")
        assert port.read(3) == b"abc"
        assert icount(port.fd)[4:6] == (3, 5)


def test_a_wait_ends_with_a_signal(double: CuseDouble) -> None:
    child = Child(
        "fd = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)\n"
        "def stop(*_): raise InterruptedError\n"
        "signal.signal(signal.SIGUSR1, stop)\n"
        "print('ready', flush=True)\n"
        "try: fcntl.ioctl(fd, 0x545C, 0x20)\n"
        "except InterruptedError: print('interrupted', flush=True)\n",
        NAME,
    )
    double.until(lambda: double.look()["held"] == 1)
    child.process.send_signal(signal.SIGUSR1)
    assert child.line() == "interrupted"
    assert child.ended() == 0
    assert double.look()["held"] == 0


# --- data -----------------------------------------------------------------------------------------


def test_data_passes_both_ways() -> None:
    everything = bytes(range(256)) * 100
    with CuseDouble(NAME, echo=True) as double, opened(baudrate=115200) as port:
        writing = threading.Thread(target=port.write, args=(everything,))
        writing.start()
        assert port.read(len(everything)) == everything
        writing.join()
        assert double.received == everything


def test_it_has_the_kernels_line_discipline(double: CuseDouble) -> None:
    with descriptor() as fd:
        change(fd, iflag=lambda f: f | termios.ICRNL | termios.IXON,
               lflag=lambda f: f | termios.ICANON | termios.ECHO | termios.ECHOE)  # fmt: skip
        double.send(b"ab\x7fc\rrest")
        assert os.read(fd, 100) == b"ac\n"
        double.until(lambda: b"\b \b" in double.received)
        double.send(b"\x13")
        double.until(lambda: not select.select([], [fd], [], 0)[1])
        double.send(b"\x11")
        assert select.select([], [fd], [], LIMIT)[1]
        assert os.write(fd, b"on") == 2
        double.until(lambda: double.received.endswith(b"on"))


def test_reads_without_waiting_and_with_time(double: CuseDouble) -> None:
    with descriptor(NONBLOCKING) as fd:
        with pytest.raises(BlockingIOError):
            os.read(fd, 1)
        double.send(b"abc")
        expect(fd, b"abc")
    with descriptor() as fd:
        attributes = termios.tcgetattr(fd)
        attributes[6][termios.VMIN], attributes[6][termios.VTIME] = 0, 2
        termios.tcsetattr(fd, termios.TCSANOW, attributes)
        began = time.monotonic()
        assert os.read(fd, 10) == b""
        assert time.monotonic() - began >= 0.2
        attributes[6][termios.VMIN], attributes[6][termios.VTIME] = 3, 0
        termios.tcsetattr(fd, termios.TCSANOW, attributes)
        double.send(b"ab")
        reading: list[bytes] = []
        thread = threading.Thread(target=lambda: reading.append(os.read(fd, 10)))
        thread.start()
        double.until(lambda: double.look()["held"] == 1)
        assert not reading
        double.send(b"c")
        thread.join(LIMIT)
        assert reading == [b"abc"]


def test_select_and_both_kinds_of_epoll(double: CuseDouble) -> None:
    with descriptor(NONBLOCKING) as fd, contextlib.closing(select.epoll()) as level:
        assert select.select([fd], [fd], [], 0) == ([], [fd], [])
        level.register(fd, select.EPOLLIN)
        assert level.poll(0) == []
        double.send(b"a")
        assert level.poll(LIMIT) == [(fd, select.EPOLLIN)]
        assert level.poll(0) == [(fd, select.EPOLLIN)]
        expect(fd, b"a")
        assert level.poll(0) == []
        level.modify(fd, select.EPOLLIN | select.EPOLLET)
        for letter in (b"b", b"c", b"d"):  # unread, and yet each is news
            double.send(letter)
            assert level.poll(LIMIT) == [(fd, select.EPOLLIN)]
        expect(fd, b"bcd")
        double.pause(True)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(fd, bytes(1000))
        assert select.select([], [fd], [], 0)[1] == []
        double.pause(False)
        assert select.select([], [fd], [], LIMIT)[1] == [fd]


def test_a_drain_lasts_until_all_has_left() -> None:
    with CuseDouble(NAME, holds=True) as double, opened() as port:
        port.write(b"leaving" * 50)
        draining = threading.Thread(target=termios.tcdrain, args=(port.fd,))
        draining.start()
        double.until(lambda: double.look()["draining"] == 1)
        assert len(double.received) == 350
        assert draining.is_alive()
        double.hold(False)
        double.let_go()
        draining.join(LIMIT)
        assert not draining.is_alive()


def test_a_drain_at_the_speed_of_the_line_takes_its_time() -> None:
    characters = 600
    with CuseDouble(NAME, strict=True) as double, opened(baudrate=4800) as port:
        began = time.monotonic()
        port.write(b"x" * characters)
        wrote = time.monotonic() - began
        termios.tcdrain(port.fd)
        took = time.monotonic() - began
        ideal = characters * double.settings.character_time
        assert len(double.received) == characters
        print(f"{characters} characters in {took:.3f} s (write {wrote:.3f} s), ideal {ideal:.3f} s")
        assert took >= 0.99 * ideal


def test_cts_holds_the_line(double: CuseDouble) -> None:
    with opened(rtscts=True) as port:
        port.write(b"held")
        assert struct.unpack("i", fcntl.ioctl(port.fd, TIOCOUTQ, bytes(4)))[0] == 4
        assert double.received == b""
        double.lines(cts=True)
        double.until(lambda: double.received == b"held")
        assert port.out_waiting == 0


def test_breaks_and_faults(double: CuseDouble) -> None:
    with opened(parity="E") as port:
        began = time.monotonic()
        termios.tcsendbreak(port.fd, 0)
        assert time.monotonic() - began >= 0.25
        port.break_condition = True
        port.break_condition = False
        assert double.look()["breaks"] == [True, False, True, False]
        change(port.fd, iflag=lambda f: (f | termios.PARMRK | termios.INPCK) & ~termios.IGNBRK)
        double.send(b"a\xff")
        double.fault(parity=True)
        double.send(b"Xb")
        double.fault(break_received=True)
        double.send(b"c")
        expected = b"a\xff\xff\xff\x00Xb\xff\x00\x00c"
        assert port.read(len(expected)) == expected
        framing, overrun, parity, breaks = icount(port.fd)[6:10]
        assert (framing, overrun, parity, breaks) == (0, 0, 1, 1)


def test_flushing(double: CuseDouble) -> None:
    with opened() as port:
        double.send(b"old")
        double.until(lambda: port.in_waiting == 3)
        port.reset_input_buffer()
        assert port.in_waiting == 0
        double.pause(True)
        port.write(b"dropped")
        assert port.out_waiting == 7
        port.reset_output_buffer()
        assert port.out_waiting == 0
        double.pause(False)
        port.write(b"kept")
        double.until(lambda: double.received == b"kept")


# --- opening --------------------------------------------------------------------------------------


def test_two_may_have_it_open(double: CuseDouble) -> None:
    with descriptor(NONBLOCKING) as one, descriptor(NONBLOCKING) as two:
        os.write(one, b"1")
        os.write(two, b"2")
        double.until(lambda: double.received == b"12")
        double.send(b"x")
        expect(two, b"x")
    double.until(lambda: double.look()["used"] == [True, False])


def test_exclusive_use_keeps_others_out(double: CuseDouble) -> None:
    os.chmod(NAME, 0o666)
    with descriptor() as fd:
        fcntl.ioctl(fd, TIOCEXCL)
        assert _open_as_nobody() == errno.EBUSY
        with descriptor():  # root may, as with every terminal
            pass
    assert _open_as_nobody() == 0
    double.until(lambda: double.look()["used"][-1] is False)


def _open_as_nobody() -> int:
    """Return the error number of opening the device as another user, 0 for none."""
    child = os.fork()
    if child == 0:
        status = 0
        try:
            os.setuid(65534)
            os.close(os.open(NAME, NONBLOCKING))
        except OSError as error:
            status = error.errno
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_opening_waits_for_the_carrier_and_its_loss_hangs_up(double: CuseDouble) -> None:
    with descriptor(NONBLOCKING) as fd:
        change(fd, cflag=lambda f: f & ~termios.CLOCAL)
    child = Child(
        "print('ready', flush=True)\n"
        "fd = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)\n"
        "print('open', flush=True)\n"
        "print('read', os.read(fd, 1), flush=True)\n"
        "try: os.write(fd, b'x')\n"
        "except OSError as error: print('error', error.errno, flush=True)\n",
        NAME,
    )
    double.until(lambda: double.look()["held"] == 1)
    assert double.outputs == (True, True)
    double.lines(dcd=True)
    assert child.line() == "open"
    double.until(lambda: double.look()["held"] == 1)
    double.lines()
    assert child.line() == "read b''"
    assert child.line() == f"error {errno.EIO}"
    assert child.ended() == 0
    assert double.look()["used"] == [True, False] * 2


def test_who_waits_to_open_can_be_killed(double: CuseDouble) -> None:
    with descriptor(NONBLOCKING) as fd:
        change(fd, cflag=lambda f: f & ~termios.CLOCAL)
    child = Child("print('ready', flush=True)\nos.open(sys.argv[1], os.O_RDWR)\n", NAME)
    double.until(lambda: double.look()["held"] == 1)
    child.process.kill()
    assert child.ended() == -signal.SIGKILL
    double.until(lambda: double.look()["held"] == 0)
    assert double.look()["used"] == [True, False] * 2


def test_who_waits_to_read_can_be_killed(double: CuseDouble) -> None:
    child = Child(READ, NAME)
    double.until(lambda: double.look()["held"] == 1)
    child.process.kill()
    assert child.ended() == -signal.SIGKILL
    double.until(lambda: double.look()["used"] == [True, False])


# --- the end of the port --------------------------------------------------------------------------


def test_the_end_of_the_port_ends_what_waits() -> None:
    with CuseDouble(NAME) as double:
        child = Child(READ, NAME)
        double.until(lambda: double.look()["held"] == 1)
    assert child.line() == f"error {errno.EIO}"
    assert child.ended() == 0
    assert not os.path.lexists(NAME)


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
def test_a_killed_port_leaves_nothing_that_hangs(stopped: bool) -> None:
    double = CuseDouble(NAME)
    double.__enter__()
    child = Child(READ, NAME)
    double.until(lambda: double.look()["held"] == 1)
    if stopped:
        double.signal(signal.SIGSTOP)
        child.process.kill()  # it has asked already, and waits for the answer
    double.signal(signal.SIGKILL)
    if not stopped:
        assert child.line().startswith("error")
    child.ended()
    double.end()
    deadline = time.monotonic() + LIMIT
    while os.path.lexists(NAME):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    with CuseDouble(NAME), opened() as port:
        assert port.fd


def test_a_port_that_the_kernel_removes_is_lost(double: CuseDouble) -> None:
    Path("/sys/fs/fuse/connections").mkdir(exist_ok=True)
    found = Path("/sys/class/cuse/ttyFAR0/abort")
    found.write_text("1")
    double.until(lambda: double.look()["lost"])
    assert "gone" in double.look()["lost"][0]


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ttyFAR1", "/dev/serial/plant/COM7"])
def test_any_name_in_dev(name: str) -> None:
    with CuseDouble(name, group="daemon", mode=0o640) as double:
        assert double.path == os.path.join("/dev", name)
        found = os.stat(double.path)
        assert stat.S_ISCHR(found.st_mode)
        assert stat.S_IMODE(found.st_mode) == 0o640
        with opened(double.path) as port:
            assert os.ttyname(port.fd) == double.path
            port.write(b"x")
            double.until(lambda double=double: double.received == b"x")
    assert not os.path.lexists(double.path)


def test_a_name_that_is_taken_is_refused(double: CuseDouble) -> None:
    for name in (NAME, "/dev/ttyS3", "/dev/null"):
        with pytest.raises(Refused, match="PortBusy"), CuseDouble(name):
            pass
    with opened() as port:  # the first one is unharmed
        port.write(b"x")
        double.until(lambda: double.received == b"x")


def test_a_name_elsewhere_leads_to_the_device(tmp_path: Path) -> None:
    for _ in range(2):  # the second takes over what the first has left
        double = CuseDouble(str(tmp_path / "plc"))
        double.__enter__()
        assert os.readlink(double.path) == "/dev/portline/tty0"
        with opened(double.path) as port:
            port.write(b"x")
            double.until(lambda double=double: double.received == b"x")
        double.signal(signal.SIGKILL)
        double.end()
        assert os.path.lexists(double.path)


def test_lying_over_a_device() -> None:
    target = "/dev/ttyS3"
    before = os.stat(target).st_rdev
    for ending in (signal.SIGKILL, None):
        double = CuseDouble(target, overlap=True)
        double.__enter__()
        with opened(target) as port:
            double.send(b"over it")
            assert port.read(7) == b"over it"
            assert os.stat(target).st_rdev != before
        if ending is None:
            double.__exit__()
        else:
            double.signal(ending)
            double.end()
    assert os.stat(target).st_rdev == before


# --- programs -------------------------------------------------------------------------------------


def _run_over(names: list[str], *words: str, **more: Any) -> subprocess.Popen[bytes]:
    fd = os.open(names[0], BLOCKING)
    try:
        return subprocess.Popen(words, stdin=fd, stdout=fd, stderr=subprocess.DEVNULL, **more)
    finally:
        os.close(fd)


def test_sz_and_rz_over_two_of_them(tmp_path: Path) -> None:
    sz, rz = program("sz"), program("rz")
    data = os.urandom(20_000)
    (tmp_path / "sent").write_bytes(data)
    (tmp_path / "there").mkdir()
    with _cable("/dev/ttyFAR1", "/dev/ttyFAR2"):
        receiving = _run_over(["/dev/ttyFAR2"], rz, "-q", cwd=tmp_path / "there")
        sending = _run_over(["/dev/ttyFAR1"], sz, "-q", str(tmp_path / "sent"))
        for process in (sending, receiving):
            assert process.wait(3 * LIMIT) == 0
    assert (tmp_path / "there/sent").read_bytes() == data


CABLE = """
import asyncio, sys
from portline.port.cuse.port import CusePort
class End:
    def port_data(self, data): self.other.write(data)
    def port_drain(self, done): done()
    def __getattr__(self, name): return lambda *a: None
async def main():
    ends = [End(), End()]
    loop = asyncio.get_running_loop()
    ports = [CusePort(n, owner=e, loop=loop) for n, e in zip(sys.argv[1:], ends)]
    ends[0].other, ends[1].other = ports[1], ports[0]
    for port in ports: port.open()
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for port in ports: port.close()
asyncio.run(main())
"""


@contextlib.contextmanager
def _cable(*names: str) -> Iterator[None]:
    """Have two ports, wired to each other, in a process of their own."""
    process = subprocess.Popen(
        [sys.executable, "-c", CABLE, *names], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"ready\n"
        yield
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(2 * LIMIT)
