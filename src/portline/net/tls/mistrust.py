"""Why a TLS connection does not come about, or ends: what OpenSSL says, and what is to be done."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from enum import Enum
from typing import Final

__all__ = ["Failure", "TlsFault", "explain"]


class Failure(Enum):
    """What went wrong; the value is the name of its counter in the status."""

    PLAIN = "handshakes_plain_text"
    VERSION = "handshakes_old_version"
    CERTIFICATE = "handshakes_bad_certificate"
    NO_CERTIFICATE = "handshakes_no_certificate"
    REFUSED = "handshakes_refused_by_peer"
    TIMEOUT = "handshakes_timed_out"
    CROWDED = "handshakes_crowded_out"
    LEFT = "handshakes_given_up"
    BROKEN = "handshakes_broken"
    TRUNCATED = "truncated"


@dataclass(frozen=True, slots=True)
class TlsFault:
    """A failure in words that tell the fault and the remedy."""

    failure: Failure
    text: str

    @classmethod
    def of(cls, failure: Failure, *, server: bool, said: str = "") -> TlsFault:
        """Return a fault in the words for a ``server`` about its peer, or for a client."""
        text = (_AT_SERVER if server else _AT_CLIENT)[failure]
        return cls(failure, text.format(said=said))

    def __str__(self) -> str:
        """Write the text."""
        return self.text


_TRUNCATED: Final = (
    "the connection ended without TLS's word for it (close_notify): what came last may have been "
    "cut off on the way"
)
_AT_SERVER: Final = {
    Failure.PLAIN: "it speaks plain text to an encrypted port; have it use TLS (attach --tls), or "
    "leave tls out here",
    Failure.VERSION: "it speaks no version of TLS that is allowed here ({said}); update it, or "
    'write tls-minimum = "1.2" here',
    Failure.CERTIFICATE: "its certificate is refused: {said}",
    Failure.NO_CERTIFICATE: "it has shown no certificate, which client-ca asks for; give it one "
    "(attach --certificate FILE --key FILE)",
    Failure.REFUSED: "it refuses our certificate, or what we ask of it ({said}); look at what it "
    "says, and which CA or fingerprint it expects",
    Failure.TIMEOUT: "its handshake was not over within {said} s; it may speak plain text",
    Failure.CROWDED: "too many handshakes at the same time ({said}), and most of them from there",
    Failure.LEFT: "it went away before the handshake was over",
    Failure.BROKEN: "what it sends is not TLS as it should be ({said})",
    Failure.TRUNCATED: _TRUNCATED,
}
_AT_CLIENT: Final = _AT_SERVER | {
    Failure.PLAIN: "the server answers in plain text; turn tls on there, or leave it out here",
    Failure.VERSION: "the server speaks no version of TLS that is allowed here ({said}); update "
    'it, or write tls-minimum = "1.2" here',
    Failure.CERTIFICATE: "the certificate of the server is refused: {said}",
    Failure.REFUSED: "the server refuses our certificate, or what we ask of it ({said}); look into "
    "its log, and give the certificate that it wants (certificate and key)",
    Failure.TIMEOUT: "the server has not answered in TLS within {said} s; turn tls on there, or "
    "leave it out here",
    Failure.LEFT: "the server closed the connection before TLS was agreed on; turn tls on there, "
    "or look into its log",
    Failure.BROKEN: "what the server sends is not TLS as it should be ({said})",
}

_VERSIONS: Final = frozenset(
    {
        "INAPPROPRIATE_FALLBACK",
        "NO_PROTOCOLS_AVAILABLE",
        "TLSV1_ALERT_INAPPROPRIATE_FALLBACK",
        "TLSV1_ALERT_PROTOCOL_VERSION",
        "UNSUPPORTED_PROTOCOL",
        "WRONG_SSL_VERSION",
        "WRONG_VERSION_NUMBER",
    }
)
_MISSING: Final = frozenset({"PEER_DID_NOT_RETURN_A_CERTIFICATE"})

_VERIFY: Final = {
    3: "there is no revocation list for its CA; add one to client-crl, or leave that out",
    9: "it is not valid yet; check the clocks of both machines",
    10: "it has expired; have it renewed, and check the clock of this machine",
    12: "the revocation list has expired; have its CA write a new one",
    18: "it is signed by itself and by no CA that is trusted here; give the right ca, or leave ca "
    "out to pin it",
    19: "its CA is not trusted here; check the file with the CA",
    20: "its CA is not trusted here; check the file with the CA",
    21: "its CA is not trusted here; check the file with the CA",
    23: "it is revoked; ask its CA for another one",
    26: "it is not meant for this (extended key usage); ask its CA for another one",
    62: "it is for another name; connect by the name in it, or say which that is with tls-name",
    64: "it is for another address; connect by the name in it, or say which that is with tls-name",
}
"""X509_V_ERR_* (openssl/x509_vfy.h) -> fault and remedy."""


def explain(error: ssl.SSLError, *, server: bool) -> TlsFault:
    """Return what an error of OpenSSL means at a ``server``, or at a client."""
    reason = error.reason or ""
    said = reason.lower().replace("_", " ") or str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        text = _VERIFY.get(error.verify_code) or error.verify_message
        return TlsFault.of(Failure.CERTIFICATE, server=server, said=text)
    if reason in _VERSIONS:
        return TlsFault.of(Failure.VERSION, server=server, said=said)
    if reason in _MISSING:
        return TlsFault.of(Failure.NO_CERTIFICATE, server=server)
    if "_ALERT_" in reason:
        said = said.partition(" alert ")[2]
        return TlsFault.of(Failure.REFUSED, server=server, said=said)
    if isinstance(error, ssl.SSLEOFError):
        return TlsFault.of(Failure.LEFT, server=server)
    return TlsFault.of(Failure.BROKEN, server=server, said=said)
