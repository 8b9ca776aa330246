"""Programs that know only a serial port, on one that is somewhere else.

The way is: program, virtual port, client, server, device; what plays the device is on its master.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from tests.interop.device import PATIENCE
from tests.interop.pair import Client, eventually, open_port
from tests.interop.server import SUT, free_port
from tests.interop.test_programs import join
from tests.waiting import IN_LAB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.interop.device import Device
    from tests.interop.server import Server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(SUT != "portline", reason="the client is Portline's"),
]

PROTOCOLS = ["raw", "rfc2217"]


@pytest.fixture(params=PROTOCOLS)
def pair(
    request: pytest.FixtureRequest,
    share: Callable[..., Server],
    attach: Callable[..., Client],
) -> Client:
    """A client that is connected; its port is the far end of the device."""
    server = share(request.param)
    # In the lab the port is a USB adapter.  The driver of the default one forgets a change of flow
    # control that it is not answered within 0.1 s, which are some milliseconds of a true machine.
    client = attach(server.port, request.param, *(("--adapter", "ftdi") if IN_LAB else ()))
    client.connected()
    return client


# --- a file by ZMODEM ----------------------------------------------------------------------------


@contextlib.contextmanager
def played(device: Device, command: list[str], cwd: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program that plays the device, by its standard input and output."""
    remote, local = socket.socketpair()
    pump = threading.Thread(target=join, args=(device, local), daemon=True)
    pump.start()
    process = subprocess.Popen(
        command, stdin=remote, stdout=remote, stderr=subprocess.DEVNULL, cwd=cwd
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        remote.close()
        pump.join(PATIENCE)
        local.close()


@pytest.mark.parametrize(
    "size",
    [2_000_000, pytest.param(10_000_000, marks=[pytest.mark.slow, pytest.mark.timeout(120)])],
)
@pytest.mark.parametrize("way", ["to the device", "from the device"])
def test_a_file_by_zmodem(
    device: Device,
    pair: Client,
    require: Callable[[str], str],
    tmp_path: Path,
    way: str,
    size: int,
) -> None:
    content = os.urandom(size - 20_000) + b"\xff" * 15_000 + b"\r\0\r\n\x11\x13\x18" * 714
    content += b"." * (size - len(content))
    (tmp_path / "sent.bin").write_bytes(content)
    (tmp_path / "received").mkdir()
    arrived = tmp_path / "received" / "sent.bin"
    giving = [require("sz"), "--binary", "--quiet", str(tmp_path / "sent.bin")]
    getting = [require("rz"), "--binary", "--overwrite", "--quiet"]
    here, there = (giving, getting) if way == "to the device" else (getting, giving)
    port = open_port(pair.path)
    try:
        with played(device, there, tmp_path / "received") as far:
            near = subprocess.Popen(
                here,
                stdin=port,
                stdout=port,
                stderr=subprocess.DEVNULL,
                cwd=tmp_path / "received",
            )
            try:
                # sz flushes its pty as it ends, and may so take back its last word, for which rz
                # waits half a minute: what counts is that sz was told that all of it arrived.
                assert (near if here is giving else far).wait(90) == 0
                eventually(lambda: arrived.stat().st_size == size, "the file is not complete")
            finally:
                near.kill()
                near.wait()
    finally:
        os.close(port)
    assert arrived.read_bytes() == content


# --- Modbus RTU ----------------------------------------------------------------------------------


def crc(data: bytes) -> bytes:
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value.to_bytes(2, "little")


class ModbusSlave(threading.Thread):
    """Slave 17 with 100 holding registers, played on a device's master until it is unplugged."""

    def __init__(self, device: Device) -> None:
        super().__init__(daemon=True)
        self.device = device
        self.registers = list(range(1000, 1100))
        self.answered = 0
        self.stopping = False
        self.faults: list[bytes] = []
        self.speeds: set[int] = set()
        """What was in force at the device when it was asked."""

    def run(self) -> None:
        frame = b""
        while not self.stopping:
            frame += self.device.read(1, 0.1)
            if len(frame) < 8 or (frame[1] == 16 and len(frame) < 9 + frame[6]):
                continue
            self.speeds.add(self.device.in_force().baudrate)
            if crc(frame[:-2]) != frame[-2:]:
                self.faults.append(frame)
            elif answer := self.answer(frame):
                self.device.write(answer + crc(answer))
                self.answered += 1
            frame = b""

    def answer(self, frame: bytes) -> bytes:
        first, count = (int.from_bytes(frame[at : at + 2], "big") for at in (2, 4))
        match frame[1]:
            case 3:
                values = self.registers[first : first + count]
                body = b"".join(value.to_bytes(2, "big") for value in values)
                return frame[:2] + bytes((len(body),)) + body
            case 6:
                self.registers[first] = count
                return frame[:6]
            case 16:
                for place in range(count):
                    at = 7 + 2 * place
                    self.registers[first + place] = int.from_bytes(frame[at : at + 2], "big")
                return frame[:6]
            case _:
                return b""


@contextlib.contextmanager
def modbus_slave(device: Device) -> Iterator[ModbusSlave]:
    slave = ModbusSlave(device)
    slave.start()
    try:
        yield slave
    finally:
        slave.stopping = True
        slave.join(PATIENCE)


def test_modbus_rtu_by_mbpoll(device: Device, pair: Client, require: Callable[[str], str]) -> None:
    mbpoll = require("mbpoll")

    def poll(*words: str) -> str:
        common = ["-m", "rtu", "-a", "17", "-b", "19200", "-P", "none", "-t", "4", "-1", "-o", "5"]
        ended = subprocess.run(
            [mbpoll, *common, *words[:-1], str(pair.path), *words[-1].split()],
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    with modbus_slave(device) as slave:
        shown = poll("-r", "1", "-c", "50", "")
        assert re.findall(r"\[(\d+)\]:\s+(\d+)", shown) == [
            (str(n), str(999 + n)) for n in range(1, 51)
        ]
        for turn in range(8):
            poll("-r", "20", f"{turn} {turn + 1} 65535")
            assert slave.registers[19:22] == [turn, turn + 1, 65535]
            assert f"[20]: \t{turn}\n" in poll("-r", "20", "-c", "3", "")
    assert slave.answered == 17
    # Each run ends by putting back what it has found.
    assert slave.speeds == {19200 if pair.asked_for_settings else 9600}
    assert not slave.faults


# --- a terminal ----------------------------------------------------------------------------------


def test_picocom_in_tmux(device: Device, pair: Client, require: Callable[[str], str]) -> None:
    tmux, picocom = require("tmux"), require("picocom")
    with TemporaryDirectory(prefix="tmux-") as folder:

        def tell(*words: str) -> str:
            return subprocess.run(
                [tmux, "-S", f"{folder}/socket", "-f", "/dev/null", *words],
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=True,
                env=os.environ | {"TERM": "dumb"},
            ).stdout

        def shows(text: str) -> bool:
            return text in tell("capture-pane", "-p")

        words = [picocom, "--noreset", "--nolock", "-b", "57600", "-f", "n", str(pair.path)]
        tell("new-session", "-d", "-x", "100", "-y", "30", *words)
        try:
            eventually(lambda: shows("Terminal ready"), "picocom does not start")
            tell("send-keys", "root", "Enter")
            assert device.read(5) == b"root\r"
            device.write(b"Password: ")
            eventually(lambda: shows("Password:"), "picocom shows nothing")
            if pair.asked_for_settings:
                assert device.in_force().baudrate == 57600
            tell("send-keys", "C-a", "C-u")  # the next higher baudrate
            eventually(lambda: shows("115200"), "picocom does not change its baudrate")
            if pair.asked_for_settings:
                eventually(lambda: device.in_force().baudrate == 115200, "the device does not")
            tell("send-keys", "secret", "Enter")
            assert device.read(7) == b"secret\r"
        finally:
            tell("kill-server")


# --- PPP -----------------------------------------------------------------------------------------

OURS, THEIRS = "192.0.2.1", "192.0.2.2"  # TEST-NET-1 (RFC 5737), each in a namespace of its own


@pytest.mark.lab
def test_a_link_by_ppp_pings(
    device: Device, pair: Client, require: Callable[[str], str], tmp_path: Path
) -> None:
    pppd, unshare, ping = require("pppd"), require("unshare"), require("ping")
    common = ["nodetach", "local", "noauth", "nolock", "nodefaultroute", "noipv6", "debug"]
    logs = {name: tmp_path / f"{name}.log" for name in ("near", "far")}
    far_words = [unshare, "--net", pppd, "notty", *common, "logfile", str(logs["far"])]
    near_words = [pppd, str(pair.path), "115200", "nocrtscts", *common]
    near_words += ["logfile", str(logs["near"]), f"{OURS}:{THEIRS}"]
    script = (
        '"$@" & link=$!; for turn in $(seq 60); do '
        f"{ping} -c 1 -W 1 {THEIRS} && break; sleep 0.5; done; "
        f"{ping} -c 5 -i 0.2 -s 1400 {THEIRS}; code=$?; kill $link; wait $link; exit $code"
    )
    with played(device, [*far_words, f"{THEIRS}:{OURS}"], tmp_path):
        ended = subprocess.run(
            [unshare, "--net", "sh", "-c", script, "sh", *near_words],
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
    said = [log.read_text() for log in logs.values() if log.exists()]
    # A frame that is lost again and again has a character that flow control takes for its own.
    said += [str(device.in_force()), pair.errors()]
    assert ended.returncode == 0, "\n".join([ended.stdout, ended.stderr, *said])


# --- GPS -----------------------------------------------------------------------------------------


def sentence(text: str) -> bytes:
    check = 0
    for byte in text.encode():
        check ^= byte
    return f"${text}*{check:02X}\r\n".encode()


def fix(second: int) -> bytes:
    """Return what a receiver says each second."""
    at = f"12{second // 60 % 60:02}{second % 60:02}.00"
    return sentence(f"GPGGA,{at},4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,") + sentence(
        f"GPRMC,{at},A,4807.038,N,01131.000,E,022.4,084.4,230326,003.1,W"
    )


def test_gpsd_reads_nmea(
    device: Device, pair: Client, require: Callable[[str], str], tmp_path: Path
) -> None:
    gpsd = require("gpsd")
    port = free_port()
    stopping = threading.Event()

    def receiver() -> None:
        second = 0
        while not stopping.wait(0.05):
            with contextlib.suppress(AssertionError):  # gpsd may take a while to read
                device.write(fix(second), 1.0)
            second += 1

    playing = threading.Thread(target=receiver, daemon=True)
    playing.start()
    daemon = subprocess.Popen(
        [gpsd, "-N", "-n", "-S", str(port), str(pair.path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        position = watch(port)
        assert position["lat"] == pytest.approx(48 + 7.038 / 60)
        assert position["lon"] == pytest.approx(11 + 31.0 / 60)
    finally:
        daemon.terminate()
        daemon.wait(PATIENCE)
        stopping.set()
        playing.join(PATIENCE)


def watch(port: int) -> dict[str, float]:
    """Return the first position that gpsd tells."""
    end = time.monotonic() + 2 * PATIENCE
    while True:
        try:
            peer = socket.create_connection(("127.0.0.1", port), PATIENCE)
            break
        except OSError:
            assert time.monotonic() < end, "gpsd does not listen"
            time.sleep(0.05)
    with peer, peer.makefile("rw") as lines:
        lines.write('?WATCH={"enable":true,"json":true};\n')
        lines.flush()
        heard = []
        for line in lines:
            heard.append(line)
            report = json.loads(line)
            if report["class"] == "TPV" and "lat" in report:
                return report
            assert time.monotonic() < end, heard
    raise AssertionError(heard)
