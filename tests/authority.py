"""A certificate authority played by the test, and the files that it gives out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Authority", "Issued"]


class Issued:
    """A certificate with its key, in one file each."""

    def __init__(self, folder: Path, name: str, made: trustme.LeafCert) -> None:
        self.certificate = str(folder / f"{name}.pem")
        self.key = str(folder / f"{name}.key")
        self.pem = b"".join(blob.bytes() for blob in made.cert_chain_pems)
        (folder / f"{name}.pem").write_bytes(self.pem)
        made.private_key_pem.write_to_path(self.key)


class Authority:
    """A CA in ``folder``; ``name`` tells the files of two of them apart."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._ca = trustme.CA()
        self._folder = folder
        self._name = name
        self.file = str(folder / f"{name}.pem")
        """Its certificate."""
        self._ca.cert_pem.write_to_path(self.file)

    def issue(self, name: str, *hosts: str, days: float = 1) -> Issued:
        """Give out a certificate for hosts, valid for ``days`` from now on; fewer than 0: over."""
        now = datetime.now(UTC)
        made = self._ca.issue_cert(
            *(hosts or (f"{name}.test",)),
            common_name=name,
            not_before=now - timedelta(days=2),
            not_after=now + timedelta(days=days),
        )
        return Issued(self._folder, f"{self._name}-{name}", made)

    def revoke(self, *revoked: Issued, days: float = 1) -> str:
        """Return the file of a list with these certificates, good for ``days`` from now on."""
        now = datetime.now(UTC)
        own = x509.load_pem_x509_certificate(self._ca.cert_pem.bytes())
        key = serialization.load_pem_private_key(self._ca.private_key_pem.bytes(), None)
        made = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(own.subject)
            .last_update(now - timedelta(days=2))
            .next_update(now + timedelta(days=days))
        )
        for each in revoked:
            certificate = x509.load_pem_x509_certificate(each.pem)
            entry = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number)
            made = made.add_revoked_certificate(entry.revocation_date(now).build())
        text = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)  # type: ignore[arg-type]
        path = self._folder / f"{self._name}-{len(revoked)}-{days:g}.crl"
        path.write_bytes(text)
        return str(path)
