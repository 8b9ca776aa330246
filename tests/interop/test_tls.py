"""Encrypted connections, with the programs that others have for them, and what attackers do."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import socket
import ssl
import stat
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.authority import Authority
from tests.interop.device import PATIENCE
from tests.interop.pair import eventually, status
from tests.interop.server import Service, free_port, listening, run_portline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.interop.device import Device
    from tests.interop.pair import Client
    from tests.interop.server import Server

# Quick ones are in tests/unit/net/tls.
pytestmark = pytest.mark.slow

QUESTION, ANSWER = b"*IDN?\n", b"ACME,9000,1,2.0\n"
FINGERPRINT = re.compile(r"sha256:[0-9a-f]{64}")

slow = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state folder of the Portlines of this test."""
    made = tmp_path / "state"
    monkeypatch.setenv("STATE_DIRECTORY", str(made))
    return made


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def trusting(authority: Authority | None = None) -> ssl.SSLContext:
    if authority is not None:
        return ssl.create_default_context(cafile=authority.file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@contextlib.contextmanager
def connected(
    port: int, context: ssl.SSLContext | None = None, name: str = "localhost"
) -> Iterator[ssl.SSLSocket]:
    with (
        socket.create_connection(("127.0.0.1", port), PATIENCE) as sock,
        (context or trusting()).wrap_socket(sock, server_hostname=name) as tls,
    ):
        yield tls


def read(tls: ssl.SSLSocket, size: int) -> bytes:
    got = b""
    while len(got) < size and (data := tls.recv(size - len(got))):
        got += data
    return got


def answers(device: Device, command: list[str], *, keep: float = 0) -> bytes:
    """Return what a program shows that asks the device a question through its standard input."""
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        try:
            process.stdin.write(QUESTION)
            process.stdin.flush()
            assert device.read(len(QUESTION)) == QUESTION
            device.write(ANSWER)
            return shown(process, ANSWER)
        finally:
            process.kill()


# --- a server -------------------------------------------------------------------------------------


def test_a_certificate_is_made_once_and_shown(
    share: Callable[..., Server], device: Device, folder: Path, sockets: Path
) -> None:
    shown = set()
    for _ in range(2):
        server = share("raw", "--tls")
        server.wait_errors("certificate sha256:")
        with connected(server.port) as tls:
            tls.sendall(QUESTION)
            assert device.read(len(QUESTION)) == QUESTION
            device.write(ANSWER)
            assert read(tls, len(ANSWER)) == ANSWER
            assert tls.version() == "TLSv1.3"
            der = tls.getpeercert(binary_form=True)
            assert der is not None
            told = status(server)
            (peer,) = told["peers"]
            assert peer["security"]["version"] == "TLSv1.3"
        (line,) = set(FINGERPRINT.findall(server.errors()))
        assert told["security"]["certificate"] == line
        assert told["security"]["minimum"] == "1.3"
        shown.add(line)
        server.stop()
    assert len(shown) == 1
    key = folder / "self-signed.pem"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_plain_text_is_refused_with_the_remedy(share: Callable[..., Server], folder: Path) -> None:
    server = share("raw", "--tls")
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as sock:
        sock.sendall(QUESTION)
        assert sock.recv(100) == b""
    server.wait_errors("speaks plain text to an encrypted port; have it use TLS")


@slow
@pytest.mark.parametrize("protocol", ["raw", "rfc2217"])
def test_openssl_connects(
    share: Callable[..., Server],
    device: Device,
    folder: Path,
    protocol: str,
    require: Callable[[str], str],
) -> None:
    server = share(protocol, "--tls")
    command = [require("openssl"), "s_client", "-quiet", "-verify_quiet", "-connect"]
    if protocol == "raw":
        assert answers(device, [*command, f"127.0.0.1:{server.port}"]) == ANSWER
    else:
        with subprocess.Popen(
            [*command, f"127.0.0.1:{server.port}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                assert b"\xff\xfd\x2c" in shown(process, b"\x2c")  # DO COM-PORT-OPTION
            finally:
                process.kill()


def shown(process: subprocess.Popen[bytes], wanted: bytes) -> bytes:
    """Return what a program shows until ``wanted`` is there, or all of it when time is up."""
    assert process.stdout is not None
    file, seen = process.stdout.fileno(), b""
    while wanted not in seen and select.select([file], [], [], PATIENCE)[0]:
        data = os.read(file, 65536)
        if not data:
            break
        seen += data
    return seen


@slow
def test_openssl_changes_its_keys(
    share: Callable[..., Server], device: Device, folder: Path, require: Callable[[str], str]
) -> None:
    """K and k are commands of s_client: KeyUpdate with and without a request for ours."""
    server = share("raw", "--tls")
    command = [require("openssl"), "s_client", "-verify_quiet", "-connect"]
    with subprocess.Popen(
        [*command, f"127.0.0.1:{server.port}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdin is not None
        try:
            assert b"Verify return code" in shown(process, b"Verify return code")
            for key in (b"K\n", b"k\n", b"K\n"):
                process.stdin.write(key)
                process.stdin.flush()
                assert b"KEYUPDATE" in shown(process, b"KEYUPDATE")
                process.stdin.write(QUESTION)
                process.stdin.flush()
                assert device.read(len(QUESTION)) == QUESTION
                device.write(ANSWER)
                assert ANSWER in shown(process, ANSWER)
        finally:
            process.kill()


@slow
def test_socat_connects_and_hears_the_answer_after_its_end(
    share: Callable[..., Server],
    device: Device,
    folder: Path,
    tmp_path: Path,
    authority: Authority,
    require: Callable[[str], str],
) -> None:
    issued = authority.issue("server", "localhost")
    server = share("raw", "--tls", "--certificate", issued.certificate, "--key", issued.key)
    where = f"OPENSSL:127.0.0.1:{server.port},cafile={authority.file},commonname=localhost"
    assert answers(device, [require("socat"), "-t5", "-", where]) == ANSWER


@slow
def test_stunnel_connects(
    share: Callable[..., Server],
    device: Device,
    folder: Path,
    tmp_path: Path,
    authority: Authority,
    require: Callable[[str], str],
) -> None:
    mine = authority.issue("stunnel")
    server = share("raw", "--tls", "--client-ca", authority.file)
    port = free_port()
    config = tmp_path / "stunnel.conf"
    config.write_text(
        f"foreground = yes\npid =\nclient = yes\n[serial]\naccept = 127.0.0.1:{port}\n"
        f"connect = 127.0.0.1:{server.port}\ncert = {mine.certificate}\nkey = {mine.key}\n"
    )
    with subprocess.Popen(
        [require("stunnel"), str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as stunnel:
        try:
            eventually(lambda: listening(port), "stunnel does not listen")
            assert answers(device, [require("socat"), "-", f"TCP:127.0.0.1:{port}"]) == ANSWER
        finally:
            stunnel.kill()


@slow
@pytest.mark.parametrize("protocol", ["raw", "rfc2217"])
def test_gensiot_connects(
    share: Callable[..., Server],
    device: Device,
    folder: Path,
    authority: Authority,
    protocol: str,
    require: Callable[[str], str],
) -> None:
    issued = authority.issue("server", "localhost")
    server = share(protocol, "--tls", "--certificate", issued.certificate, "--key", issued.key)
    telnet = "telnet(rfc2217)," if protocol == "rfc2217" else ""
    where = f"{telnet}ssl(CA={authority.file}),tcp,127.0.0.1,{server.port}"
    assert answers(device, [require("gensiot"), where]) == ANSWER


def test_certificates_are_read_again_and_nobody_notices(
    device: Device, tmp_path: Path, folder: Path, authority: Authority
) -> None:
    first, second = authority.issue("first", "localhost"), authority.issue("second", "localhost")
    live, key = tmp_path / "live.pem", tmp_path / "live.key"

    def install(certificate: str, secret: str) -> None:
        live.write_bytes(Path(certificate).read_bytes())
        key.write_bytes(Path(secret).read_bytes())

    install(first.certificate, first.key)
    port = free_port()
    config = (
        f'[connections.meter]\nport = "{device.path}"\nlisten = "127.0.0.1:{port}"\n'
        f'tls = true\ncertificate = "{live}"\nkey = "{key}"\nmax-connections = 3\n'
    )
    file, log = tmp_path / "portline.toml", tmp_path / "service.log"
    service = Service(config, port, "-v", file=file, log=log)
    try:
        context = trusting(authority)
        with connected(port, context) as before:
            assert names(before) == "first"
            install(second.certificate, second.key)
            service.reload(config, "TLS with the certificate")
            with connected(port, context) as after:
                assert names(after) == "second"
                install(first.certificate, second.key)
                service.reload(config, "does not belong to the certificate.*goes on with")
                for tls in (before, after):
                    tls.sendall(QUESTION)
                    assert device.read(len(QUESTION)) == QUESTION
                device.write(ANSWER)
                assert read(before, len(ANSWER)) == read(after, len(ANSWER)) == ANSWER
                with connected(port, context) as again:
                    assert names(again) == "second"
            install(first.certificate, first.key)
            service.reload(config, "TLS with the certificate")
            with connected(port, context) as last:
                assert names(last) == "first"
    finally:
        service.stop()


def test_certificates_that_change_under_traffic_cost_nobody_a_byte(
    device: Device, tmp_path: Path, folder: Path, authority: Authority
) -> None:
    issued = {name: authority.issue(name, "localhost") for name in ("even", "odd")}
    live, port = tmp_path / "live.pem", free_port()
    config = (
        f'[connections.meter]\nport = "{device.path}"\nlisten = "127.0.0.1:{port}"\n'
        f'tls = true\ncertificate = "{live}"\nmax-connections = 4\n'
    )

    def install(name: str) -> None:
        beside = tmp_path / "beside.pem"
        each = issued[name]
        beside.write_bytes(Path(each.certificate).read_bytes() + Path(each.key).read_bytes())
        beside.chmod(0o600)
        beside.replace(live)

    install("odd")
    # With -v only 20 lines of a connection are written in a second.
    service = Service(config, port, "-vv", file=tmp_path / "portline.toml", log=tmp_path / "log")
    stop, moved, faults = threading.Event(), [0], []
    context = trusting(authority)

    def pump(one: ssl.SSLSocket, other: ssl.SSLSocket) -> None:
        try:
            while not stop.is_set():
                block = os.urandom(16 * 1024)
                one.sendall(block)
                if not read(one, len(block)) == read(other, len(block)) == block:
                    faults.append(f"other bytes after {moved[0]}")
                    return
                moved[0] += len(block)
        except OSError as error:
            faults.append(str(error))

    try:
        with connected(port, context) as one, connected(port, context) as other, device.echoing():
            pumping = threading.Thread(target=pump, args=(one, other))
            pumping.start()
            try:
                before = 0
                for number in range(20):
                    name = ("even", "odd")[number % 2]
                    install(name)
                    service.reload(config, "TLS with the certificate")
                    with connected(port, context) as newcomer:
                        assert names(newcomer) == name
                    eventually(lambda before=before: moved[0] > before or faults, "nothing moves")
                    before = moved[0]
            finally:
                stop.set()
                pumping.join(2 * PATIENCE)
            assert not faults
            assert not pumping.is_alive()
            assert names(one) == names(other) == "odd"
    finally:
        service.stop()
    gone = re.findall("peer gone.*", service.errors())
    assert len([each for each in gone if "Portline stops" not in each]) >= 20  # the newcomers


def names(tls: ssl.SSLSocket) -> str:
    found = tls.getpeercert()
    assert found is not None
    return str(dict(pair for group in found["subject"] for pair in group)["commonName"])


@slow
def test_only_who_has_a_certificate_that_is_not_revoked_is_let_in(
    share: Callable[..., Server], device: Device, folder: Path, authority: Authority, sockets: Path
) -> None:
    good, bad = authority.issue("good"), authority.issue("bad")
    listed = authority.revoke(bad)
    server = share("raw", "-v", "--tls", "--client-ca", authority.file, "--client-crl", listed)
    context = trusting()
    context.load_cert_chain(good.certificate, good.key)
    with connected(server.port, context) as tls:
        tls.sendall(QUESTION)
        assert device.read(len(QUESTION)) == QUESTION
        (peer,) = status(server)["peers"]
        assert peer["security"]["subject"] == "good"
    server.wait_errors('subject="good"')
    context.load_cert_chain(bad.certificate, bad.key)
    for refused, says in ((context, "is revoked"), (trusting(), "has shown no certificate")):
        with pytest.raises(ssl.SSLError), connected(server.port, refused) as tls:
            tls.recv(1)  # the alert comes behind the handshake
        server.wait_errors(says)
    counters = status(server)["counters"]
    assert counters["handshakes_bad_certificate"] == 1
    assert counters["handshakes_no_certificate"] == 1
    device.write(b"x")
    assert device.read(1, 0.2) == b""


# --- a client -------------------------------------------------------------------------------------


def asks(client: Client, device: Device) -> None:
    """Ask the device through the virtual port."""
    descriptor = os.open(client.path, os.O_RDWR | os.O_NOCTTY)
    try:
        os.write(descriptor, QUESTION)
        assert device.read(len(QUESTION)) == QUESTION
        device.write(ANSWER)
        got = b""
        while len(got) < len(ANSWER):
            got += os.read(descriptor, 100)
        assert got == ANSWER
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("protocol", ["raw", "rfc2217"])
def test_both_ends_are_ours(
    share: Callable[..., Server],
    attach: Callable[..., Client],
    device: Device,
    folder: Path,
    protocol: str,
) -> None:
    server = share(protocol, "--tls")
    client = attach(server.port, protocol, "--tls")
    client.connected()
    asks(client, device)
    (peer,) = status(client)["peers"]
    assert peer["security"]["fingerprint"] == status(server)["security"]["certificate"]
    known = folder / "known-servers"
    assert known.read_text().split()[:2] == [
        f"127.0.0.1:{server.port}",
        peer["security"]["fingerprint"],
    ]
    assert stat.S_IMODE(known.stat().st_mode) == 0o600


@slow
def test_a_man_in_the_middle_is_noticed_and_named(
    share: Callable[..., Server],
    attach: Callable[..., Client],
    device: Device,
    folder: Path,
    tmp_path: Path,
    authority: Authority,
    require: Callable[[str], str],
) -> None:
    server = share("raw", "--tls")
    issued = authority.issue("mallory", "localhost")
    front = free_port()
    honest = f"TCP:127.0.0.1:{server.port}"
    with program(
        require("socat"), f"TCP-LISTEN:{front},bind=127.0.0.1,fork,reuseaddr", honest, port=front
    ):
        client = attach(front, "raw", "--tls")
        client.connected()
        asks(client, device)
        client.stop()
    keys = f"cert={issued.certificate},key={issued.key},verify=0"
    with program(
        require("socat"),
        f"OPENSSL-LISTEN:{front},bind=127.0.0.1,fork,reuseaddr,{keys}",
        f"OPENSSL:127.0.0.1:{server.port},verify=0",
        port=front,
    ):
        client = attach(front, "raw", "--tls")
        client.wait_errors(r"has changed: it is known as sha256:\w+ since .*middle.*delete line 1")
        assert client.connections == 0
        told = status(client)
        assert told["state"] == "connecting"
        assert "has changed" in told["reason"]
        assert told["counters"]["handshakes_bad_certificate"] >= 1


@contextlib.contextmanager
def program(*command: str, port: int) -> Iterator[None]:
    """Run a program that listens; its children end with it."""
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            eventually(lambda: listening(port), f"{command[0]} does not listen")
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)


@slow
@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("expired", "it has expired"),
        ("name", "for another name"),
        ("address", "for another address"),
        ("stranger", "CA is not trusted here"),
        ("fingerprint", "fingerprint wants sha256:0000"),
        ("plain", "answers in plain text"),
        ("old", "no version of TLS that is allowed here"),
    ],
)
def test_a_server_that_is_no_good_is_refused(
    share: Callable[..., Server],
    attach: Callable[..., Client],
    device: Device,
    folder: Path,
    tmp_path: Path,
    authority: Authority,
    kind: str,
    says: str,
) -> None:
    issued = {
        "expired": lambda: authority.issue("x", "localhost", days=-1),
        "name": lambda: authority.issue("x", "elsewhere.test"),
        "address": lambda: authority.issue("x", "192.0.2.1"),
        "stranger": lambda: Authority(tmp_path, "other").issue("x", "localhost"),
    }.get(kind, lambda: authority.issue("x", "localhost"))()
    files = ["--certificate", issued.certificate, "--key", issued.key]
    trust = ["--ca", authority.file]
    if kind == "fingerprint":
        trust = ["--fingerprint", f"sha256:{'0' * 64}"]
    host = "127.0.0.1" if kind == "address" else "localhost"
    if kind == "plain":
        server = share("rfc2217")  # it speaks first
        port = server.port
    elif kind == "old":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(issued.certificate, issued.key)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with old_server(context) as port:
            attach(f"{host}:{port}", "raw", "--tls", *trust).wait_errors(says)
        return
    else:
        port = share("raw", "--tls", *files).port
    client = attach(f"{host}:{port}", "raw", "--tls", *trust)
    client.wait_errors(says)
    assert client.connections == 0
    line = next(line for line in client.errors().splitlines() if "trying again" in line)
    assert f"{host}:{port}" in line


@contextlib.contextmanager
def old_server(context: ssl.SSLContext) -> Iterator[int]:
    """Serve handshakes of the old days in a thread."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)

        def serve() -> None:
            while not ended.is_set():
                with contextlib.suppress(OSError):
                    sock, _ = listener.accept()
                    with sock, contextlib.suppress(OSError):
                        sock.settimeout(PATIENCE)
                        context.wrap_socket(sock, server_side=True).close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            ended.set()
            thread.join(PATIENCE)


@slow
def test_a_client_shows_its_certificate_and_checks_the_name(
    share: Callable[..., Server],
    attach: Callable[..., Client],
    device: Device,
    folder: Path,
    authority: Authority,
) -> None:
    issued, mine = authority.issue("server", "meter.test"), authority.issue("me")
    server = share(
        *("rfc2217", "--tls", "--certificate", issued.certificate, "--key", issued.key),
        *("--client-ca", authority.file),
    )
    client = attach(
        *(server.port, "rfc2217", "--tls", "--ca", authority.file, "--tls-name", "meter.test"),
        *("--certificate", mine.certificate, "--key", mine.key),
    )
    client.connected()
    client.agree()
    asks(client, device)
    (peer,) = status(client)["peers"]
    assert peer["security"]["subject"] == "server"
    assert not (folder / "known-servers").exists()


@slow
def test_a_client_without_the_certificate_that_is_asked_for_is_told_so(
    share: Callable[..., Server], attach: Callable[..., Client], folder: Path, authority: Authority
) -> None:
    """In TLS 1.3 the server says so when the client believes to be connected already."""
    server = share("raw", "--tls", "--client-ca", authority.file)
    client = attach(server.port, "raw", "--tls")
    client.wait_errors("warning .*refuses our certificate.*certificate required.*trying again")
    server.wait_errors("has shown no certificate")
    eventually(lambda: "refuses our certificate" in status(client)["reason"], "no reason is shown")
    assert status(client)["counters"]["handshakes_refused_by_peer"] >= 1


@slow
def test_a_connection_that_is_cut_is_made_again_and_nothing_is_lost(
    share: Callable[..., Server], attach: Callable[..., Client], device: Device, folder: Path
) -> None:
    server = share("raw", "--tls")
    client = attach(server.port, "raw", "--tls")
    client.connected()
    server.stop(signal.SIGINT)
    descriptor = os.open(client.path, os.O_RDWR | os.O_NOCTTY)
    try:
        os.write(descriptor, QUESTION)
        share("raw", "--tls", port=server.port)
        client.connected(2)
        assert device.read(len(QUESTION)) == QUESTION
    finally:
        os.close(descriptor)


# --- attackers ------------------------------------------------------------------------------------


@slow
def test_a_flood_disturbs_nobody_and_costs_bounded_memory(
    share: Callable[..., Server], device: Device, folder: Path, sockets: Path
) -> None:
    """Half-open handshakes, garbage, and 10 000 connects, while somebody is served."""
    server = share("raw", "--tls", "--max-connections", "2", developer_mode=False)
    with connected(server.port) as tls, contextlib.ExitStack() as stack:
        before = server.memory(), server.descriptors()
        silent = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            for _ in range(500)
        ]
        for sock in silent[::2]:
            with contextlib.suppress(OSError):
                sock.sendall(b"\x16\x03\x01\x40\x00" + bytes(range(200)))
        for number in range(100):
            for _ in range(100):
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", server.port), PATIENCE).close()
            if number % 10 == 0:
                tls.sendall(QUESTION)
                assert device.read(len(QUESTION)) == QUESTION
                device.write(ANSWER)
                assert read(tls, len(ANSWER)) == ANSWER
        told = status(server)
        assert len(told["peers"]) == 1
        assert told["state"] == "connected"  # and not full
        assert told["security"]["handshakes"] <= 64
        assert told["counters"]["handshakes_crowded_out"] > 400
        with connected(server.port) as another:
            another.sendall(QUESTION)
            assert device.read(len(QUESTION)) == QUESTION
        eventually(lambda: server.descriptors() < before[1] + 80, "descriptors are left open")
        assert server.memory() < before[0] + 24e6


@slow
def test_an_end_without_the_word_for_it_is_told_and_counted(
    share: Callable[..., Server], device: Device, folder: Path, sockets: Path
) -> None:
    server = share("raw", "-v", "--tls")
    with connected(server.port) as tls:
        tls.sendall(QUESTION)
        assert device.read(len(QUESTION)) == QUESTION
        socket.socket.shutdown(tls, socket.SHUT_WR)
        server.wait_errors("peer gone .*close_notify")
    assert status(server)["counters"]["truncated"] == 1


@slow
def test_no_secret_is_told_anywhere(
    share: Callable[..., Server],
    attach: Callable[..., Client],
    device: Device,
    folder: Path,
    sockets: Path,
    authority: Authority,
) -> None:
    issued = authority.issue("server", "localhost")
    server = share("raw", "-vv", "--tls", "--certificate", issued.certificate, "--key", issued.key)
    client = attach(f"localhost:{server.port}", "raw", "--tls", "--ca", authority.file)
    client.connected()
    secret = Path(issued.key).read_text().splitlines()
    told = [server.errors(), client.errors(), str(status(server)), str(status(client))]
    for process in (server.process.pid, client.process.pid):
        for name in ("cmdline", "environ"):
            told.append(Path(f"/proc/{process}/{name}").read_bytes().decode("utf-8", "replace"))
    for line in secret[1:-1]:
        assert not any(line in text for text in told)


def test_mistakes_of_the_command_line_name_the_remedy() -> None:
    for words, says in (
        (["share", "--virtual", "v", "--key", "k.pem"], "--key: is about TLS, which is off; give"),
        (["share", "--virtual", "v", "--tls", "--key", "k.pem"], "give --certificate too"),
        (["udp", "h:1", "--virtual", "v", "--tls"], "tls"),
        (["attach", "h:1", "--virtual", "v", "--tls", "--fingerprint", "x"], "64 hexadecimal"),
        (["attach", "h:1", "--virtual", "v", "--tls", "--tls-minimum", "1.1"], "1.3, 1.2"),
    ):
        code, text = run_portline(*words)
        assert code == 2, text
        assert says in text
        assert "Traceback" not in text
