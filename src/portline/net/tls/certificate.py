"""Certificates: making one that is signed by itself, and telling one from another.

Nothing here is cryptography of our own: certificates are made and read by the library
*cryptography*, which is imported only when one is, because it costs 11 MB of memory.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
import ssl
import tempfile
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from portline.errors import PortlineError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "LIFETIME",
    "SELF_SIGNED",
    "end_point",
    "fingerprint",
    "fingerprint_fault",
    "first_certificate",
    "make_self_signed",
    "self_signed",
]

SELF_SIGNED: Final = "self-signed.pem"
"""The file with the key and the certificate that were made on first use."""

LIFETIME: Final = 20 * 365
"""Days; nobody renews a certificate that is known by its fingerprint, and no machine lasts so
long."""

_PEM: Final = re.compile(rb"-----BEGIN CERTIFICATE-----\s.*?-----END CERTIFICATE-----", re.DOTALL)
_FINGERPRINT: Final = re.compile(r"sha256:[0-9a-f]{64}")


def fingerprint(certificate: bytes) -> str:
    """Return ``sha256:`` and 64 hexadecimal digits of a certificate (DER), b"" gives ""."""
    return f"sha256:{hashlib.sha256(certificate).hexdigest()}" if certificate else ""


def fingerprint_fault(text: str) -> str:
    """Say what is wrong with a fingerprint as :func:`fingerprint` writes it; "" if nothing is."""
    if _FINGERPRINT.fullmatch(text):
        return ""
    return "a fingerprint is sha256: and 64 hexadecimal digits, as `portline share --tls` shows it"


def first_certificate(pem: bytes) -> bytes:
    """Return the first certificate (DER) in a PEM file; b"" if there is none."""
    found = _PEM.search(pem)
    if found is None:
        return b""
    with suppress(ValueError):
        return ssl.PEM_cert_to_DER_cert(found[0].decode("ascii", "replace"))
    return b""


def end_point(certificate: bytes) -> bytes:
    """Return the channel binding ``tls-server-end-point`` of a server's certificate (DER).

    It is the hash of the certificate by the hash of its signature, where that is MD5 or SHA-1, by
    SHA-256 (RFC 5929 section 4.1).  For a signature without a hash of its own (Ed25519), which the
    RFC leaves open, SHA-256 too.  b"" gives b"".
    """
    if not certificate:
        return b""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    name = "sha256"
    with suppress(UnsupportedAlgorithm, ValueError):
        algorithm = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
        if algorithm is not None and algorithm.name not in ("md5", "sha1"):
            name = algorithm.name
    return hashlib.new(name.replace("-", "_"), certificate).digest()


def make_self_signed(name: str) -> bytes:
    """Return a new key and a certificate for it (PEM), signed by itself.

    ``name`` is the machine's.  The key is of the curve P-256, which every program knows and which
    costs a server a tenth of what RSA does.  Raises PortlineError where the library is missing.
    """
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
    except ImportError:
        raise PortlineError(
            "a certificate cannot be made without the Python package cryptography; install that, "
            "or give one with certificate and key"
        ) from None
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # of machines whose clock is behind
        .not_valid_after(now + timedelta(days=LIFETIME))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage(
                [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            ),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return secret + certificate.public_bytes(serialization.Encoding.PEM)


def self_signed(folder: Path) -> Path:
    """Return the file with the key and certificate of this user, made on first use.

    Only its owner can read it (mode 0600).  Of two processes that make it at the same time, both
    use that of the first.  Raises PortlineError.
    """
    path = folder / SELF_SIGNED
    if path.exists():
        return path
    content = make_self_signed(_host_name())
    try:
        # Made for the owner alone (mkstemp), and linked under its name when it is whole.
        descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=f".{SELF_SIGNED}-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):
                os.link(temporary, path)
        finally:
            os.unlink(temporary)
    except OSError as error:
        raise PortlineError(f"{path} cannot be written: {error.strerror}") from None
    return path


def _host_name() -> str:
    """Return the name of this machine as a certificate may hold it."""
    name = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname()).strip(".-")
    return name or "portline"
