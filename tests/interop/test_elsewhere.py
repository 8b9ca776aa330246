"""A Portline on another machine, administered over TLS with a token: each command at a real one."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from portline.control.http import Client
from portline.web.credentials import Credentials
from tests.authority import Authority
from tests.interop.device import PATIENCE
from tests.interop.server import DEVELOPER_MODE, SUT, Service, free_port, run_portline

pytestmark = [
    pytest.mark.skipif(SUT != "portline", reason="it is about Portline's own commands"),
    pytest.mark.slow,  # quick ones are in tests/unit/cli and tests/unit/control
]


class Gateway:
    """A service that only its page leads to: whoever asks looks for sockets somewhere else."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.page, self.port = free_port(), free_port()
        self.device = os.openpty()
        self.virtual = folder / "ttyV"
        authority = Authority(folder)
        self.ca = authority.file
        issued = authority.issue("gateway", "localhost")
        for name in ("there", "here"):
            (folder / name).mkdir(mode=0o700)
        self.credentials = Credentials(folder / "there")
        self.token = folder / "token"
        self.token.touch(0o600)
        self.token.write_text(self.credentials.add_token("admin") + "\n")
        config = (
            f'[web]\nlisten = "127.0.0.1:{self.page}"\ntls = true\n'
            f'certificate = "{issued.certificate}"\nkey = "{issued.key}"\n'
            f'[connections.meter]\nvirtual = "{self.virtual}"\nbackend = "pty"\n'
            f'listen = "127.0.0.1:{self.port}"\n'
            f'[connections.real]\nport = "{os.ttyname(self.device[1])}"\n'
            f'listen = "127.0.0.1:{free_port()}"\n'
        )
        for variable in ("STATE_DIRECTORY", "RUNTIME_DIRECTORY"):
            monkeypatch.setenv(variable, str(folder / "there"))
        # The page comes after the connection: its libraries are loaded while data flows.
        self.service = Service(config, self.port, file=folder / "portline.toml", log=folder / "log")
        self.service.port = self.page
        self.service.wait_listening()
        for variable in ("STATE_DIRECTORY", "RUNTIME_DIRECTORY"):
            monkeypatch.setenv(variable, str(folder / "here"))

    @property
    def there(self) -> list[str]:
        url = f"https://localhost:{self.page}"
        return ["--url", url, "--token-file", str(self.token), "--ca", self.ca]

    def ask(self, *words: str, code: int = 0) -> str:
        """Run a command there; return what it says."""
        found, said = run_portline(*self.there, *words)
        assert found == code, said
        return said

    def begin(self, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, *DEVELOPER_MODE, "-m", "portline", *self.there, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def watched(self, by: int) -> None:
        """Wait until the connection knows that so many watch it."""
        client = Client(self.there[1], self.token.read_text().strip(), ca=self.ca)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            (connection,) = client.ask("status", {"names": ["meter"]})["connections"]
            if connection["counters"]["watchers"] == by:
                return
            time.sleep(0.1)
        raise AssertionError(f"not {by} watch")


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    made = Gateway(tmp_path, monkeypatch)
    yield made
    made.service.stop()
    for fd in made.device:
        os.close(fd)
    assert "Traceback" not in made.service.errors()


@pytest.mark.timeout(300)
def test_each_command(gateway: Gateway) -> None:
    file = gateway.folder / "portline.toml"
    assert "meter: listening" in gateway.ask("status")
    assert gateway.ask("stop", "meter") == "meter: stopped\n"
    assert gateway.ask("start", "meter") == "meter: started; listening\n"
    assert "meter" in gateway.ask("disable", "meter")
    assert "enabled = false" in file.read_text()
    assert "meter" in gateway.ask("enable", "meter")
    other = ["--virtual", str(gateway.folder / "ttyX"), "--listen", f"127.0.0.1:{free_port()}"]
    assert "scale" in gateway.ask("add", "scale", "--backend", "pty", *other)
    assert "scale" in gateway.ask("edit", "scale", "--keepalive", "30s")
    assert 'keepalive = "30s"' in file.read_text()
    assert "scale" in gateway.ask("remove", "scale")
    assert "scale" not in file.read_text()
    assert gateway.ask("lines", "meter", "cts=on").startswith("meter: CTS on")
    assert "there is no peer '192.0.2.1:1'" in gateway.ask(
        "disconnect", "meter", "192.0.2.1:1", code=2
    )
    with socket.create_connection(("127.0.0.1", gateway.port), PATIENCE) as peer:
        peer.settimeout(PATIENCE)
        address = "{}:{}".format(*peer.getsockname())
        end = time.monotonic() + PATIENCE
        while address not in gateway.ask("status"):
            assert time.monotonic() < end, "the peer is not let in"
        assert f"{address} disconnected" in gateway.ask("disconnect", "meter", "127.0.0.1")
        assert peer.recv(1) == b""
    assert gateway.ask("set", "real", "baudrate=19200") == "real: 19200-8N1\n"
    assert gateway.ask("break", "real", "0.1") == "real: a break of 0.1 s\n"
    # What a port cannot do is refused in the same words, and with the same exit code, as here.
    assert "no DTR and RTS" in gateway.ask("pulse", "real", "esp32", code=1)
    assert "is a virtual port" in gateway.ask("pulse", "meter", "esp32", code=2)
    assert "ssh -t HOST portline term meter" in gateway.ask("term", "meter", code=2)
    assert "pid" in gateway.ask("reload")
    assert "restarted" in gateway.ask("restart")
    assert "meter: listening" in gateway.ask("status")
    # A mistake is told as the file's, and nothing is changed.
    before = file.read_text()
    assert "keepalive" in gateway.ask("edit", "meter", "--keepalive", "never", code=2)
    assert file.read_text() == before


def test_what_passes_is_watched_and_recorded(gateway: Gateway) -> None:
    path = gateway.folder / "meter.json"
    with (
        gateway.begin("record", "meter", str(path), "--seconds", "60") as recording,
        gateway.begin("monitor", "meter", "--json", "--only", "data", "--count", "1") as watching,
    ):
        try:
            gateway.watched(by=2)
            fd = os.open(gateway.virtual, os.O_RDWR | os.O_NOCTTY)
            try:
                while watching.poll() is None:
                    os.write(fd, b"hello")
                    time.sleep(0.1)
            finally:
                os.close(fd)
            out, err = watching.communicate(timeout=PATIENCE)
            assert (watching.returncode, err) == (0, b"")
            assert json.loads(out)["data"].startswith("aGVsbG8")
            recording.terminate()
            out, err = recording.communicate(timeout=PATIENCE)
            assert (recording.returncode, err) == (0, b"")
        finally:
            watching.kill()
            recording.kill()
    kinds = [json.loads(line)["kind"] for line in path.read_text().splitlines()]
    assert "data" in kinds


def test_wireshark_opens_what_was_fetched(gateway: Gateway, require: Callable[[str], str]) -> None:
    tshark = require("tshark")
    path = gateway.folder / "meter.pcapng"
    context = ssl.create_default_context(cafile=gateway.ca)
    asked = urllib.request.Request(
        f"https://localhost:{gateway.page}/api/record?name=meter&seconds=3",
        headers={"Authorization": f"Bearer {gateway.token.read_text().strip()}"},
    )
    fd = os.open(gateway.virtual, os.O_RDWR | os.O_NOCTTY)
    try:
        with urllib.request.urlopen(asked, timeout=PATIENCE, context=context) as answer:
            os.write(fd, b"an answer\n")
            path.write_bytes(answer.read())
    finally:
        os.close(fd)
    found = subprocess.run(
        [tshark, "-r", path, "-T", "fields", "-e", "frame.interface_name", "-e", "data.data"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    rows = [line.split("\t") for line in found.stdout.splitlines()]
    assert {row[0] for row in rows} == {"meter"}
    assert b"an answer\n" in bytes.fromhex("".join(row[1] for row in rows if len(row) > 1))


def test_the_end_of_the_service_ends_who_watches(gateway: Gateway) -> None:
    with gateway.begin("monitor", "meter") as watching:
        try:
            gateway.watched(by=1)
            gateway.service.stop()
            _, err = watching.communicate(timeout=PATIENCE)
        finally:
            watching.kill()
    assert watching.returncode == 1
    assert err.splitlines()[-1].startswith((b"meter: ", b"portline: error: https://localhost"))


def test_who_is_not_believed(gateway: Gateway) -> None:
    gateway.credentials.remove_token("admin")
    assert "the token is refused: there is no such token" in gateway.ask("status", code=1)
    gateway.token.write_text("portline_wrong\n")
    assert "the token is refused" in gateway.ask("status", code=1)
    gateway.token.write_text(gateway.credentials.add_token("other") + "\n")
    assert "meter" in gateway.ask("status")
    failed = gateway.service.errors()
    (gateway.folder / "other").mkdir()
    gateway.ca = Authority(gateway.folder / "other").file
    assert "its certificate is refused" in gateway.ask("status", code=1)
    url = f"https://127.0.0.1:{gateway.page}"  # which the certificate does not name
    said = run_portline(*gateway.there[2:], "--url", url, "status")
    assert (said[0], "its certificate is refused" in said[1]) == (1, True), said
    pinned = ["--url", url, "--token-file", str(gateway.token), "--fingerprint"]
    code, text = run_portline(*pinned, "sha256:" + "0" * 64, "status")
    assert (code, "somebody may be in the middle" in text) == (1, True), text
    right = text.partition("the certificate ")[2].partition(",")[0]
    assert run_portline(*pinned, right, "status")[0] == 0
    assert gateway.service.errors() == failed
