"""Programs that know nothing of Portline, on the rungs of the ladder, in front of one device.

On a machine: a pseudo terminal, and the same under ``portline run``.  In the lab: USB/IP, a true
terminal of the kernel; and CUSE, where PORTLINE_LAB_LONG asks for it.  More programs on pseudo
terminals: test_pair_programs.py.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
import tty
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from portline.line import LineSettings, Parity, StopBits
from tests.interop.bootloaders import Esp32, Stk500
from tests.interop.conftest import lacking
from tests.interop.device import PATIENCE
from tests.interop.fetched import fetched, pip
from tests.interop.rung import RUNGS, Rung
from tests.interop.server import SUT, _environment, free_port
from tests.interop.test_programs import running, shows
from tests.waiting import IN_LAB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(SUT != "portline", reason="these are ports of Portline"),
    pytest.mark.parametrize("made_rung", RUNGS, indirect=True),
]

EVEN = LineSettings(19200, 7, Parity.EVEN, StopBits.TWO)


def run(rung: Rung, *words: str, code: int | None = 0) -> str:
    """Run a program on the rung until it ends; return all that it wrote."""
    ended = subprocess.run(
        [*rung.prefix, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=_environment() | {"HOME": "/nonexistent"},
        timeout=2 * PATIENCE,
        check=False,
    )
    said = ended.stdout.decode("utf-8", "replace")
    assert code in (None, ended.returncode), f"{ended.returncode}: {said} {rung!r}"
    return said


def wanted(rung: Rung, settings: LineSettings) -> None:
    """Wait until the device has these settings, of which a pseudo terminal has not all."""
    if rung.whole:
        rung.until(lambda: rung.settings == settings, f"the device has not {settings}")
    else:
        rung.until(lambda: rung.settings.baudrate == settings.baudrate)


def talk(rung: Rung, terminal: int) -> None:
    """Type something to the device, and have it answer."""
    os.write(terminal, b"root")
    rung.until(lambda: b"root" in rung.received, "nothing arrives")
    rung.send(b"Password: ")
    assert b"Password: " in shows(terminal, b"Password: ")


# --- settings and terminals -----------------------------------------------------------------------


def test_stty(rung: Rung, require: Callable[[str], str]) -> None:
    stty = [require("stty"), "-F", rung.path]
    run(rung, *stty, "19200", "cs7", "parenb", "-parodd", "cstopb", "raw", "-crtscts", code=None)
    run(rung, *stty, "19200", "cs7", "parenb", "cstopb", code=0 if rung.whole else 1)
    wanted(rung, EVEN)
    if rung.whole:
        assert {"19200", "cs7", "parenb", "cstopb"} <= set(run(rung, *stty, "-a").split())
    run(rung, *stty, "9600", "cs8", "-parenb", "-cstopb")
    wanted(rung, LineSettings(9600))


def test_picocom(rung: Rung, require: Callable[[str], str]) -> None:
    command = [require("picocom"), "--nolock", "-b", "19200", rung.path]
    command += ["-d", "7", "-y", "e", "-p", "2"] if rung.whole else []
    with running([*rung.prefix, *command]) as (process, terminal):
        assert b"Terminal ready" in shows(terminal, b"Terminal ready")
        wanted(rung, EVEN)
        talk(rung, terminal)
        if rung.whole:
            before = rung.breaks
            os.write(terminal, b"\x01\x14")  # C-a C-t: toggle DTR
            rung.until(lambda: rung.driven[-1] == (False, True), "DTR does not fall")
            os.write(terminal, b"\x01\x07")  # C-a C-g: toggle RTS
            rung.until(lambda: rung.driven[-1] == (False, False), "RTS does not fall")
            os.write(terminal, b"\x01\x1c")  # C-a C-\: break
            rung.until(lambda: rung.breaks > before, "no break comes")
            os.write(terminal, b"\x01\x16")  # C-a C-v: show the settings and the lines
            assert b"mctl" in shows(terminal, b"mctl")
        os.write(terminal, b"\x01\x18")  # C-a C-x
        assert process.wait(PATIENCE) == 0


def test_tio(rung: Rung, require: Callable[[str], str]) -> None:
    command = [require("tio"), "-n", "-b", "19200"]
    command += ["-d", "7", "-p", "even", "-s", "2"] if rung.whole else []
    with running([*rung.prefix, *command, rung.path]) as (process, terminal):
        assert b"Connected" in shows(terminal, b"Connected")
        wanted(rung, EVEN)
        talk(rung, terminal)
        if rung.whole:
            before = rung.breaks
            os.write(terminal, b"\x14b")  # C-t b: break
            rung.until(lambda: rung.breaks > before, "no break comes")
            os.write(terminal, b"\x14L")  # C-t L: show the lines
            assert b"CTS: HIGH" in shows(terminal, b"RI ")
        os.write(terminal, b"\x14q")
        assert process.wait(PATIENCE) == 0


def test_minicom(rung: Rung, require: Callable[[str], str], tmp_path: Path) -> None:
    command = [require("minicom"), "-o", "-D", rung.path, "-b", "19200"]
    command = ["env", "TERM=vt100", f"HOME={tmp_path}", "LC_ALL=C", *command]
    command += ["-7"] if rung.whole else []
    with running([*rung.prefix, *command]) as (process, terminal):
        assert b"Welcome" in shows(terminal, b"Press CTRL-A Z")
        rung.until(lambda: rung.settings.baudrate == 19200, "minicom sets no rate")
        talk(rung, terminal)
        if rung.whole:
            before = rung.breaks
            os.write(terminal, b"\x01f")  # C-a f: break
            rung.until(lambda: rung.breaks > before, "no break comes")
        os.write(terminal, b"\x01q")
        shows(terminal, b"eave")
        os.write(terminal, b"\r")
        assert process.wait(PATIENCE) == 0


def test_kermit(rung: Rung, require: Callable[[str], str]) -> None:
    speak = "output hello\\13, input 20 world, if fail exit 9, exit 0"
    with rung.playing(lambda data: b"world\r\n" if b"\r" in data else b""):
        run(
            rung,
            *(require("kermit"), "-Y", "-C"),
            f"set carrier-watch off, set flow none, set line {rung.path}, if fail exit 8,"
            f"set speed 19200, {speak}",
        )
    rung.until(lambda: rung.settings.baudrate == 19200, "kermit sets no rate")


def test_setserial(rung: Rung, require: Callable[[str], str]) -> None:
    """It asks for what a UART has: a true terminal answers, the others refuse as any pty does."""
    said = run(rung, require("setserial"), "-g", rung.path, code=None)
    if rung.kind in ("usbip", "cuse"):
        assert f"{rung.path}, UART:" in said
    else:
        assert "Inappropriate ioctl" in said


# --- protocols ------------------------------------------------------------------------------------


def test_mbpoll(rung: Rung, require: Callable[[str], str]) -> None:
    from tests.interop.test_pair_programs import crc

    registers = list(range(1000, 1020))
    kept = bytearray()
    settings: set[LineSettings] = set()

    def slave(data: bytes) -> bytes:
        kept.extend(data)
        if len(kept) < 8 or (kept[1] == 16 and len(kept) < 9 + kept[6]):
            return b""
        settings.add(rung.settings)
        frame = bytes(kept)
        kept.clear()
        assert crc(frame[:-2]) == frame[-2:]
        first, count = (int.from_bytes(frame[at : at + 2], "big") for at in (2, 4))
        if frame[1] == 3:
            values = b"".join(value.to_bytes(2, "big") for value in registers[first:][:count])
            answer = frame[:2] + bytes((len(values),)) + values
        else:
            registers[first] = count
            answer = frame[:6]
        return answer + crc(answer)

    parity = "even" if rung.whole else "none"
    words = [require("mbpoll"), "-m", "rtu", "-a", "17", "-b", "19200", "-P", parity, "-t", "4"]
    words += ["-1", "-o", "5", "-r", "1"]
    with rung.playing(slave):
        shown = run(rung, *words, "-c", "10", rung.path)
        run(rung, *words, rung.path, "4711")
    assert re.findall(r"\[(\d+)\]:\s+(\d+)", shown) == [
        (str(n), str(999 + n)) for n in range(1, 11)
    ]
    assert registers[0] == 4711
    if rung.whole:
        assert settings == {LineSettings(19200, 8, Parity.EVEN)}


def test_gpsd(rung: Rung, require: Callable[[str], str]) -> None:
    from tests.interop.test_pair_programs import fix, watch

    port = free_port()
    stopping = threading.Event()

    def receiver() -> None:
        second = 0
        while not stopping.wait(0.1):
            rung.send(fix(second))
            second += 1

    sky = threading.Thread(target=receiver, daemon=True)
    sky.start()
    daemon = subprocess.Popen(
        [*rung.prefix, require("gpsd"), "-N", "-n", "-S", str(port), rung.path],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=_environment(),
    )
    try:
        position = watch(port)
        assert position["lat"] == pytest.approx(48 + 7.038 / 60)
    finally:
        daemon.terminate()
        try:
            daemon.wait(PATIENCE)
        finally:
            daemon.kill()
            daemon.wait()
            stopping.set()
            sky.join(PATIENCE)


@pytest.mark.parametrize("way", ["to the device", "from the device"])
def test_zmodem(rung: Rung, require: Callable[[str], str], tmp_path: Path, way: str) -> None:
    size = 20_000 if IN_LAB else 200_000
    content = os.urandom(size) + b"\xff" * 500 + bytes(range(256))
    (tmp_path / "sent.bin").write_bytes(content)
    (tmp_path / "received").mkdir()
    run(rung, require("stty"), "-F", rung.path, "raw", "-echo", "115200")
    giving = [require("sz"), "--binary", "--quiet", str(tmp_path / "sent.bin")]
    getting = [require("rz"), "--binary", "--overwrite", "--quiet"]
    here, there = (giving, getting) if way == "to the device" else (getting, giving)
    with open(rung.path, "r+b", buffering=0) as port, far_program(rung, there, tmp_path) as far:
        near = subprocess.Popen(
            [*rung.prefix, *here],
            stdin=port,
            stdout=port,
            stderr=subprocess.DEVNULL,
            cwd=tmp_path / "received",
            env=_environment(),
        )
        try:
            assert (near if here is giving else far).wait(2 * PATIENCE) == 0
            arrived = tmp_path / "received" / "sent.bin"
            rung.until(lambda: arrived.stat().st_size == len(content), "the file is not complete")
        finally:
            near.kill()
            near.wait()
    assert arrived.read_bytes() == content


@pytest.mark.parametrize("way", ["to the device", "from the device"])
def test_kermit_transfer(
    rung: Rung, require: Callable[[str], str], tmp_path: Path, way: str
) -> None:
    content = os.urandom(3_000 if IN_LAB else 50_000) + b"\xff\x11\x13\x18\x01#" * 20
    content += bytes(range(256))
    (tmp_path / "sent.bin").write_bytes(content)
    (tmp_path / "received").mkdir()
    kermit = require("kermit")
    give, get = f"send {tmp_path / 'sent.bin'}", "receive"
    here, there = (give, get) if way == "to the device" else (get, give)
    common = "set file type binary, set delay 0, set transfer display none"
    # It wants a terminal of its own.
    far = [require("setsid"), "--ctty", kermit, "-Y", "-C", f"{common}, {there}, exit"]
    with far_program(rung, far, tmp_path, terminal=True):
        near = subprocess.run(
            [
                *(*rung.prefix, kermit, "-Y", "-C"),
                f"{common}, set carrier-watch off, set flow none, set line {rung.path},"
                f"if fail exit 8, set speed 57600, {here}, if fail exit 9, exit 0",
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd=tmp_path / "received",
            env=_environment() | {"HOME": "/nonexistent"},
            timeout=3 * PATIENCE,
            check=False,
        )
        assert near.returncode == 0, near.stdout
        arrived = tmp_path / "received" / "sent.bin"
        rung.until(lambda: arrived.exists() and arrived.stat().st_size == len(content))
    assert arrived.read_bytes() == content


@contextlib.contextmanager
def far_program(
    rung: Rung, command: list[str], folder: Path, *, terminal: bool = False
) -> Iterator[subprocess.Popen[bytes]]:
    """A program that plays the device, by its standard input and output."""
    if terminal:
        near, far = os.openpty()
        tty.setraw(far)
    else:
        near, far = (end.detach() for end in socket.socketpair())

    def pump() -> None:
        with contextlib.suppress(OSError):  # EIO, or closed: the program has ended
            while data := os.read(near, 1024):
                rung.send(data)

    def play(data: bytes) -> bytes:
        with contextlib.suppress(OSError):  # it has heard enough
            while data:
                data = data[os.write(near, data) :]
        return b""

    thread = threading.Thread(target=pump, daemon=True)
    thread.start()
    process = subprocess.Popen(
        command,
        stdin=far,
        stdout=far,
        stderr=subprocess.DEVNULL,
        cwd=folder / "received",
        env=_environment() | {"HOME": "/nonexistent"},
    )
    os.close(far)
    try:
        with rung.playing(play):
            yield process
    finally:
        process.kill()
        process.wait()
        thread.join(PATIENCE)
        os.close(near)


# --- boards ---------------------------------------------------------------------------------------


def test_avrdude(rung: Rung, require: Callable[[str], str], tmp_path: Path) -> None:
    board = Stk500()
    program = os.urandom(1000)
    rates = set()
    (tmp_path / "program.bin").write_bytes(program)

    def play(data: bytes) -> bytes:
        rates.add(rung.settings.baudrate)  # it puts back what it has found when it ends
        return board.play(data)

    with rung.playing(play):
        run(
            rung,
            *(require("avrdude"), "-p", "m328p", "-c", "arduino", "-P", rung.path, "-b", "115200"),
            *("-D", "-U", f"flash:w:{tmp_path}/program.bin:r"),
        )
    assert board.flash[:1000] == program
    assert rates == {115200}
    if rung.whole:  # the edge of DTR and RTS by which an Arduino is reset
        assert (False, False) in rung.driven
        assert (True, True) in rung.driven


@pytest.fixture(scope="session")
def esptool() -> list[str]:
    """How to run esptool, of a version whose ways are known."""
    name = "esptool-4.8.1"

    def fetch(folder: Path) -> Path:
        trouble = pip("install", "--target", str(folder / name), name.replace("-", "=="))
        if not (folder / name / "esptool").is_dir():
            lacking(f"{name} is not to be had: {trouble}")
        return folder / name

    return ["env", f"PYTHONPATH={fetched(name, fetch)}", sys.executable, "-m", "esptool"]


def test_esptool(rung: Rung, esptool: list[str], tmp_path: Path) -> None:
    """The reset that starts the loader needs the lines; a pseudo terminal has none."""
    board = Esp32()
    program = os.urandom(5000)
    (tmp_path / "program.bin").write_bytes(program)
    how = [] if rung.whole else ["--before", "no_reset", "--after", "no_reset"]
    with rung.playing(board.play):
        said = run(
            rung,
            *(*esptool, "--port", rung.path, "-b", "230400", "--no-stub", *how),
            *("write_flash", "-u", "0x1000", str(tmp_path / "program.bin")),
        )
    assert "Chip is ESP32" in said
    assert "Hash of data verified" in said
    assert board.flash[0x1000 : 0x1000 + 5000] == program
    assert board.asked_rates == [230400]
    if rung.whole:  # EN low, then IO0 low and EN high
        assert (True, False) in rung.driven[rung.driven.index((False, True)) :]
