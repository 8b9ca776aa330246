"""A proxy on the way to a server, and how it is written.

The protocols themselves are those of the library python-socks; what is here is the value that a
configuration holds, checked so that the library cannot stumble over it later.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final
from urllib.parse import unquote, urlsplit

from portline.net.address import display

__all__ = ["DEFAULT_PORTS", "LOGIN_LIMIT", "SHAPE", "Proxy", "ProxyKind"]

SHAPE: Final = "socks5://[USER:PASSWORD@]HOST[:PORT] or http://[USER:PASSWORD@]HOST[:PORT]"
"""What :meth:`Proxy.parse` reads."""

LOGIN_LIMIT: Final = 255
"""Characters of a user name and of a password; RFC 1929 has one byte for their length."""

PORT_MAX: Final = 65535


class ProxyKind(Enum):
    """The protocol of a proxy; the value is the scheme of its URL."""

    SOCKS5 = "socks5"
    HTTP = "http"


DEFAULT_PORTS: Final = {ProxyKind.SOCKS5: 1080, ProxyKind.HTTP: 3128}
"""Where such proxies listen as a rule: RFC 1928, and Squid's default."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that connects us to a server whose name it looks up itself.

    Without ``user`` there is no login.  Raises ValueError for a login that the protocol cannot say.
    Neither ``str`` nor ``repr`` shows the password.
    """

    kind: ProxyKind
    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        """Refuse what the protocol has no words for."""
        if not self.host or not 0 < self.port <= PORT_MAX:
            raise ValueError(f"a proxy is written as {SHAPE}, with a port from 1 to {PORT_MAX}")
        if bool(self.user) != bool(self.password):
            raise ValueError("the login of a proxy needs both a user and a password")
        if not (self.user + self.password).isascii():
            raise ValueError("the login of a proxy has to consist of ASCII characters")
        if max(len(self.user), len(self.password)) > LOGIN_LIMIT:
            raise ValueError(f"user and password of a proxy have at most {LOGIN_LIMIT} characters")
        if self.kind is ProxyKind.HTTP and ":" in self.user:
            raise ValueError("the user of an HTTP proxy cannot contain a colon (RFC 7617)")

    @property
    def address(self) -> str:
        """Where it listens, for people."""
        return display(self.host, self.port)

    def __str__(self) -> str:
        """Write ``socks5://user:***@host:1080``."""
        login = f"{self.user}:***@" if self.user else ""
        return f"{self.kind.value}://{login}{self.address}"

    @classmethod
    def parse(cls, text: str) -> Proxy:
        """Read a URL; special characters of user and password are written as ``%40``.

        Raises ValueError, with the shape that is expected, for anything else.
        """
        try:
            parts = urlsplit(text.strip())
            kind = ProxyKind(parts.scheme)
            port = DEFAULT_PORTS[kind] if parts.port is None else parts.port
        except ValueError:
            raise ValueError(f"a proxy is written as {SHAPE}") from None
        if not parts.hostname or parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ValueError(f"a proxy is written as {SHAPE}")
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        return cls(kind, parts.hostname, port, user, password)
