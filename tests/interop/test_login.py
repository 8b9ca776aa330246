"""Passwords between processes: other programs, attackers, and where a secret may not be."""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import serial

from tests.authority import Authority
from tests.interop.device import PATIENCE, Device
from tests.interop.pair import Client
from tests.interop.server import Server, Service, _environment, free_port, run_portline
from tests.login_client import Refused, log_in

# Quick ones are in tests/unit/wire/test_login.py and tests/unit/service/network/test_gate.py.
pytestmark = pytest.mark.slow

WORD = "correct horse battery staple"

Share = Callable[..., Server]
Attach = Callable[..., Client]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the certificates that are made out of this user's home."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))


@pytest.fixture
def plain(tmp_path: Path) -> str:
    """A file with the password itself, as a client has it."""
    return _file(tmp_path / "plain.password", WORD)


@pytest.fixture
def salted(tmp_path: Path, plain: str) -> str:
    """A file with the salted password, as `portline password` makes it."""
    path = tmp_path / "salted.password"
    made = subprocess.run(
        [sys.executable, "-m", "portline", "password", str(path)],
        input=f"{WORD}\n",
        text=True,
        capture_output=True,
        env=_environment(),
        timeout=PATIENCE,
        check=True,
    )
    assert WORD not in path.read_text() + made.stdout + made.stderr
    assert path.stat().st_mode & 0o777 == 0o600
    return str(path)


def _file(path: Path, text: str) -> str:
    path.write_text(f"{text}\n")
    path.chmod(0o600)
    return str(path)


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


def tls(sock: socket.socket) -> tuple[ssl.SSLSocket, bytes]:
    """Return the socket within TLS, and what a login is bound to there (RFC 5929)."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    secured = context.wrap_socket(sock)
    return secured, hashlib.sha256(secured.getpeercert(binary_form=True) or b"").digest()


def asks(sock: socket.socket, device: Device) -> None:
    """Let one who is in ask the device something."""
    sock.sendall(b"*IDN?\n")
    assert device.read(6) == b"*IDN?\n"
    device.write(b"meter\n")
    assert sock.recv(100) == b"meter\n"


def test_an_implementation_of_the_page_alone(share: Share, device: Device, salted: str) -> None:
    server = share("raw", "--password-file", salted)
    with connect(server.port) as sock, connect(server.port) as other:
        log_in(sock, WORD)
        asks(sock, device)
        with pytest.raises(Refused, match="wrong-password"):
            log_in(other, "pencil")


def test_the_same_within_tls(share: Share, device: Device, salted: str, sockets: Path) -> None:
    server = share("raw", "--password-file", salted, "--tls")
    secured, binding = tls(connect(server.port))
    with secured:
        log_in(secured, WORD, binding=binding)
        asks(secured, device)
    for mechanism, header in (("SCRAM-SHA-256", "n,,"), ("SCRAM-SHA-256", "y,,")):
        secured, binding = tls(connect(server.port))
        with secured, pytest.raises(Refused, match="no-binding"):
            log_in(secured, WORD, binding=None, mechanism=mechanism, header=header)
    secured, _ = tls(connect(server.port))
    with secured, pytest.raises(Refused, match="other-certificate"):
        log_in(secured, WORD, binding=bytes(32))


def test_a_program_within_tls_may_type_the_password(
    share: Share, device: Device, salted: str
) -> None:
    options = ("--password-file", salted, "--tls", "--password-prompt", "tls")
    server = share("raw", *options)
    secured, binding = tls(connect(server.port))
    with secured:
        said = b""
        while not said.endswith(b"Password: "):
            said += secured.recv(100)
        secured.sendall(f"{WORD}\n".encode())
        asks(secured, device)
    secured, binding = tls(connect(server.port))
    with secured:
        log_in(secured, WORD, binding=binding)
        asks(secured, device)


@pytest.mark.parametrize("protocol", ["raw", "rfc2217"])
@pytest.mark.parametrize("tls_options", [(), ("--tls",)])
def test_the_same_password_on_both_ends_is_enough(
    share: Share,
    attach: Attach,
    device: Device,
    plain: str,
    salted: str,
    protocol: str,
    tls_options: tuple[str, ...],
) -> None:
    server = share(protocol, "--password-file", salted, *tls_options)
    client = attach(server.port, protocol, "--password-file", plain, *tls_options)
    with serial.Serial(str(client.path), timeout=PATIENCE) as port:
        port.write(b"*IDN?\n")
        assert device.read(6) == b"*IDN?\n"
        device.write(b"meter\n")
        assert port.readline() == b"meter\n"


def test_the_first_host_that_knows_the_password_is_taken(
    share: Share, attach: Attach, device: Device, plain: str, salted: str, tmp_path: Path
) -> None:
    other = _file(tmp_path / "other", "pencil")
    server = share("raw", "--password-file", salted)
    wrong = share("raw", "--password-file", other, "--virtual", str(tmp_path / "v"), device="")
    client = attach(wrong.port, "raw", "--password-file", plain, f"127.0.0.1:{server.port}")
    with serial.Serial(str(client.path), timeout=PATIENCE) as port:
        port.write(b"x")
        assert device.read(1) == b"x"


def test_programs_of_pyserial(share: Share, device: Device, plain: str, salted: str) -> None:
    server = share("rfc2217", "--password-file", salted)
    place = f"portline://127.0.0.1:{server.port}"
    with serial.serial_for_url(f"{place}?password-file={plain}", timeout=PATIENCE) as port:
        port.write(b"x")
        assert device.read(1) == b"x"
    with pytest.raises(serial.SerialException, match="asks for a password, and none was given"):
        serial.serial_for_url(place)


# --- attackers ------------------------------------------------------------------------------------


class Middle:
    """Somebody between a client and a server; ``seen`` is all that has passed in plain text."""

    def __init__(self, port: int, certificate: Authority | None) -> None:
        self.seen = bytearray()
        self._target = port
        self._context: ssl.SSLContext | None = None
        if certificate is not None:
            issued = certificate.issue("middle", "127.0.0.1")
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(issued.certificate, issued.key)
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                with suppress(OSError):
                    self._sockets.append(near)
                    far = connect(self._target)
                    self._sockets.append(far)
                    if self._context is not None:
                        near = self._context.wrap_socket(near, server_side=True)
                        far, _ = tls(far)
                        self._sockets += [near, far]
                    for one, other in ((near, far), (far, near)):
                        thread = threading.Thread(target=self._pass, args=(one, other), daemon=True)
                        thread.start()
                        self._threads.append(thread)

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self.seen += data
                target.sendall(data)
        for sock in (source, target):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(PATIENCE)
        for sock in self._sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)
        for sock in (self._listener, *self._sockets):
            sock.close()


@contextmanager
def middle(port: int, certificate: Authority | None = None) -> Iterator[Middle]:
    made = Middle(port, certificate)
    try:
        yield made
    finally:
        made.close()


def test_somebody_in_the_middle_of_tls_is_noticed_and_named_at_both_ends(
    share: Share, attach: Attach, device: Device, plain: str, salted: str, tmp_path: Path
) -> None:
    server = share("raw", "--password-file", salted, "--tls")
    with middle(server.port, Authority(tmp_path, "evil")) as evil:
        client = attach(evil.port, "raw", "--password-file", plain, "--tls")
        client.wait_errors("somebody stands between us and the server.*man in the middle")
        server.wait_errors("reason=other-certificate.*man in the middle")
        with serial.Serial(str(client.path), timeout=0.2) as port:
            port.write(b"secret")
            assert port.read(1) == b""
        assert b"secret" not in evil.seen
        assert WORD.encode() not in evil.seen


def test_a_recorded_login_cannot_be_played_again(share: Share, device: Device, salted: str) -> None:
    server = share("raw", "--password-file", salted)
    with connect(server.port) as sock:
        recorded = log_in(sock, WORD).said
    with connect(server.port) as sock:
        said = b""
        for line in recorded:
            said += sock.recv(1000)
            sock.sendall(line)
        while data := sock.recv(1000):
            said += data
        assert b"portline: refused malformed" in said
        assert b"welcome" not in said


@pytest.mark.parametrize(
    "words",
    [
        b"Password: ",
        b"\xff\xfd\x2c\xff\xfb\x2c",
        b"portline: login 1 SCRAM-SHA-256\r\nportline: welcome v=AAAA\r\n",
        b"portline: welcome v=AAAA\r\n",
        b"login: ",
    ],
)
def test_a_client_gives_nothing_to_an_impostor(attach: Attach, plain: str, words: bytes) -> None:
    heard = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        port = listener.getsockname()[1]
        client = attach(port, "raw", "--password-file", plain)
        near, _ = listener.accept()
        with near, serial.Serial(str(client.path), timeout=0) as application:
            application.write(b"secret")
            near.settimeout(PATIENCE)
            near.sendall(words)
            with suppress(ConnectionError):
                while data := near.recv(1000):
                    heard += data
            assert application.read(100) == b""
    assert b"secret" not in heard
    assert WORD.encode() not in heard
    assert b"proof" not in heard


def test_a_server_that_leaves_while_the_keys_are_made_is_a_fault_like_any_other(plain: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        server = threading.Thread(target=_challenges_and_leaves, args=(listener,))
        server.start()
        port = listener.getsockname()[1]
        with pytest.raises(serial.SerialException, match="it closed the connection"):
            serial.serial_for_url(f"portline://127.0.0.1:{port}?password-file={plain}")
        server.join()


def _challenges_and_leaves(listener: socket.socket) -> None:
    near, _ = listener.accept()
    with near, near.makefile("rb") as lines:
        near.sendall(b"portline: login 1 SCRAM-SHA-256\r\n")
        nonce = lines.readline().rpartition(b"r=")[2].strip()
        salt = b"AAAAAAAAAAAAAAAAAAAAAA=="
        near.sendall(b"portline: challenge r=%sx,s=%s,i=2000000\r\n" % (nonce, salt))


# --- where the secret may not be ------------------------------------------------------------------


def test_the_secret_is_nowhere(
    device: Device, plain: str, salted: str, tmp_path: Path, sockets: Path
) -> None:
    port, far = free_port(), free_port()
    config = f"""
[connections.meter]
port = "{device.path}"
listen = {port}
password-file = "{salted}"

[connections.far]
kind = "client"
virtual = "{tmp_path}/ttyFAR"
connect = "127.0.0.1:{far}"
password-file = "{plain}"
"""
    file = tmp_path / "portline.toml"
    service = Service(config, port, "-vv", file=file, log=tmp_path / "log")
    try:
        with (
            middle(port) as ear,
            socket.create_server(("127.0.0.1", far)),
            connect(ear.port) as sock,
        ):
            log_in(sock, WORD)
            with connect(port) as other, suppress(Refused):
                log_in(other, "pencil")
            found = [
                run_portline("status", "--json")[1],
                run_portline("status", "--all")[1] + run_portline("status")[1],
                run_portline("check", str(file))[1],
                Path(f"/proc/{service.process.pid}/cmdline").read_text("utf-8", "replace"),
                Path(f"/proc/{service.process.pid}/environ").read_text("utf-8", "replace"),
                ear.seen.decode("utf-8", "replace"),
            ]
        assert '"login": "SCRAM-SHA-256"' in found[0]
    finally:
        service.stop()
    keys = Path(salted).read_text().strip().partition(":")[2].partition("$")[2].split(":")
    for text in (*found, service.errors()):
        for secret in (WORD, "pencil", *keys):
            assert secret not in text


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o622])
def test_a_file_that_others_can_read_is_refused_with_the_remedy(
    tmp_path: Path, plain: str, mode: int
) -> None:
    os.chmod(plain, mode)
    file = tmp_path / "portline.toml"
    file.write_text(
        f'[connections.meter]\nport = "/dev/ttyUSB0"\npassword-file = "{plain}"\n', "utf-8"
    )
    code, said = run_portline("check", str(file))
    assert code == 1
    assert f"{file}:3: connections.meter.password-file: " in said
    assert f"chmod 600 {plain}" in said
    code, said = run_portline("share", "--virtual", str(tmp_path / "v"), "--password-file", plain)
    assert code == 2
    assert said.startswith(f"portline: error: --password-file: {plain} can be read or changed")


def test_nothing_is_open_to_a_network_by_accident(tmp_path: Path, share: Share) -> None:
    link, port = str(tmp_path / "v"), free_port()
    code, said = run_portline("share", "--virtual", link, "--listen", f"0.0.0.0:{port}")
    assert code == 2
    assert "everybody who reaches it would be let in" in said
    assert "--open" in said
    assert not os.path.lexists(link)
    server = share(
        "raw", "--virtual", link, "--listen", f"0.0.0.0:{port}", "--open", "-v", device=""
    )
    server.wait_errors(rf"open to everybody who reaches 0\.0\.0\.0:{port}")


def test_a_new_password_does_not_disturb_who_is_in(
    device: Device, salted: str, tmp_path: Path, sockets: Path
) -> None:
    port = free_port()
    config = f'[connections.m]\nport = "{device.path}"\nlisten = {port}\npassword-file = "{salted}"'
    service = Service(config, port, file=tmp_path / "c.toml", log=tmp_path / "log")
    try:
        with connect(port) as sock:
            log_in(sock, WORD)
            _file(Path(salted), "another one")
            service.reload(config, "as it was")
            asks(sock, device)
            with connect(port) as other, pytest.raises(Refused, match="wrong-password"):
                log_in(other, WORD)
            with connect(port) as other:
                log_in(other, "another one")
            os.chmod(salted, 0o644)
            service.reload(config, "nothing was changed")
            with connect(port) as other:
                log_in(other, "another one")
            asks(sock, device)
    finally:
        service.stop()


@pytest.mark.parametrize("both_call", [False, True])
def test_datagrams_between_two_who_know_the_password(
    tmp_path: Path, plain: str, sockets: Path, both_call: bool
) -> None:
    port, back = _udp_port(), _udp_port()
    near, far = tmp_path / "near", tmp_path / "far"
    config = f"""
[connections.far]
kind = "udp"
virtual = "{far}"
listen = {port}
{f'connect = "127.0.0.1:{back}"' if both_call else 'accept = "learn"'}
password-file = "{plain}"
[connections.near]
kind = "udp"
virtual = "{near}"
connect = "127.0.0.1:{port}"
listen = {back}
password-file = "{plain}"
[connections.tcp]
virtual = "{tmp_path}/tcp"
listen = {(tcp := free_port())}
"""
    service = Service(config, tcp, file=tmp_path / "c.toml", log=tmp_path / "log")
    try:
        with (
            serial.Serial(str(near), timeout=PATIENCE) as one,
            serial.Serial(str(far), timeout=PATIENCE) as other,
            socket.socket(type=socket.SOCK_DGRAM) as stranger,
        ):
            deadline = time.monotonic() + PATIENCE
            while run_portline("status", "--json")[1].count('"login": "SCRAM-SHA-256"') < 2:
                assert time.monotonic() < deadline
            stranger.sendto(b"forged", ("127.0.0.1", port))
            one.write(b"question\n")
            assert other.readline() == b"question\n"
            other.write(b"answer\n")
            assert one.readline() == b"answer\n"
        assert '"no_login": 1' in run_portline("status", "--json")[1]
    finally:
        service.stop()


def _udp_port() -> int:
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- floods ---------------------------------------------------------------------------------------

CONNECTS = 10_000

MEMORY = 16_000_000
"""Bytes that a flood may cost: UNDER_WAY logins with their buffers take a few hundred kilobytes,
the rest is for an allocator that does not give back."""


@pytest.mark.slow
@pytest.mark.parametrize("words", [b"", b"login 1 SCRAM-SHA-256 n,,n=x,r=y\r\n", b"\xff" * 3000])
def test_ten_thousand_connects_disturb_nobody(
    share: Share, device: Device, salted: str, words: bytes
) -> None:
    server = share("raw", "--password-file", salted)
    with connect(server.port) as sock:
        log_in(sock, WORD)
        asks(sock, device)
        before = server.memory()
        flood: list[socket.socket] = []
        slowest = quickest = 0.0
        for number in range(CONNECTS):
            stranger = socket.socket()
            stranger.setblocking(False)
            with suppress(BlockingIOError):
                stranger.connect(("127.0.0.1", server.port))
            flood.append(stranger)
            if words:
                with suppress(OSError):
                    stranger.send(words)
            if len(flood) > 300:
                flood.pop(0).close()
            if number % 500 == 0:
                begun = time.monotonic()
                asks(sock, device)
                took = time.monotonic() - begun
                slowest, quickest = max(slowest, took), min(quickest or took, took)
        for stranger in flood:
            stranger.close()
        asks(sock, device)
        assert server.memory() - before < MEMORY
    # Slower than alone, but within what a login may take: nobody was lost.
    assert slowest < PATIENCE
