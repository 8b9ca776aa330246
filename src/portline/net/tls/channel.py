"""One end of a TLS connection without a socket: bytes in, bytes out.

Theory of operation
-------------------
The records themselves are OpenSSL's, between two memory buffers (:class:`ssl.MemoryBIO`)::

    cipher text --feed--> plain text            plain text --encrypt--> cipher text
                  |
                  +--> outgoing: what the protocol itself says (handshake, KeyUpdate, alerts)

An end that has understood ``close_notify`` hears nothing more and may go on speaking (RFC 8446
section 6.1).  The end of the transport without it is a fault: somebody may have cut off the rest.
"""

from __future__ import annotations

import ipaddress
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from portline.net.tls.mistrust import Failure, TlsFault, explain

__all__ = ["RECORD", "Channel", "Security"]

RECORD: Final = 16 * 1024
"""Bytes of plain text in a record at most (RFC 8446 section 5.1)."""

_HANDSHAKE: Final = 0x16
_ALERT: Final = 0x15
_MAJOR: Final = 0x03
"""How a record begins (RFC 8446 section 5.1): its type, and the 3 that all versions have there."""


@dataclass(frozen=True, slots=True)
class Security:
    """What protects a connection, for people and programs.

    ``version`` is as OpenSSL writes it (``TLSv1.3``), ``cipher`` the suite.  ``fingerprint`` is
    that of the peer's certificate, "" if it has none; ``subject`` its common name, where the
    certificate was verified by a CA.
    """

    version: str
    cipher: str
    fingerprint: str
    subject: str


class Channel:
    """One end; a client checks ``host`` where its context says so.

    Nothing is raised: a ``fault`` ends the channel, and ``outgoing`` has the alert for the peer.
    """

    def __init__(self, context: ssl.SSLContext, *, server: bool, host: str = "") -> None:
        self.server = server
        self.established = False
        """Whether the handshake is done."""
        self.ended = False
        """Whether the peer has said ``close_notify``."""
        self.fault: TlsFault | None = None
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._head = b""  # how the peer begins
        name = None if server or not host else _server_name(host)
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server, server_hostname=name
        )

    def begin(self) -> None:
        """Say the first words, if they are ours."""
        self._shake()

    def feed(self, data: bytes) -> bytes:
        """Take bytes of the peer; returns the plain text in them."""
        if self.fault is not None or self.ended:
            return b""
        if len(self._head) < 2 and self._is_strange(data):
            self.fault = TlsFault.of(Failure.PLAIN, server=self.server)
            return b""
        self._incoming.write(data)
        if not self.established and not self._shake():
            return b""
        return self._read()

    def feed_end(self) -> None:
        """Note that the peer's transport has ended."""
        if self.fault is None and not self.ended:
            kind = Failure.TRUNCATED if self.established else Failure.LEFT
            self.fault = TlsFault.of(kind, server=self.server)

    def encrypt(self, data: bytes | memoryview) -> bytes:
        """Return the records for ``data``; b"" after a fault, or the end."""
        try:
            self._tls.write(data)
        except ssl.SSLError as error:
            self.fault = self.fault or explain(error, server=self.server)
        return self._outgoing.read()

    def outgoing(self) -> bytes:
        """Return what the protocol wants to say by itself; b"" mostly."""
        return self._outgoing.read() if self._outgoing.pending else b""

    def close(self) -> bytes:
        """Return the last words: ``close_notify`` after a handshake, an alert after a fault."""
        if self.established and self.fault is None:
            with suppress(ssl.SSLError, OSError):  # the peer's close_notify is not waited for
                self._tls.unwrap()
        return self._outgoing.read()

    @property
    def certificate(self) -> bytes:
        """The peer's certificate (DER); b"" if it has shown none."""
        return (self._tls.getpeercert(binary_form=True) or b"") if self.established else b""

    @property
    def subject(self) -> str:
        """The common name in the peer's certificate, if a CA has vouched for it; else ""."""
        found: dict[str, Any] = (self.established and self._tls.getpeercert()) or {}
        names = dict(pair for group in found.get("subject", ()) for pair in group)
        return str(names.get("commonName", ""))

    @property
    def version(self) -> str:
        """The version of TLS, as OpenSSL writes it."""
        return self._tls.version() or ""

    @property
    def cipher(self) -> str:
        """The cipher suite."""
        chosen = self._tls.cipher()
        return chosen[0] if chosen else ""

    def _is_strange(self, data: bytes) -> bool:
        """Tell whether a peer does not begin as TLS does; OpenSSL would wait for five bytes."""
        head = self._head = (self._head + data[:2])[:2]
        first = (_HANDSHAKE,) if self.server else (_HANDSHAKE, _ALERT)
        return bool(head) and (head[0] not in first or head[1:] not in (b"", bytes((_MAJOR,))))

    def _shake(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            self.fault = explain(error, server=self.server)
            return False
        self.established = True
        return True

    def _read(self) -> bytes:
        parts = []
        try:
            # A read takes a whole record, so nothing stays decrypted in OpenSSL.
            while self._incoming.pending:
                part = self._tls.read(RECORD)
                if not part:
                    self.ended = True
                    break
                parts.append(part)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        except ssl.SSLError as error:
            self.fault = explain(error, server=self.server)
        return parts[0] if len(parts) == 1 else b"".join(parts)


def _server_name(host: str) -> str:
    """Return a host as certificates name it: an IPv6 address without its interface."""
    text = host.partition("%")[0]
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return text.rstrip(".")
