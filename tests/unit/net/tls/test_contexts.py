from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from portline.errors import PortlineError
from portline.net.tls.certificate import fingerprint, first_certificate
from portline.net.tls.contexts import ClientSecurity, ServerSecurity
from portline.net.tls.mistrust import Failure
from tests.authority import Authority
from tests.unit.net.tls_ends import Place, joined, place

if TYPE_CHECKING:
    from portline.net.tls.channel import Channel

__all__ = ["place"]

OTHER = f"sha256:{'0' * 64}"


@pytest.fixture(scope="module")
def stranger(place: Place) -> Authority:
    return Authority(place.folder, "stranger")


def refused(channel: Channel, failure: Failure, word: str) -> None:
    assert channel.fault is not None
    assert channel.fault.failure is failure, channel.fault
    assert word in channel.fault.text
    assert not channel.established


def test_a_server_of_another_ca_is_refused(place: Place, stranger: Authority) -> None:
    server, client = place.channels(place.server(stranger.issue("server", "localhost")))
    joined(server, client)
    refused(client, Failure.CERTIFICATE, "CA is not trusted")
    refused(server, Failure.REFUSED, "unknown ca")


def test_a_certificate_for_another_name_is_refused(place: Place) -> None:
    issued = place.authority.issue("elsewhere", "elsewhere.test")
    server, client = place.channels(place.server(issued))
    joined(server, client)
    refused(client, Failure.CERTIFICATE, "another name")
    server, client = place.channels(place.server(issued), place.client(name="elsewhere.test"))
    joined(server, client)
    assert client.established


def test_a_certificate_for_another_address_is_refused(place: Place) -> None:
    issued = place.authority.issue("address", "192.0.2.1")
    server = place.server(issued).load().channel()
    client = place.client().load().channel("192.0.2.2")
    joined(server, client)
    refused(client, Failure.CERTIFICATE, "another address")
    server = place.server(issued).load().channel()
    client = place.client().load().channel("192.0.2.1")
    joined(server, client)
    assert client.established


def test_a_certificate_that_is_over_is_refused(place: Place) -> None:
    server, client = place.channels(
        place.server(place.authority.issue("old", "localhost", days=-1))
    )
    joined(server, client)
    refused(client, Failure.CERTIFICATE, "expired")
    refused(server, Failure.REFUSED, "expired")


def test_a_server_that_is_signed_by_itself_is_refused_by_who_has_a_ca(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    server, client = place.channels(ServerSecurity())
    joined(server, client)
    refused(client, Failure.CERTIFICATE, "signed by itself")


def test_who_shows_no_certificate_is_not_let_in(place: Place) -> None:
    server, client = place.channels(place.server(client_ca=place.authority.file))
    joined(server, client)
    refused(server, Failure.NO_CERTIFICATE, "--certificate")
    # In TLS 1.3 the client is through before the server has said what it thinks of it.
    assert client.fault is not None
    assert client.fault.failure is Failure.REFUSED
    assert "certificate required" in client.fault.text


def test_who_shows_a_certificate_of_the_ca_is_let_in(place: Place, stranger: Authority) -> None:
    security = place.server(client_ca=place.authority.file)
    mine, other = place.authority.issue("someone"), stranger.issue("someone")
    server, client = place.channels(
        security, place.client(certificate=mine.certificate, key=mine.key)
    )
    joined(server, client)
    assert server.established
    assert server.subject == "someone"
    assert fingerprint(server.certificate) == fingerprint(first_certificate(mine.pem))
    server, client = place.channels(
        security, place.client(certificate=other.certificate, key=other.key)
    )
    joined(server, client)
    refused(server, Failure.CERTIFICATE, "CA is not trusted")


def test_who_is_revoked_is_not_let_in(place: Place) -> None:
    good, bad = place.authority.issue("good"), place.authority.issue("bad")
    over = place.authority.issue("over", days=-1)
    listed = place.authority.revoke(bad)
    both = place.folder / "both.pem"
    both.write_bytes(Path(place.authority.file).read_bytes() + Path(listed).read_bytes())
    for security in (
        place.server(client_ca=place.authority.file, client_crl=listed),
        place.server(client_ca=str(both)),
    ):
        for issued, word in ((good, ""), (bad, "revoked"), (over, "expired")):
            server, client = place.channels(
                security, place.client(certificate=issued.certificate, key=issued.key)
            )
            joined(server, client)
            if word:
                refused(server, Failure.CERTIFICATE, word)
            else:
                assert server.established


def test_a_list_that_is_over_or_of_another_ca_lets_nobody_in(
    place: Place, stranger: Authority
) -> None:
    good = place.authority.issue("good")
    for listed, word in (
        (place.authority.revoke(good, days=-1), "list has expired"),
        (stranger.revoke(), "no revocation list"),
    ):
        server, client = place.channels(
            place.server(client_ca=place.authority.file, client_crl=listed),
            place.client(certificate=good.certificate, key=good.key),
        )
        joined(server, client)
        refused(server, Failure.CERTIFICATE, word)


def test_a_fingerprint_is_that_very_certificate(place: Place) -> None:
    shown = first_certificate(place.issued.pem)
    context = place.client(fingerprint=fingerprint(shown)).load()
    assert context.judge("localhost:1", shown) is None
    fault = place.client(fingerprint=OTHER).load().judge("localhost:1", shown)
    assert fault is not None
    assert fault.failure is Failure.CERTIFICATE
    assert fingerprint(shown) in fault.text
    assert OTHER in fault.text
    assert not place.pins.path.exists()


def test_who_trusts_a_ca_pins_nobody(place: Place) -> None:
    context = place.client().load()
    assert context.judge("localhost:1", first_certificate(place.issued.pem)) is None
    assert not place.pins.path.exists()


def test_who_trusts_nobody_yet_pins_the_first(place: Place, tmp_path: Path) -> None:
    context = place.client(ca="").load()
    assert context.judge("localhost:1", b"one") is None
    assert context.judge("localhost:1", b"one") is None
    fault = context.judge("localhost:1", b"another")
    assert fault is not None
    assert fault.failure is Failure.CERTIFICATE
    assert str(place.pins.path) in fault.text
    assert ClientSecurity(pin=False, pins=place.pins).load().judge("localhost:1", b"x") is None
    place.pins.path.unlink()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"certificate": "/missing.pem"}, ["certificate /missing.pem", "No such file"]),
        ({"certificate": "EMPTY"}, ["no PEM certificate"]),
        ({"certificate": "GARBAGE"}, ["certificate GARBAGE"]),
        ({"key": "EMPTY"}, ["key EMPTY", "no private key"]),
        ({"key": ""}, ["no private key", "with key"]),
        ({"key": "OTHER"}, ["does not belong"]),
        ({"key": "OTHER TYPE"}, ["does not belong"]),
        ({"key": "LOCKED"}, ["encrypted", "openssl pkey"]),
        ({"client_ca": "/missing.pem"}, ["client-ca /missing.pem", "No such file"]),
        ({"client_ca": "EMPTY"}, ["client-ca EMPTY"]),
        ({"client_ca": "CA", "client_crl": "CA"}, ["client-crl CA", "no revocation list"]),
        ({"client_ca": "CA", "client_crl": "/no.crl"}, ["client-crl /no.crl", "No such file"]),
        ({"client_ca": "CRL"}, ["client-ca CRL", "no certificate of a CA"]),
    ],
)
def test_files_that_cannot_be_used_are_named_with_the_option(
    place: Place, options: dict[str, str], words: list[str]
) -> None:
    empty, garbage, locked = (place.folder / name for name in ("empty", "garbage", "locked"))
    empty.write_text("nothing")
    garbage.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    key = serialization.load_pem_private_key(Path(place.issued.key).read_bytes(), None)
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    other = place.folder / "other.pem"
    other.write_bytes(
        Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    files = {
        "EMPTY": str(empty),
        "GARBAGE": str(garbage),
        "LOCKED": str(locked),
        "OTHER TYPE": str(other),
        "OTHER": place.authority.issue("other").key,
        "CA": place.authority.file,
        "CRL": place.authority.revoke(),
    }
    written = {"certificate": place.issued.certificate, "key": place.issued.key, **options}
    security = ServerSecurity(**{name: files.get(value, value) for name, value in written.items()})
    with pytest.raises(PortlineError) as caught:
        security.load()
    text = str(caught.value)
    assert "\n" not in text
    for word in words:
        option, _, file = word.rpartition(" ")
        assert f"{option} {files[file]}" if file in files else word in text, text
    assert "secret" not in text


def test_the_system_may_be_trusted(place: Place) -> None:
    server, client = place.channels(client=place.client(ca="system"))
    joined(server, client)
    refused(client, Failure.CERTIFICATE, "CA is not trusted")


def test_a_name_that_no_certificate_has_is_refused(place: Place) -> None:
    with pytest.raises(PortlineError, match="certificate"):
        place.client().load().channel("." + "x" * 70)


def test_a_key_that_everybody_may_read_is_told(place: Place, tmp_path: Path) -> None:
    key = tmp_path / "own.key"
    key.write_bytes(Path(place.issued.key).read_bytes())
    security = ServerSecurity(certificate=place.issued.certificate, key=str(key))
    for mode, word in ((0o644, f"chmod o= {key}"), (0o640, ""), (0o600, "")):
        key.chmod(mode)
        warning = security.load().warning
        assert word in warning
        assert bool(warning) is bool(word)
