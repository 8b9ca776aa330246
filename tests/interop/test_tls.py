"""An encrypted server, with the programs that others have for it."""

from __future__ import annotations

import os
import re
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
from tests.interop.server import Service, free_port, listening
from tests.interop.tls import (
    ANSWER,
    FINGERPRINT,
    QUESTION,
    answers,
    authority,
    connected,
    folder,
    names,
    read,
    shown,
    trusting,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.interop.device import Device
    from tests.interop.server import Server

__all__ = ["authority", "folder"]

# Quick ones are in tests/unit/net/tls.
pytestmark = pytest.mark.slow


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
