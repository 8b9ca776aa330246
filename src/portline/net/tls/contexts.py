"""What OpenSSL is told for a server and for a client: versions, certificates, and who is trusted.

Files are read here, so call ``load`` where waiting does no harm (in a thread).
"""

from __future__ import annotations

import os
import ssl
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from portline.errors import PortlineError
from portline.net.tls.certificate import fingerprint, first_certificate, self_signed
from portline.net.tls.channel import Channel
from portline.net.tls.mistrust import Failure, TlsFault
from portline.net.tls.pins import Pins
from portline.net.tls.state import make_state_folder

__all__ = [
    "FILE_LIMIT",
    "SYSTEM",
    "ClientContext",
    "ClientSecurity",
    "ServerContext",
    "ServerSecurity",
    "TlsVersion",
]

SYSTEM: Final = "system"
"""Instead of a file with a CA: those that the system trusts."""

FILE_LIMIT: Final = 4 * 1024 * 1024
"""Bytes of a file with certificates or a revocation list."""

TlsVersion: Final = {"1.3": ssl.TLSVersion.TLSv1_3, "1.2": ssl.TLSVersion.TLSv1_2}

_OLD_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""The suites of TLS 1.2 that keep the past secret when a key is stolen, and that are not broken
(RFC 9325 section 4.2); those of 1.3 all are so."""

_CRL: Final = b"-----BEGIN X509 CRL-----"


@dataclass(frozen=True, slots=True)
class ServerContext:
    """What new connections of a server begin with."""

    context: ssl.SSLContext
    certificate: bytes
    """Our own (DER)."""
    warning: str = ""
    """What is not as it should be and keeps nobody from being let in."""

    @property
    def sessions(self) -> int:
        """Sessions of TLS 1.2 that OpenSSL keeps for this context; there are none of 1.3."""
        if self.context.minimum_version == ssl.TLSVersion.TLSv1_3:
            return 0
        return int(self.context.session_stats()["number"])

    def channel(self) -> Channel:
        """Return a new end."""
        return Channel(self.context, server=True)


@dataclass(frozen=True, slots=True)
class ServerSecurity:
    """How a server encrypts: paths of PEM files, "" for none.

    Without a ``certificate`` it is the one that is made on first use; its ``key`` may be in the
    same file.  With ``client_ca`` only peers with a certificate of that CA are let in, and none
    that a list in ``client_crl``, or in the file of the CA, has revoked.
    """

    certificate: str = ""
    key: str = ""
    client_ca: str = ""
    client_crl: str = ""
    minimum: str = "1.3"

    def load(self) -> ServerContext:
        """Read all files; PortlineError with the option, the file, the fault and the remedy."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        _harden(context, self.minimum)
        context.num_tickets = 0  # a session is not resumed, so each peer is looked at each time
        own = _own(context, self.certificate or _made(), self.key)
        if self.client_ca:
            context.verify_mode = ssl.CERT_REQUIRED
            _trust(context, "client-ca", self.client_ca)
            if self.client_crl:
                _revoke(context, "client-crl", self.client_crl)
        return ServerContext(context, own, _exposed(self.key or self.certificate))


@dataclass(frozen=True, slots=True)
class ClientContext:
    """What new connections of a client begin with, and what is thought of who answers."""

    context: ssl.SSLContext
    security: ClientSecurity
    certificate: bytes
    """Our own (DER); b"" if there is none."""

    def channel(self, host: str) -> Channel:
        """Return a new end towards ``host``; PortlineError for what no certificate names."""
        name = self.security.name or host
        try:
            return Channel(self.context, server=False, host=name)
        except (ValueError, UnicodeError) as error:
            raise PortlineError(f"{name!r} cannot stand in a certificate: {error}") from None

    def judge(self, address: str, certificate: bytes) -> TlsFault | None:
        """Say what is wrong with the certificate (DER) of ``address``, after the handshake.

        Reads and writes the file of known servers where neither a CA nor a fingerprint is given.
        """
        security, shown = self.security, fingerprint(certificate)
        if security.fingerprint and shown != security.fingerprint:
            text = (
                f"the server shows the certificate {shown}, and fingerprint wants "
                f"{security.fingerprint}; somebody may be in the middle, or the server has got a "
                "new one: then write that"
            )
        elif security.fingerprint or security.ca or not security.pin:
            return None
        else:
            try:
                text = self.security.pins.check(address, shown)
            except PortlineError as error:
                text = str(error)
        return TlsFault(Failure.CERTIFICATE, text) if text else None


@dataclass(frozen=True, slots=True)
class ClientSecurity:
    """How a client encrypts, and whom it trusts: paths of PEM files, "" for none.

    With ``ca`` (a file, or SYSTEM) the server has to have a certificate of that CA for ``name``,
    which is the host that is connected to unless it is given; with ``fingerprint`` that very one.
    With neither it is pinned at the first meeting, unless ``pin`` is off because something else
    proves who it is.
    """

    ca: str = ""
    fingerprint: str = ""
    name: str = ""
    certificate: str = ""
    key: str = ""
    minimum: str = "1.3"
    pin: bool = True
    pins: Pins = field(default_factory=Pins, compare=False)

    def load(self) -> ClientContext:
        """Read all files; PortlineError with the option, the file, the fault and the remedy."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _harden(context, self.minimum)
        if self.ca == SYSTEM:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        elif self.ca:
            _trust(context, "ca", self.ca)
        else:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        own = _own(context, self.certificate, self.key) if self.certificate else b""
        return ClientContext(context, self, own)


def _harden(context: ssl.SSLContext, minimum: str) -> None:
    context.minimum_version = TlsVersion[minimum]
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    if minimum != "1.3":
        context.set_ciphers(_OLD_CIPHERS)


def _made() -> str:
    return str(self_signed(make_state_folder()))


def _own(context: ssl.SSLContext, certificate: str, key: str) -> bytes:
    """Load our own certificate and key; returns the certificate (DER)."""
    own = first_certificate(_content("certificate", certificate))
    if not own:
        raise PortlineError(f"certificate {certificate}: there is no PEM certificate in it")
    keys = key or certificate
    option = "key" if key else "certificate"
    if b"PRIVATE KEY-----" not in _content(option, keys):
        raise PortlineError(
            f"{option} {keys}: there is no private key in it (PEM); name the file that has it with "
            "key"
        )
    try:
        context.load_cert_chain(certificate, key or None, password=_no_password)
    except _Encrypted:
        raise PortlineError(
            f"{option} {keys}: the key is encrypted, and nobody is asked for its password; write "
            "it out without one: openssl pkey -in FILE -out FILE2"
        ) from None
    except ssl.SSLError as error:
        fault = (error.reason or str(error)).lower().replace("_", " ")
        if error.reason in _OTHER_KEY:
            fault = "does not belong to the certificate; give the two that do"
        raise PortlineError(f"{option} {keys}: {fault}") from None
    except OSError as error:
        raise _unreadable(option, keys, error) from None
    return own


_OTHER_KEY: Final = frozenset(
    {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"}
)
"""What OpenSSL calls a key that is not the certificate's, of the same type or of another one."""


def _exposed(path: str) -> str:
    """Say that everybody may read a key; "" where that is not so, or it is the one made here."""
    with suppress(OSError):  # it was there a moment ago
        if path and os.stat(path).st_mode & stat.S_IROTH:
            return f"everybody on this machine may read the key in {path}; chmod o= {path}"
    return ""


class _Encrypted(Exception):
    """A key wants a password."""


def _no_password() -> str:
    raise _Encrypted


def _trust(context: ssl.SSLContext, option: str, path: str) -> None:
    """Trust the CAs in a file, and believe the revocation lists in it."""
    content = _content(option, path)
    _load(context, option, path, "certificate of a CA")
    if not context.cert_store_stats()["x509"]:
        raise PortlineError(f"{option} {path}: there is no certificate of a CA in it (PEM)")
    if _CRL in content:
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF


def _revoke(context: ssl.SSLContext, option: str, path: str) -> None:
    if _CRL not in _content(option, path):
        raise PortlineError(f"{option} {path}: there is no revocation list in it (PEM, X509 CRL)")
    _load(context, option, path, "revocation list")
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF


def _load(context: ssl.SSLContext, option: str, path: str, what: str) -> None:
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        fault = (error.reason or str(error)).lower().replace("_", " ")
        raise PortlineError(f"{option} {path}: is no {what} in PEM ({fault})") from None
    except OSError as error:
        raise _unreadable(option, path, error) from None


def _unreadable(option: str, path: str, error: OSError) -> PortlineError:
    return PortlineError(
        f"{option} {path}: cannot be read: {error.strerror}; check the path, and whether this user "
        "may read the file"
    )


def _content(option: str, path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            content = file.read(FILE_LIMIT + 1)
    except OSError as error:
        raise _unreadable(option, path, error) from None
    if len(content) > FILE_LIMIT:
        raise PortlineError(f"{option} {path}: is larger than {FILE_LIMIT} bytes")
    return content
