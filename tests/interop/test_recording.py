"""``portline monitor``, ``record`` and ``replay`` with real processes; Wireshark reads the file."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from portline.recording.record import Kind, Record, Source
from tests.interop.device import PATIENCE
from tests.interop.server import DEVELOPER_MODE, SUT, run_portline

if TYPE_CHECKING:
    from tests.interop.device import Device
    from tests.interop.server import Server

pytestmark = [
    pytest.mark.skipif(SUT != "portline", reason="it is about Portline's own commands"),
    pytest.mark.slow,  # quick ones are in tests/unit/control and tests/unit/cli
    pytest.mark.usefixtures("sockets"),
]


class Watching:
    """A command that watches, from when it does on; ``end`` is Ctrl-C."""

    def __init__(self, *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *DEVELOPER_MODE, "-m", "portline", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._told = b""

    def __enter__(self) -> Watching:
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def begins(self, connection: str = "meter") -> None:
        """Wait until the connection knows that it is watched."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            _, text = run_portline("status", "--json", connection)
            if json.loads(text)[0]["connections"][0]["counters"]["watchers"]:
                return
        raise AssertionError("nobody watches")

    def tells(self, wanted: str) -> None:
        """Wait until it has written a line with ``wanted``: what passes is told in its own time."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._told += line
            if wanted.encode() in line:
                return
        raise AssertionError(f"{wanted} is not told: {self._told!r}")

    def end(self, how: int = signal.SIGINT) -> tuple[bytes, str]:
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.process.send_signal(how)
        out = self._told + self.process.stdout.read()
        err = self.process.stderr.read()
        assert self.process.wait(PATIENCE) == 0, err
        return out, err.decode()


def exchange(server: Server, device: Device) -> None:
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as peer:
        peer.sendall(b"*IDN?\n")
        assert device.read(6) == b"*IDN?\n"
        device.write(b"an answer\n")
        heard = b""
        while len(heard) < 10:
            heard += peer.recv(100)


def test_what_passes_is_seen(device: Device, share: Callable[..., Server]) -> None:
    server = share("raw", "--name", "meter")
    with Watching("monitor", "meter", "--json") as seen:
        seen.begins()
        exchange(server, device)
        seen.tells(Kind.DISCONNECTED.value)
        out, err = seen.end()
    assert err == ""
    records = [Record.of(json.loads(line)) for line in out.splitlines()]
    assert next(r.kind for r in records if r.kind is not Kind.DATA) is Kind.CONNECTED
    for source, data in ((Source.PEER, b"*IDN?\n"), (Source.PORT, b"an answer\n")):
        assert b"".join(r.data for r in records if r.source is source) == data
    assert [record.at for record in records] == sorted(record.at for record in records)


def test_wireshark_opens_what_was_recorded_and_it_can_be_played(
    device: Device,
    share: Callable[..., Server],
    require: Callable[[str], str],
    tmp_path: Path,
) -> None:
    tshark = require("tshark")
    server = share("raw", "--name", "meter")
    path = tmp_path / "meter.pcapng"
    with Watching("record", "meter", str(path)) as recording:
        recording.begins()
        exchange(server, device)
        end = time.monotonic() + PATIENCE
        while b"an answer\n" not in path.read_bytes():
            assert time.monotonic() < end, "it is not recorded"
            time.sleep(0.01)
        out, _ = recording.end(signal.SIGTERM)
    assert b"10 bytes from the port, 6 bytes to it" in out
    fields = ("rtacser.eventtype", "frame.interface_name", "data.data")
    found = subprocess.run(
        [tshark, "-r", path, "-T", "fields", *(word for f in fields for word in ("-e", f))],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    rows = [line.split("\t") for line in found.stdout.splitlines()]
    assert {row[1] for row in rows} == {"meter"}
    data = {
        event: bytes.fromhex("".join(row[2] for row in rows if int(row[0], 0) == event))
        for event in (1, 2)
    }
    assert data == {1: b"*IDN?\n", 2: b"an answer\n"}
    assert int(rows[-1][0], 0) == 6
    address = f"raw://127.0.0.1:{server.port}"
    code, text = run_portline("replay", str(path), address, "--from", "peers", "--fast")
    assert (code, "played 6 bytes in 1 piece" in text) == (0, True), text
    assert device.read(6) == b"*IDN?\n"


def test_a_monitor_that_stands_still_holds_nobody_up(
    device: Device, share: Callable[..., Server]
) -> None:
    server = share("raw", "--name", "meter")
    with Watching("monitor", "meter", "--json") as seen:
        seen.begins()
        seen.process.send_signal(signal.SIGSTOP)
        sent = 0
        with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as peer:
            for _ in range(120):
                device.write(bytes(32768))
                sent += 32768
                left = 32768
                while left:
                    left -= len(peer.recv(left))
        seen.process.send_signal(signal.SIGCONT)
        records: list[Record] = []

        def read_until(kind: Kind, data: bytes = b"") -> None:
            assert seen.process.stdout is not None
            while (
                not records or records[-1].kind is not kind or not records[-1].data.endswith(data)
            ):
                records.append(Record.of(json.loads(seen.process.stdout.readline())))

        read_until(Kind.SKIPPED)
        device.write(b"the end")
        sent += 7
        read_until(Kind.DATA, b"d")
        seen.end()
    skipped = [int(str(r.value["bytes"])) for r in records if r.kind is Kind.SKIPPED]
    assert sum(skipped) > 0
    assert sum(len(record.data) for record in records) + sum(skipped) == sent


def test_into_a_pipe_that_closes(device: Device, share: Callable[..., Server]) -> None:
    share("raw", "--name", "meter")
    with Watching("monitor", "meter", "--hex") as seen:
        seen.begins()
        assert seen.process.stdout is not None
        device.write(b"x" * 16)
        assert b"78 78" in seen.process.stdout.readline()
        seen.process.stdout.close()
        seen.process.stdout = None
        device.write(b"x" * 64)
        _, err = seen.process.communicate(timeout=PATIENCE)
    assert seen.process.returncode == 0
    assert b"Error" not in err
