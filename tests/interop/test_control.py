"""``portline status`` and ``portline reload`` with real processes."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest

from portline.config.models import ServerConnection, options
from portline.config.options import key_of
from tests.interop.device import PATIENCE
from tests.interop.server import SOURCE, SUT, Service, free_port, run_portline

if TYPE_CHECKING:
    from tests.interop.device import Device
    from tests.interop.server import Server

pytestmark = [
    pytest.mark.skipif(SUT != "portline", reason="it is about Portline's own commands"),
    pytest.mark.slow,  # quick ones are in tests/unit/control and tests/unit/cli
]


@pytest.fixture(autouse=True)
def sockets(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder in which the processes of this test put their sockets, and nobody else."""
    with TemporaryDirectory(prefix="ctl-") as folder:
        monkeypatch.setenv("RUNTIME_DIRECTORY", folder)
        yield Path(folder)


def snapshots(*words: str) -> list[Any]:
    """Return the connections of all processes."""
    code, text = run_portline("status", "--json", *words)
    assert code == 0, text
    return [connection for process in json.loads(text) for connection in process["connections"]]


def joined(lines: list[str]) -> list[str]:
    """Put lines together that go on below; the paths of tests are long."""
    return re.sub(r"\n {12}", " ", "\n".join(lines)).splitlines()


def eventually(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_nobody_is_running() -> None:
    for command, what in (("status", "Portline"), ("reload", "`portline serve`")):
        assert run_portline(command) == (
            1,
            f"portline: error: no {what} of this user is running\n",
        )


def test_what_a_connection_does_is_shown(
    device: Device, share: Callable[..., Server], sockets: Path
) -> None:
    server = share("raw", "--name", "meter", "--keepalive", "30", "--max-connections", "2")
    (path,) = sockets.iterdir()
    assert path.name == f"{server.process.pid}.sock"
    assert path.stat().st_mode & 0o777 == 0o600
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as peer:
        peer.sendall(b"*IDN?\r\n")
        assert device.read(7) == b"*IDN?\r\n"
        device.write(b"ACME,9000\r\n")
        assert peer.recv(100) == b"ACME,9000\r\n"
        name = "{}:{}".format(*peer.getsockname())
        code, text = run_portline("status")
        assert code == 0
        lines = text.splitlines()
        assert lines[0].startswith(f"portline share, pid {server.process.pid}, up for ")
        assert lines[1:3] == ["", "meter: connected"]
        assert f"  port      {device.path}, 9600-8N1, open" in joined(lines)
        assert f"  listens   127.0.0.1:{server.port} (raw)" in lines
        assert "  lines     none: the device has no signal lines" in lines
        assert any(line.startswith("  traffic   11 B from the port (") for line in lines)
        assert any(line.split()[:2] == [name, "raw"] for line in lines)
        assert lines[-1] == "  options   keepalive = 30s; max-connections = 2"
        assert max(len(line) for line in lines if str(device.path) not in line) <= 80

        (meter,) = snapshots()
        assert (meter["name"], meter["state"]) == ("meter", "connected")
        assert (meter["counters"]["heard"], meter["counters"]["spoken"]) == (11, 7)
        (shown,) = meter["peers"]
        assert (shown["address"], shown["received"], shown["sent"]) == (name, 7, 11)

        def moving() -> bool:
            peer.sendall(b"x")
            device.write(b"x")
            (now,) = snapshots()
            return bool(now["rates"]["heard"] > 0 and now["rates"]["spoken"] > 0)

        eventually(moving)


def test_every_option_has_its_value_in_force(share: Callable[..., Server]) -> None:
    share("raw", "--name", "meter", "--packet-delimiter", r"\r\n", "--buffer-size", "64KiB")
    code, text = run_portline("status", "meter")
    assert code == 0
    for field in options(ServerConnection):
        assert f"\n    {key_of(field)} " in text
    assert "\n    packet-delimiter     \\r\\n (default: none)\n" in text
    assert "\n    buffer-size          64KiB (default: 0)\n" in text
    assert "\n    strict-baudrate      - (does not apply to a real port)\n" in text
    assert "\n    notify               - (does not apply to protocol raw)\n" in text
    (meter,) = snapshots("meter")
    assert set(meter["options"]) == {key_of(field) for field in options(ServerConnection)}
    assert meter["options"]["packet-delimiter"] == ["\\r\\n"]
    assert meter["options"]["buffer-size"] == 65536


def test_several_processes(share: Callable[..., Server], tmp_path: Path, sockets: Path) -> None:
    first = share("raw", "--virtual", str(tmp_path / "ttyV0"), device="")
    second = share("rfc2217", "--virtual", str(tmp_path / "ttyV1"), "--name", "zwei", device="")
    assert {each["name"] for each in snapshots()} == {"ttyV0", "zwei"}
    (only,) = snapshots("zwei")
    assert only["places"] == [f"127.0.0.1:{second.port} (rfc2217)"]
    (only,) = snapshots("--socket", str(sockets / f"{first.process.pid}.sock"))
    assert only["name"] == "ttyV0"
    assert run_portline("status", "drei") == (
        1,
        "portline: error: there is no connection drei; there are: ttyV0, zwei\n",
    )
    with (tmp_path / "ttyV0").open("rb", buffering=0):
        text = run_portline("status", "ttyV0")[1]
        assert f"{tmp_path / 'ttyV0'}, virtual, " in joined(text.splitlines())[3]
        assert "an application has it open" in text
    assert run_portline("reload") == (
        1,
        "portline: error: no `portline serve` of this user is running\n",
    )


def test_the_socket_of_a_killed_process_disappears(
    share: Callable[..., Server], sockets: Path
) -> None:
    killed = share("raw")
    killed.process.kill()
    killed.process.wait()
    assert len(list(sockets.iterdir())) == 1
    assert run_portline("status")[0] == 1
    assert list(sockets.iterdir()) == []


def test_the_next_start_cleans_up_too(share: Callable[..., Server], sockets: Path) -> None:
    killed = share("raw")
    killed.process.kill()
    killed.process.wait()
    server = share("raw")
    assert [path.name for path in sockets.iterdir()] == [f"{server.process.pid}.sock"]
    server.stop()
    assert list(sockets.iterdir()) == []


def test_a_process_that_hangs_is_told_and_the_others_are_shown(
    share: Callable[..., Server], sockets: Path
) -> None:
    silent = sockets / "4194303.sock"
    with socket.socket(socket.AF_UNIX) as hung:
        hung.bind(str(silent))
        hung.listen()
        share("raw", "--name", "meter")
        command = [sys.executable, "-c", _IMPATIENT, "status"]
        ended = subprocess.run(
            command,
            env=os.environ | {"PYTHONPATH": str(SOURCE)},
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE,
            check=False,
        )
        assert ended.returncode == 1
        assert ended.stderr == f"portline: error: {silent}: no answer within 0.5 s\n"
        assert "\nmeter: listening\n" in ended.stdout


_IMPATIENT = """
from portline.control import client
client.TIME_LIMIT = 0.5
from portline.cli.app import main
main()
"""


def test_without_a_folder_the_data_flows(
    device: Device,
    share: Callable[..., Server],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/proc/none")
    server = share("raw")
    server.wait_errors("`portline status` will not find this process: /proc/none cannot be made")
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as peer:
        peer.sendall(b"x")
        assert device.read(1) == b"x"


def test_callers_that_misbehave_do_not_hold_the_data_up(
    device: Device, share: Callable[..., Server], sockets: Path
) -> None:
    server = share("raw")
    path = str(sockets / f"{server.process.pid}.sock")
    callers = []
    for number in range(40):
        caller = socket.socket(socket.AF_UNIX)
        caller.connect(path)
        words = [b"{", b"\n" * 1000, b"x" * 70000, b'{"portline":1,"operation":"status"}\n' * 500]
        caller.setblocking(False)
        with suppress(OSError):  # it was turned away
            caller.send(words[number % 4])
        callers.append(caller)
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as peer:
        for _ in range(20):
            peer.sendall(b"x")
            assert device.read(1) == b"x"
    for caller in callers:
        caller.close()
    eventually(lambda: run_portline("status")[0] == 0)


def test_serve_tells_its_file(tmp_path: Path, sockets: Path, device: Device) -> None:
    config = tmp_path / "portline.toml"
    config.write_text(
        f'[connections."Zähler 1"]\nport = "{device.path}"\nlisten = "127.0.0.1:0"\n',
        "utf-8",
    )
    server = subprocess.Popen(
        [sys.executable, "-m", "portline", "serve", "portline.toml"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: list(sockets.iterdir()))
        eventually(lambda: run_portline("status")[0] == 0)
        (process,) = json.loads(run_portline("status", "--json")[1])
        assert process["process"]["pid"] == server.pid
        assert process["process"]["command"] == "serve"
        assert process["process"]["file"] == str(config)
        assert "\nZähler 1: listening\n" in run_portline("status")[1]
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(PATIENCE) == 0
    assert list(sockets.iterdir()) == []


# --- reload ---------------------------------------------------------------------------------------


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Callable[[str], Service]]:
    """Return a function that starts ``portline serve`` with a file."""
    started: list[Service] = []

    def start(name: str) -> Service:
        port = free_port()
        file, log = tmp_path / f"{name}.toml", tmp_path / f"{name}.log"
        started.append(Service(text(tmp_path, name, port), port, file=file, log=log))
        return started[-1]

    yield start
    for service in started:
        service.stop()


def text(folder: Path, name: str, port: int, more: str = "") -> str:
    return f'[connections.{name}]\nvirtual = "{folder / name}"\nlisten = "127.0.0.1:{port}"\n{more}'


def test_a_reload_prints_what_changed_and_leaves_the_peers(
    services: Callable[[str], Service], tmp_path: Path
) -> None:
    one, two = services("one"), services("two")
    pids = {service: service.process.pid for service in (one, two)}
    with socket.create_connection(("127.0.0.1", one.port), PATIENCE):
        eventually(lambda: snapshots("one")[0]["peers"])
        one.file.write_text(text(tmp_path, "one", one.port, "keepalive = 30\n"), "utf-8")
        code, said = run_portline("reload")
        assert code == 0
        told = {
            f"pid {pids[one]}, {one.file}: reloaded\n  one: keepalive changed\n",
            f"pid {pids[two]}, {two.file}: nothing has changed\n",
        }
        assert said in {"".join(sorted(told)), "".join(sorted(told, reverse=True))}
        (shown,) = snapshots("one")
        assert shown["options"]["keepalive"] == 30
        assert len(shown["peers"]) == 1


def test_a_file_with_mistakes_changes_nothing(
    services: Callable[[str], Service], tmp_path: Path, sockets: Path
) -> None:
    one = services("one")
    one.file.write_text(text(tmp_path, "one", one.port, "keepaliv = 30\nx = 1\n"), "utf-8")
    code, said = run_portline("reload")
    assert (code, said.splitlines()) == (
        2,
        [
            f"portline: error: {one.file}:4: connections.one.keepaliv: unknown option; "
            'did you mean "keepalive"?',
            f"portline: error: {one.file}:5: connections.one.x: unknown option; take it out",
            f"portline: error: pid {one.process.pid}, {one.file}: nothing was changed",
        ],
    )
    one.file.unlink()
    code, said = run_portline("reload", "--socket", str(sockets / f"{one.process.pid}.sock"))
    assert code == 2
    assert "there is no such file" in said
    assert snapshots("one")[0]["state"] == "listening"


def test_what_has_no_file_is_passed_over_and_told_when_named(
    services: Callable[[str], Service],
    share: Callable[..., Server],
    tmp_path: Path,
    sockets: Path,
) -> None:
    one = services("one")
    other = share("raw", "--virtual", str(tmp_path / "two"), device="")
    assert run_portline("reload")[1].count("pid ") == 1
    code, said = run_portline("reload", "--socket", str(sockets / f"{other.process.pid}.sock"))
    assert (code, said) == (
        1,
        "portline: error: this Portline has no configuration file that could be read again\n",
    )
    assert one.process.poll() is None


# --- operations on what runs ----------------------------------------------------------------------


def served(device: Device, services: Callable[[str], Service]) -> Service:
    """Have a device served, under the name "meter", with another connection beside it."""
    service = services("other")
    port = free_port()
    with service.file.open("a", encoding="utf-8") as file:
        file.write(f'[connections.meter]\nport = "{device.path}"\nlisten = "127.0.0.1:{port}"\n')
    code, said = run_portline("reload")
    assert (code, "meter: added" in said) == (0, True), said
    service.port = port
    return service


def test_what_is_stopped_is_free_for_another_program_at_once(
    device: Device, services: Callable[[str], Service]
) -> None:
    service = served(device, services)
    program = (
        "import os, fcntl, socket, sys, termios\n"
        "fd = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)\n"
        "fcntl.ioctl(fd, termios.TIOCEXCL)\n"
        "fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
        "door = socket.create_server(('127.0.0.1', int(sys.argv[2])))\n"
        "fcntl.ioctl(fd, termios.TIOCNXCL)\n"
        "print('mine')\n"
    )
    other = [sys.executable, "-c", program, str(device.path), str(service.port)]
    taken = subprocess.run(other, capture_output=True, timeout=PATIENCE, check=False)
    assert taken.returncode != 0  # while the connection runs
    with socket.create_connection(("127.0.0.1", service.port), PATIENCE) as peer:
        peer.settimeout(PATIENCE)
        eventually(lambda: snapshots("meter")[0]["peers"])
        device.write(b"last words")
        eventually(lambda: snapshots("meter")[0]["counters"]["heard"])
        assert run_portline("stop", "meter") == (0, "meter: stopped\n")
        free = subprocess.run(other, capture_output=True, timeout=PATIENCE, check=False)
        assert free.stdout == b"mine\n", free.stderr
        assert peer.recv(100) == b"last words"
        assert peer.recv(1) == b""
    (meter,) = snapshots("meter")
    assert (meter["state"], meter["reason"]) == ("stopped", "stopped by hand")
    assert snapshots("other")[0]["state"] == "listening"
    # Editing and renaming leave it stopped.
    code, said = run_portline("edit", "meter", "--baudrate", "19200", "--rename", "water")
    assert (code, "is called water now" in said) == (0, True), said
    assert "certificates" not in said
    (water,) = snapshots("water")
    assert (water["state"], water["options"]["baudrate"]) == ("stopped", 19200)
    code, said = run_portline("start", "water")
    assert (code, said) == (0, "water: started; listening\n")
    with socket.create_connection(("127.0.0.1", service.port), PATIENCE) as peer:
        peer.sendall(b"again")
        assert device.read(5) == b"again"


def test_what_is_disabled_stays_so_when_portline_begins_anew(
    device: Device, services: Callable[[str], Service]
) -> None:
    service = served(device, services)
    assert run_portline("disable", "meter") == (0, "meter: disabled\n")
    assert "enabled = false" in service.file.read_text("utf-8")
    code, said = run_portline("restart")
    assert code == 0, said
    eventually(lambda: snapshots("meter")[0]["state"] == "stopped")
    assert snapshots("meter")[0]["reason"] == "not enabled (enabled = false)"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", service.port), PATIENCE)
    assert run_portline("enable", "meter") == (0, "meter: enabled\n")
    socket.create_connection(("127.0.0.1", service.port), PATIENCE).close()


def test_a_port_is_operated_from_the_command_line(
    device: Device, services: Callable[[str], Service]
) -> None:
    service = served(device, services)
    code, said = run_portline("set", "meter", "baudrate=19200")
    assert (code, said) == (0, "meter: 19200-8N1\n")
    assert snapshots("meter")[0]["port"]["settings"]["baudrate"] == 19200
    code, said = run_portline("set", "meter", "baudrate=300", "data-bits=7")
    assert code == 1  # of a terminal that does no format but 8N
    assert "does not do data-bits = 7; it offers data-bits = 8" in said
    code, said = run_portline("set", "meter", "baudrate=1", "colour=red")
    assert (code, len(said.splitlines())) == (2, 2)
    assert run_portline("set", "meter") == (0, "meter: 19200-8N1\n")
    code, said = run_portline("lines", "meter", "cts=on")
    assert (code, "CTS comes from the device" in said) == (2, True)
    code, said = run_portline("lines", "other", "cts=on", "dcd=on")
    assert code == 0
    assert said.splitlines()[0] == "other: CTS on, DSR off, DCD on, RI off"
    assert run_portline("break", "meter", "0.01") == (0, "meter: a break of 0.01 s\n")
    code, said = run_portline("break", "meter", "60")
    assert (code, "seconds must be a number in 0.001 to 5" in said) == (2, True)
    with socket.create_connection(("127.0.0.1", service.port), PATIENCE) as peer:
        peer.settimeout(PATIENCE)
        address = "{}:{}".format(*peer.getsockname())
        eventually(lambda: snapshots("meter")[0]["peers"])
        assert run_portline("disconnect", "meter", address) == (
            0,
            f"meter: {address} disconnected\n",
        )
        assert peer.recv(1) == b""
    code, said = run_portline("add", "meter", "--virtual", "x", "--listen", "127.0.0.1:0")
    assert (code, "there is a connection 'meter' already" in said) == (2, True)
    code, said = run_portline("stop", "x")
    assert (code, "there is no connection 'x'; there are: meter, other" in said) == (2, True)
