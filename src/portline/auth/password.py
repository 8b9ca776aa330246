"""A password that does not show itself, and the keys that are made of it.

Whoever prints, logs or compares one of these objects learns nothing: neither ``str`` nor ``repr``
has the secret in it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock
from typing import Final

__all__ = [
    "ITERATIONS",
    "ITERATIONS_MAX",
    "ITERATIONS_MIN",
    "PASSWORD_MAX",
    "Keys",
    "Password",
    "Verifier",
    "looks_salted",
]

ITERATIONS: Final = 100_000
"""Rounds of PBKDF2 for a new verifier.  Whoever has recorded a login, or has the verifier, must
spend them for each guess; whoever knows the password spends them once for each salt: 0.05 s of a
PC, half a second of a small board.  RFC 7677 demands 4096 at least."""

ITERATIONS_MIN: Final = 4096
"""Fewer rounds a client does not accept from a server (RFC 7677, section 4)."""

ITERATIONS_MAX: Final = 2_000_000
"""More rounds a client does not do for a server, which could otherwise keep it busy for ever."""

SALT_SIZE: Final = 16
"""Bytes of a new salt."""

PASSWORD_MAX: Final = 256
"""Characters of a password; more than anybody types, and far more than helps."""

CACHED: Final = 64
"""Keys that a password remembers, each for the salt of one server."""

_SALTED: Final = re.compile(r"\s*SCRAM-SHA-[0-9]", re.IGNORECASE)
_DIGEST: Final = "sha256"
_SIZE: Final = 32
_LINE: Final = re.compile(
    r"SCRAM-SHA-256\$([0-9]{1,9}):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)"
)


def looks_salted(text: str) -> bool:
    """Tell whether a text is meant to be a salted password, of whatever sort: no plain one is."""
    return _SALTED.match(text) is not None


@dataclass(frozen=True, slots=True)
class Keys:
    """What a client makes of its password for one salt (RFC 5802, section 3)."""

    client: bytes = field(repr=False)
    stored: bytes = field(repr=False)
    server: bytes = field(repr=False)

    @classmethod
    def derived(cls, password: bytes, salt: bytes, iterations: int) -> Keys:
        """Do the rounds; takes ``iterations`` times a microsecond or more, without the GIL."""
        salted = hashlib.pbkdf2_hmac(_DIGEST, password, salt, iterations)
        client = hmac.digest(salted, b"Client Key", _DIGEST)
        server = hmac.digest(salted, b"Server Key", _DIGEST)
        return cls(client, hashlib.sha256(client).digest(), server)


@dataclass(frozen=True, slots=True)
class Verifier:
    """What a server keeps of a password: enough to recognise who knows it, and no more.

    It is not the password, and nobody can log in with it; but whoever reads it can guess at
    leisure, and pass for the server.
    """

    iterations: int
    salt: bytes
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Verifier:
        """Read ``SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY``, as PostgreSQL writes it.

        Raises ValueError with a message that does not repeat what was read.
        """
        match = _LINE.fullmatch(text)
        try:
            if match is None:
                raise ValueError(text)  # noqa: TRY301
            salt, stored, server = (
                base64.b64decode(part, validate=True) for part in match.groups()[1:]
            )
            iterations = int(match[1])
        except (ValueError, binascii.Error):
            raise ValueError("is not a salted password; `portline password` makes one") from None
        if len(stored) != _SIZE or len(server) != _SIZE or len(salt) < 12:
            raise ValueError("is a salted password that was cut; `portline password` makes one")
        if not ITERATIONS_MIN <= iterations <= ITERATIONS_MAX:
            raise ValueError(
                f"is a salted password of {iterations} rounds, and {ITERATIONS_MIN} to "
                f"{ITERATIONS_MAX} are usable; `portline password` makes one"
            )
        return cls(iterations, salt, stored, server)

    def line(self) -> str:
        """Write it so that ``parse`` reads it; what comes out is a secret."""
        parts = (self.salt, self.stored_key, self.server_key)
        salt, stored, server = (base64.b64encode(part).decode() for part in parts)
        return f"SCRAM-SHA-256${self.iterations}:{salt}${stored}:{server}"


class Password:
    """A password, prepared as RFC 5802 wants it (SASLprep, RFC 4013).

    Raises ValueError, without the text in it, for one that cannot be used.
    """

    __slots__ = ("_bytes", "_cache", "_lock", "_verifier")

    def __init__(self, text: str) -> None:
        self._bytes = _prepared(text)
        self._cache: OrderedDict[tuple[bytes, int], Keys] = OrderedDict()
        self._lock = Lock()
        self._verifier: Verifier | None = None

    def __repr__(self) -> str:
        return "Password(***)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Password):
            return NotImplemented
        return hmac.compare_digest(self._bytes, other._bytes)

    def __hash__(self) -> int:
        return hash(self._bytes)

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a password is not to be stored")

    def known(self, salt: bytes, iterations: int) -> Keys | None:
        """Return the keys for a salt if they were made before; costs nothing."""
        with self._lock:
            return self._cache.get((salt, iterations))

    def keys(self, salt: bytes, iterations: int) -> Keys:
        """Return the keys for a salt; may take long, so call it in a thread."""
        keys = self.known(salt, iterations)
        if keys is None:
            keys = Keys.derived(self._bytes, salt, iterations)
            with self._lock:
                self._cache[salt, iterations] = keys
                while len(self._cache) > CACHED:
                    self._cache.popitem(last=False)
        return keys

    def verifier(self, iterations: int = ITERATIONS) -> Verifier:
        """Return what a server keeps, with a new salt the first time; may take long."""
        if self._verifier is None or self._verifier.iterations != iterations:
            salt = secrets.token_bytes(SALT_SIZE)
            keys = self.keys(salt, iterations)
            self._verifier = Verifier(iterations, salt, keys.stored, keys.server)
        return self._verifier

    def matches(self, verifier: Verifier) -> bool:
        """Tell whether this is the password of a verifier; may take long."""
        keys = Keys.derived(self._bytes, verifier.salt, verifier.iterations)
        return hmac.compare_digest(keys.stored, verifier.stored_key)


def _prepared(text: str) -> bytes:
    """Return the bytes of a password after SASLprep, which makes equal what looks equal."""
    if not text:
        raise ValueError("is empty; write a password")
    if looks_salted(text):
        raise ValueError("is a salted one, by which a server knows it; write the password itself")
    if len(text) > PASSWORD_MAX:
        raise ValueError(f"has more than {PASSWORD_MAX} characters")
    if text.isascii() and text.isprintable():
        return text.encode()
    from scramp.utils import ScramException, saslprep

    try:
        prepared = saslprep(text)
    except ScramException:
        prepared = ""
    if not prepared:
        raise ValueError("has characters that no password may have (RFC 4013), like control codes")
    return str(prepared).encode()
