from __future__ import annotations

import hashlib
import os
import ssl
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.serialization import Encoding

from portline.errors import PortlineError
from portline.net.tls.certificate import (
    LIFETIME,
    end_point,
    fingerprint,
    fingerprint_fault,
    first_certificate,
    make_self_signed,
    self_signed,
)

if TYPE_CHECKING:
    from pathlib import Path


def signed(key: Any, algorithm: Any, **how: Any) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
    )
    return builder.sign(key, algorithm, **how).public_bytes(Encoding.DER)


def test_the_file_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with ThreadPoolExecutor(4) as pool:
            paths = set(pool.map(self_signed, [tmp_path] * 4))
    finally:
        os.umask(before)
    assert len(paths) == 1
    path = paths.pop()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    content = path.read_bytes()
    assert self_signed(tmp_path) == path
    assert path.read_bytes() == content
    assert os.listdir(tmp_path) == [path.name]
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path)


def test_a_certificate_that_was_made_is_good_for_long(tmp_path: Path) -> None:
    pem = make_self_signed("meter.example")
    found = x509.load_pem_x509_certificate(pem)
    assert isinstance(found.public_key(), ec.EllipticCurvePublicKey)
    now = datetime.now(UTC)
    assert found.not_valid_before_utc < now < found.not_valid_after_utc
    assert found.not_valid_after_utc - now > timedelta(days=LIFETIME - 1)
    name = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert name.get_values_for_type(x509.DNSName) == ["meter.example"]
    assert fingerprint(first_certificate(pem)) == (
        f"sha256:{found.fingerprint(hashes.SHA256()).hex()}"
    )


def test_a_folder_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    with pytest.raises(PortlineError, match="cannot be written"):
        self_signed(tmp_path / "missing")


def test_who_lacks_the_library_is_told_what_to_do() -> None:
    code = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from portline.net.tls.certificate import make_self_signed\n"
        "try: make_self_signed('x')\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("PortlineError ")
    assert "install" in done.stdout
    assert "certificate and key" in done.stdout


def test_the_channel_binding_is_the_hash_of_the_signature() -> None:
    """RFC 5929 section 4.1; the expected values are made with hashlib from the same bytes."""
    curve, modulus = ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)
    for key, algorithm, how, name in (
        (curve, hashes.SHA256(), {}, "sha256"),
        (curve, hashes.SHA384(), {}, "sha384"),
        (modulus, hashes.SHA512(), {}, "sha512"),
        (modulus, hashes.SHA512(), {"rsa_padding": PSS(MGF1(hashes.SHA512()), 64)}, "sha512"),
        (ed25519.Ed25519PrivateKey.generate(), None, {}, "sha256"),
    ):
        der = signed(key, algorithm, **how)
        assert end_point(der) == hashlib.new(name, der).digest()
    assert end_point(b"") == b""


def test_old_hashes_are_replaced_by_a_good_one() -> None:
    """A certificate of 2006 from GeoTrust, signed with SHA-1, is not needed: the DER is changed."""
    der = bytearray(signed(rsa.generate_private_key(65537, 2048), hashes.SHA256()))
    # sha256WithRSAEncryption (1.2.840.113549.1.1.11) -> sha1WithRSAEncryption (...1.5)
    identifier = bytes.fromhex("2a864886f70d01010b")
    at = 0
    for _ in range(2):
        at = der.index(identifier, at)
        der[at + len(identifier) - 1] = 5
    assert end_point(bytes(der)) == hashlib.sha256(der).digest()


def test_fingerprints() -> None:
    shown = fingerprint(b"x")
    assert fingerprint_fault(shown) == ""
    assert fingerprint(b"") == ""
    for wrong in ("", shown[:-1], shown.upper(), shown.replace("sha256", "sha1"), shown + "0"):
        assert "64 hexadecimal digits" in fingerprint_fault(wrong)


@pytest.mark.parametrize(
    "text", [b"", b"-----BEGIN CERTIFICATE-----\n", b"-----BEGIN CERTIFICATE-----\n*\n-----END"]
)
def test_no_certificate_is_no_certificate(text: bytes) -> None:
    assert first_certificate(text) == b""
